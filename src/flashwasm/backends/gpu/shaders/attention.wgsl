// Flash attention: softmax(softcap(scale Q K^T) - slope |distance| + mask) V, for blocks of ROWS queries of one head.
//
// A workgroup processes blocks of KEYS keys. For each query it keeps the greatest score so far, m, the sum of exp(score
// - m), and the sum of these weights times the values (Dao et al., 2022). Rows of more than SLICE columns are read in
// slices. Thread t computes the queries 4 (t / 8) + i and the columns t % 8 + 8 j, for i and j from 0 to 3.
//
// Threads modify single scores in workgroup memory, so that compilers need not unroll the code, which would take
// seconds on a CPU. A variable that is declared in a loop gets an explicit value, because some compilers set it to zero
// only once.
//
// The host prepends a constant to this text: VALUE_SLICES, the number of slices of a value.

const ROWS = 32u;
const KEYS = 32u;
const SLICE = 32u;
// One column more than a slice, so that neighbouring threads read different banks.
const STRIDE = 33u;
const THREADS = 64u;
// The bits of -inf, the score of a key that a query does not see, and the bits of -1, its weight if values may be
// infinite or NaN.
const UNSEEN = 0xff800000u;
const NO_WEIGHT = 0xbf800000u;

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
    mask_kind: u32,       // 0 for none, 1 for booleans, 2 for floats
    has_slopes: u32,
    careful: u32,         // 1 if a value may be infinite or NaN
    scale: f32,
    softcap: f32,         // 0 for none
    softcap_inverse: f32,
}

// Bounds of a query: it sees keys from `low` up to but excluding `high`; and its diagonal. After the bounds of all
// queries come the bounds of each block of queries, with the lowest and the highest bound in the block.
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
var<workgroup> block: array<u32, ROWS * STRIDE>;    // The bits of scores, later of weights.
var<workgroup> partial: array<f32, ROWS * 8u>;      // What each thread found for its row: a maximum or a sum.
var<workgroup> own: array<Bounds, ROWS>;
var<workgroup> greatest: array<f32, ROWS>;
var<workgroup> total: array<f32, ROWS>;
var<workgroup> shrink: array<f32, ROWS>;            // What the sums so far are multiplied by.

struct Place {
    thread: u32,
    batch: u32,
    head: u32,            // in the batch entry
    first_row: u32,       // of the block
    row: u32,             // the first row of the thread, in the block
    rows: u32,            // 4, or 0 if the thread's rows are beyond the last query
    column: u32,          // the first column of the thread
    first_query: u32,     // the numbers of the head's first query and key in the buffers
    first_key: u32,
}

fn mask_at(index: u32) -> f32 {
    if params.mask_kind == 1u {
        let word = mask[index / 4u];
        return f32((word >> (8u * (index % 4u))) & 0xffu);
    }
    return bitcast<f32>(mask[index]);
}

fn fill_with_queries(place: Place, column: u32) {
    for (var i = place.thread; i < ROWS * SLICE; i += THREADS) {
        let row = place.first_row + i / SLICE;
        let at = column + i % SLICE;
        var x = 0.0;
        if row < params.queries && at < params.dim {
            x = q[(place.first_query + row) * params.dim + at];
        }
        left[i / SLICE * STRIDE + i % SLICE] = x;
    }
}

fn fill_with_keys(place: Place, first: u32, column: u32) {
    for (var i = place.thread; i < KEYS * SLICE; i += THREADS) {
        let key = first + i / SLICE;
        let at = column + i % SLICE;
        var x = 0.0;
        if key < params.keys && at < params.dim {
            x = k[(place.first_key + key) * params.dim + at];
        }
        right[i / SLICE * STRIDE + i % SLICE] = x;
    }
}

fn fill_with_values(place: Place, first: u32, column: u32) {
    for (var i = place.thread; i < KEYS * SLICE; i += THREADS) {
        let key = first + i / SLICE;
        let at = column + i % SLICE;
        var x = 0.0;
        if key < params.keys && at < params.value_dim {
            x = v[(place.first_key + key) * params.value_dim + at];
        }
        right[i / SLICE * STRIDE + i % SLICE] = x;
    }
}

// Four numbers of `right`, `step` apart.
fn four_of_right(at: u32, step: u32) -> vec4<f32> {
    return vec4<f32>(right[at], right[at + step], right[at + 2u * step], right[at + 3u * step]);
}

