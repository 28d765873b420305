"""The two vectors of numbers that laws read: a machine and an operator; and the policy of a technique."""

from __future__ import annotations

from typing import Annotated, NamedTuple, TypeAlias, get_type_hints

#: field of a machine that says whether the software offers an algorithm: 0 if not, else 1 or a share
Offered: TypeAlias = Annotated[float, "offered"]
#: field of a machine that follows from another one (``laws.prepared``), so that laws multiply where they would divide
Derived: TypeAlias = Annotated[float, "derived"]
#: a machine that is not prepared answers with what cannot be overlooked
_UNKNOWN = float("nan")


class Machine(NamedTuple):
    """One design as numbers.  Rates are sustained (peak x share), SI, whole device unless said.

    What is given comes first; what is derived of it follows, and laws read both: see ``laws.prepared``.
    """

    cores: float  #: cores that run matrix tiles
    rate_16bit: float  #: matrix rate of one core at 16 bit [FLOP/s]
    rate_8bit: float  #: at floats of 8 bit [FLOP/s]
    rate_6bit: float  #: at 6 bit [FLOP/s]
    rate_4bit: float  #: at 4 bit [FLOP/s]
    rate_8bit_int: float  #: at integers of 8 bit [FLOP/s]
    rate_4bit_int: float  #: at integers of 4 bit [FLOP/s]
    vector_rate: float  #: vector rate of the device [FLOP/s]
    tile_m: float  #: rows of the largest output tile
    tile_n: float  #: columns of the largest output tile
    tile_least: float  #: columns of the narrowest output tile
    tile_k: float  #: depth of one slice of a tile, in values of 16 bit
    multicast: float  #: cores that share one operand fetch from L2
    slice_time: float  #: shortest time of a slice: what a core's pipeline needs to turn over [s]
    store_rate: float  #: all cores write finished tiles [B/s]
    split_time: float  #: time to add up the partial sums of a matmul whose depth is split [s]
    fill_time: float  #: time a matmul takes to fill and drain its pipelines [s]
    exposed: float  #: share of the shorter of computing and fetching that a matmul does not hide
    scaling_time: float  #: what operands with scales add to a matmul [s]
    convert_rate: float  #: weights that one core widens to what its matrix unit works on [1/s]
    min_rows: float  #: rows that an instruction of the matrix unit takes; fewer are padded
    split_loss: float  #: cores over those at work, on average, where the depth of a matmul is split
    hbm_rate: float  #: device memory [B/s]
    weight_excess: float  #: time of a byte of weights where they lie, over one of HBM, less 1
    expert_excess: float  #: the same of routed experts
    kv_excess: float  #: the same of keys and values
    near_flop_time: (
        float  #: of what computes attention beside the memory of keys and values, 0 if nothing does [s/FLOP]
    )
    l2_rate: float  #: L2 hits [B/s]
    l2_bytes: float  #: usable L2 [B]
    l2_ways: float  #: associativity
    l2_copies: float  #: L2 partitions that each keep a copy of what all cores read
    launch: float  #: time an operator adds in a captured graph [s]
    node: float  #: devices in a node
    mesh: float  #: 1 if each pair of devices in the node has its own link
    link_rate: float  #: one way, all links of a device inside the node [B/s]
    contention: float  #: by how much each doubling of a group beyond two slows a device's link
    hop: float  #: latency of one transfer inside the node [s]
    start_up: float  #: fixed time of a collective of the library [s]
    direct_start_up: float  #: fixed time of a one-shot or two-shot kernel [s]
    ramp: float  #: latency of a chunk in a pipelined collective [hop]
    own_copy: float  #: time to copy a device's own share, relative to sending it
    rendezvous: float  #: wait of a long all-to-all for its receivers' buffers [s]
    barrier: float  #: latency between the halves of a two-shot [hop]
    direct_share: float  #: share of the sustained link rate that one-shot and two-shot kernels reach
    direct_limit: float  #: largest message of one-shot and two-shot kernels [B]
    ring: Offered
    tree: Offered
    one_shot: Offered
    two_shot: Offered
    in_switch: Offered  #: share of the sustained link rate that reduction in the switch reaches, 0 if not offered
    direct: Offered  #: all-gather and reduce-scatter send to all peers at once, else they are rings
    out_rate: float  #: one way between nodes, per device [B/s]
    out_hop: float  #: latency of one transfer between nodes [s]
    softmax_rate: float  #: scores of one core that become weights of values [1/s]
    attention_time: float  #: what attention adds to the launch of its kernel [s]
    attention_tile_time: float  #: a core begins and ends a tile of queries [s]
    attention_draw: float  #: share of the L2 rate that cores draw which wait for chunk after chunk of keys
    combine_time: float  #: time to combine the parts of a tile whose keys are split [s]
    attention_fill: float  #: chunks of keys in whose time a tile of queries fills and drains its pipeline
    attention_rows: float  #: rows of the largest tile of queries
    attention_share: float  #: share of the sustained matrix rate that attention reaches
    attention_split: float  #: 1 where the keys of a prefill's tiles may be split as well
    attention_narrow: float  #: 1 where products are computed at the precision of narrower keys and values
    attention_apart: float  #: 1 where kernels read the keys of a window in decode once a query head
    attention_widen_rate: float  #: narrower keys and values that all cores make ready for their products [1/s]
    attention_reread: float  #: 1 where each query head of decode reads the keys of its group itself
    exchange_start: float  #: fixed time of a kernel that sends tokens to experts, or brings them back [s]
    exchange_cores: float  #: share of the cores that a normal kernel of such an exchange takes while it runs
    gather_time: float  #: a core gathers a key that its query chose [s]
    scan_time: float  #: a core begins a recurrence that it does alone [s]; 0 where kernels do its products apart
    hierarchical: Offered  #: collectives over several nodes reduce inside a node first, then between nodes
    out_ring: float  #: 1 if the software offers rings through all ranks of several nodes
    out_tree: float  #: 1 if it offers trees of nodes
    out_start: float  #: fixed time of a collective over several nodes [s]
    multimem: Offered  #: share of the sustained link rate of the engine's own reduction in the switch, 0 if not offered
    crowding: float  #: slowing of a matmul by the cores that a collective fused with it takes
    prefetch_start: float  #: what the prefetches of a window cost the main lane: issue and events [s]
    sweep_time: float  #: a core begins a sweep over a row [s]
    row_time: float  #: a byte of a row that one core draws, alone or beside others [s/B]
    rows_held: float  #: rows that all cores hold at a time
    prefetch_share: float  #: rate at which what prefetches copies into L2, over that of HBM, at most 1
    group_fill: float  #: time that several matmuls in one kernel take to fill and drain their pipelines [s]
    expert_start: float  #: what a kernel of routed experts adds to its launch [s]
    expert_tile_time: float  #: a core begins a tile of an expert [s]
    expert_share: float  #: matrix rate that kernels of routed experts sustain, over that of other matmuls
    core_share: Derived = _UNKNOWN  #: 1 / cores
    core_root: Derived = _UNKNOWN  #: square root of the cores
    flop_time_16bit: Derived = _UNKNOWN  #: of one core [s/FLOP]
    flop_time_8bit: Derived = _UNKNOWN  #: [s/FLOP]
    flop_time_6bit: Derived = _UNKNOWN  #: [s/FLOP]
    flop_time_4bit: Derived = _UNKNOWN  #: [s/FLOP]
    flop_time_8bit_int: Derived = _UNKNOWN  #: [s/FLOP]
    flop_time_4bit_int: Derived = _UNKNOWN  #: [s/FLOP]
    convert_time: Derived = _UNKNOWN  #: of one core and weight [s]
    vector_time: Derived = _UNKNOWN  #: of the device [s/FLOP]
    tile_row: Derived = _UNKNOWN  #: 1 / tile_m
    row_least: Derived = _UNKNOWN  #: 1 / min_rows
    row_share: Derived = _UNKNOWN  #: 1 / rows_held
    tile_column: Derived = _UNKNOWN  #: 1 / tile_n
    tile_least_column: Derived = _UNKNOWN  #: 1 / tile_least
    tile_layer: Derived = _UNKNOWN  #: 1 / tile_k
    fetch_share: Derived = _UNKNOWN  #: 1 / multicast
    store_time: Derived = _UNKNOWN  #: [s/B]
    hbm_time: Derived = _UNKNOWN  #: [s/B]
    l2_time: Derived = _UNKNOWN  #: [s/B]
    l2_byte: Derived = _UNKNOWN  #: 1 / l2_bytes, of 0 more than any distance is long
    l2_full: Derived = _UNKNOWN  #: square root of the lines of a set, moved as the occupancy law wants it
    node_share: Derived = _UNKNOWN  #: 1 / node
    link_time: Derived = _UNKNOWN  #: [s/B]
    direct_excess: Derived = _UNKNOWN  #: 1 / direct_share
    out_time: Derived = _UNKNOWN  #: [s/B]
    multimem_excess: Derived = _UNKNOWN  #: 1 / multimem, of 0 1
    softmax_time: Derived = _UNKNOWN  #: of one core [s]
    attention_wait: Derived = _UNKNOWN  #: 1 / attention_draw
    attention_row: Derived = _UNKNOWN  #: 1 / attention_rows
    attention_excess: Derived = _UNKNOWN  #: 1 / attention_share
    attention_widen_time: Derived = _UNKNOWN  #: [s]


