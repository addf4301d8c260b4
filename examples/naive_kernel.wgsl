// out[b,h,:] = softmax over t of scale·(q_latent·cache[t,:R] + q_pe·cache[t,R:]) times cache[t,:R]; cache in f32.
// Shapes: q_latent [B,H,R], q_pe [B,H,DR], cache [pages,page,R+DR] through page_table [B,width]; out [B,H,R], lse
// [B,H].
// Mapping: workgroup ↔ (sequence, head), token by token with an online softmax; thread t ↔ elements t, t + 64, … of a
// row.
// Needs: nothing. Every head reads every key for itself: short, right and slow.

struct Params {
  H: u32,
  page: u32,
  width: u32,
  scale: f32,
}

@group(0) @binding(0) var<uniform> P: Params;
@group(0) @binding(1) var<storage, read> q_latent: array<f32>;
@group(0) @binding(2) var<storage, read> q_pe: array<f32>;
@group(0) @binding(3) var<storage, read> cache: array<f32>;
@group(0) @binding(4) var<storage, read> page_table: array<i32>;
@group(0) @binding(5) var<storage, read> kv_len: array<i32>;
@group(0) @binding(6) var<storage, read_write> out: array<f32>;
@group(0) @binding(7) var<storage, read_write> lse: array<f32>;

fn key_of(b: u32, token: u32) -> u32 {
  let page_id = u32(page_table[b * P.width + token / P.page]);
  return (page_id * P.page + token % P.page) * (R + DR);
}

var<workgroup> partial: array<f32, 64>;

// Sum of `x` over the workgroup, for every thread.
fn sum_over(x: f32, t: u32) -> f32 {
  workgroupBarrier(); // the sum before is read
  partial[t] = x;
  for (var half = 32u; half > 0u; half /= 2u) {
    workgroupBarrier();
    if (t < half) { partial[t] += partial[t + half]; }
  }
  workgroupBarrier();
  return partial[0];
}

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) t: u32) {
  let row = workgroup.x;
  let b = row / P.H;
  let kv = u32(kv_len[b]);

  var maximum = -1e30;
  var sum = 0.0;
  for (var d = t; d < R; d += 64u) { out[row * R + d] = 0.0; }
  for (var token = 0u; token < kv; token++) {
    let key = key_of(b, token);
    var product = 0.0;
    for (var d = t; d < R; d += 64u) { product += q_latent[row * R + d] * cache[key + d]; }
    for (var d = t; d < DR; d += 64u) { product += q_pe[row * DR + d] * cache[key + R + d]; }
    let score = P.scale * sum_over(product, t);

    let new_maximum = max(maximum, score);
    let change = exp(maximum - new_maximum);
    let p = exp(score - new_maximum);
    maximum = new_maximum;
    sum = sum * change + p;
    for (var d = t; d < R; d += 64u) { out[row * R + d] = out[row * R + d] * change + p * cache[key + d]; }
  }
  if (kv > 0u) {
    for (var d = t; d < R; d += 64u) { out[row * R + d] /= sum; }
  }
  if (t == 0u) { lse[row] = select(-1e30, maximum + log(sum), kv > 0u); }
}
