"""A sweep is kept chunk by chunk: it goes on after any end, never mixes questions, and loses nothing that it told."""

from __future__ import annotations

import errno
import functools
import os
import shutil
import socket
import threading

import numpy as np
import pytest
import xarray as xr

import accelmodel as am
from accelmodel.errors import SpecError
from accelmodel.specs import find
from accelmodel.sweeps import digest, formats, grid, run, spread, store

QUESTION = {
    "sweep": {"command": "step", "chunk": 4},
    "fixed": {"device": "h100-sxm", "model": "llama-3-8b", "context": 4096},
    "axes": {"technique": ["none", "preserve"], "l2.capacity": [2e7, 5e7, 1e8], "batch": [1, 8]},
}


@pytest.fixture
def here(tmp_path, monkeypatch, warm):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def calls(monkeypatch):
    """Count the chunks that are computed; ``stop`` is how many until the disk is full."""
    seen = {"chunks": 0, "stop": 10**9}
    real_evaluate, real_keep = run.evaluate, store.Store.keep

    def evaluate(*given):
        seen["chunks"] += 1
        return real_evaluate(*given)

    def keep(*given):
        if seen["stop"] == 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        seen["stop"] -= 1
        real_keep(*given)

    monkeypatch.setattr(run, "evaluate", evaluate)
    monkeypatch.setattr(store.Store, "keep", keep)
    return seen


def parts():
    return sorted(os.listdir())


@pytest.mark.parametrize("name", ["a.nc", "a.zarr", "a.csv"])
def test_it_goes_on_where_a_full_disk_ended_it(here, calls, name):
    if name == "a.zarr":
        pytest.importorskip("zarr")
    whole = am.sweep(QUESTION)
    calls.update(chunks=0, stop=1)
    with pytest.raises(SpecError) as error:
        am.sweep(QUESTION, output=name)
    assert "cannot be written (No space left on device); 1 of 4 chunks are kept in a." in str(error.value)
    assert not os.path.exists(name)
    assert calls["chunks"] == 2
    calls.update(chunks=0, stop=10**9)
    found = am.sweep(QUESTION, output=name).load()
    assert calls["chunks"] == 3
    assert parts() == [name]
    for variable in whole.data_vars:
        assert np.array_equal(found[variable].values, whole[variable].values), variable
        assert found[variable].dims == whole[variable].dims
        assert found[variable].attrs["units"] == whole[variable].attrs["units"]
    assert found.technique.values.tolist() == ["none", "preserve"]
    assert found.attrs == whole.attrs


@pytest.mark.parametrize(("name", "step"), [("a.nc", 1), ("a.zarr", 6), ("a.csv", 1)])
def test_whichever_write_fails_the_same_call_goes_on(here, monkeypatch, name, step):
    """Each write in turn (of a store, which has many files, each sixth) finds the disk full.

    Nothing half is left in the place of the output, and nothing is lost.
    """
    if name == "a.zarr":
        pytest.importorskip("zarr")
    whole = am.sweep(QUESTION)
    left = {"writes": 0}

    def failing(real):
        def write(*given, **more):
            left["writes"] -= 1
            if left["writes"] == 0:
                raise OSError(errno.ENOSPC, "No space left on device")
            return real(*given, **more)

        return write

    for module, function in ((os, "replace"), (os, "fsync"), (np, "savez"), (xr.Dataset, "to_netcdf")):
        monkeypatch.setattr(module, function, failing(getattr(module, function)))
    failed = 0
    while True:
        failed += step
        left["writes"] = failed
        try:
            am.sweep(QUESTION, output=name).close()
        except SpecError as error:
            assert "No space left on device" in str(error)
            assert "chunks are kept in" in str(error)
            assert not os.path.exists(name)
            left["writes"] = 0
            found = am.sweep(QUESTION, output=name).load()
            assert found.step_time.values.tobytes() == whole.step_time.values.tobytes()
            assert parts() == [name]
            found.close()
            shutil.rmtree(name) if os.path.isdir(name) else os.unlink(name)
        else:
            break
    assert failed > 2 * 4, "each chunk is written and put in place"


