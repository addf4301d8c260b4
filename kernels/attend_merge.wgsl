// out[r,:] = Σ_s w[s]·partial_out[p(s),:] / Σ_s w[s], w[s] = exp(partial_lse[p(s)] − max), p(s) = slot + s·rows + r −
// row; lse = max + log Σ w.
// Shapes: merges [count] (row, rows, slot, splits); partial_out [partial rows,R], partial_lse natural → out [rows,R],
// lse [rows]; all f32.
// Mapping: GROUPS threads ↔ 4 elements of one row of out, each over every GROUPS-th split; `parts` workgroups for each
// merge, enough for the one of most rows. Empty splits (out 0, lse −1e30) weigh 0; where all of them are empty, all
// weigh 1 and the lse stays −1e30 in either base.
// Needs: nothing optional. Appended: R, GROUPS (a power of two, at most 64).

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

var<workgroup> maxima: array<f32, 64>; // of each thread's splits
var<workgroup> totals: array<vec4<f32>, 64>;
var<workgroup> sums: array<f32, 64>; // of weights

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

  var maximum = MASKED;
  for (var s = group; s < splits; s += GROUPS) { maximum = max(maximum, partial_lse[first + s * rows]); }
  if (GROUPS > 1u) {
    maxima[t] = maximum;
    workgroupBarrier();
    for (var g = 0u; g < GROUPS; g++) { maximum = max(maximum, maxima[g * PLACES + t % PLACES]); }
  }

  var total = vec4<f32>(0.0);
  var weights = 0.0;
  for (var s = group; s < splits; s += GROUPS) {
    let source = first + s * rows;
    let weight = exp(partial_lse[source] - maximum);
    total += weight * partial_out[source * QUARTERS + place % QUARTERS];
    weights += weight;
  }
  if (GROUPS > 1u) {
    totals[t] = total;
    sums[t] = weights;
    workgroupBarrier();
    for (var g = 1u; g < GROUPS; g++) {
      total += totals[g * PLACES + t % PLACES];
      weights += sums[g * PLACES + t % PLACES];
    }
  }
  if (group > 0u || place / QUARTERS >= rows) { return; }
  out[(item.x + row) * QUARTERS + place % QUARTERS] = total / weights;
  if (place % QUARTERS == 0u) {
    let natural = maximum + log(weights);
    lse[item.x + row] = select(natural * P.lse_factor, MASKED, natural <= MASKED);
  }
}
