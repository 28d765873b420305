/* One whole step of many designs in plain C: what one would write by hand for speed, a yardstick for the kernel.
 *
 * Frozen: it computes with the fields that are listed here and knows no others.  Where a field lies in the arrays is
 * in positions.h, which is written when this is compiled, so that a field that the model gains, an algorithm or a
 * kind of operator do not have to be written here; the step is then compared at those fields' neutral values.
 * Designs lie side by side; each law is an inline function of doubles and each operator is one loop over a
 * block of designs, which the compiler vectorises.  Units are SI; see accelmodel/laws for the equations.
 * table: (column of Operator, row), machines: (field of Machine, design), totals: (3, design), all contiguous.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "positions.h" /* AT_MACHINE_..., AT_OPERATOR_..., KIND_... */

#define BLOCK 128
#define LAW static inline __attribute__((always_inline))
#define MIN_ROWS 16.0
#define KEY_CHUNK 128.0
#define HELD 256.0
#define MAX_PIECES 32.0
#define MOST_OF_L2 0.6
#define MOST_OPERANDS 6
#define PAYS 1e-9
#define NOT_OFFERED 1e6
#define EAGER_BYTES 4e4
/* Designs do not depend on one another: says to the compiler that it need not test for overlap. */
#ifdef __clang__
#define SIDE_BY_SIDE _Pragma("clang loop vectorize(assume_safety)")
#else
#define SIDE_BY_SIDE _Pragma("GCC ivdep")
#endif

/* What the laws below read of a machine and of an operator: see accelmodel/laws/types.py. */
#define MACHINE(X) \
    X(cores) X(rate_16bit) X(rate_8bit) X(rate_6bit) X(rate_4bit) X(rate_8bit_int) X(rate_4bit_int) X(convert_rate) \
    X(vector_rate) X(tile_m) X(tile_n) X(tile_least) X(tile_k) X(min_rows) X(split_loss) \
    X(multicast) X(slice_time) X(store_rate) X(split_time) X(fill_time) X(exposed) X(scaling_time) X(hbm_rate) \
    X(weight_excess) X(expert_excess) X(kv_excess) X(near_flop_time) \
    X(l2_rate) X(l2_bytes) X(l2_ways) X(l2_copies) X(launch) X(node) X(mesh) X(link_rate) X(contention) X(hop) \
    X(start_up) X(direct_start_up) X(ramp) X(own_copy) X(rendezvous) X(barrier) X(direct_share) X(direct_limit) \
    X(ring) X(tree) X(one_shot) X(two_shot) X(in_switch) X(direct) X(out_rate) X(out_hop) X(softmax_rate) \
    X(attention_time) X(attention_tile_time) X(attention_draw) X(combine_time) X(attention_fill) X(attention_rows) \
    X(attention_share) X(attention_split) X(attention_narrow) X(attention_apart) X(attention_widen_rate) \
    X(attention_reread) \
    X(hierarchical) X(out_ring) X(out_tree) X(out_start) X(multimem) X(crowding) X(prefetch_start) X(prefetch_share) \
    X(sweep_time) X(row_time) X(rows_held) \
    X(group_fill) X(expert_start) X(expert_tile_time) X(expert_share)
#define OPERATOR(X) \
    X(kind) X(count) X(groups) X(m) X(n) X(k) X(weight_bytes) X(input_bytes) X(output_bytes) X(bits) X(vector_ops) \
    X(prefetch_bytes) X(message_bytes) X(ranks) X(feeds) X(stretch) X(warm) X(integer) X(narrow) X(experts) X(longest) X(sliding)

#define DECLARE(name) double name;
typedef struct { MACHINE(DECLARE) } machine_t;
typedef struct { OPERATOR(DECLARE) } operator_t;

/* One field of all designs. */
#define FIELD(machines, name) ((machines) + AT_MACHINE_##name * designs)

typedef struct { double chip, hbm, rate, launch, exposed, stretch, warm; } ask_t; /* s, B, B/s, s, 1 */
typedef struct { double start, hops, wire; } exchange_t; /* s */
typedef struct { double time, busy; } tiling_t;          /* s, 1 */
typedef struct { double rule, threshold, fused; } policy_t;

/* What the lanes remember of a block of designs, and what a window takes by a plan and by the fastest so far. */
typedef struct {
    double admitted[BLOCK], fetched[BLOCK], position[BLOCK], plan[BLOCK];
    double time[BLOCK], served[BLOCK], traffic[BLOCK], best[BLOCK], best_served[BLOCK], best_traffic[BLOCK];
} lane_t;

/* What one operator asks of a block of designs. */
typedef struct {
    double chip[BLOCK], hbm[BLOCK], rate[BLOCK], launch[BLOCK], exposed[BLOCK];
} asks_t;

LAW double least(double a, double b) { return a < b ? a : b; }
LAW double most(double a, double b) { return a > b ? a : b; }

LAW machine_t machine_at(const double *restrict x, long designs, long d)
{
#define READ(name) .name = x[AT_MACHINE_##name * designs + d],
    machine_t m = {MACHINE(READ)};
    return m;
}

LAW operator_t operator_at(const double *restrict x, long rows, long r)
{
#define COLUMN(name) .name = x[AT_OPERATOR_##name * rows + r],
    operator_t op = {OPERATOR(COLUMN)};
    return op;
}

