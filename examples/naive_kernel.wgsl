// out[b,h,:] = softmax over t of scale·(q_latent·cache[t,:R] + q_pe·cache[t,R:]) times cache[t,:R]; cache in f32.
// Shapes: q_latent [B,H,R], q_pe [B,H,DR], cache [pages,page,R+DR] through page_table [B,width]; out [B,H,R], lse [B,H].
// Mapping: workgroup ↔ (sequence, head); every thread computes all scores, thread t sums the elements t, t + 64, … of out.
// Needs: nothing. It reads each key once per thread and pass: short, right and slow.

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

fn score(row: u32, key: u32) -> f32 {
  var sum = 0.0;
  for (var d = 0u; d < R; d++) { sum += q_latent[row * R + d] * cache[key + d]; }
  for (var d = 0u; d < DR; d++) { sum += q_pe[row * DR + d] * cache[key + R + d]; }
  return P.scale * sum;
}

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) t: u32) {
  let row = workgroup.x;
  let b = row / P.H;
  let kv = u32(kv_len[b]);

  var maximum = -1e30;
  for (var token = 0u; token < kv; token++) { maximum = max(maximum, score(row, key_of(b, token))); }
  var sum = 0.0;
  for (var token = 0u; token < kv; token++) { sum += exp(score(row, key_of(b, token)) - maximum); }
  if (t == 0u) { lse[row] = select(-1e30, maximum + log(sum), kv > 0u); }

  for (var d = t; d < R; d += 64u) { out[row * R + d] = 0.0; }
  for (var token = 0u; token < kv; token++) {
    let key = key_of(b, token);
    let p = exp(score(row, key) - maximum) / sum;
    for (var d = t; d < R; d += 64u) { out[row * R + d] += p * cache[key + d]; }
  }
}