// Writes the products of the thread's queries and keys to `block`.
fn multiply(place: Place, first: u32) {
    var s0 = vec4<f32>(0.0);
    var s1 = vec4<f32>(0.0);
    var s2 = vec4<f32>(0.0);
    var s3 = vec4<f32>(0.0);
    for (var start = 0u; start < params.dim; start += SLICE) {
        fill_with_queries(place, start);
        fill_with_keys(place, first, start);
        workgroupBarrier();
        let count = select(0u, min(SLICE, params.dim - start), place.rows > 0u);
        for (var d = 0u; d < count; d++) {
            let keys = four_of_right(place.column * STRIDE + d, 8u * STRIDE);
            let at = place.row * STRIDE + d;
            s0 += left[at] * keys;
            s1 += left[at + STRIDE] * keys;
            s2 += left[at + 2u * STRIDE] * keys;
            s3 += left[at + 3u * STRIDE] * keys;
        }
        workgroupBarrier();
    }
    let bits = mat4x4<f32>(s0, s1, s2, s3);
    for (var i = 0u; i < 4u; i++) {
        let at = (place.row + i) * STRIDE + place.column;
        block[at] = bitcast<u32>(bits[i].x);
        block[at + 8u] = bitcast<u32>(bits[i].y);
        block[at + 16u] = bitcast<u32>(bits[i].z);
        block[at + 24u] = bitcast<u32>(bits[i].w);
    }
}