/* Matrix rates of one core of all designs at the precision of an operator. */
LAW const double *matrix_rates(operator_t op, const double *machines, long designs)
{
    if (op.bits > 8.0) return FIELD(machines, rate_16bit);
    if (op.bits > 6.0) return op.integer > 0.0 ? FIELD(machines, rate_8bit_int) : FIELD(machines, rate_8bit);
    if (op.bits > 4.0) return FIELD(machines, rate_6bit);
    return op.integer > 0.0 ? FIELD(machines, rate_4bit_int) : FIELD(machines, rate_4bit);
}

/* Share of lines still in L2 after so many other bytes were touched. */
LAW double resident(double distance, machine_t m)
{
    double lines = m.l2_ways * distance / most(m.l2_bytes, 1e-30);
    double z = 2.0 * (sqrt(m.l2_ways - 0.45) - sqrt(most(lines - 0.15, 0.0)));
    double x = fabs(z) * 0.7071067811865476;
    double tail = 1.0 + x * (0.278393 + x * (0.230389 + x * (0.000972 + x * 0.078108)));
    tail *= tail;
    double half = 0.5 / (tail * tail);
    double share = z >= 0.0 ? 1.0 - half : half;
    return m.l2_bytes > 0.0 ? share : 0.0;
}

LAW tiling_t tiling(operator_t op, machine_t m, double core_rate, double rows, double down,
                    double columns)
{
    double depth = m.tile_k * 16.0 / most(op.bits, 8.0), across = ceil(op.n / columns), slices = ceil(op.k / depth);
    double tiles = op.groups * down * across, waves = ceil(tiles / m.cores);
    double widened = op.narrow < 1.0 ? columns * depth / m.convert_rate : 0.0;
    double matrix = most(2.0 * rows * columns * depth / core_rate + widened, m.slice_time * op.narrow);
    double operands = (rows + columns * op.narrow) * depth * op.bits * 0.125 * m.cores / (m.l2_rate * m.multicast);
    double written = op.output_bytes / (op.groups * op.m * op.n) * rows * columns * m.cores / m.store_rate;
    double whole = waves * slices, split = ceil(tiles * slices * m.split_loss / m.cores) + 1.0, pace = most(matrix, operands);
    double distinct = (op.input_bytes + op.weight_bytes) / m.l2_rate;
    double together = most(whole * pace, distinct) + waves * written;
    double apart = most(split * pace, distinct) + written + m.split_time;
    tiling_t found = {least(together, apart), tiles * slices / (least(whole, split) * m.cores)};
    return found;
}

LAW double matmul_traffic(operator_t op, machine_t m, double down)
{
    double across = ceil(op.n / m.tile_n);
    double block_down = least(down, sqrt(m.cores)), block_across = least(across, m.cores / block_down);
    double sweeps = most(down / block_down, 1.0), blocks = most(across / block_across, 1.0);
    double a = op.input_bytes / op.groups, b = op.weight_bytes / op.groups, c = op.output_bytes / op.groups;
    double again_b = (sweeps - 1.0) * (1.0 - resident(b + a / sweeps + c / sweeps, m));
    double again_a = (blocks - 1.0) * (1.0 - resident(a / sweeps + b / blocks, m));
    double fresh = 1.0 - resident((op.input_bytes + op.output_bytes) * m.l2_copies, m);
    return op.weight_bytes * (1.0 + again_b) + op.input_bytes * (fresh + again_a) + op.output_bytes * fresh;
}

LAW ask_t matmul(operator_t op, machine_t m, double core_rate)
{
    double rows = least(m.tile_m, m.min_rows * ceil(op.m / m.min_rows)), down = ceil(op.m / rows);
    tiling_t one = tiling(op, m, core_rate, rows, down, m.tile_n);
    tiling_t two = tiling(op, m, core_rate, rows, down, most(m.tile_n * 0.5, m.tile_least));
    tiling_t four = tiling(op, m, core_rate, rows, down, most(m.tile_n * 0.25, m.tile_least));
    double time = least(one.time, least(two.time, four.time)), busy = most(one.busy, most(two.busy, four.busy));
    double excess = op.experts > 0.0 ? m.expert_excess : m.weight_excess;
    double weights = op.weight_bytes / (op.weight_bytes + op.input_bytes + op.output_bytes);
    double rate = m.hbm_rate / (1.0 + weights * excess);
    ask_t ask = {time, matmul_traffic(op, m, down), least(rate, busy * m.l2_rate),
                 m.launch + (op.groups > 1.0 ? m.group_fill : m.fill_time) + (op.bits < 16.0 ? m.scaling_time : 0.0), m.exposed};
    return ask;
}

/* Tiles of rows of experts, dealt out whole. */
LAW ask_t grouped(operator_t op, machine_t m, double core_rate)
{
    double depth = m.tile_k * 16.0 / op.bits, slices = ceil(op.k / depth);
    double tiles = op.groups * ceil(op.n / m.tile_n), waves = ceil(tiles / m.cores);
    double widened = op.narrow < 1.0 ? m.tile_n * depth / m.convert_rate : 0.0;
    double matrix = most((2.0 * op.m * m.tile_n * depth / core_rate + widened) / m.expert_share, m.slice_time);
    double operands = (op.m + m.tile_n * op.narrow) * depth * op.bits * 0.125 * m.cores / (m.l2_rate * m.multicast);
    double written = 2.0 * op.m * m.tile_n * m.cores / m.store_rate;
    double activations = op.input_bytes + op.output_bytes, bytes = activations + op.weight_bytes;
    double chip = most(waves * slices * most(matrix, operands), bytes / m.l2_rate);
    double hbm = op.weight_bytes + activations * (1.0 - resident(activations * m.l2_copies, m));
    double excess = op.experts > 0.0 ? m.expert_excess : m.weight_excess;
    double rate = least(m.hbm_rate / (1.0 + op.weight_bytes / bytes * excess), least(tiles / m.cores, 1.0) * m.l2_rate);
    ask_t ask = {chip + waves * (m.expert_tile_time + written), hbm, rate, m.launch + m.expert_start, m.exposed};
    return ask;
}

