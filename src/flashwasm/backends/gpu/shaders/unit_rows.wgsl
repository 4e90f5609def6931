// Divides each row by its Euclidean length, in place. A row of zeros is unchanged. One workgroup processes one row.
//
// The row is first multiplied by a power of two, which is exact, so that its squares neither overflow nor underflow.

struct Params {
    workgroups: u32,
    columns: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> x: array<f32>;

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let row = workgroup_number(group, groups);
    if row >= params.workgroups {
        return;
    }
    let start = row * params.columns;
    var greatest = 0.0;
    for (var i = thread; i < params.columns; i += THREADS) {
        greatest = max(greatest, abs(x[start + i]));
    }
    greatest = greatest_of_threads(thread, greatest);
    // 2^(127 - e) of a number from 2^e on has the exponent field 254 minus its own.
    let field = clamp(bitcast<u32>(greatest) >> 23u, 1u, 253u);
    let power = bitcast<f32>((254u - field) << 23u);
    var squares = 0.0;
    for (var i = thread; i < params.columns; i += THREADS) {
        let scaled = x[start + i] * power;
        squares += scaled * scaled;
    }
    let length = sqrt(sum_of_threads(thread, squares));
    for (var i = thread; i < params.columns; i += THREADS) {
        let scaled = x[start + i] * power;
        x[start + i] = select(scaled / length, 0.0, length == 0.0);
    }
}
