// Layer norm of rows: (x - mean) / sqrt(variance + eps) weight + bias. One workgroup processes one row.
//
// The host prepends constants to this text: WEIGHT and BIAS, true if there is one.

struct Params {
    workgroups: u32,
    columns: u32,
    share: f32, // 1 / columns
    eps: f32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read> weight: array<f32>;
@group(0) @binding(3) var<storage, read> bias: array<f32>;
@group(0) @binding(4) var<storage, read_write> y: array<f32>;

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
    var sum = 0.0;
    for (var i = thread; i < params.columns; i += THREADS) {
        sum += x[start + i];
    }
    let mean = sum_of_threads(thread, sum) * params.share;
    var squares = 0.0;
    for (var i = thread; i < params.columns; i += THREADS) {
        let centered = x[start + i] - mean;
        squares += centered * centered;
    }
    let variance = sum_of_threads(thread, squares) * params.share;
    let deviation = sqrt(variance + params.eps);
    for (var i = thread; i < params.columns; i += THREADS) {
        var value = (x[start + i] - mean) / deviation;
        if WEIGHT {
            value *= weight[i];
        }
        if BIAS {
            value += bias[i];
        }
        y[start + i] = value;
    }
}