typedef struct { double shown, chip, rate, time; } deal_t; /* s, s, B/s, s */

/* Tiles of queries and what each is worked through in. */
typedef struct { double tiles, down, chunks, longest, chunk_time; int several; } tiles_t; /* 1, 1, 1, 1, s */

/* Each tile's keys on so many cores. */
LAW deal_t deal(operator_t op, machine_t m, tiles_t t, double pieces, double hbm, double warm)
{
    double load = t.tiles / m.cores, waves = ceil(load * pieces);
    double uneven = most(most(load - 1.0, 0.0) * t.chunks + t.longest / pieces,
                         waves * most(2.0 * t.chunks - t.longest, 0.0) / pieces);
    double steps = t.several ? uneven : waves * ceil(t.chunks / pieces);
    double begun = waves * (m.attention_tile_time + m.attention_fill * t.chunk_time);
    double at_work = least(pieces, most(op.n / KEY_CHUNK, 1.0)); /* a core draws a chunk at least */
    double share = least(load * at_work, 1.0), width = op.narrow * op.bits * 0.125;
    double drawn = m.attention_draw * m.l2_rate;
    double taken = (op.narrow < 1.0 ? least(drawn, m.attention_widen_rate * width) : drawn) * share;
    int alone = op.longest <= 0.0 && op.k <= 512.0 && m.attention_reread > 0.0; /* each query head reads for itself */
    double once = (alone ? op.m : 1.0) * op.weight_bytes / taken + (op.input_bytes + op.output_bytes) / drawn;
    double again = t.tiles * op.n * op.k * width / (share * m.l2_rate);
    double chip = most(begun + steps * t.chunk_time, t.down > 1.0 ? most(again, once) : once);
    double rate = least(m.hbm_rate / (1.0 + m.kv_excess), taken), pace = warm / m.l2_rate + (1.0 - warm) / rate;
    double shown = m.exposed * least(begun, op.weight_bytes * pace);
    deal_t deal = {shown, chip, rate, shown + most(chip, hbm * pace)};
    return deal;
}

/* Rows of a core's tile of queries and its chunks of keys. */
LAW tiles_t query_tiles(operator_t op, machine_t m, double core_rate)
{
    double held = op.k > 700.0 ? 0.25 * HELD : op.k > 350.0 ? 0.5 * HELD : HELD, largest = least(m.attention_rows, held);
    int causal = op.longest > 0.0;
    double padded = causal ? 0.5 * largest * ceil(2.0 * op.m / largest) : MIN_ROWS * ceil(op.m / MIN_ROWS);
    int alone = !causal && op.sliding > 0.0 && m.attention_apart > 0.0;
    double rows = alone ? MIN_ROWS : least(largest, padded), down = alone ? op.m : ceil(op.m / largest);
    double corner = causal ? op.sliding * least(rows, op.m) : 0.0;
    double longest = ceil((most(op.longest, op.n) + corner) / KEY_CHUNK);
    int several = causal && down > 1.0, narrow = op.narrow < 1.0 && op.bits > 8.0 && m.attention_narrow > 0.0;
    double mean = least((op.n + 0.5 * (most(rows, KEY_CHUNK) + corner)) / KEY_CHUNK, longest);
    double rate = (narrow ? m.rate_8bit : core_rate) * m.attention_share;
    double matrix = 2.0 * rows * KEY_CHUNK * op.k / rate, softmax = rows * KEY_CHUNK / m.softmax_rate;
    double chunk_time = causal ? sqrt(matrix * matrix + softmax * softmax) : matrix + softmax;
    tiles_t tiles = {op.groups * down, down, several ? mean : longest, longest, chunk_time, several};
    return tiles;
}

/* By the faster deal where a share of the traffic lies in L2. */
LAW ask_t attend(operator_t op, machine_t m, double core_rate, double warm)
{
    tiles_t t = query_tiles(op, m, core_rate);
    double activations = op.input_bytes + op.output_bytes;
    double at_work = op.weight_bytes * least(1.0, m.cores / t.tiles);
    double again = (t.down - 1.0) * (1.0 - resident(at_work, m));
    double hbm = op.weight_bytes * (1.0 + again) + activations * (1.0 - resident(activations, m));
    int apart = !t.several || m.attention_split > 0.0;
    double pieces = apart ? most(floor(least(least(m.cores / t.tiles, t.longest), MAX_PIECES)), 1.0) : 1.0;
    deal_t whole = deal(op, m, t, 1.0, hbm, warm);
    deal_t split = deal(op, m, t, pieces, hbm, warm);
    int alone = whole.time <= split.time + m.combine_time;
    double start = m.launch + m.attention_time + (alone ? whole.shown : split.shown + m.combine_time);
    ask_t ask = {alone ? whole.chip : split.chip, hbm, alone ? whole.rate : split.rate, start, 0.0};
    /* Computed beside the memory of keys and values: its own roofline. */
    double computed = 2.0 * op.groups * op.m * op.n * op.k * m.near_flop_time, rate = m.hbm_rate / (1.0 + m.kv_excess);
    double near_chip = most(computed, activations / m.l2_rate);
    ask_t near = {near_chip, op.weight_bytes, rate, m.launch + m.attention_time, 0.0};
    double faster = least(whole.time, split.time + m.combine_time);
    int there = m.near_flop_time > 0.0 && most(near_chip, op.weight_bytes / rate) < faster;
    ask.chip = there ? near.chip : ask.chip;
    ask.hbm = there ? near.hbm : ask.hbm;
    ask.rate = there ? near.rate : ask.rate;
    ask.launch = there ? near.launch : ask.launch;
    return ask;
}