class Operator(NamedTuple):
    """One row of the operator table, per device and per invocation.  Bytes are over all groups.

    What is not given does nothing: no bytes, no operations, one device, no collective to feed.
    """

    kind: float  #: place in ``laws.kinds.KINDS``, or of a collective: one of the constants below
    count: float = 1.0  # type: ignore[assignment]  #: how often the row occurs in a step
    groups: float = 1.0  #: independent matmuls (sequences x KV heads), tiles of rows (experts)
    m: float = (
        1.0  #: rows of one matmul or tile, tokens (recurrence), keys that a task gathers (chain), narrowness (row)
    )
    n: float = 1.0  #: columns (matmul), mean keys per query (attention), FLOP of a task (chain), sweeps (row)
    k: float = 1.0  #: depth (matmul), query-key plus value width (attention), time of a task (chain) [s]
    weight_bytes: float = 0.0  #: weights, or KV cache: what lies in HBM before the step
    input_bytes: float = 0.0  #: activations read
    output_bytes: float = 0.0  #: activations written
    bits: float = 16.0  #: precision that the matrix unit works at, scales left out [bit]
    flops: float = 0.0  #: useful operations [FLOP]
    vector_ops: float = 0.0  #: operations of the vector unit [FLOP]
    prefetch_bytes: float = 0.0  #: what a technique may pull into L2 beforehand
    message_bytes: float = 0.0  #: bytes a device holds of a message, or that a kernel hands on or reads again
    ranks: float = 1.0  #: devices that take part; 1 means that there is no collective
    feeds: float = -1.0  #: row of the collective that reduces this matmul, -1 if none
    stretch: float = 1.0  #: what its time is multiplied by: 1, or an error that is followed through a step
    experts: float = 0.0  #: 1 if its weights are those of routed experts
    warm: float = 0.0  #: share of its HBM traffic that lies in L2 before the step, as where a benchmark repeats itself
    integer: float = 0.0  #: 1 where the matrix unit works on integers
    narrow: float = (
        1.0  #: bits of a weight, or key, in memory over those that the matrix unit works at; below 1 it is widened
    )
    lane: float = 0.0  #: ``SENDING`` or ``COMPUTING`` where two halves of a batch take turns, else 0
    longest: float = 0.0  #: keys that the last query of a prefill sees; 0 in decode, where all see as many
    sliding: float = 0.0  #: 1 where the keys of a query are a window that moves with it


