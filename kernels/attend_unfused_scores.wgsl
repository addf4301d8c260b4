// scores[b,h,t] = scale·(q_latent[b,h,:]·cache[b,t,:R] + q_pe[b,h,:]·cache[b,t,R:]), t < kv_len[b].
// Shapes: q_latent [B,H,R], q_pe [B,H,DR] f32; cache [pages,page,R+DR] through page_table [B,width]; scores [B,H,stride] f32.
// Mapping: workgroup ↔ 32 heads × 32 tokens of one sequence, d in steps of 16; thread ↔ 4 heads × 4 tokens.
// Needs: nothing optional. Appended: R, DR and the cache's Chunk.

struct Params {
  B: u32,
  H: u32,
  page: u32,
  pages: u32,
  width: u32,
  max_kv: u32,
  stride: u32,
  blocks: u32,
  tiles: u32,
  scale: f32,
}

@group(0) @binding(0) var<uniform> P: Params;
@group(0) @binding(1) var<storage, read> q_latent: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> q_pe: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> cache: array<Chunk>;
@group(0) @binding(4) var<storage, read> page_table: array<i32>;
@group(0) @binding(5) var<storage, read> kv_len: array<i32>;
@group(0) @binding(6) var<storage, read_write> scores: array<f32>;

const CHUNKS = (R + DR) / 8u; // chunks of a token
const LINE = 5u; // vec4 between rows of a staged tile: four hold 16 elements, one keeps eight rows in different banks
const NOWHERE = 0xffffffffu; // slot of a token that is not there

var<workgroup> queries: array<vec4<f32>, 32 * LINE>; // [32 heads][16 of d]
var<workgroup> keys: array<vec4<f32>, 32 * LINE>; // [32 tokens][16 of d]
var<workgroup> slots: array<u32, 32>; // where in the cache the tokens are

// Index into the cache, in tokens. The table is read only for tokens before `end`, and no page outside the cache is touched.
fn slot_of(b: u32, token: u32, end: u32) -> u32 {
  if (token >= end) { return NOWHERE; }
  let page_id = u32(page_table[b * P.width + token / P.page]);
  if (page_id >= P.pages) { return NOWHERE; }
  return page_id * P.page + token % P.page;
}

// Four elements `d4` of the query of a head, latent first.
fn query(b: u32, head: u32, d4: u32) -> vec4<f32> {
  let row = b * P.H + min(head, P.H - 1u);
  if (d4 < R / 4u) { return q_latent[row * (R / 4u) + d4]; }
  return q_pe[row * (DR / 4u) + d4 - R / 4u];
}

fn dot4(sum: f32, q: vec4<f32>, k: vec4<f32>) -> f32 {
  return sum + q.x * k.x + q.y * k.y + q.z * k.z + q.w * k.w;
}

fn dots(sum: vec4<f32>, q: vec4<f32>, k0: vec4<f32>, k1: vec4<f32>, k2: vec4<f32>, k3: vec4<f32>) -> vec4<f32> {
  return vec4(dot4(sum.x, q, k0), dot4(sum.y, q, k1), dot4(sum.z, q, k2), dot4(sum.w, q, k3));
}

fn store_scores(b: u32, head: u32, token: u32, end: u32, s: vec4<f32>) {
  if (head >= P.H) { return; }
  let at = (b * P.H + head) * P.stride + token;
  if (token < end) { scores[at] = s.x; }
  if (token + 8u < end) { scores[at + 8u] = s.y; }
  if (token + 16u < end) { scores[at + 16u] = s.z; }
  if (token + 24u < end) { scores[at + 24u] = s.w; }
}

@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) workgroup: vec3<u32>,
  @builtin(num_workgroups) grid: vec3<u32>,
  @builtin(local_invocation_index) t: u32,
) {
  let item = workgroup.x + workgroup.y * grid.x;
  if (item >= P.blocks * P.tiles * P.B) { return; }
  let first_head = item % P.blocks * 32u;
  let first = item / P.blocks % P.tiles * 32u;
  let b = item / P.blocks / P.tiles;
  let end = min(u32(max(kv_len[b], 0)), P.max_kv);
  if (first >= end) { return; }

  if (t < 32u) { slots[t] = slot_of(b, first + t, end); }
  workgroupBarrier();

  // Thread (i, j) holds heads i, i+8, i+16, i+24 and tokens j, j+8, j+16, j+24.
  let i = t / 8u;
  let j = t % 8u;
  let slot = slots[t / 2u];
  var s0 = vec4<f32>(0.0);
  var s1 = vec4<f32>(0.0);
  var s2 = vec4<f32>(0.0);
  var s3 = vec4<f32>(0.0);
  for (var c = 0u; c < CHUNKS; c += 2u) {
    queries[t / 4u * LINE + t % 4u] = query(b, first_head + t / 4u, 2u * c + t % 4u);
    queries[(t / 4u + 16u) * LINE + t % 4u] = query(b, first_head + t / 4u + 16u, 2u * c + t % 4u);
    var k = Chunk();
    if (slot != NOWHERE) { k = cache[slot * CHUNKS + c + t % 2u]; }
    keys[t / 2u * LINE + t % 2u * 2u] = low(k);
    keys[t / 2u * LINE + t % 2u * 2u + 1u] = high(k);
    workgroupBarrier();
    for (var d4 = 0u; d4 < 4u; d4++) {
      let k0 = keys[j * LINE + d4];
      let k1 = keys[(j + 8u) * LINE + d4];
      let k2 = keys[(j + 16u) * LINE + d4];
      let k3 = keys[(j + 24u) * LINE + d4];
      s0 = dots(s0, queries[i * LINE + d4], k0, k1, k2, k3);
      s1 = dots(s1, queries[(i + 8u) * LINE + d4], k0, k1, k2, k3);
      s2 = dots(s2, queries[(i + 16u) * LINE + d4], k0, k1, k2, k3);
      s3 = dots(s3, queries[(i + 24u) * LINE + d4], k0, k1, k2, k3);
    }
    workgroupBarrier();
  }
  store_scores(b, first_head + i, first + j, end, s0 * P.scale);
  store_scores(b, first_head + i + 8u, first + j, end, s1 * P.scale);
  store_scores(b, first_head + i + 16u, first + j, end, s2 * P.scale);
  store_scores(b, first_head + i + 24u, first + j, end, s3 * P.scale);
}