LAW ask_t stream(operator_t op, machine_t m)
{
    double activations = op.input_bytes + op.output_bytes;
    double chip = most(op.vector_ops / m.vector_rate, (activations + op.weight_bytes) / m.l2_rate);
    ask_t ask = {chip, activations * (1.0 - resident(activations, m)) + op.weight_bytes, m.hbm_rate, m.launch, 0.0};
    return ask;
}

/* Rows that a core each works on, in waves: sweeps one after another, from HBM more slowly. */
LAW ask_t rowwise(operator_t op, machine_t m)
{
    const double far = 1.65; /* FAR of accelmodel/laws/elementwise.py */
    double once = op.input_bytes + op.output_bytes, again = op.message_bytes, fresh = 1.0 - resident(once, m);
    double at_work = most(m.rows_held / op.m, m.cores), waves = ceil(op.groups / at_work);
    double working = once * least(at_work / op.groups, 1.0) / most(m.l2_bytes, 1e-30);
    double missed = fresh * least(working, 1.0);
    double drawn = once * (1.0 + (far - 1.0) * fresh) + again * (1.0 + (far - 1.0) * missed);
    double chain = waves * (op.n * m.sweep_time + drawn / op.groups * op.m * m.row_time);
    double chip = most(most(op.vector_ops / m.vector_rate, chain), (once + again + op.weight_bytes) / m.l2_rate);
    ask_t ask = {chip, once * fresh + again * missed + op.weight_bytes, m.hbm_rate, m.launch, 0.0, op.stretch, op.warm};
    return ask;
}

LAW double rounds(double ranks)
{
#define ABOVE(reach) (ranks > reach ? 1.0 : 0.0)
    return ABOVE(1.0) + ABOVE(2.0) + ABOVE(4.0) + ABOVE(8.0) + ABOVE(16.0) + ABOVE(32.0) + ABOVE(64.0) + ABOVE(128.0) +
           ABOVE(256.0) + ABOVE(512.0);
}

LAW double group_rate(double ranks, machine_t m)
{
    double share = least((ranks - 1.0) / most(m.node - 1.0, 1.0), 1.0);
    double load = 1.0;
    for (double reach = 2.0; reach < 32.0; reach *= 2.0)
        load *= ranks > reach ? m.contention : 1.0;
    return m.link_rate * (m.mesh > 0.5 ? share : 1.0) / load;
}

LAW double filled(double wire, machine_t m) { return wire + 2.0 * sqrt(m.ramp * m.hop * wire); }

LAW double cut(double matmul_time, exchange_t sent, double pieces)
{
    double work = matmul_time / pieces, send = sent.hops + sent.wire / pieces;
    return work + (pieces - 1.0) * most(work, send) + send;
}

LAW double fused_with(double matmul_time, exchange_t sent)
{
    double few = least(matmul_time + sent.hops + sent.wire, cut(matmul_time, sent, 2.0));
    return sent.start + least(few, least(cut(matmul_time, sent, 4.0), cut(matmul_time, sent, 8.0)));
}

/* Time of a collective, or of a matmul fused with it: what its algorithms are chosen by. */
LAW double weighed(double matmul_time, double start, double hops, double wire)
{
    exchange_t sent = {start, hops, wire};
    return matmul_time > 0.0 ? fused_with(matmul_time, sent) : start + hops + wire;
}

LAW exchange_t faster(exchange_t best, double *time, int offered, double start, double hops, double wire,
                      double matmul_time)
{
    double mine = weighed(matmul_time, start, hops, wire) + (offered ? 0.0 : (start + hops + wire) * NOT_OFFERED);
    int better = mine < *time;
    exchange_t now = {better ? start : best.start, better ? hops : best.hops, better ? wire : best.wire};
    *time = better ? mine : *time;
    return now;
}

LAW exchange_t gather_inside(double message, double ranks, machine_t m)
{
    double wire = (ranks - 1.0 + m.own_copy) / ranks * message / group_rate(ranks, m);
    exchange_t found = {m.start_up, (m.direct > 0.5 ? 1.0 : ranks - 1.0) * m.hop, filled(wire, m)};
    return found;
}

LAW double beside(double near, double out, double inside) { return inside > 1.0 ? most(near, out) : out; }

/* One ring through all ranks, by all ports of a node: an all-gather is one of the two halves. */
LAW exchange_t ring_across(double message, double inside, double nodes, machine_t m, double halves)
{
    double ranks = inside * nodes, sent = halves * (ranks - 1.0) / ranks * message;
    double kept = sent * (inside - 1.0) / inside + m.own_copy / ranks * message;
    double near = filled(kept / group_rate(inside, m), m);
    exchange_t found = {m.out_start, halves * ((ranks - nodes) * m.hop + (nodes - 1.0) * m.out_hop),
                        beside(near, sent / inside / m.out_rate, inside)};
    return found;
}

