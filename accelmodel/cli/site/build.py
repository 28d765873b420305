"""Sphinx and MyST: from pages to a static site that opens offline, formulas as MathML."""

from __future__ import annotations

import hashlib
import io
import os
import tempfile
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from accelmodel import __version__
from accelmodel.cli.site import examples, pages
from accelmodel.cli.site.tables import PACKAGE, reports
from accelmodel.errors import SpecError
from accelmodel.output import make_folder, writable, write
from accelmodel.specs import facts

START = "index.html"
#: what the extra ``docs`` brings
NEEDED = ("sphinx", "myst_parser", "furo", "latex2mathml")
CONFIG: dict[str, Any] = {
    "project": "accelmodel",
    "author": "The accelmodel developers",
    "copyright": "The accelmodel developers, Apache-2.0",
    "release": __version__,
    "version": __version__,
    "extensions": ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "accelmodel.cli.site.build"],
    "html_theme": "furo",
    "html_title": f"accelmodel {__version__}",
    "html_math_renderer": "mathml",
    "html_copy_source": False,
    "html_show_sourcelink": False,
    "html_css_files": ["accelmodel.css"],
    "myst_enable_extensions": ["dollarmath"],
    "myst_heading_anchors": 3,
    "autodoc_typehints": "none",
    "napoleon_use_rtype": False,
    "napoleon_google_docstring": False,
    "highlight_language": "text",
    "language": "en",
}
CSS = """
.content { width: 54em; }
table.docutils { font-size: 0.82rem; }
.highlight-text pre { font-size: 0.78em; }
.highlight-sh pre, .highlight-python pre { white-space: pre-wrap; }
div.math { margin: 1em 0; overflow-x: auto; text-align: center; font-size: 1.1em; }
math { font-family: "STIX Two Math", "Cambria Math", "Latin Modern Math", "DejaVu Math TeX Gyre", math; }
mfrac > :first-child { padding-bottom: 0.2em; }
mfrac > :last-child { padding-top: 0.2em; }
"""


def setup(app: Any) -> dict[str, bool]:
    """Register the renderer of formulas; Sphinx calls this."""
    app.add_html_math_renderer("mathml", inline_renderers=(_inline, None), block_renderers=(_display, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def _mathml(latex: str, display: str) -> str:
    from latex2mathml.converter import convert

    return str(convert(latex, display=display))


def _skip(body: str, self: Any) -> None:
    from docutils.nodes import SkipNode

    self.body.append(body)
    raise SkipNode


def _inline(self: Any, node: Any) -> None:
    _skip(_mathml(node.astext(), "inline"), self)


def _display(self: Any, node: Any) -> None:
    _skip(f'<div class="math">{_mathml(node.astext(), "block")}</div>\n', self)


def missing() -> list[str]:
    """Return the packages of the extra ``docs`` that are not installed."""
    return [name for name in NEEDED if find_spec(name) is None]


def digest() -> str:
    """Return 16 hex digits that change with anything that the site is made from."""
    found = hashlib.sha256()
    for folder in (PACKAGE, facts.root(), reports()):
        for path in sorted(folder.rglob("*")):
            if path.suffix in (".py", ".md", ".toml", ".csv"):
                found.update(path.relative_to(folder).as_posix().encode())
                found.update(path.read_bytes())
    return found.hexdigest()[:16]


def default_folder() -> Path:
    """Return the folder of the site in the user's cache, a new one for each state of the sources."""
    home = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    return Path(home) / "accelmodel" / "docs" / digest()


def _sphinx(sources: Path, output: Path, doctrees: Path) -> str:
    """Run Sphinx; return its warnings."""
    from sphinx.application import Sphinx
    from sphinx.util.console import nocolor
    from sphinx.util.docutils import docutils_namespace, patch_docutils

    nocolor()
    warnings = io.StringIO()
    static = sources / "_static"
    static.mkdir()
    (static / "accelmodel.css").write_text(CSS, encoding="utf-8")
    config = {**CONFIG, "html_static_path": [str(static)]}
    with patch_docutils(), docutils_namespace():
        app = Sphinx(
            sources, None, output, doctrees, "html", confoverrides=config, status=None, warning=warnings, freshenv=True
        )
        app.build(force_all=True)
    if app.statuscode:
        raise SpecError(f"Sphinx failed: {warnings.getvalue().strip() or app.statuscode}")
    return warnings.getvalue().strip()


def build(output: Path, progress: Callable[[str, int, int], None], strict: bool = False) -> Path:
    """Build the site; return its start page.

    Parameters
    ----------
    output : Path
        Folder; made if it is not there.
    progress : callable
        Stage, number of its parts, parts done since the last call.
    strict : bool
        Warnings of Sphinx are errors.

    Raises
    ------
    SpecError
        If a package of the extra is missing, an example fails, or Sphinx warns and that is an error.
    """
    if absent := missing():
        raise SpecError(
            f"{', '.join(absent)} not installed; pip install 'accelmodel[docs]' brings Sphinx and its theme"
        )
    make_folder(output, "--output")
    writable(output / START, "--output")
    with tempfile.TemporaryDirectory() as scratch:
        sources = Path(scratch) / "sources"
        pages.write(sources)
        asked = [path for path in sorted(sources.rglob("*.md")) if examples.OUTPUT in path.read_text(encoding="utf-8")]
        for number, path in enumerate(asked):
            folder = Path(scratch) / f"run-{number}"
            folder.mkdir()
            path.write_text(examples.with_outputs(path.read_text(encoding="utf-8"), folder), encoding="utf-8")
            progress("examples", len(asked), 1)
        progress("Sphinx", 1, 0)
        built = Path(scratch) / "site"
        warnings = _sphinx(sources, built, Path(scratch) / "doctrees")
        _put(built, output)
        progress("Sphinx", 1, 1)
    if strict and warnings:
        raise SpecError(f"Sphinx warns: {warnings}")
    return output.resolve() / START


def _put(built: Path, output: Path) -> None:
    """Copy a site into its folder, the start page last: where that is there, so is all that it leads to."""
    files = sorted(path.relative_to(built) for path in built.rglob("*") if path.is_file())
    for name in sorted(files, key=lambda each: each == Path(START)):
        make_folder((output / name).parent, "--output")
        write(output / name, (built / name).read_bytes(), "--output")
