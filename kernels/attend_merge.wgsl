// out[r,:] = Σ_s w[s]·partial_out[p(s),:] / Σ_s w[s], w[s] = exp(partial_lse[p(s)] − max), p(s) = slot + s·rows + r −
// row; lse = max + log Σ w.
// Shapes: merges [count] (row, rows, slot, splits); partial_out [partial rows,R], partial_lse natural → out [rows,R],
// lse [rows]; all f32.
// Mapping: GROUPS threads ↔ 4 elements of one row of out, each over every GROUPS-th split, STEP of them at a time;
// `parts` workgroups for each merge, enough for the one of most rows. Empty splits (out 0, lse −1e30) weigh 0; where all
// of them are empty, all weigh 1 and the lse stays −1e30 in either base.
// Needs: nothing optional. Appended: R, GROUPS (a power of two, at most 64), STEP.

struct Params {
  count: u32,
  parts: u32,
  lse_factor: f32,
}

@group(0) @binding(0) var<uniform> P: Params;
@group(0) @binding(1) var<storage, read> merges: array<vec4<u32>>;
@group(0) @binding(2) var<storage, read> partial_out: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> partial_lse: array<f32>;
@group(0) @binding(4) var<storage, read_write> out: array<vec4<f32>>;
@group(0) @binding(5) var<storage, read_write> lse: array<f32>;

const QUARTERS = R / 4u; // vec4 in a row
const PLACES = 64u / GROUPS; // vec4 of a workgroup
const MASKED = -1e30;

// Of each thread's splits: the maximum, and relative to it the sums of weighted outputs and of weights.
var<workgroup> maxima: array<f32, 64>;
var<workgroup> totals: array<vec4<f32>, 64>;
var<workgroup> sums: array<f32, 64>;

@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) workgroup: vec3<u32>,
  @builtin(num_workgroups) grid: vec3<u32>,
  @builtin(local_invocation_index) t: u32,
) {
  let index = workgroup.x + workgroup.y * grid.x;
  if (index >= P.count * P.parts) { return; }
  let item = merges[index / P.parts];
  let group = t / PLACES;
  let place = index % P.parts * PLACES + t % PLACES;
  let row = min(place / QUARTERS, item.y - 1u); // threads past the last row repeat it and store nothing
  let rows = item.y;
  let splits = item.w;
  let first = item.z + row; // of this row in split 0

  // Everything that a step reads is asked for before any of it is used: one after another, reads would take most of the
  // time. Splits past the last are the last one again and weigh nothing.
  var maximum = MASKED;
  var total = vec4<f32>(0.0);
  var sum = 0.0;
  for (var s = group; s < splits; s += GROUPS * STEP) {
    var logs: array<f32, STEP>; // unroll
    var outs: array<vec4<f32>, STEP>; // unroll
    for (var i = 0u; i < STEP; i++) { // unroll
      let source = first + min(s + i * GROUPS, splits - 1u) * rows;
      logs[i] = partial_lse[source];
      outs[i] = partial_out[source * QUARTERS + place % QUARTERS];
    }
    var largest = maximum;
    for (var i = 0u; i < STEP; i++) { // unroll
      largest = max(largest, logs[i]);
    }
    let change = exp(maximum - largest);
    maximum = largest;
    total *= change;
    sum *= change;
    for (var i = 0u; i < STEP; i++) { // unroll
      let weight = select(0.0, exp(logs[i] - maximum), s + i * GROUPS < splits);
      total += weight * outs[i];
      sum += weight;
    }
  }
  if (GROUPS > 1u) {
    maxima[t] = maximum;
    totals[t] = total;
    sums[t] = sum;
    workgroupBarrier();
    if (group > 0u) { return; }
    var largest = maximum;
    for (var g = 0u; g < GROUPS; g++) { // unroll
      largest = max(largest, maxima[g * PLACES + t % PLACES]);
    }
    total = vec4<f32>(0.0);
    sum = 0.0;
    for (var g = 0u; g < GROUPS; g++) { // unroll
      let weight = exp(maxima[g * PLACES + t % PLACES] - largest);
      total += weight * totals[g * PLACES + t % PLACES];
      sum += weight * sums[g * PLACES + t % PLACES];
    }
    maximum = largest;
  }
  if (place / QUARTERS >= rows) { return; }
  out[(item.x + row) * QUARTERS + place % QUARTERS] = total / sum;
  if (place % QUARTERS == 0u) {
    let natural = maximum + log(sum);
    lse[item.x + row] = select(natural * P.lse_factor, MASKED, natural <= MASKED);
  }
}