LAW exchange_t all_reduce_across(double message, double inside, double nodes, machine_t m, double matmul_time)
{
    exchange_t best = ring_across(message, inside, nodes, m, 2.0), gather = gather_inside(message, inside, m);
    double alone = best.start + best.hops + best.wire, share = message / inside / m.out_rate;
    double time = weighed(matmul_time, best.start, best.hops, best.wire) + (m.out_ring > 0.5 ? 0.0 : alone * NOT_OFFERED);
    best = faster(best, &time, m.out_tree > 0.5, m.out_start,
                  2.0 * ((inside - 1.0) * m.hop + rounds(nodes) * m.out_hop),
                  beside(filled(2.0 * message / group_rate(inside, m), m), 2.0 * share, inside), matmul_time);
    double ring_hops = 2.0 * (nodes - 1.0) * m.out_hop, ring_wire = 2.0 * (nodes - 1.0) / nodes * share;
    double tree_hops = 2.0 * rounds(nodes) * m.out_hop, tree_wire = 2.0 * share;
    int by_ring = ring_hops + ring_wire <= tree_hops + tree_wire;
    return faster(best, &time, m.hierarchical > 0.0, m.out_start, 2.0 * gather.hops + (by_ring ? ring_hops : tree_hops),
                  beside(2.0 * gather.wire, by_ring ? ring_wire : tree_wire, inside), matmul_time);
}

LAW exchange_t gather_across(double message, double inside, double nodes, machine_t m)
{
    exchange_t ring = ring_across(message, inside, nodes, m, 1.0), level = gather_inside(message, inside, m);
    level.start = m.out_start;
    level.hops += (nodes - 1.0) * m.out_hop;
    level.wire = beside(level.wire, (nodes - 1.0) / nodes * message / (inside * m.out_rate), inside);
    double by_ring = (ring.start + ring.hops + ring.wire) * (m.out_ring > 0.5 ? 1.0 : NOT_OFFERED);
    double by_level = (level.start + level.hops + level.wire) * (m.hierarchical > 0.0 ? 1.0 : NOT_OFFERED);
    return by_ring <= by_level ? ring : level;
}

LAW exchange_t all_reduce(double message, double inside, double nodes, machine_t m, double matmul_time)
{
    double wire = message / group_rate(inside, m), shared = 2.0 * (inside - 1.0) / inside;
    double around = 2.0 * (inside - 1.0) * m.hop, gain = m.in_switch > 0.0 ? m.in_switch : 1.0;
    int small = message <= m.direct_limit;
    exchange_t best = {m.start_up, around, filled((shared + m.own_copy / inside) * wire, m)};
    double alone = best.start + best.hops + best.wire;
    double time = weighed(matmul_time, best.start, best.hops, best.wire) + (m.ring > 0.5 ? 0.0 : alone * NOT_OFFERED);
    best = faster(best, &time, m.tree > 0.5, m.start_up, 2.0 * rounds(inside) * m.hop, filled(2.0 * wire, m),
                  matmul_time);
    best = faster(best, &time, (m.one_shot > 0.5) & small, m.direct_start_up, m.hop,
                  (inside - 1.0) * wire / m.direct_share, matmul_time);
    best = faster(best, &time, (m.two_shot > 0.5) & small, m.direct_start_up, (1.0 + m.barrier) * m.hop,
                  shared * wire / m.direct_share, matmul_time);
    best = faster(best, &time, m.in_switch > 0.0, m.start_up, around, filled((1.0 + 1.0 / inside) * wire / gain, m),
                  matmul_time);
    double summed = (1.0 + 1.0 / inside) * wire / (m.multimem > 0.0 ? m.multimem : 1.0);
    best = faster(best, &time, (m.multimem > 0.0) & small, m.direct_start_up, (1.0 + m.barrier) * m.hop, summed,
                  matmul_time);
    return nodes <= 1.0 ? best : all_reduce_across(message, inside, nodes, m, matmul_time);
}

LAW exchange_t exchange(int kind, double message, double ranks, machine_t m, double matmul_time)
{
    double nodes = ceil(ranks / m.node), inside = ranks / nodes;
    exchange_t found = {m.start_up, 0.0, 0.0};
    if (kind == KIND_ALL_REDUCE)
        return all_reduce(message, inside, nodes, m, matmul_time);
    if (kind == KIND_ALL_GATHER || kind == KIND_REDUCE_SCATTER) {
        found = nodes <= 1.0 ? gather_inside(message, inside, m) : gather_across(message, inside, nodes, m);
    } else if (kind == KIND_ALL_TO_ALL) {
        found.start = nodes <= 1.0 ? m.start_up : m.out_start;
        double own = (inside - 1.0 + m.own_copy) / ranks * message / group_rate(inside, m);
        double waiting = m.rendezvous * least(message / ranks / EAGER_BYTES, 1.0);
        found.hops = nodes <= 1.0 ? (m.rendezvous > 0.0 ? 2.0 : 1.0) * m.hop : m.out_hop;
        found.wire = most(most(filled(own, m), waiting), (ranks - inside) / ranks * message / m.out_rate);
    } else {
        found.start = nodes <= 1.0 ? m.start_up : m.out_start;
        found.hops = nodes <= 1.0 ? m.hop : m.out_hop;
        found.wire = message / (nodes <= 1.0 ? group_rate(2.0, m) : m.out_rate);
    }
    return found;
}

