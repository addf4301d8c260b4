// scores[i][r,t] = scale·(q_latent[row+r,:]·cache[t,:R] + q_pe[row+r,:]·cache[t,R:]) over the tokens begin ≤ t < end of
// work item i.
// Shapes: work [items,2]; q_latent [rows,R], q_pe [rows,DR] f32; page_table [B,width]; scores of an item [rows, tokens
// up to 16] f32.
// Mapping: workgroup ↔ the up to 32 rows of an item × 32 of its tokens, d in steps of 16; thread ↔ 4 rows × 4 tokens.
// Needs: nothing optional. Appended: R, DR, the cache's Chunk and `cache_chunk`.

struct Params {
  page: u32,
  pages: u32,
  width: u32,
  count: u32,
  together: u32,
  tiles: u32,
  scale: f32,
}

@group(0) @binding(0) var<uniform> P: Params;
@group(0) @binding(1) var<storage, read> work: array<vec4<u32>>;
@group(0) @binding(2) var<storage, read> q_latent: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> q_pe: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read> page_table: array<i32>;
@group(0) @binding(5) var<storage, read_write> scores: array<f32>;

const CHUNKS = (R + DR) / 8u; // chunks of a token
const LINE = 5u; // vec4 between rows of a staged tile: four hold 16 elements, one keeps eight rows in different banks
const NOWHERE = 0xffffffffu; // slot of a token that is not there

var<workgroup> queries: array<vec4<f32>, 32 * LINE>; // [32 rows][16 of d]
var<workgroup> keys: array<vec4<f32>, 32 * LINE>; // [32 tokens][16 of d]
var<workgroup> slots: array<u32, 32>; // where in the cache the tokens are

// Index into the cache, in tokens. The table is read only for tokens before `end`, and no page outside the cache is
// touched.
fn slot_of(b: u32, token: u32, end: u32) -> u32 {
  if (token >= end) { return NOWHERE; }
  let page_id = u32(page_table[b * P.width + token / P.page]);
  if (page_id >= P.pages) { return NOWHERE; }
  return page_id * P.page + token % P.page;
}

// Four elements `d4` of the query of a row, latent first.
fn query(row: u32, d4: u32) -> vec4<f32> {
  if (d4 < R / 4u) { return q_latent[row * (R / 4u) + d4]; }
  return q_pe[row * (DR / 4u) + d4 - R / 4u];
}

fn dot4(sum: f32, q: vec4<f32>, k: vec4<f32>) -> f32 {
  return sum + q.x * k.x + q.y * k.y + q.z * k.z + q.w * k.w;
}

fn dots(sum: vec4<f32>, q: vec4<f32>, k0: vec4<f32>, k1: vec4<f32>, k2: vec4<f32>, k3: vec4<f32>) -> vec4<f32> {
  return vec4(dot4(sum.x, q, k0), dot4(sum.y, q, k1), dot4(sum.z, q, k2), dot4(sum.w, q, k3));
}

fn store_scores(at: u32, left: u32, s: vec4<f32>) {
  if (left > 0u) { scores[at] = s.x; }
  if (left > 8u) { scores[at + 8u] = s.y; }
  if (left > 16u) { scores[at + 16u] = s.z; }
  if (left > 24u) { scores[at + 24u] = s.w; }
}

@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) workgroup: vec3<u32>,
  @builtin(num_workgroups) grid: vec3<u32>,
  @builtin(local_invocation_index) t: u32,
) {
  // Items that share their tokens stand together: their workgroups on one tile run side by side.
  let index = workgroup.x + workgroup.y * grid.x;
  let item = index / P.together / P.tiles * P.together + index % P.together;
  if (item >= P.count) { return; }
  let rows = work[2u * item]; // sequence, row, rows, slot
  let span = work[2u * item + 1u]; // begin, end, offset, scores
  let first = index / P.together % P.tiles * 32u;
  let tokens = span.y - span.x;
  if (first >= tokens) { return; }

  if (t < 32u) { slots[t] = slot_of(rows.x, span.x + first + t, span.y); }
  workgroupBarrier();

  // Thread (i, j) holds rows i, i+8, i+16, i+24 and tokens j, j+8, j+16, j+24.
  let i = t / 8u;
  let j = t % 8u;
  let slot = slots[t / 2u];
  let row0 = rows.y + min(t / 4u, rows.z - 1u);
  let row1 = rows.y + min(t / 4u + 16u, rows.z - 1u);
  var s0 = vec4<f32>(0.0);
  var s1 = vec4<f32>(0.0);
  var s2 = vec4<f32>(0.0);
  var s3 = vec4<f32>(0.0);
  for (var c = 0u; c < CHUNKS; c += 2u) {
    queries[t / 4u * LINE + t % 4u] = query(row0, 2u * c + t % 4u);
    queries[(t / 4u + 16u) * LINE + t % 4u] = query(row1, 2u * c + t % 4u);
    var k = Chunk();
    if (slot != NOWHERE) { k = cache_chunk(slot, c + t % 2u); }
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
  // Scores that the causal rule masks are left to the softmax, which clears them.
  let stride = (tokens + 15u) / 16u * 16u;
  let at = span.w * 16u + i * stride + first + j;
  let left = select(0u, tokens - first - j, first + j < tokens);
  if (i < rows.z) { store_scores(at, left, s0 * P.scale); }
  if (i + 8u < rows.z) { store_scores(at + 8u * stride, left, s1 * P.scale); }
  if (i + 16u < rows.z) { store_scores(at + 16u * stride, left, s2 * P.scale); }
  if (i + 24u < rows.z) { store_scores(at + 24u * stride, left, s3 * P.scale); }
}
