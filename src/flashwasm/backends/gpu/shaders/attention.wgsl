// Flash attention: softmax(softcap(scale Q K^T) - slope |distance| + mask) V, for blocks of ROWS queries of one head.
//
// A workgroup goes over blocks of KEYS keys, and keeps for each query the greatest score so far, m, the sum of
// exp(score - m), and the sum of these weights times the values (Dao et al., 2022). Rows of more than SLICE columns
// are read in slices. Thread t has the queries 4 (t / 8) + i and the columns t % 8 + 8 j, for i and j from 0 to 3.
//
// Constants written before this text: DIM_SLICES and VALUE_SLICES, the slices of a key and of a value; MASK, 0 for none,
// 1 for booleans, 2 for floats; CAPPED and ALIBI; CAREFUL, true if a value may be infinite or NaN.

const ROWS = 32u;
const KEYS = 32u;
const SLICE = 32u;
// One column more than a slice has, so that threads beside each other read different banks.
const STRIDE = 33u;
const THREADS = 64u;
// The weight of a key that a query does not see, where values may be infinite or NaN.
const UNSEEN = -1.0;

struct Params {
    workgroups: u32,
    blocks: u32,          // of queries
    heads: u32,           // of queries, in a batch entry
    group: u32,           // query heads that read the same key head
    queries: u32,
    keys: u32,            // in the buffers
    first_key: u32,       // the number of the first of them
    dim: u32,
    value_dim: u32,
    begins: u32,          // 1 if no keys came before
    ends: u32,            // 1 if no keys come after
    mask_batch: u32,      // strides of the mask, 0 where it is broadcast
    mask_head: u32,
    mask_query: u32,
    mask_key: u32,
    scale: f32,
    softcap: f32,
    softcap_inverse: f32,
}

// Row of a query: the keys from `low` to before `high`, and its diagonal. The rows of a block of queries come after
// those of all queries, with the lowest and the highest bound of its queries.
struct Bounds {
    low: i32,
    high: i32,
    diagonal: i32,
    unused: i32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> q: array<f32>;           // (batch, heads, queries, dim)
@group(0) @binding(2) var<storage, read> k: array<f32>;           // (batch, key heads, keys, dim)
@group(0) @binding(3) var<storage, read> v: array<f32>;           // (batch, key heads, keys, value_dim)
@group(0) @binding(4) var<storage, read> bounds: array<Bounds>;   // (batch, queries), then (batch, blocks)
@group(0) @binding(5) var<storage, read> mask: array<u32>;        // four booleans in a number, or the bits of a float
@group(0) @binding(6) var<storage, read> slopes: array<f32>;      // (heads,)
@group(0) @binding(7) var<storage, read_write> state: array<vec2<f32>>; // m and the sum, (batch, heads, queries)
@group(0) @binding(8) var<storage, read_write> result: array<f32>;      // (batch, heads, queries, value_dim)

var<workgroup> left: array<f32, ROWS * STRIDE>;     // A slice of queries.
var<workgroup> right: array<f32, KEYS * STRIDE>;    // A slice of keys or of values.
var<workgroup> weights: array<f32, ROWS * STRIDE>;
var<workgroup> partial: array<f32, ROWS * 8u>;      // What each thread found for its row: a maximum or a sum.

fn mask_at(index: u32) -> f32 {
    if MASK == 1u {
        let word = mask[index / 4u];
        return f32((word >> (8u * (index % 4u))) & 0xffu);
    }
    return bitcast<f32>(mask[index]);
}

fn fill_left(thread: u32, first: u32, count: u32, start: u32, width: u32, column: u32) {
    for (var i = thread; i < ROWS * SLICE; i += THREADS) {
        let row = i / SLICE;
        let at = column + i % SLICE;
        var x = 0.0;
        if first + row < count && at < width {
            x = q[(start + first + row) * width + at];
        }
        left[row * STRIDE + i % SLICE] = x;
    }
}

fn fill_with_keys(thread: u32, first: u32, start: u32, column: u32) {
    for (var i = thread; i < KEYS * SLICE; i += THREADS) {
        let row = i / SLICE;
        let at = column + i % SLICE;
        var x = 0.0;
        if first + row < params.keys && at < params.dim {
            x = k[(start + first + row) * params.dim + at];
        }
        right[row * STRIDE + i % SLICE] = x;
    }
}

fn fill_with_values(thread: u32, first: u32, start: u32, column: u32) {
    for (var i = thread; i < KEYS * SLICE; i += THREADS) {
        let row = i / SLICE;
        let at = column + i % SLICE;
        var x = 0.0;
        if first + row < params.keys && at < params.value_dim {
            x = v[(start + first + row) * params.value_dim + at];
        }
        right[row * STRIDE + i % SLICE] = x;
    }
}

fn four_of_right(first: u32, at: u32, stride: u32, step: u32) -> vec4<f32> {
    let i = first * stride + at;
    return vec4<f32>(right[i], right[i + step], right[i + 2u * step], right[i + 3u * step]);
}

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let number = workgroup_number(group, groups);
    if number >= params.workgroups {
        return;
    }
    let block = number % params.blocks;
    let head = number / params.blocks;
    let batch = head / params.heads;
    let own_head = head % params.heads;
    let first_row = block * ROWS;
    let key_start = (head / params.group) * params.keys;
    let row = 4u * (thread / 8u);
    let column = thread % 8u;