static int is_collective(const operator_t *op) { return op->kind >= KIND_COLLECTIVE && op->ranks > 1.0; }

static long window_end(const operator_t *ops, long rows, long opener)
{
    long row = opener + 1;
    while (row < rows && ops[row].count == ops[opener].count && !is_collective(ops + row))
        row++;
    return row;
}

/* Plans that a rule weighs beside none. */
static long plans(double rule, long offered)
{
    if (rule == 0.0) return offered;
    return rule == 2.0 ? (1L << (offered < MOST_OPERANDS ? offered : MOST_OPERANDS)) - 1 : 1;
}

/* Place of an operand among those that may be prefetched: in graph order, for best fit by size. */
static long place_of(const operator_t *ops, long opener, long end, long row, double rule)
{
    long before = 0;
    double size = ops[row].prefetch_bytes;
    for (long other = opener + 1; other < end; other++) {
        double theirs = ops[other].prefetch_bytes;
        int earlier = other < row;
        if (theirs > 0.0)
            before += rule == 2.0 ? theirs > size || (theirs == size && earlier) : earlier;
    }
    return before;
}

/* Bytes admitted of each row of a window by each design's plan: grants (row, BLOCK). */
static void admit(const operator_t *ops, long opener, long end, const double *restrict l2_bytes, long width,
                  policy_t policy, lane_t *restrict lane, double *restrict grants)
{
    memset(lane->admitted, 0, sizeof lane->admitted);
    for (long row = opener + 1; row < end; row++) {
        double size = ops[row].prefetch_bytes, *restrict grant = grants + row * BLOCK;
        double place = (double)place_of(ops, opener, end, row, policy.rule), bit = pow(0.5, place);
        SIDE_BY_SIDE
        for (long j = 0; j < width; j++) {
            double plan = lane->plan[j], cap = least(policy.threshold, MOST_OF_L2) * l2_bytes[j];
            double half = 0.5 * floor(plan * bit), part = least(size, most(cap * plan - lane->admitted[j], 0.0));
            double chosen = policy.rule == 0.0 ? (place < plan ? size : 0.0) : (half - floor(half) > 0.25 ? size : 0.0);
            grant[j] = policy.rule == 1.0 ? part : chosen;
            lane->admitted[j] += grant[j];
        }
    }
}

LAW void book(double *restrict totals, long designs, long j, double count, double time, double fetched, double own)
{
    totals[j] += count * time;
    totals[designs + j] += count * fetched;
    totals[2 * designs + j] += count * (own + fetched);
}

LAW void time_collective(const operator_t op, int kind, const double *restrict machines, long designs, long width,
                         double *restrict times)
{
    SIDE_BY_SIDE
    for (long j = 0; j < width; j++) {
        exchange_t sent = exchange(kind, op.message_bytes, op.ranks, machine_at(machines, designs, j), 0.0);
        times[j] = op.stretch * (sent.start + sent.hops + sent.wire);
    }
}

LAW void ask_for(const operator_t op, int kind, const double *restrict machines, long designs, long width,
                 asks_t *restrict asks)
{
    const double *restrict rate = matrix_rates(op, machines, designs);
    SIDE_BY_SIDE
    for (long j = 0; j < width; j++) {
        machine_t m = machine_at(machines, designs, j);
        ask_t ask = kind == KIND_MATMUL      ? matmul(op, m, rate[j])
                    : kind == KIND_ATTENTION ? attend(op, m, rate[j], op.warm)
                    : kind == KIND_ROW       ? rowwise(op, m)
                    : kind == KIND_GROUPED   ? grouped(op, m, rate[j])
                                             : stream(op, m);
        asks->chip[j] = ask.chip;
        asks->hbm[j] = ask.hbm;
        asks->rate[j] = ask.rate;
        asks->launch[j] = ask.launch;
        asks->exposed[j] = ask.exposed;
    }
}

typedef struct { double time, cold, reached, served; } turn_t;

/* One operator of which a share of the waiting bytes is found in L2, and the lane beside it. */
LAW turn_t take(double share, double want, double position, double fetched, double admitted, ask_t ask, machine_t m)
{
    double hot = least(most(fetched - position, 0.0), want) * share + ask.warm * ask.hbm, cold = ask.hbm - hot;
    double memory = hot / m.l2_rate + cold / ask.rate;
    double body = most(ask.chip, memory) + ask.exposed * least(ask.chip, memory);
    double busy = ask.stretch * (ask.launch + body), reached = most(fetched, position + want);
    double backlog = most(admitted - reached, 0.0), spare = most(busy * m.hbm_rate - cold, 0.0) * m.prefetch_share;
    turn_t turn = {busy, cold, reached, least(backlog, spare)};
    return turn;
}

static void begin_lane(const operator_t op, const double *restrict machines, long designs, long width,
                       const double *restrict times, lane_t *restrict lane)
{
    const double buffers = 2.0 * op.message_bytes;
    SIDE_BY_SIDE
    for (long j = 0; j < width; j++) {
        machine_t m = machine_at(machines, designs, j);
        double own = buffers * (1.0 - resident(buffers, m));
        double spare = most(times[j] * m.hbm_rate - own, 0.0) * m.prefetch_share;
        double fetched = least(lane->admitted[j], spare);
        lane->fetched[j] = fetched;
        lane->position[j] = 0.0;
        lane->time[j] = 0.0;
        lane->served[j] = fetched;
        lane->traffic[j] = own + fetched;
    }
}

