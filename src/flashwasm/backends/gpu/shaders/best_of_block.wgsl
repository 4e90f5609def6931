// Sorts each row's scores in blocks of 1024, and keeps the best of each block.
//
// A key sorts a score before all lower scores, and NaN last. It is the complement of the score's bits, mapped to
// integers of the same order. Equal keys are sorted by column. The sort is bitonic (Batcher, 1968).

const BLOCK = 1024u;
const THREADS = 256u;
const KEY_OF_NAN = 0xfffffffeu;
const NO_KEY = 0xffffffffu;

struct Params {
    workgroups: u32,
    blocks: u32,     // of a row
    columns: u32,
    kept: u32,       // pairs of each block
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> scores: array<f32>;                // (rows, columns)
@group(0) @binding(2) var<storage, read_write> best: array<vec2<u32>>;      // column and key, (rows, blocks, kept)

var<workgroup> keys: array<u32, BLOCK>;
var<workgroup> columns: array<u32, BLOCK>;

fn key_of(score: f32) -> u32 {
    let bits = bitcast<u32>(select(score, 0.0, score == 0.0)); // -0 is equal to 0.
    let key = ~(bits ^ select(0x80000000u, 0xffffffffu, (bits >> 31u) == 1u));
    return select(key, KEY_OF_NAN, is_nan(score));
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
    let row = number / params.blocks;
    let first = number % params.blocks * BLOCK;
    for (var i = thread; i < BLOCK; i += THREADS) {
        keys[i] = NO_KEY;
        columns[i] = first + i;
        if first + i < params.columns {
            keys[i] = key_of(scores[row * params.columns + first + i]);
        }
    }
    workgroupBarrier();
    for (var run = 2u; run <= BLOCK; run *= 2u) {
        for (var distance = run / 2u; distance > 0u; distance /= 2u) {
            for (var pair = thread; pair < BLOCK / 2u; pair += THREADS) {
                let low = pair / distance * distance * 2u + pair % distance;
                let high = low + distance;
                let later = keys[low] > keys[high] || (keys[low] == keys[high] && columns[low] > columns[high]);
                if later == ((low & run) == 0u) {
                    let key = keys[low];
                    keys[low] = keys[high];
                    keys[high] = key;
                    let column = columns[low];
                    columns[low] = columns[high];
                    columns[high] = column;
                }
            }
            workgroupBarrier();
        }
    }
    for (var i = thread; i < params.kept; i += THREADS) {
        best[number * params.kept + i] = vec2<u32>(columns[i], keys[i]);
    }
}
