// out[b,s,h,:] = Σ_t probabilities[b,h,t]·cache[b,t,:R] over the tokens of each split.
// Shapes: probabilities [B,H,stride] f32; cache [pages,page,R+DR] through page_table [B,width]; out [B,splits,H,R] f32.
// Mapping: workgroup ↔ 32 heads × 64 of R in one split, tokens in steps of T; thread ↔ 4 heads × 8 of R.
// Needs: nothing optional. Appended: R, DR, T and the cache's Chunk.

struct Params {
  B: u32,
  H: u32,
  page: u32,
  pages: u32,
  width: u32,
  max_kv: u32,
  stride: u32,
  splits: u32,
  blocks: u32,
}

@group(0) @binding(0) var<uniform> P: Params;
@group(0) @binding(1) var<storage, read> cache: array<Chunk>;
@group(0) @binding(2) var<storage, read> page_table: array<i32>;
@group(0) @binding(3) var<storage, read> kv_len: array<i32>;
@group(0) @binding(4) var<storage, read> probabilities: array<vec4<f32>>;
@group(0) @binding(5) var<storage, read_write> out: array<vec4<f32>>;

const_assert T == 16u; // each of the 64 threads stages one chunk of 8 of the 16 tokens, twice
const LATENT = R / 8u; // chunks of the latent; those of the rope key follow
const CHUNKS = (R + DR) / 8u; // chunks of a token
const STRIPS = (R + 63u) / 64u; // workgroups side by side over R
const LINE = 5u; // vec4 between heads of the staged probabilities: four hold 16 tokens, one keeps eight heads in different banks
const NOWHERE = 0xffffffffu; // slot of a token that is not there

var<workgroup> values: array<Chunk, T * 8u>; // [T][8 chunks]
var<workgroup> prob: array<vec4<f32>, 32 * LINE>; // [32 heads][T], vec4 over tokens
var<workgroup> slots: array<u32, T>; // where in the cache the tokens are

// Index into the cache, in tokens. The table is read only for tokens before `end`, and no page outside the cache is touched.
fn slot_of(b: u32, token: u32, end: u32) -> u32 {
  if (token >= end) { return NOWHERE; }
  let page_id = u32(page_table[b * P.width + token / P.page]);
  if (page_id >= P.pages) { return NOWHERE; }
  return page_id * P.page + token % P.page;
}

// Zero past the last token: its probability is zero, and the cache may hold NaN there.
fn fetch(slot: u32, chunk: u32) -> Chunk {
  if (slot != NOWHERE && chunk < LATENT) { return cache[slot * CHUNKS + chunk]; }
  return Chunk();
}

// Probabilities of four tokens, zero past the last: nobody wrote them.
fn probability(b: u32, head: u32, token: u32, end: u32) -> vec4<f32> {
  if (head >= P.H || token >= end) { return vec4(0.0); }
  let p = probabilities[((b * P.H + head) * P.stride + token) / 4u];
  return select(vec4(0.0), p, token + vec4(0u, 1u, 2u, 3u) < vec4(end));
}

fn store_row(row: u32, head: u32, chunk: u32, a: vec4<f32>, b: vec4<f32>) {
  if (head < P.H && chunk < LATENT) {
    let at = (row + head) * (R / 4u) + 2u * chunk;
    out[at] = a;
    out[at + 1u] = b;
  }
}

@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) workgroup: vec3<u32>,
  @builtin(num_workgroups) grid: vec3<u32>,
  @builtin(local_invocation_index) t: u32,
) {
  let item = workgroup.x + workgroup.y * grid.x;
  if (item >= STRIPS * P.blocks * P.splits * P.B) { return; }
  let first_head = item / STRIPS % P.blocks * 32u;
  let split = item / STRIPS / P.blocks % P.splits;
  let b = item / STRIPS / P.blocks / P.splits;
  let kv = min(u32(max(kv_len[b], 0)), P.max_kv);
  let span = (kv + P.splits * T - 1u) / (P.splits * T) * T;
  let begin = min(kv, split * span);
  let end = min(kv, begin + span);

  // Thread (i, j) holds heads i, i+8, i+16, i+24 and chunk j of the strip: o[2r], o[2r+1] belong to head i+8r.
  let i = t / 8u;
  let j = t % 8u;
  let chunk = item % STRIPS * 8u + j;
  var o0 = vec4<f32>(0.0);
  var o1 = vec4<f32>(0.0);
  var o2 = vec4<f32>(0.0);
  var o3 = vec4<f32>(0.0);
  var o4 = vec4<f32>(0.0);
  var o5 = vec4<f32>(0.0);
  var o6 = vec4<f32>(0.0);
  var o7 = vec4<f32>(0.0);
  if (t < T) { slots[t] = slot_of(b, begin + t, end); }
  workgroupBarrier();

  for (var first = begin; first < end; first += T) {
    values[t] = fetch(slots[i], chunk);
    values[t + 64u] = fetch(slots[i + 8u], chunk);
    prob[t / 4u * LINE + t % 4u] = probability(b, first_head + t / 4u, first + t % 4u * 4u, end);
    prob[(t / 4u + 16u) * LINE + t % 4u] = probability(b, first_head + t / 4u + 16u, first + t % 4u * 4u, end);
    workgroupBarrier();
    if (t < T) { slots[t] = slot_of(b, first + T + t, end); }
    for (var quad = 0u; quad < T / 4u; quad++) {
      let p0 = prob[i * LINE + quad];
      let p1 = prob[(i + 8u) * LINE + quad];
      let p2 = prob[(i + 16u) * LINE + quad];
      let p3 = prob[(i + 24u) * LINE + quad];
      let v0 = values[quad * 32u + j];
      let v1 = values[quad * 32u + j + 8u];
      let v2 = values[quad * 32u + j + 16u];
      let v3 = values[quad * 32u + j + 24u];
      let a0 = low(v0);
      let a1 = low(v1);
      let a2 = low(v2);
      let a3 = low(v3);
      let b0 = high(v0);
      let b1 = high(v1);
      let b2 = high(v2);
      let b3 = high(v3);
      o0 = sum4(o0, p0, a0, a1, a2, a3);
      o1 = sum4(o1, p0, b0, b1, b2, b3);
      o2 = sum4(o2, p1, a0, a1, a2, a3);
      o3 = sum4(o3, p1, b0, b1, b2, b3);
      o4 = sum4(o4, p2, a0, a1, a2, a3);
      o5 = sum4(o5, p2, b0, b1, b2, b3);
      o6 = sum4(o6, p3, a0, a1, a2, a3);
      o7 = sum4(o7, p3, b0, b1, b2, b3);
    }
    workgroupBarrier(); // values and prob are free
  }

  let row = (b * P.splits + split) * P.H;
  store_row(row, first_head + i, chunk, o0, o1);
  store_row(row, first_head + i + 8u, chunk, o2, o3);
  store_row(row, first_head + i + 16u, chunk, o4, o5);
  store_row(row, first_head + i + 24u, chunk, o6, o7);
}

fn sum4(o: vec4<f32>, p: vec4<f32>, v0: vec4<f32>, v1: vec4<f32>, v2: vec4<f32>, v3: vec4<f32>) -> vec4<f32> {
  return o + p.x * v0 + p.y * v1 + p.z * v2 + p.w * v3;
}