#: names of the algorithms of collectives, as links offer and answers report them; their codes are their places
ALGORITHMS = tuple(
    name.replace("_", "-") for name, hint in get_type_hints(Machine, include_extras=True).items() if hint == Offered
)

#: fields of a machine that are given; an array of designs has them in this order
GIVEN = tuple(name for name, hint in get_type_hints(Machine, include_extras=True).items() if hint != Derived)

#: codes of the kinds of ``laws.kinds.KINDS``
MATMUL, GROUPED, ATTENTION, ELEMENTWISE, ROW, RECURRENCE, CHAIN = (float(place) for place in range(7))
#: kinds that multiply by weights: the first, so that the loops over designs tell them by one comparison
PRODUCTS = (MATMUL, GROUPED)
#: kinds from here on are collectives, in the order of ``laws.collectives.COLLECTIVES``
COLLECTIVE = 16.0
ALL_REDUCE, ALL_GATHER, REDUCE_SCATTER, ALL_TO_ALL, POINT_TO_POINT = (COLLECTIVE + place for place in range(5))

#: a collective that carries its route through the levels of a cluster (``laws.routes``)
ROUTED = COLLECTIVE + 16.0
#: kinds from here on are exchanges around experts, in the order of ``laws.exchange.EXCHANGES``; ``message_bytes`` are
#: of all copies of a device's tokens: ``k`` of each, to ``n`` experts in ``groups`` groups, out of ``m`` of these
EXCHANGE = 64.0
#: the same with a route through the levels of a cluster, in its columns as of ``ROUTED``
ROUTED_EXCHANGE = EXCHANGE + 16.0
#: lanes of two halves of a batch (``Operator.lane``): what is sent for one half, and what is computed beside it
SENDING, COMPUTING = 1.0, 2.0

BOUNDS = ("compute", "hbm", "l2", "link", "latency")
BY_COMPUTE, BY_HBM, BY_L2, BY_LINK, BY_LATENCY = (float(place) for place in range(len(BOUNDS)))


class Policy(NamedTuple):
    """What a technique does on the timeline, as numbers."""

    rule: float  #: admission rule, index into ``laws.prefetch.RULES``, or ``ISSUED``; -1 is no prefetch
    threshold: float  #: share of usable L2 that admission may fill
    fused: float  #: 1 if matmuls are fused with the collective that reduces them


class Cost(NamedTuple):
    """What an operator asks of the machine, before any prefetch."""

    start: float  #: launch, and what else nothing hides [s]
    compute: float  #: time of the matrix and vector units [s]
    l2: float  #: time of its L2 traffic [s]
    hbm_bytes: float  #: HBM traffic [B]
    hbm_time: float  #: time of a byte of it at the rate that its active cores can draw [s/B]


DETAIL = (
    "time",
    "bound",
    "hbm_bytes",
    "l2_hit_bytes",
    "link_bytes",
    "admitted_bytes",
    "fetched_bytes",
    "l2_resident_bytes",
    "algorithm",
)
TOTALS = ("time", "prefetched_bytes", "hbm_bytes")