// The bits of the score of a query and a key, from their product; UNSEEN if the query does not see the key.
fn score_bits(place: Place, row: u32, key: u32, dot: f32) -> u32 {
    let number = i32(params.first_key + key);
    if number < own[row].low || number >= own[row].high {
        return UNSEEN;
    }
    var score = dot * params.scale;
    if params.softcap != 0.0 {
        score = params.softcap * tanh_of(score * params.softcap_inverse);
    }
    if params.has_slopes == 1u {
        score -= slopes[place.head] * f32(abs(number - own[row].diagonal));
    }
    if params.mask_kind != 0u {
        let added = mask_at(place.batch * params.mask_batch + place.head * params.mask_head
            + (place.first_row + row) * params.mask_query + key * params.mask_key);
        if params.mask_kind == 1u {
            return select(bitcast<u32>(score), UNSEEN, added == 0.0);
        }
        return select(bitcast<u32>(score + added), UNSEEN, is_minus_infinity(added));
    }
    return bitcast<u32>(score);
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
    let block_of_queries = number % params.blocks;
    let head = number / params.blocks;
    let batch = head / params.heads;
    let row = 4u * (thread / 8u);
    let place = Place(
        thread,
        batch,
        head % params.heads,
        block_of_queries * ROWS,
        row,
        select(0u, 4u, block_of_queries * ROWS + row < params.queries),
        thread % 8u,
        head * params.queries,
        head / params.group * params.keys,
    );
    if thread < ROWS {
        let query = place.first_row + thread;
        greatest[thread] = LOWEST;
        total[thread] = 0.0;
        own[thread] = Bounds(0, 0, 0, 0);
        if query < params.queries {
            own[thread] = bounds[batch * params.queries + query];
            let kept = state[place.first_query + query];
            greatest[thread] = kept.x;
            total[thread] = kept.y;
        }
    }
    // The sums of the thread's queries for the columns of each slice.
    var sums: array<vec4<f32>, 4u * VALUE_SLICES>;
    if params.begins == 0u {
        for (var i = 0u; i < 4u * VALUE_SLICES; i++) {
            let query = place.first_row + place.row + i % 4u;
            let at = i / 4u * SLICE + place.column;
            sums[i] = result_at(place.first_query + query, at, query < params.queries);
        }
    }
    workgroupBarrier();

    let batches = params.workgroups / (params.blocks * params.heads);
    let reach = bounds[batches * params.queries + batch * params.blocks + block_of_queries];
    let begin = u32(max(reach.low - i32(params.first_key), 0)) / KEYS * KEYS;
    let end = min(u32(max(reach.high - i32(params.first_key), 0)), params.keys);
    for (var first = begin; first < end; first += KEYS) {
        multiply(place, first);
        for (var i = 0u; i < place.rows; i++) {
            let row = place.row + i;
            var most = LOWEST;
            for (var key = place.column; key < KEYS; key += 8u) {
                let at = row * STRIDE + key;
                let bits = score_bits(place, row, first + key, bitcast<f32>(block[at]));
                block[at] = bits;
                // A key with a product of -inf counts as unseen too, because its weight would be zero.
                most = select(max(most, bitcast<f32>(bits)), most, bits == UNSEEN);
            }
            partial[row * 8u + place.column] = most;
        }
        workgroupBarrier();

        if thread < ROWS {
            var most = greatest[thread];
            for (var i = 0u; i < 8u; i++) {
                most = max(most, partial[thread * 8u + i]);
            }
            shrink[thread] = exp_nonpositive(greatest[thread] - most);
            greatest[thread] = most;
        }
        workgroupBarrier();

        for (var i = 0u; i < place.rows; i++) {
            let row = place.row + i;
            var sum = 0.0;
            for (var key = place.column; key < KEYS; key += 8u) {
                let at = row * STRIDE + key;
                let bits = block[at];
                let weight = select(exp_nonpositive(bitcast<f32>(bits) - greatest[row]), 0.0, bits == UNSEEN);
                sum += weight;
                block[at] = bitcast<u32>(weight);
                if params.careful == 1u && bits == UNSEEN {
                    block[at] = NO_WEIGHT;
                }
            }
            partial[row * 8u + place.column] = sum;
        }
        workgroupBarrier();

        if thread < ROWS {
            var sum = 0.0;
            for (var i = 0u; i < 8u; i++) {
                sum += partial[thread * 8u + i];
            }
            total[thread] = total[thread] * shrink[thread] + sum;
        }
        let count = select(0u, min(KEYS, params.keys - first), place.rows > 0u);
        for (var slice = 0u; slice < VALUE_SLICES; slice++) {
            fill_with_values(place, first, slice * SLICE);
            workgroupBarrier();
            var a0 = vec4<f32>(0.0);
            var a1 = vec4<f32>(0.0);
            var a2 = vec4<f32>(0.0);
            var a3 = vec4<f32>(0.0);
            for (var key = 0u; key < count; key++) {
                let values = four_of_right(key * STRIDE + place.column, 8u);
                let at = place.row * STRIDE + key;
                if params.careful == 1u {
                    a0 += weighted(block[at], values);
                    a1 += weighted(block[at + STRIDE], values);
                    a2 += weighted(block[at + 2u * STRIDE], values);
                    a3 += weighted(block[at + 3u * STRIDE], values);
                } else {
                    a0 += bitcast<f32>(block[at]) * values;
                    a1 += bitcast<f32>(block[at + STRIDE]) * values;
                    a2 += bitcast<f32>(block[at + 2u * STRIDE]) * values;
                    a3 += bitcast<f32>(block[at + 3u * STRIDE]) * values;
                }
            }
            let at = 4u * slice;
            sums[at] = sums[at] * shrink[place.row] + a0;
            sums[at + 1u] = sums[at + 1u] * shrink[place.row + 1u] + a1;
            sums[at + 2u] = sums[at + 2u] * shrink[place.row + 2u] + a2;
            sums[at + 3u] = sums[at + 3u] * shrink[place.row + 3u] + a3;
            workgroupBarrier();
        }
    }

    workgroupBarrier();
    if thread < ROWS && place.first_row + thread < params.queries {
        state[place.first_query + place.first_row + thread] = vec2<f32>(greatest[thread], total[thread]);
    }
    for (var i = 0u; i < 4u * VALUE_SLICES; i++) {
        let row = place.row + i % 4u;
        if place.first_row + row < params.queries {
            var values = sums[i];
            if params.ends == 1u {
                values = select(values / total[row], vec4<f32>(0.0), total[row] == 0.0);
            }
            let start = (place.first_query + place.first_row + row) * params.value_dim;
            for (var j = 0u; j < 4u; j++) {
                let at = i / 4u * SLICE + place.column + 8u * j;
                if at < params.value_dim {
                    result[start + at] = values[j];
                }
            }
        }
    }
}

// The products of a weight and values. A key that is not seen adds nothing, even if its value is NaN.
fn weighted(bits: u32, values: vec4<f32>) -> vec4<f32> {
    return select(bitcast<f32>(bits) * values, vec4<f32>(0.0), bits == NO_WEIGHT);
}

// Four columns of the result of an earlier part of the keys.
fn result_at(row: u32, column: u32, exists: bool) -> vec4<f32> {
    var values = vec4<f32>(0.0);
    for (var j = 0u; j < 4u; j++) {
        let at = column + 8u * j;
        if exists && at < params.value_dim {
            values[j] = result[row * params.value_dim + at];
        }
    }
    return values;
}
