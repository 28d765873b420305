"""A block of designs side by side: what the loops of a step read, write and remember."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from accelmodel.laws.generated import Law, deriver, fields_read, reader
from accelmodel.laws.jit import glue, inner_kernel
from accelmodel.laws.types import COLLECTIVE, DETAIL, Cost, Machine, Operator

KIND, COUNT, PREFETCH, RANKS, FEEDS, LANE, INPUT, WEIGHTS, OUTPUT, MESSAGE = (
    Operator._fields.index(name)
    for name in (
        "kind", "count", "prefetch_bytes", "ranks", "feeds", "lane", "input_bytes", "weight_bytes", "output_bytes",
        "message_bytes",
    )
)  # fmt: skip
MACHINE_FIELDS = len(Machine._fields)
L2_BYTES = Machine._fields.index("l2_bytes")
CROWDING = Machine._fields.index("crowding")
PREFETCH_START = Machine._fields.index("prefetch_start")
#: designs that are evaluated side by side: their state stays in the caches of a core
BLOCK = 256
#: length of a column: a cache line more than a block, or columns a power of two apart would evict one another
ROOM = BLOCK + 8
#: columns of a row on which its costs do not depend
_APART = ("count", "flops", "prefetch_bytes", "feeds", "stretch", "lane")
_OF_COSTS = np.array([place for place, name in enumerate(Operator._fields) if name not in _APART])
#: numbers that are kept of each row's costs: those of ``types.Cost`` or of ``collectives.Exchange``
COSTS = 5
#: numbers that are kept of each row of a window: bytes admitted for prefetch, and before this row in the queue [B]
ADMITTED, BEFORE = range(2)
QUEUE = 2


def machine_for(*laws: Law) -> Law:
    """Return the law that reads of a design what these laws do: ``(machines, design) -> Machine``, of fewer fields."""
    name = f"machine_for_{laws[0].__name__}"
    return reader(Machine, "design", name=name, only=fields_read(Machine, *laws))


#: what the two lanes read of a machine
_OF_LANES = (
    "exposed", "hbm_rate", "l2_bytes", "l2_ways", "l2_time", "l2_byte", "l2_full", "prefetch_share", "vector_time",
)  # fmt: skip
lanes_at = reader(Machine, "design", name="lanes_at", only=_OF_LANES)
#: ``(machines, varies, width)``: fill the derived fields of so many designs, where what they follow from varies
derive = glue(deriver("derive"))
cost_at = reader(Cost, "design")
operator_at = reader(Operator, "row", "workload")


class Designs(NamedTuple):
    """Many designs as numbers: a base, and columns of the fields that vary."""

    base: Any  #: (given field of Machine,)
    fields: Any  #: (varying,) places of the fields that vary
    columns: Any  #: (varying, workload or 1, design) their values
    workload: int  #: first workload and
    design: int  #: first design of the columns


class Span(NamedTuple):
    """Part of a question: workloads and designs from … up to …."""

    first: int
    last: int
    begin: int
    end: int


class Block(NamedTuple):
    """A block of designs on its way through one workload: what is known so far.

    Arrays are over designs of the block, or over (row, design).
    """

    machines: Any  #: (field of Machine, design) given and derived
    varies: Any  #: (field of Machine,) whether designs differ in it
    alike: Any  #: (row,) first row that asks for the same
    slots: Any  #: (row,) where its costs are: rows of which no other needs them share the last but one
    costs: Any  #: (slot, COSTS, design); the last slot is for attention that is dealt anew
    times: Any  #: (row, design) time of an invocation [s]
    queue: Any  #: (row of the window, QUEUE, design)
    places: Any  #: (row of the window,) of its operand among those that may be prefetched; of the first, how many
    touched: Any  #: (row of the window,) bytes of L2 that the main lane has touched up to its end [B]
    total: Any  #: bytes admitted in the window [B]
    plan: Any  #: which is tried
    chosen: Any  #: which is the fastest so far
    window: Any  #: (TOTALS, design) of a window by the plan that is tried, but for the time of its collective
    kept: Any  #: the same by the fastest plan so far
    progress: Any  #: place of the lane in the queue [B]
    survival: Any  #: share of what was fetched that is still in L2
    cold: Any  #: bytes read from HBM by the operator itself [B]
    served: Any  #: bytes fetched beside the row [B]
    sums: Any  #: (TOTALS, design)
    figures: Any  #: (DETAIL, design) of one row


@glue
def new_block(table: Any, designs: Designs, most: int) -> Block:
    """Return a block for up to so many designs, with what does not vary filled in."""
    rows = table.shape[1]
    machines = np.zeros((MACHINE_FIELDS, ROOM))
    for field in range(designs.base.shape[0]):
        machines[field, :most] = designs.base[field]
    varies = np.ones(MACHINE_FIELDS, np.bool_)
    derive(machines, varies, most)
    varies[:] = False
    varies[designs.fields] = True
    lanes = np.zeros((16, ROOM))
    return Block(
        machines=machines,
        varies=varies,
        alike=np.zeros(rows, np.int64),
        slots=np.zeros(rows, np.int64),
        costs=np.zeros((rows + 2, COSTS, ROOM)),
        times=np.zeros((rows, ROOM)),
        queue=np.zeros((rows, QUEUE, ROOM)),
        places=np.zeros(rows),
        touched=np.zeros(rows),
        total=lanes[0],
        plan=lanes[1],
        chosen=lanes[2],
        window=lanes[3:6],
        kept=lanes[6:9],
        progress=lanes[9],
        survival=lanes[10],
        cold=lanes[11],
        served=lanes[12],
        sums=lanes[13:16],
        figures=np.zeros((len(DETAIL), ROOM)),
    )


@glue
def read_designs(b: Block, designs: Designs, w: int, start: int, width: int) -> None:
    """Copy the designs from ``start`` on into the block, and derive what follows from what varies."""
    v = w - designs.workload if designs.columns.shape[1] > 1 else 0
    place = start - designs.design
    for column in range(designs.fields.shape[0]):
        field = designs.fields[column]
        # one by one: the error that a copy of slices could raise takes a second to compile
        for j in range(width):
            b.machines[field, j] = designs.columns[column, v, place + j]
    derive(b.machines, b.varies, width)


@inner_kernel
def find_alike(b: Block, table: Any, w: int, apart: bool) -> None:
    """Fill ``alike`` and ``slots``: rows that ask for the same, such as two norms, are costed once.

    ``apart`` says whether the costs of several rows are needed at a time, as in a window that is planned.
    """
    for row in range(table.shape[1]):
        b.alike[row] = row
        # a matmul may be fused with a collective in the end
        b.slots[row] = row if apart or table[KIND, row, w] >= COLLECTIVE else table.shape[1]
        for other in range(row):
            # one that is like a row before it was compared as that
            if table[COUNT, other, w] <= 0.0 or b.alike[other] != other:
                continue
            same = True
            for column in _OF_COSTS:
                if table[column, row, w] != table[column, other, w]:
                    same = False
                    break
            if same:
                b.alike[row] = other
                b.slots[row] = b.slots[other] = other
                break