def test_an_edited_chip_starts_anew(here, calls):
    text = find.path_of("device", "h100-sxm").read_text(encoding="utf-8")
    (here / "mine.toml").write_text(text, encoding="utf-8")
    question = QUESTION | {"fixed": QUESTION["fixed"] | {"device": "./mine.toml"}}
    calls["stop"] = 2
    with pytest.raises(SpecError, match="2 of 4 chunks are kept"):
        am.sweep(question, output="a.nc")
    slower = text.replace("value = 3.35,", "value = 1.675,")
    assert slower != text
    (here / "mine.toml").write_text(slower, encoding="utf-8")
    calls.update(chunks=0, stop=10**9)
    found = am.sweep(question, output="a.nc")
    assert calls["chunks"] == 4
    assert np.array_equal(found.step_time.values, am.sweep(question).step_time.values)
    assert len(parts()) == 3  # the chunks of the chip as it was are kept as well
    (here / "mine.toml").write_text(text, encoding="utf-8")
    calls["chunks"] = 0
    am.sweep(question, output="a.nc")
    assert calls["chunks"] == 2
    assert parts() == ["a.nc", "mine.toml"]


def test_what_stands_behind_a_number_is_in_the_digest(monkeypatch):
    def of(**changes):
        return digest.digest_of(grid.grid_of(run.asked(QUESTION | changes)))

    first = of()
    assert of(sweep=QUESTION["sweep"] | {"title": "other", "output": "b.nc"}) == first
    others = [
        of(fixed=QUESTION["fixed"] | {"context": 4097}),
        of(fixed=QUESTION["fixed"] | {"model": "llama-3.1-8b"}),
        of(fixed=QUESTION["fixed"] | {"link.start_up": 1e-6}),
        of(axes=QUESTION["axes"] | {"batch": [1, 9]}),
        of(axes=dict(reversed(QUESTION["axes"].items()))),
        of(sweep={"command": "step", "chunk": 2}),
    ]
    monkeypatch.setattr(am, "__version__", "9")
    assert len({first, *others, of()}) == 8