/* Share of a row's fetched bytes that L2 still holds: after all that both lanes may have touched since. */
static void survive(const operator_t op, const double *restrict machines, long designs, long width, double touched,
                    const lane_t *restrict lane, double *restrict survival)
{
    SIDE_BY_SIDE
    for (long j = 0; j < width; j++) {
        machine_t m = machine_at(machines, designs, j);
        survival[j] = resident(touched + op.input_bytes + lane->admitted[j] - lane->position[j], m);
    }
}

static void run_operator(const operator_t op, const double *restrict machines, long designs, long width,
                         const double *restrict grant, const double *restrict survival, const asks_t *restrict asks,
                         lane_t *restrict lane, double *restrict times)
{
    SIDE_BY_SIDE
    for (long j = 0; j < width; j++) {
        machine_t m = machine_at(machines, designs, j);
        ask_t ask = {asks->chip[j], asks->hbm[j], asks->rate[j], asks->launch[j], asks->exposed[j], op.stretch, op.warm};
        double position = lane->position[j], want = grant[j];
        turn_t turn = take(survival[j], want, position, lane->fetched[j], lane->admitted[j], ask, m);
        lane->position[j] = position + want;
        lane->fetched[j] = turn.reached + turn.served;
        lane->time[j] += turn.time;
        lane->served[j] += turn.served;
        lane->traffic[j] += turn.cold + turn.served;
        times[j] = turn.time;
    }
}

/* Attention dealt as is fastest with what it finds in L2. */
static void deal_anew(const operator_t op, const double *restrict machines, long designs, long width,
                      const double *restrict grant, const double *restrict survival, const lane_t *restrict lane,
                      const asks_t *restrict alone, asks_t *restrict asks)
{
    const double *restrict rate = matrix_rates(op, machines, designs);
    SIDE_BY_SIDE
    for (long j = 0; j < width; j++) {
        double waiting = least(most(lane->fetched[j] - lane->position[j], 0.0), grant[j]);
        double warm = waiting * survival[j] / alone->hbm[j] + op.warm;
        ask_t ask = attend(op, machine_at(machines, designs, j), rate[j], warm);
        asks->chip[j] = ask.chip;
        asks->hbm[j] = ask.hbm;
        asks->rate[j] = ask.rate;
        asks->launch[j] = ask.launch;
        asks->exposed[j] = ask.exposed;
    }
}

/* One loop per kind, so that each vectorises. */
static void ask_row(const operator_t op, const double *machines, long designs, long width, asks_t *asks)
{
    switch ((int)op.kind) {
    case KIND_MATMUL: ask_for(op, KIND_MATMUL, machines, designs, width, asks); break;
    case KIND_ATTENTION: ask_for(op, KIND_ATTENTION, machines, designs, width, asks); break;
    case KIND_ROW: ask_for(op, KIND_ROW, machines, designs, width, asks); break;
    case KIND_GROUPED: ask_for(op, KIND_GROUPED, machines, designs, width, asks); break;
    default: ask_for(op, KIND_ELEMENTWISE, machines, designs, width, asks);
    }
}

static void exchange_row(const operator_t op, const double *machines, long designs, long width, double *times)
{
#define EXCHANGE(kind) time_collective(op, kind, machines, designs, width, times)
    switch ((int)op.kind) {
    case KIND_ALL_REDUCE: EXCHANGE(KIND_ALL_REDUCE); break;
    case KIND_ALL_TO_ALL: EXCHANGE(KIND_ALL_TO_ALL); break;
    case KIND_POINT_TO_POINT: EXCHANGE(KIND_POINT_TO_POINT); break;
    default: EXCHANGE(KIND_ALL_GATHER);
    }
}

/* The rows of a window by each design's plan; returns nothing, the sums are in the lane. */
static void run_plan(const operator_t *ops, long opener, long end, const double *machines, long designs, long width,
                     policy_t policy, const asks_t *asks, lane_t *lane, double *grants, double *times)
{
    double survival[BLOCK] = {0.0}, touched = 2.0 * ops[opener].message_bytes;
    asks_t dealt;
    admit(ops, opener, end, FIELD(machines, l2_bytes), width, policy, lane, grants);
    begin_lane(ops[opener], machines, designs, width, times + opener * BLOCK, lane);
    for (long row = opener + 1; row < end; row++) {
        const operator_t op = ops[row];
        const asks_t *ask = asks + row;
        if (op.kind >= KIND_COLLECTIVE)
            continue;
        if (op.prefetch_bytes > 0.0) {
            survive(op, machines, designs, width, touched, lane, survival);
            if (op.kind == KIND_ATTENTION) {
                deal_anew(op, machines, designs, width, grants + row * BLOCK, survival, lane, ask, &dealt);
                ask = &dealt;
            }
        }
        run_operator(op, machines, designs, width, grants + row * BLOCK, survival, ask, lane, times + row * BLOCK);
        touched += op.input_bytes + op.weight_bytes + op.output_bytes;
    }
}

