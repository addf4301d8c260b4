// out[r,:] = Σ_t probabilities[i][r,t]·cache[t,:R] over the tokens begin ≤ t < end of work item i.
// Shapes: work [items,2]; page_table [B,width]; probabilities of an item [rows, tokens up to T] f32, 0 for masked
// tokens and past the
//   last one; out [rows of the batch, R] or, of split items, [partial rows, R] f32.
// Mapping: workgroup ↔ the up to 32 rows of an item × 64 of R, tokens in steps of T; thread ↔ 4 rows × 8 of R.
// Needs: nothing optional. Appended: R, DR, T, the cache's Chunk and `cache_chunk`.

struct Params {
  H: u32,
  page: u32,
  pages: u32,
  width: u32,
  first: u32,
  count: u32,
}

@group(0) @binding(0) var<uniform> P: Params;
@group(0) @binding(1) var<storage, read> work: array<vec4<u32>>;
@group(0) @binding(2) var<storage, read> page_table: array<i32>;
@group(0) @binding(3) var<storage, read> probabilities: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read_write> out: array<vec4<f32>>;

const_assert T == 16u; // each of the 64 threads stages one chunk of 8 of the 16 tokens, twice
const LATENT = R / 8u; // chunks of the latent; those of the rope key follow
const STRIPS = (R + 63u) / 64u; // workgroups side by side over R
const LINE = 5u; // vec4 between heads of the staged probabilities: four hold 16 tokens, one keeps eight rows in different banks
const DIRECT = 0xffffffffu; // slot of an item that writes the final result
const NOWHERE = 0xffffffffu; // slot of a token that is not there

var<workgroup> values: array<Chunk, T * 8u>; // [T][8 chunks]
var<workgroup> prob: array<vec4<f32>, 32 * LINE>; // [32 rows][T], vec4 over tokens
var<workgroup> slots: array<u32, T>; // where in the cache the tokens are

// Index into the cache, in tokens. The table is read only for tokens before `end`, and no page outside the cache is
// touched.
fn slot_of(b: u32, token: u32, end: u32) -> u32 {
  if (token >= end) { return NOWHERE; }
  let page_id = u32(page_table[b * P.width + token / P.page]);
  if (page_id >= P.pages) { return NOWHERE; }
  return page_id * P.page + token % P.page;
}

// Zero past the last token: its probability is zero, and the cache may hold NaN there.
fn fetch(slot: u32, chunk: u32) -> Chunk {
  if (slot != NOWHERE && chunk < LATENT) { return cache_chunk(slot, chunk); }
  return Chunk();
}

fn store_row(row: u32, chunk: u32, a: vec4<f32>, b: vec4<f32>) {
  if (chunk < LATENT) {
    let at = row * (R / 4u) + 2u * chunk;
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
  let index = workgroup.x + workgroup.y * grid.x;
  if (index >= P.count * STRIPS) { return; }
  let rows = work[2u * (P.first + index / STRIPS)]; // sequence, row, rows, slot
  let span = work[2u * (P.first + index / STRIPS) + 1u]; // begin, end, offset, scores
  let begin = span.x;
  let end = span.y;
  let stride = (end - begin + T - 1u) / T * (T / 4u); // vec4 between rows of the probabilities
  let at = span.w * 4u;
  let visible = min(end, u32(max(i32(rows.y / P.H) + i32(span.z), 0))); // every row sees the tokens before it

  // Thread (i, j) holds rows i, i+8, i+16, i+24 and chunk j of the strip: o[2r], o[2r+1] belong to row i+8r.
  let i = t / 8u;
  let j = t % 8u;
  let chunk = index % STRIPS * 8u + j;
  var o0 = vec4<f32>(0.0);
  var o1 = vec4<f32>(0.0);
  var o2 = vec4<f32>(0.0);
  var o3 = vec4<f32>(0.0);
  var o4 = vec4<f32>(0.0);
  var o5 = vec4<f32>(0.0);
  var o6 = vec4<f32>(0.0);
  var o7 = vec4<f32>(0.0);
  if (t < T) { slots[t] = slot_of(rows.x, begin + t, end); }
  workgroupBarrier();

  for (var first = begin; first < end; first += T) {
    values[t] = fetch(slots[i], chunk);
    values[t + 64u] = fetch(slots[i + 8u], chunk);
    var p = vec4<f32>(0.0);
    var q = vec4<f32>(0.0);
    let four = at + (first - begin) / 4u + t % 4u; // of row 0
    if (t / 4u < rows.z) { p = probabilities[four + t / 4u * stride]; }
    if (t / 4u + 16u < rows.z) { q = probabilities[four + (t / 4u + 16u) * stride]; }
    prob[t / 4u * LINE + t % 4u] = p;
    prob[(t / 4u + 16u) * LINE + t % 4u] = q;
    // Some row weighs a token that it does not see with 0, and 0·NaN is NaN: NaN becomes 0. Rows that see it have it in
    // p.
    if (visible < end && first + T > visible) {
      values[t] = finite(values[t]);
      values[t + 64u] = finite(values[t + 64u]);
    }
    workgroupBarrier();
    if (t < T) { slots[t] = slot_of(rows.x, first + T + t, end); }
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

  let row = select(rows.w, rows.y, rows.w == DIRECT) + i;
  if (i < rows.z) { store_row(row, chunk, o0, o1); }
  if (i + 8u < rows.z) { store_row(row + 8u, chunk, o2, o3); }
  if (i + 16u < rows.z) { store_row(row + 16u, chunk, o4, o5); }
  if (i + 24u < rows.z) { store_row(row + 24u, chunk, o6, o7); }
}

fn sum4(o: vec4<f32>, p: vec4<f32>, v0: vec4<f32>, v1: vec4<f32>, v2: vec4<f32>, v3: vec4<f32>) -> vec4<f32> {
  return o + p.x * v0 + p.y * v1 + p.z * v2 + p.w * v3;
}
