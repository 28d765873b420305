"""The pages of the documentation as Markdown: texts of ``accelmodel/docs`` with their tables, and pages made whole."""

from __future__ import annotations

import inspect
import re
from pathlib import Path
from types import FunctionType

import accelmodel
from accelmodel.cli.site.markdown import table
from accelmodel.cli.site.tables import PACKAGE, TABLES, claim_counts, law_path
from accelmodel.errors import unknown

TEXTS = PACKAGE / "docs"
_ASKED = re.compile(r"^<!-- (\w+) ?(.*?) -->$", flags=re.MULTILINE)


def law_modules() -> list[str]:
    """Return the modules of the laws, such as ``matmul`` and ``kernels/step``."""
    found = (path.relative_to(PACKAGE / "laws").with_suffix("") for path in (PACKAGE / "laws").rglob("*.py"))
    return sorted(path.as_posix() for path in found if path.name != "__init__")


def texts() -> dict[str, str]:
    """Return the texts as they are written: path without suffix → Markdown.

    Pages of laws and commands that this version does not have are left out.
    """
    from accelmodel.cli.app import COMMANDS

    found = {
        path.relative_to(TEXTS).with_suffix("").as_posix(): path.read_text(encoding="utf-8")
        for path in sorted(TEXTS.rglob("*.md"))
    }
    there = {"laws": {"index", *law_modules()}, "commands": {"index", *COMMANDS}}
    return {
        name: text
        for name, text in found.items()
        if name.partition("/")[2] in there.get(name.partition("/")[0], {name.partition("/")[2]})
    }


def fill(text: str) -> str:
    """Return a text with the tables that it asks for, and with the counts of claims."""

    def made(match: re.Match[str]) -> str:
        if match[1] == "output":
            return match[0]
        if match[1] not in TABLES:
            raise unknown("table of the documentation", match[1], TABLES)
        return TABLES[match[1]](match[2])

    met, every = claim_counts()
    return _ASKED.sub(made, text).replace("{{claims}}", f"{met} of {every}")


def code_page(module: str) -> str:
    """Return the page with the source of a law module."""
    path = law_path(module)
    source = path.read_text(encoding="utf-8").rstrip()
    return (
        f"---\norphan: true\n---\n\n# {path.relative_to(PACKAGE.parent).as_posix()}\n\n`````python\n{source}\n`````\n"
    )


def _is_method(name: str, member: object) -> bool:
    """Tell whether a member of a class is one that its docstring does not describe: no field."""
    return not name.startswith("_") and isinstance(member, FunctionType | property | classmethod | staticmethod)


def _directive(name: str) -> str:
    value = getattr(accelmodel, name)
    if inspect.isclass(value):
        kind = "autoexception" if issubclass(value, Exception) else "autoclass"
        methods = ", ".join(each for each, member in vars(value).items() if _is_method(each, member))
        return f".. {kind}:: accelmodel.{name}" + (f"\n   :members: {methods}" if methods else "")
    return f".. autofunction:: accelmodel.{name}" if callable(value) else f".. autodata:: accelmodel.{name}"


def reference_page(name: str) -> str:
    """Return the page of one exported name."""
    return f"# {name}\n\n```{{eval-rst}}\n{_directive(name)}\n```\n"


def exported() -> list[str]:
    """Return the names that the package exports, but its version."""
    return [name for name in accelmodel.__all__ if not name.startswith("__")]


def _summary(name: str) -> str:
    first = (inspect.getdoc(getattr(accelmodel, name)) or "").partition("\n\n")[0]
    return " ".join(first.split())


def reference_index() -> str:
    """Return the index of the Python reference."""
    rows = [[f"{{doc}}`am.{name} <{name}>`", _summary(name)] for name in exported()]
    listed = "\n".join(sorted(exported()))
    return (
        "# Python\n\n`import accelmodel as am` shows these names and no others; `am.__version__` is the version. "
        "Everything is SI inside: a number without a unit is in the unit that its docstring gives in brackets.\n\n"
        f"{table(['name', 'what it does'], rows)}\n\n```{{toctree}}\n:hidden:\n\n{listed}\n```\n"
    )


def pages() -> dict[str, str]:
    """Return all pages: path without suffix → Markdown, outputs of examples not yet in them."""
    made = {name: fill(text) for name, text in texts().items()}
    made.update({f"code/{module.replace('/', '.')}": code_page(module) for module in law_modules()})
    made.update({f"reference/{name}": reference_page(name) for name in exported()})
    return {**made, "reference/index": reference_index()}


def write(folder: Path) -> None:
    """Write all pages into a folder, as the sources of the site."""
    for name, text in pages().items():
        path = folder / f"{name}.md"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
