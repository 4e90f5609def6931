// Products of matrices, C = A B + bias, and scores of the rows of A with the rows of B, in blocks of 64 x 64.
//
// Each element is one chain over the inner dimension, in order. Thread t computes the rows 4 (t / 16) + i and the
// columns t % 16 + 16 j, for i and j from 0 to 3. If the inner dimension is split into parts, c contains the sums so
// far.
//
// The host prepends constants to this text: ROWS_OF_B, true if B is (columns, inner), and not (inner, columns); METRIC,
// 0 for products, 1 for cosines, which are clamped to [-1, 1], 2 for minus the squared distances.

const BLOCK = 64u;
const SLICE = 16u;
const STRIDE_A = 17u;
const STRIDE_B = 65u;
const THREADS = 256u;

struct Params {
    workgroups: u32,
    blocks_down: u32,
    blocks_across: u32,
    rows: u32,
    columns: u32,
    inner: u32,
    batch_a: u32,     // elements from one matrix of a batch to the next, 0 where they are all the same
    batch_b: u32,
    begins: u32,      // 1 for the first part of the inner dimension
    ends: u32,        // 1 for the last
    has_bias: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> a: array<f32>;        // (batch, rows, inner)
@group(0) @binding(2) var<storage, read> b: array<f32>;        // (batch, inner, columns)
@group(0) @binding(3) var<storage, read> bias: array<f32>;     // (columns,)
@group(0) @binding(4) var<storage, read_write> c: array<f32>;  // (batch, rows, columns)

var<workgroup> slice_a: array<f32, BLOCK * STRIDE_A>;
var<workgroup> slice_b: array<f32, SLICE * STRIDE_B>;

fn fill_a(thread: u32, start: u32, first_row: u32, first: u32) {
    for (var i = thread; i < BLOCK * SLICE; i += THREADS) {
        let row = i / SLICE;
        let at = i % SLICE;
        var x = 0.0;
        if first_row + row < params.rows && first + at < params.inner {
            x = a[start + (first_row + row) * params.inner + first + at];
        }
        slice_a[row * STRIDE_A + at] = x;
    }
}

fn fill_b(thread: u32, start: u32, first_column: u32, first: u32) {
    for (var i = thread; i < BLOCK * SLICE; i += THREADS) {
        // Neighbouring threads read neighbouring elements.
        let at = select(i / BLOCK, i % SLICE, ROWS_OF_B);
        let column = select(i % BLOCK, i / SLICE, ROWS_OF_B);
        var x = 0.0;
        if first_column + column < params.columns && first + at < params.inner {
            if ROWS_OF_B {
                x = b[start + (first_column + column) * params.inner + first + at];
            } else {
                x = b[start + (first + at) * params.columns + first_column + column];
            }
        }
        slice_b[at * STRIDE_B + column] = x;
    }
}

fn grown(sum: vec4<f32>, x: f32, y: vec4<f32>) -> vec4<f32> {
    if METRIC == 2u {
        let difference = x - y;
        return sum - difference * difference;
    }
    return sum + x * y;
}

@compute @workgroup_size(256)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let number = workgroup_number(group, groups);
    if number >= params.workgroups {
        return;
    }
    let first_column = number % params.blocks_across * BLOCK;
    let first_row = number / params.blocks_across % params.blocks_down * BLOCK;
    let batch = number / params.blocks_across / params.blocks_down;
    let start_c = batch * params.rows * params.columns;
    let row = 4u * (thread / 16u);
    let column = thread % 16u;

    var sums: array<vec4<f32>, 4>;
    if params.begins == 0u {
        for (var i = 0u; i < 4u; i++) {
            for (var j = 0u; j < 4u; j++) {
                let at_row = first_row + row + i;
                let at_column = first_column + column + 16u * j;
                if at_row < params.rows && at_column < params.columns {
                    sums[i][j] = c[start_c + at_row * params.columns + at_column];
                }
            }
        }
    }
    for (var first = 0u; first < params.inner; first += SLICE) {
        fill_a(thread, batch * params.batch_a, first_row, first);
        fill_b(thread, batch * params.batch_b, first_column, first);
        workgroupBarrier();
        // Padding zeros times infinity would give NaN, so the loop ends at the inner dimension. A thread without rows
        // adds nothing.
        let count = select(0u, min(SLICE, params.inner - first), first_row + row < params.rows);
        for (var d = 0u; d < count; d++) {
            let at = d * STRIDE_B + column;
            let y = vec4<f32>(slice_b[at], slice_b[at + 16u], slice_b[at + 32u], slice_b[at + 48u]);
            let x = row * STRIDE_A + d;
            sums[0] = grown(sums[0], slice_a[x], y);
            sums[1] = grown(sums[1], slice_a[x + STRIDE_A], y);
            sums[2] = grown(sums[2], slice_a[x + 2u * STRIDE_A], y);
            sums[3] = grown(sums[3], slice_a[x + 3u * STRIDE_A], y);
        }
        workgroupBarrier();
    }
    for (var i = 0u; i < 4u; i++) {
        for (var j = 0u; j < 4u; j++) {
            let at_row = first_row + row + i;
            let at_column = first_column + column + 16u * j;
            if at_row < params.rows && at_column < params.columns {
                var sum = sums[i][j];
                if params.ends == 1u {
                    if params.has_bias == 1u {
                        sum += bias[at_column];
                    }
                    if METRIC == 1u && !is_nan(sum) {
                        sum = clamp(sum, -1.0, 1.0);
                    }
                }
                c[start_c + at_row * params.columns + at_column] = sum;
            }
        }
    }
}
