// Sums and maxima over a row, computed by the 64 threads of a workgroup: each thread processes every 64th column, then
// the threads' results are combined in a tree.

const THREADS = 64u;

var<workgroup> of_threads: array<f32, THREADS>;

fn sum_of_threads(thread: u32, x: f32) -> f32 {
    of_threads[thread] = x;
    workgroupBarrier();
    for (var half = THREADS / 2u; half > 0u; half /= 2u) {
        if thread < half {
            of_threads[thread] += of_threads[thread + half];
        }
        workgroupBarrier();
    }
    let sum = of_threads[0];
    workgroupBarrier();
    return sum;
}

fn greatest_of_threads(thread: u32, x: f32) -> f32 {
    of_threads[thread] = x;
    workgroupBarrier();
    for (var half = THREADS / 2u; half > 0u; half /= 2u) {
        if thread < half {
            of_threads[thread] = max(of_threads[thread], of_threads[thread + half]);
        }
        workgroupBarrier();
    }
    let greatest = of_threads[0];
    workgroupBarrier();
    return greatest;
}
