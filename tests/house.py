"""Count the house: rooms, floors, arrows of the import graph, sizes of files, facts that stand twice.

``python tests/house.py [ROOT]`` prints the counts of a checkout, of this one without an argument, so that two states
can be compared.  It reads flat and nested layouts alike.
"""

from __future__ import annotations

import ast
import re
import statistics
import sys
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

#: a fact of a specification: a key and an inline table on one line
FACT = re.compile(r"^([A-Za-z_][\w.-]*)\s*=\s*(\{.*\})\s*$")
HOLDERS = ("devices", "architectures")


def modules(package: Path) -> dict[str, Path]:
    """Return the files of a package by the dotted names of their modules, without the package's own name."""
    found = {}
    for path in sorted(package.rglob("*.py")):
        parts = path.relative_to(package).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts) or package.name] = path
    return found


def imports(tree: ast.AST, known: Mapping[str, Path], package: str = "accelmodel") -> set[str]:
    """Return the modules of the package that a syntax tree imports anywhere, functions included."""
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            inner = {alias.name.removeprefix(f"{package}.") for alias in node.names if alias.name.startswith(package)}
            found |= inner & known.keys()
        elif isinstance(node, ast.ImportFrom):
            if node.level:
                found.add("a relative import")
            elif node.module and node.module.partition(".")[0] == package:
                source = node.module.removeprefix(package).removeprefix(".")
                for alias in node.names:
                    inner = f"{source}.{alias.name}".removeprefix(".")
                    found.add(inner if inner in known else source or package)
    return found


def arrows(files: Mapping[str, Path]) -> dict[str, set[str]]:
    """Return what each module imports; the package's door shows modules above it and has no arrows."""
    found = {}
    for name, path in files.items():
        tree = ast.parse(path.read_text(encoding="utf-8"))
        found[name] = set() if name == "accelmodel" else (imports(tree, files) & files.keys()) - {name}
    return found


def floors(graph: Mapping[str, set[str]]) -> dict[str, int]:
    """Return the floor of each node that is on no cycle nor above one: one more than the highest below it."""
    found: dict[str, int] = {}
    while True:
        ready = {name for name, below in graph.items() if name not in found and below <= found.keys()}
        if not ready:
            return found
        found |= {name: 1 + max((found[other] for other in graph[name]), default=0) for name in ready}


def cycle(graph: Mapping[str, set[str]]) -> set[str]:
    """Return the nodes that are on a cycle or above one."""
    return graph.keys() - floors(graph).keys()


def between_rooms(graph: Mapping[str, set[str]]) -> dict[str, set[str]]:
    """Return the arrows between rooms: packages of the top folder, and modules that stand there alone."""
    found: dict[str, set[str]] = defaultdict(set)
    for name, others in graph.items():
        own = name.partition(".")[0]
        found[own] |= {other.partition(".")[0] for other in others} - {own}
    return found


def declared_floors(root: Path) -> int:
    """Return how many floors the test of the structure names by hand, 0 where it names none."""
    path = root / "tests" / "test_structure.py"
    for node in ast.parse(path.read_text(encoding="utf-8")).body if path.is_file() else []:
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") in ("FLOORS", "LEVELS"):
            return len(ast.literal_eval(node.value))
    return 0


def facts(root: Path) -> dict[tuple[str, str], set[str]]:
    """Return the files in which each fact of a device stands, facts told apart by key and text."""
    found: dict[tuple[str, str], set[str]] = defaultdict(set)
    for holder in HOLDERS:
        for path in sorted((root / "hwspecs" / holder).glob("*.toml")):
            for line in path.read_text(encoding="utf-8").splitlines():
                if match := FACT.match(line):
                    found[match[1], match[2]].add(f"{holder}/{path.name}")
    return found


def counts(root: Path) -> dict[str, int | float]:
    """Return the counts of a checkout by their names."""
    files = modules(root / "accelmodel")
    graph = arrows(files)
    rooms = between_rooms(graph)
    lines = {name: len(path.read_text(encoding="utf-8").splitlines()) for name, path in files.items()}
    stands = facts(root)
    levels = floors(graph)
    return {
        "modules": len(files),
        "packages": sum(path.name == "__init__.py" for path in files.values()),
        "rooms (packages and modules of the top folder)": len(rooms),
        "floors written down in the test of the structure": declared_floors(root),
        "longest chain of modules": max(levels.values(), default=0),
        "arrows between rooms": sum(map(len, rooms.values())),
        "arrows between modules": sum(map(len, graph.values())),
        "modules on cycles": len(cycle(graph)),
        "rooms on cycles": len(cycle(rooms)),
        "median file [lines]": statistics.median(lines.values()),
        "largest file [lines]": max(lines.values()),
        "facts of devices": sum(map(len, stands.values())),
        "facts of devices that stand word for word in another file": sum(
            len(files) for files in stands.values() if len(files) > 1
        ),
        "copies among them that could go": sum(len(files) - 1 for files in stands.values()),
    }


def main() -> None:
    """Print the counts of the checkout that the command line names."""
    root = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).resolve().parent.parent
    for name, count in counts(root).items():
        print(f"{name:60} {count:>8,g}")


if __name__ == "__main__":
    main()