/* A window by the fastest plan of each design, or by none. */
static void run_window(const operator_t *ops, long opener, long end, const double *machines, long designs, long width,
                       policy_t policy, const asks_t *asks, lane_t *lane, double *grants, double *times, double *totals)
{
    const double *restrict start = FIELD(machines, prefetch_start), *restrict l2_bytes = FIELD(machines, l2_bytes);
    long offered = 0;
    for (long row = opener + 1; row < end; row++)
        offered += ops[row].prefetch_bytes > 0.0;
    memset(lane->plan, 0, sizeof lane->plan);
    run_plan(ops, opener, end, machines, designs, width, policy, asks, lane, grants, times);
    memcpy(lane->best, lane->time, sizeof lane->best);
    memcpy(lane->best_served, lane->served, sizeof lane->served);
    memcpy(lane->best_traffic, lane->traffic, sizeof lane->traffic);
    for (long plan = 1; policy.rule >= 0.0 && offered > 0 && plan <= plans(policy.rule, offered); plan++) {
        for (long j = 0; j < width; j++)
            lane->plan[j] = (double)plan;
        run_plan(ops, opener, end, machines, designs, width, policy, asks, lane, grants, times);
        SIDE_BY_SIDE
        for (long j = 0; j < width; j++) {
            double spent = lane->time[j] + start[j], cap = least(policy.threshold, MOST_OF_L2) * l2_bytes[j];
            int pays = lane->admitted[j] <= cap * (1.0 + PAYS) && spent < lane->best[j] * (1.0 - PAYS);
            lane->best[j] = pays ? spent : lane->best[j];
            lane->best_served[j] = pays ? lane->served[j] : lane->best_served[j];
            lane->best_traffic[j] = pays ? lane->traffic[j] : lane->best_traffic[j];
        }
    }
    for (long j = 0; j < width; j++) {
        double count = ops[opener].count, served = lane->best_served[j];
        book(totals, designs, j, count, times[opener * BLOCK + j] + lane->best[j], served, lane->best_traffic[j] - served);
    }
}

LAW void overlap(const operator_t *ops, long row, int kind, const double *restrict machines, long designs, long width,
                 const double *restrict times, double *restrict totals)
{
    const operator_t into = ops[(long)ops[row].feeds];
    double count = ops[row].count;
    const double *restrict matmul_time = times + row * BLOCK, *restrict reduction = times + (long)ops[row].feeds * BLOCK;
    SIDE_BY_SIDE
    for (long j = 0; j < width; j++) {
        machine_t m = machine_at(machines, designs, j);
        exchange_t sent = exchange(kind, into.message_bytes, into.ranks, m, matmul_time[j] / into.stretch);
        sent.start *= into.stretch, sent.hops *= into.stretch, sent.wire *= into.stretch;
        double together = fused_with(matmul_time[j], sent);
        totals[j] -= count * (matmul_time[j] + reduction[j] - together);
    }
}

static void fuse(const operator_t *ops, long row, const double *machines, long designs, long width,
                 const double *times, double *totals)
{
    int kind = (int)ops[(long)ops[row].feeds].kind;
    if (kind == KIND_ALL_REDUCE)
        overlap(ops, row, KIND_ALL_REDUCE, machines, designs, width, times, totals);
    else
        overlap(ops, row, kind, machines, designs, width, times, totals);
}

static void step(const operator_t *ops, long rows, const double *machines, long designs, long width, policy_t policy,
                 double *grants, asks_t *asks, double *times, double *totals)
{
    static const double nothing[BLOCK] = {0.0};
    lane_t lane;
    long end = 0;
    memset(grants, 0, sizeof(double) * rows * BLOCK);
    memset(times, 0, sizeof(double) * rows * BLOCK);
    for (long row = 0; row < rows; row++) {
        int opens = is_collective(ops + row);
        if (row < end || ops[row].count == 0.0 || (ops[row].kind >= KIND_COLLECTIVE && !opens))
            continue;
        if (opens) {
            end = window_end(ops, rows, row);
            exchange_row(ops[row], machines, designs, width, times + row * BLOCK);
            for (long other = row + 1; other < end; other++)
                if (ops[other].kind < KIND_COLLECTIVE)
                    ask_row(ops[other], machines, designs, width, asks + other);
            run_window(ops, row, end, machines, designs, width, policy, asks, &lane, grants, times, totals);
            continue;
        }
        memset(&lane, 0, sizeof lane);
        ask_row(ops[row], machines, designs, width, asks + row);
        run_operator(ops[row], machines, designs, width, nothing, nothing, asks + row, &lane, times + row * BLOCK);
        for (long j = 0; j < width; j++)
            book(totals, designs, j, ops[row].count, lane.time[j], 0.0, lane.traffic[j]);
    }
    for (long row = 0; row < rows && policy.fused > 0.5; row++)
        if (ops[row].feeds >= 0.0 && ops[row].count > 0.0 && ops[(long)ops[row].feeds].ranks > 1.0)
            fuse(ops, row, machines, designs, width, times, totals);
}

/* Returns 0, or 1 if there is no memory. */
int evaluate(const double *table, long rows, const double *machines, long designs, double rule, double threshold,
             double fused, double *totals)
{
    policy_t policy = {rule, threshold, fused};
    operator_t *ops = malloc(sizeof(operator_t) * rows);
    double *grants = malloc(sizeof(double) * rows * BLOCK), *times = malloc(sizeof(double) * rows * BLOCK);
    asks_t *asks = malloc(sizeof(asks_t) * rows);
    int failed = !ops || !grants || !times || !asks;
    if (!failed) {
        for (long row = 0; row < rows; row++)
            ops[row] = operator_at(table, rows, row);
        memset(totals, 0, sizeof(double) * 3 * designs);
        for (long start = 0; start < designs; start += BLOCK)
            step(ops, rows, machines + start, designs, designs - start < BLOCK ? designs - start : BLOCK, policy, grants,
                 asks, times, totals + start);
    }
    free(ops);
    free(grants);
    free(times);
    free(asks);
    return failed;
}
