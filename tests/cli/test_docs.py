"""The command ``docs``: where the site goes, and what is said where Sphinx is not installed."""

from __future__ import annotations

import json
import sys

import pytest

from accelmodel.cli import app
from accelmodel.cli.site import build


@pytest.fixture
def run(monkeypatch, capsys, tmp_path):
    """Run ``accelmodel docs`` with a cache and a working directory of its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)

    def call(*words):
        monkeypatch.setattr(sys, "argv", ["accelmodel", "docs", *words])
        with pytest.raises(SystemExit) as ended:
            app.main()
        captured = capsys.readouterr()
        return ended.value.code, captured.out, captured.err

    return call


def test_without_sphinx_one_line_says_what_to_install(run, monkeypatch):
    monkeypatch.setattr(build, "find_spec", lambda name: None)
    code, out, err = run()
    assert code == 2
    assert out == ""
    assert "pip install 'accelmodel[docs]'" in err


def test_a_site_that_is_there_is_not_made_again(run, monkeypatch):
    monkeypatch.setattr(build, "find_spec", lambda name: None)
    start = build.default_folder() / "index.html"
    start.parent.mkdir(parents=True)
    start.write_text("<html></html>", encoding="utf-8")
    code, out, _ = run("--json")
    assert code == 0
    told = json.loads(out)
    assert told.pop("accelmodel_version")
    assert told == {"path": str(start.resolve()), "written": False, "opened": False}
    code, out, _ = run()
    assert code == 0
    assert str(start.resolve()) in out


def test_the_folder_is_named_by_the_sources(monkeypatch):
    assert build.default_folder().name == build.digest()
    before = build.digest()
    monkeypatch.setattr(build, "PACKAGE", build.PACKAGE / "laws")
    assert build.digest() != before


def test_formulas_become_mathml():
    pytest.importorskip("latex2mathml")
    assert build._mathml(r"\frac{a}{b}", "block").startswith("<math")


def test_the_site_is_built_from_a_page(tmp_path, monkeypatch):
    pytest.importorskip("sphinx")
    pytest.importorskip("furo")
    page = "# Start\n\n$x^2$\n\n```python\nprint(6 * 7)\n```\n\n<!-- output -->\n"
    monkeypatch.setattr(build.pages, "write", lambda folder: (folder.mkdir(), (folder / "index.md").write_text(page)))
    start = build.build(tmp_path / "site", lambda *_: None, strict=True)
    text = start.read_text(encoding="utf-8")
    assert "<math" in text
    assert "42" in text
    assert "cdn" not in text
