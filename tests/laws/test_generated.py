"""Laws made from dicts and records: what they choose, and that an algorithm or a kind is one law and one line."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

import accelmodel as am
from accelmodel.laws import kinds, types
from accelmodel.laws.collectives import COLLECTIVES
from accelmodel.laws.generated import AlgorithmCost, by_kind, least, reader
from accelmodel.laws.jit import compiled, law
from accelmodel.laws.types import ALGORITHMS
from accelmodel.specs.facts import root as root_of_facts


def algorithm(order):
    """Law of an algorithm that is chosen by ``order`` times its message and takes ``order`` for its start."""

    def taken(message, ranks, machine):
        return AlgorithmCost(order * message, order, 0.0, 0.0, 0.0)

    taken.__name__ = f"algorithm_{int(10 * order)}"
    return law(taken)


@pytest.mark.parametrize("orders", [(1.0,), (2.0, 1.0), (3.0, 1.0, 2.0), (1.0, 2.0, 3.0), (5.0, 4.0, 3.0, 2.0, 1.0)])
def test_the_least_is_taken_and_named(orders):
    laws = dict(zip(ALGORITHMS, map(algorithm, orders), strict=False))
    taken, code = least("chosen", laws)(10.0, 8.0, 0.0)
    assert taken.start == min(orders)
    assert taken.order == 10.0 * min(orders)
    assert code == orders.index(min(orders))


def test_of_those_alike_the_first_is_taken():
    same = algorithm(2.0)
    laws = {"tree": same, "ring": algorithm(2.5), "two-shot": same}
    _, code = least("first", laws)(1.0, 8.0, 0.0)
    assert ALGORITHMS[int(code)] == "tree"


def test_an_algorithm_without_a_name_for_answers_is_refused():
    with pytest.raises(ValueError, match="butterfly"):
        least("unknown", {"ring": algorithm(1.0), "butterfly": algorithm(2.0)})


def test_two_laws_of_one_name_are_refused():
    with pytest.raises(ValueError, match="'tree'.*'algorithm_20'"):
        least("twice", {"ring": algorithm(2.0), "tree": algorithm(2.0)})
    with pytest.raises(ValueError, match="1.0.*'algorithm_20'"):
        by_kind("twice", {0.0: algorithm(2.0), 1.0: algorithm(2.0)}, "x")


def test_a_law_may_stand_for_two_kinds():
    shared = algorithm(2.0)
    assert by_kind("shared", {0.0: shared, 1.0: shared}, "message", "ranks", "machine")(1.0, 3.0, 8.0, 0.0).wire == 0.0


class Record(NamedTuple):
    one: float
    two: float
    three: float


def test_a_reader_reads_the_fields_in_order():
    numbers = np.arange(24.0).reshape(3, 4, 2)
    read = reader(Record, "row", "column")
    for row in range(4):
        for column in range(2):
            assert read(numbers, row, column) == Record(*numbers[:, row, column])
            assert compiled(read)(numbers, row, column) == Record(*numbers[:, row, column])


def test_a_kind_calls_its_law_and_the_last_law_is_for_the_rest():
    def twice(x):
        return 2.0 * x

    def minus(x):
        return -x

    double, negative = law(twice), law(minus)
    chosen = law(by_kind("chosen", {0.0: double, 1.0: double, 2.0: negative}, "x"))
    assert [chosen(kind, 3.0) for kind in (0.0, 1.0, 2.0, 9.0)] == [6.0, 6.0, -3.0, -3.0]


def test_constants_are_the_places_in_the_dicts():
    assert [kinds.code(name) for name in ("matmul", "attention", "elementwise")] == [
        types.MATMUL, types.ATTENTION, types.ELEMENTWISE,
    ]  # fmt: skip
    assert len(kinds.KINDS) <= types.COLLECTIVE
    for place, name in enumerate(COLLECTIVES):
        assert getattr(types, name.upper().replace("-", "_")) == types.COLLECTIVE + place


SWING = '''
@law
def swing(message: float, ranks: float, machine: Machine) -> AlgorithmCost:
    """No hops, half the message, by the library."""
    wire = 0.5 * message * group_time(ranks, machine)
    return AlgorithmCost(offered_time(machine.swing, machine.start_up + wire), machine.start_up, 0.0, wire, 0.5)


ALL_REDUCES = {"swing": swing, '''

SCAN = '''"""A scan: a toy."""

from accelmodel.laws.jit import law
from accelmodel.laws.types import Cost, Machine, Operator


@law
def scan(op: Operator, machine: Machine) -> Cost:
    """Three operations of the vector unit for each that is counted, and nothing else."""
    return Cost(0.0, 3.0 * op.vector_ops * machine.vector_time, 0.0, 0.0, machine.hbm_time)
'''

#: writes what the copy of the package says of the new algorithm and the new kind
ASKED = """
import json
import sys
from dataclasses import replace

