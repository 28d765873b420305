"""The command ``dashboard``: open the trials of a study in optuna-dashboard."""

from __future__ import annotations

import socket
import threading
import webbrowser
from pathlib import Path
from typing import Annotated, Any

import typer

from accelmodel.cli.completion import name_of
from accelmodel.cli.options import Json, answer
from accelmodel.cli.terminal import has_display, say
from accelmodel.dse.search.dashboard import artifacts
from accelmodel.dse.search.storage import Place, opened, place_of
from accelmodel.dse.search.turns import check
from accelmodel.errors import SpecError

app = typer.Typer(add_completion=False)
#: address that only this machine reaches
LOOPBACK = "127.0.0.1"


@app.command()
def dashboard(
    given: Annotated[
        str,
        typer.Argument(
            metavar="STUDY|STORAGE",
            help="Study such as preserve-l2, whose accelmodel-preserve-l2.db is here; or a path or URL of trials.",
            autocompletion=name_of("study"),
        ),
    ] = "preserve-l2",
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="Port such as 8080; 0 takes a free one.")] = 0,
    show: Annotated[bool, typer.Option("--open/--no-open", help="Open it in a browser.")] = True,
    as_json: Json = False,
) -> None:
    """Open the trials of a study in optuna-dashboard, for this machine alone; needs the extra ``dashboard``."""
    place = storage_of(given)
    server = _server()
    check(place)
    taken = _bound(port)
    url = f"http://{LOOPBACK}:{taken}/dashboard/"
    answer({"url": url, "storage": str(place)}, as_json, lambda data: say(f"{data['storage']}: {data['url']}"))
    if show and not as_json and has_display():
        threading.Timer(1.0, webbrowser.open, [url]).start()
    _serve(server, place, taken)


def storage_of(given: str) -> Place:
    """Return where the trials of a study are, or what a path or URL means; SpecError if there is nothing."""
    if "://" in given:
        return place_of(given)
    own = Path(f"accelmodel-{Path(given).stem}.db")
    for path in (Path(given), own):
        if path.is_file() and path.suffix != ".toml":
            return place_of(path)
    raise SpecError(
        f"{given}: no trials here, neither in a file of that name nor in {own}; run `accelmodel explore --study "
        f"{given}` first, or give where they are"
    )


def _server() -> Any:
    try:
        import optuna_dashboard
    except ImportError:
        raise SpecError("optuna-dashboard is not installed; pip install 'accelmodel[dashboard]'") from None
    return optuna_dashboard


def _bound(port: int) -> int:
    """Return a port that is free, the asked one unless it is 0."""
    try:
        with socket.socket() as free:
            free.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            free.bind((LOOPBACK, port))
            return int(free.getsockname()[1])
    except OSError as error:
        raise SpecError(f"--port {port}: {error.strerror}; take another, or 0 for a free one") from None


def _serve(server: Any, place: Place, port: int) -> None:
    """Answer until interrupted; what is shown comes from this machine, and files from the folder beside the storage."""
    import wsgiref.simple_server
    from socketserver import ThreadingMixIn

    from optuna.artifacts import FileSystemArtifactStore

    class Threaded(ThreadingMixIn, wsgiref.simple_server.WSGIServer):
        daemon_threads = True

    class Quiet(wsgiref.simple_server.WSGIRequestHandler):
        def log_message(self, *_: Any) -> None:
            """Requests are nobody's concern."""

    folder = artifacts(place)
    store = FileSystemArtifactStore(folder) if folder.is_dir() else None
    made = server.wsgi(opened(place), artifact_store=store)
    with wsgiref.simple_server.make_server(LOOPBACK, port, made, Threaded, Quiet) as serving:
        try:
            serving.serve_forever()
        except KeyboardInterrupt:
            return
