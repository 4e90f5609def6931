// Softmax of rows: exp(x - max x) / sum exp(x - max x). One workgroup processes one row.

struct Params {
    workgroups: u32,
    columns: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;

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
    var greatest = LOWEST;
    for (var i = thread; i < params.columns; i += THREADS) {
        greatest = max(greatest, x[start + i]);
    }
    greatest = greatest_of_threads(thread, greatest);
    var sum = 0.0;
    for (var i = thread; i < params.columns; i += THREADS) {
        let weight = exp_nonpositive(x[start + i] - greatest);
        y[start + i] = weight;
        sum += weight;
    }
    sum = sum_of_threads(thread, sum);
    for (var i = thread; i < params.columns; i += THREADS) {
        y[start + i] = y[start + i] / sum;
    }
}
