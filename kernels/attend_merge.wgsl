// out[b,h,:] = Σ_s w[s]·partial_out[b,s,h,:] / Σ_s w[s], w[s] = exp(partial_lse[b,s,h] − max); lse[b,h] = max + log Σ_s w[s].
// Shapes: partial_out [B,splits,H,R], partial_lse [B,splits,H] → out [B,H,R], lse [B,H]; all f32, lse in natural log.
// Mapping: thread ↔ 4 elements of one row of out, over all splits. Empty splits (out 0, lse −1e30) weigh 0, or all of them 1.
// Needs: nothing optional. Appended: R.

struct Params {
  B: u32,
  H: u32,
  splits: u32,
}

@group(0) @binding(0) var<uniform> P: Params;
@group(0) @binding(1) var<storage, read> partial_out: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> partial_lse: array<f32>;
@group(0) @binding(3) var<storage, read_write> out: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read_write> lse: array<f32>;

const QUARTERS = R / 4u; // vec4 in a row

@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) workgroup: vec3<u32>,
  @builtin(num_workgroups) grid: vec3<u32>,
  @builtin(local_invocation_index) t: u32,
) {
  let item = (workgroup.x + workgroup.y * grid.x) * 64u + t;
  if (item >= P.B * P.H * QUARTERS) { return; }
  let row = item / QUARTERS;
  let first = row / P.H * P.splits * P.H + row % P.H; // of this row in split 0

  var maximum = partial_lse[first];
  for (var s = 1u; s < P.splits; s++) { maximum = max(maximum, partial_lse[first + s * P.H]); }

  var total = vec4<f32>(0.0);
  var weights = 0.0;
  for (var s = 0u; s < P.splits; s++) {
    let source = first + s * P.H;
    let weight = exp(partial_lse[source] - maximum);
    total += weight * partial_out[source * QUARTERS + item % QUARTERS];
    weights += weight;
  }
  out[item] = total / weights;
  if (item % QUARTERS == 0u) { lse[row] = maximum + log(weights); }
}
