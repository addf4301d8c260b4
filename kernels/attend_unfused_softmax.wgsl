// scores[b,h,t] ← exp(scores[b,h,t] − max) / sum over the tokens of each split; lse[b,s,h] = max + log sum.
// Shapes: scores [B,H,stride], lse [B,splits,H] f32; kv_len [B].
// Mapping: workgroup ↔ (sequence, split, head); thread ↔ every 64th token of the split.
// Needs: nothing optional. Appended: T, the tokens by which splits are rounded up.

struct Params {
  B: u32,
  H: u32,
  max_kv: u32,
  stride: u32,
  splits: u32,
}

@group(0) @binding(0) var<uniform> P: Params;
@group(0) @binding(1) var<storage, read> kv_len: array<i32>;
@group(0) @binding(2) var<storage, read_write> scores: array<f32>;
@group(0) @binding(3) var<storage, read_write> lse: array<f32>;

const MASKED = -1e30; // finite: ∞ is no constant in WGSL

var<workgroup> parts: array<f32, 64>;

@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) workgroup: vec3<u32>,
  @builtin(num_workgroups) grid: vec3<u32>,
  @builtin(local_invocation_index) t: u32,
) {
  let item = workgroup.x + workgroup.y * grid.x;
  if (item >= P.B * P.splits * P.H) { return; }
  let head = item % P.H;
  let b = item / P.H / P.splits;
  let kv = min(u32(max(kv_len[b], 0)), P.max_kv);
  let span = (kv + P.splits * T - 1u) / (P.splits * T) * T;
  let begin = min(kv, item / P.H % P.splits * span);
  let end = min(kv, begin + span);
  let row = (b * P.H + head) * P.stride;

  var maximum = MASKED;
  for (var token = begin + t; token < end; token += 64u) { maximum = max(maximum, scores[row + token]); }
  parts[t] = maximum;
  workgroupBarrier();
  for (var width = 32u; width > 0u; width /= 2u) {
    if (t < width) { parts[t] = max(parts[t], parts[t + width]); }
    workgroupBarrier();
  }
  maximum = parts[0];
  workgroupBarrier(); // parts is free

  var sum = 0.0;
  for (var token = begin + t; token < end; token += 64u) {
    let p = exp(scores[row + token] - maximum);
    scores[row + token] = p;
    sum += p;
  }
  parts[t] = sum;
  workgroupBarrier();
  for (var width = 32u; width > 0u; width /= 2u) {
    if (t < width) { parts[t] += parts[t + width]; }
    workgroupBarrier();
  }
  sum = parts[0];

  for (var token = begin + t; token < end; token += 64u) { scores[row + token] /= sum; }
  // Only a split without tokens is empty: a sum that is NaN must stay one.
  if (t == 0u) { lse[item] = select(MASKED, maximum + log(sum), begin < end); }
}