import numpy as np

import accelmodel
from accelmodel.inference.intervals import KINDS, kind_of
from accelmodel.inference.machine import machine
from accelmodel.inference.step import NONE
from accelmodel.laws import kinds
from accelmodel.laws.collectives import collective
from accelmodel.inference.run import run_kernel
from accelmodel.laws.prepared import prepared
from accelmodel.laws.types import ALGORITHMS, ALL_REDUCE, DETAIL, Machine, Operator
from accelmodel.specs.given import cluster
from accelmodel.specs.load import load

known = cluster(load("device", "h100-sxm"))
offering = replace(known, link=replace(known.link, algorithms=["ring", "swing"]))
old, new = (prepared(Machine(**{k: float(v) for k, v in machine(each).items()})) for each in (known, offering))
name = lambda code: ALGORITHMS[int(code)]
found = {"where": accelmodel.__file__}
if sys.argv[1] == "law":
    found["before"] = name(collective(ALL_REDUCE, 1e6, 8.0, old)[3])
    start, hops, wire, code, sent = collective(ALL_REDUCE, 1e6, 8.0, new)
    found["after"] = [name(code), hops, wire * new.link_rate, sent]
else:
    rows = [Operator(kind=ALL_REDUCE, message_bytes=1e6, ranks=8.0), Operator(kind=kinds.code("scan"), vector_ops=5e9)]
    table, designs = np.array(rows).T[:, :, None].copy(), np.array([new]).T[:, None, :].copy()
    totals, detail = run_kernel(table, designs, NONE, detail=True)
    found["algorithm"] = name(detail[DETAIL.index("algorithm"), 0, 0, 0])
    found["scan"] = detail[DETAIL.index("time"), 1, 0, 0] * new.vector_rate
    found["total"] = totals[0, 0, 0] / detail[DETAIL.index("time"), :, 0, 0].sum()
    found["errors"] = KINDS[int(kind_of(kinds.code("scan")))]
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def extended(tmp_path_factory):
    """Copy of the package with one more algorithm, in two files, and one more kind of operator, in two files."""
    root = tmp_path_factory.mktemp("extended")
    source = Path(am.__file__).parent
    shutil.copytree(source, root / "accelmodel", ignore=shutil.ignore_patterns("__pycache__", "_hwspecs"))
    shutil.copytree(root_of_facts(), root / "hwspecs")
    laws = root / "accelmodel" / "laws"

    def change(name, before, after):
        text = (laws / name).read_text()
        assert text.count(before) == 1
        (laws / name).write_text(text.replace(before, after))

    change("collectives.py", "\nALL_REDUCES = {", SWING)
    change("types.py", "    direct: Offered", "    swing: Offered\n    direct: Offered")
    (laws / "scan.py").write_text(SCAN)
    change(
        "kinds.py",
        "from accelmodel.laws.matmul import matmul\n",
        "from accelmodel.laws.matmul import matmul\nfrom accelmodel.laws.scan import scan\n",
    )
    change("kinds.py", '"elementwise": elementwise', '"elementwise": elementwise, "scan": scan')
    (root / "asked.py").write_text(ASKED)
    return root


def ask(root, what, **environment):
    inherited = {name: value for name, value in os.environ.items() if name not in ("NUMBA_CACHE_DIR", "PYTHONPATH")}
    inherited |= {"XDG_CACHE_HOME": str(root / "cache"), "PYTHONDONTWRITEBYTECODE": "1", **environment}
    command = [sys.executable, "asked.py", what]
    out = subprocess.run(command, cwd=root, env=inherited, capture_output=True, text=True, check=False)
    assert out.returncode == 0, out.stderr
    found = json.loads(out.stdout)
    assert found.pop("where").startswith(str(root))
    return found


def test_one_more_algorithm_is_offered_chosen_and_named(extended):
    # NVLink's other algorithms send at least 9/8 of the message; half of a megabyte goes over the wire
    found = ask(extended, "law")
    assert found["before"] != "swing"
    assert found["after"] == ["swing", 0.0, pytest.approx(5e5), 5e5]


def test_one_more_algorithm_and_kind_are_in_a_whole_step(extended):
    # interpreted: compiling the step anew takes most of a minute
    found = ask(extended, "step", NUMBA_DISABLE_JIT="1")
    assert found == {
        "algorithm": "swing", "scan": pytest.approx(1.5e10), "total": pytest.approx(1.0), "errors": "memory-bound",
    }  # fmt: skip