    var m: array<f32, 4>;
    var total: array<f32, 4>;
    var low: array<i32, 4>;
    var high: array<i32, 4>;
    var diagonal: array<i32, 4>;
    var sums: array<vec4<f32>, 4u * VALUE_SLICES>;
    for (var i = 0u; i < 4u; i++) {
        let query = first_row + row + i;
        m[i] = LOWEST;
        if query < params.queries {
            let kept = state[head * params.queries + query];
            m[i] = kept.x;
            total[i] = kept.y;
            let seen = bounds[batch * params.queries + query];
            low[i] = seen.low;
            high[i] = seen.high;
            diagonal[i] = seen.diagonal;
            if params.begins == 0u {
                for (var slice = 0u; slice < VALUE_SLICES; slice++) {
                    for (var j = 0u; j < 4u; j++) {
                        let at = slice * SLICE + column + 8u * j;
                        if at < params.value_dim {
                            sums[slice * 4u + i][j] = result[(head * params.queries + query) * params.value_dim + at];
                        }
                    }
                }
            }
        }
    }

    let batches = params.workgroups / (params.blocks * params.heads);
    let reach = bounds[batches * params.queries + batch * params.blocks + block];
    let from = u32(max(reach.low - i32(params.first_key), 0)) / KEYS * KEYS;
    let to = min(u32(max(reach.high - i32(params.first_key), 0)), params.keys);
    for (var first = from; first < to; first += KEYS) {
        var scores: array<vec4<f32>, 4>;
        for (var slice = 0u; slice < DIM_SLICES; slice++) {
            fill_left(thread, first_row, params.queries, head * params.queries, params.dim, slice * SLICE);
            fill_with_keys(thread, first, key_start, slice * SLICE);
            workgroupBarrier();
            for (var d = 0u; d < SLICE; d++) {
                let keys = four_of_right(column, d, STRIDE, 8u * STRIDE);
                let at = row * STRIDE + d;
                scores[0] += left[at] * keys;
                scores[1] += left[at + STRIDE] * keys;
                scores[2] += left[at + 2u * STRIDE] * keys;
                scores[3] += left[at + 3u * STRIDE] * keys;
            }
            workgroupBarrier();
        }

        // The scores, which of them are seen, and the maximum of each row.
        var seen: array<vec4<bool>, 4>;
        for (var i = 0u; i < 4u; i++) {
            var greatest = LOWEST;
            let query = first_row + row + i;
            for (var j = 0u; j < 4u; j++) {
                let own_key = first + column + 8u * j;
                let key = i32(params.first_key + own_key);
                var score = scores[i][j] * params.scale;
                var visible = key >= low[i] && key < high[i];
                if CAPPED {
                    score = params.softcap * tanh_of(score * params.softcap_inverse);
                }
                if ALIBI {
                    score -= slopes[own_head] * f32(abs(key - diagonal[i]));
                }
                if MASK != 0u && visible {
                    let added = mask_at(batch * params.mask_batch + own_head * params.mask_head
                        + query * params.mask_query + own_key * params.mask_key);
                    if MASK == 1u {
                        visible = added != 0.0;
                    } else {
                        visible = !is_minus_infinity(added);
                        score += added;
                    }
                }
                visible = visible && !is_minus_infinity(score);
                scores[i][j] = score;
                seen[i][j] = visible;
                greatest = select(greatest, max(greatest, score), visible);
            }
            partial[(row + i) * 8u + column] = greatest;
        }
        workgroupBarrier();

        var shrink: array<f32, 4>;
        for (var i = 0u; i < 4u; i++) {
            var greatest = m[i];
            for (var j = 0u; j < 8u; j++) {
                greatest = max(greatest, partial[(row + i) * 8u + j]);
            }
            shrink[i] = exp_nonpositive(m[i] - greatest);
            m[i] = greatest;
        }
        workgroupBarrier();

        for (var i = 0u; i < 4u; i++) {
            var sum = 0.0;
            for (var j = 0u; j < 4u; j++) {
                var weight = exp_nonpositive(scores[i][j] - m[i]);
                weight = select(0.0, weight, seen[i][j]);
                sum += weight;
                if CAREFUL {
                    weight = select(UNSEEN, weight, seen[i][j]);
                }
                weights[(row + i) * STRIDE + column + 8u * j] = weight;
            }
            partial[(row + i) * 8u + column] = sum;
        }
        workgroupBarrier();

        for (var i = 0u; i < 4u; i++) {
            var sum = 0.0;
            for (var j = 0u; j < 8u; j++) {
                sum += partial[(row + i) * 8u + j];
            }
            total[i] = total[i] * shrink[i] + sum;
        }

        for (var slice = 0u; slice < VALUE_SLICES; slice++) {
            fill_with_values(thread, first, key_start, slice * SLICE);
            workgroupBarrier();
            var added: array<vec4<f32>, 4>;
            for (var key = 0u; key < KEYS; key++) {
                let values = four_of_right(key, column, STRIDE, 8u);
                for (var i = 0u; i < 4u; i++) {
                    let weight = weights[(row + i) * STRIDE + key];
                    if CAREFUL {
                        added[i] += select(weight * values, vec4<f32>(0.0), weight < 0.0);
                    } else {
                        added[i] += weight * values;
                    }
                }
            }
            for (var i = 0u; i < 4u; i++) {
                sums[slice * 4u + i] = sums[slice * 4u + i] * shrink[i] + added[i];
            }
            workgroupBarrier();
        }
    }

    for (var i = 0u; i < 4u; i++) {
        let query = first_row + row + i;
        if query < params.queries {
            let at = head * params.queries + query;
            if column == 0u {
                state[at] = vec2<f32>(m[i], total[i]);
            }
            for (var slice = 0u; slice < VALUE_SLICES; slice++) {
                var values = sums[slice * 4u + i];
                if params.ends == 1u {
                    values = select(values / total[i], vec4<f32>(0.0), total[i] == 0.0);
                }
                for (var j = 0u; j < 4u; j++) {
                    let column_of_value = slice * SLICE + column + 8u * j;
                    if column_of_value < params.value_dim {
                        result[at * params.value_dim + column_of_value] = values[j];
                    }
                }
            }
        }
    }
}