@pytest.mark.parametrize("harm", ["cut", "flipped", "foreign", "empty", "renamed"])
def test_a_chunk_that_does_not_read_back_is_computed_anew(here, calls, harm):
    calls["stop"] = 3
    with pytest.raises(SpecError):
        am.sweep(QUESTION, output="a.nc")
    folder = here / parts()[0]
    first, second = sorted(folder.glob("0*.npz"))[:2]
    raw = first.read_bytes()
    middle = raw.index(b"step_time.npy") + 170
    flipped = raw[:middle] + bytes([raw[middle] ^ 1]) + raw[middle + 1 :]
    foreign = raw.replace(digest.digest_of(grid.grid_of(run.asked(QUESTION))).encode("utf-32-le"), b"x" * 64)
    made = {"cut": raw[: len(raw) // 2], "flipped": flipped, "foreign": foreign, "empty": b"", "renamed": raw}[harm]
    first.write_bytes(made)
    if harm == "renamed":
        os.replace(first, second)
    calls.update(chunks=0, stop=10**9)
    found = am.sweep(QUESTION, output="a.nc")
    assert np.array_equal(found.step_time.values, am.sweep(QUESTION).step_time.values)
    assert calls["chunks"] >= 2 + 4


def test_two_at_once_are_refused_and_a_lock_of_the_dead_is_none(here):
    asked = run.asked(QUESTION)
    cut = grid.grid_of(asked)
    name = digest.digest_of(cut)
    with store.opened(cut, name, here / "a.nc"):
        (here / f"a.nc.{name[:8]}.parts" / ".left").write_text("x", encoding="utf-8")
        with pytest.raises(SpecError, match="another process is computing it"):
            am.sweep(QUESTION, output=here / "a.nc")
        am.sweep(QUESTION, output=here / "b.nc")
    am.sweep(QUESTION, output=here / "a.nc")
    assert parts() == ["a.nc", "b.nc"]


@pytest.mark.parametrize(
    ("output", "says"),
    [
        ("a.hdf", "unknown ending of an output '.hdf'"),
        ("nowhere/a.nc", "cannot be written (No such file or directory)"),
        ("folder.nc", "is a folder"),
        ("folder.zarr", "is there and no Zarr store"),
        ("kept.nc", "is read-only"),
        ("a\0.nc", "cannot be written"),
    ],
)
def test_the_output_is_checked_before_the_work(here, calls, output, says):
    pytest.importorskip("zarr")
    for name in ("folder.nc", "folder.zarr"):
        (here / name).mkdir()
        (here / name / "thesis.txt").write_text("ten years", encoding="utf-8")
    (here / "kept.nc").write_text("", encoding="utf-8")
    (here / "kept.nc").chmod(0o444)
    if output == "kept.nc" and os.access(here / "kept.nc", os.W_OK):
        pytest.skip("this user may write everything")
    before = parts()
    with pytest.raises(SpecError) as error:
        am.sweep(QUESTION, output=output)
    assert says in str(error.value)
    assert calls["chunks"] == 0
    assert parts() == before


def test_what_is_too_large_is_refused_with_the_number(here, calls, monkeypatch):
    axes = {"batch": {"from": 1, "to": 10**6, "step": 1}, "tp": [1, 2, 4, 8], "pp": list(range(1, 33))}
    large = {"sweep": {"command": "step"}, "fixed": QUESTION["fixed"], "axes": axes}
    says = r"128,000,000 points, at least 2 min and some 4.1 GB, are over the limit of 100,000,000 points; .*--most"
    with pytest.raises(SpecError, match=says):
        am.sweep(large)
    with pytest.raises(SpecError, match=r"128,000,000 points"):
        am.sweep(large, most=float("nan"))
    with pytest.raises(SpecError, match="128,000,000 chunks of 4 points are over the limit of 100,000 chunks"):
        am.sweep(large | {"axes": axes | {"dp": [1, 2, 3, 4]}}, most=1e9, chunk=4)
    with pytest.raises(SpecError, match="a variable takes .* write to .zarr"):
        am.sweep(large | {"axes": axes | {"dp": [1, 2, 3, 4]}}, output="a.nc", most=1e9)
    monkeypatch.setattr(formats, "MEMORY_MOST", 100)
    with pytest.raises(SpecError, match="too much for memory"):
        am.sweep(QUESTION)
    monkeypatch.setattr(formats.shutil, "disk_usage", lambda path: _Usage)
    with pytest.raises(SpecError, match="600 B and 1 B are free"):
        am.sweep(QUESTION, output="a.nc")
    assert calls["chunks"] == 0


class _Usage:
    free = 1


def test_chunked_axes_stay_lazy(here, calls):
    pytest.importorskip("dask")
    l2 = xr.DataArray(QUESTION["axes"]["l2.capacity"], dims="l2").chunk(2)
    lazy = am.sweep(QUESTION | {"axes": QUESTION["axes"] | {"l2.capacity": l2}})
    assert calls["chunks"] == 0
    assert lazy.step_time.chunks == ((1, 1), (2, 1), (2,))
    assert np.array_equal(lazy.step_time.compute(scheduler="sync").values, am.sweep(QUESTION).step_time.values)


def test_two_workers_of_a_dask_scheduler_answer_as_one_process(here):
    distributed = pytest.importorskip("distributed")
    alone = am.sweep(QUESTION)
    with distributed.LocalCluster(2, processes=True, threads_per_worker=1, dashboard_address=None) as local:
        found = am.sweep(QUESTION, output="a.nc", scheduler=local.scheduler_address)
    assert found.load().step_time.values.tobytes() == alone.step_time.values.tobytes()
    assert parts() == ["a.nc"]


def test_a_scheduler_that_is_not_there_is_named(here):
    pytest.importorskip("distributed")
    with pytest.raises(SpecError, match="scheduler 'nonsense://x': cannot be reached"):
        am.sweep(QUESTION, scheduler="nonsense://x")
    with pytest.raises(SpecError, match="give one of the two"):
        am.sweep(QUESTION, scheduler="nonsense://x", workers=2)
    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=_greet, args=(server,), daemon=True).start()
        with pytest.raises(SpecError, match=r"cannot be reached \(MemoryError"):
            am.sweep(QUESTION, scheduler=f"tcp://127.0.0.1:{server.getsockname()[1]}")


def _greet(server):
    """Answer a client as a web server does, in a protocol that is not a scheduler's."""
    for _ in range(20):
        client, _ = server.accept()
        client.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n" * 4)


def test_a_worker_with_other_code_is_refused(here):
    cut = grid.grid_of(run.asked(QUESTION))
    task = functools.partial(run._chunk, cut)
    assert spread.elsewhere(task, 0, digest.sources())[0].keys() == cut.question.command.variables.keys()
    with pytest.raises(SpecError, match="another version of accelmodel"):
        spread.elsewhere(task, 0, "other")
