// K[h,j,:] = W_k[h]·latent[j], V[h,j,:] = W_v[h]·latent[j] for the cached tokens of all sequences; the rope keys beside
// them, transposed.
// Shapes: kv_b_proj [H·(DN+DV),R]; keys [heads,DN,tokens]; values [heads,tokens,DV]; rope [DR,tokens]; sequences start
// at multiples of four.
// Mapping: workgroup ↔ 64 tokens × 128 rows of kv_b_proj, R in steps of 16; thread ↔ 8 tokens × 8 rows.
// Needs: nothing optional. Appended: R, DN, DR, DV, the cache's Chunk and cache_chunk, and the weight's weight_Chunk.

struct Params {
  B: u32,
  page: u32,
  pages: u32,
  width: u32,
  token_quads: u32,
  first_row: u32,
  rows: u32,
}

@group(0) @binding(0) var<uniform> P: Params;
@group(0) @binding(1) var<storage, read> sequences: array<vec2<u32>>; // first token, a multiple of four, and tokens
@group(0) @binding(2) var<storage, read> page_table: array<i32>;
@group(0) @binding(3) var<storage, read> kv_b_proj: array<weight_Chunk>;
@group(0) @binding(4) var<storage, read_write> keys: array<vec4<f32>>;
@group(0) @binding(5) var<storage, read_write> values: array<vec4<f32>>;
@group(0) @binding(6) var<storage, read_write> rope: array<vec4<f32>>;

const TOKEN_QUADS = 16u; // groups of four tokens in a workgroup
const ROW_QUADS = 32u; // groups of four rows in a workgroup
const STEP = 16u; // elements of the latent at a time
const NOWHERE = 0xffffffffu; // slot of a token that is not there

// [r][tokens, rows]. An array of arrays: an index that is a literal needs no bounds check, and the checks of the others
// are shared.
var<workgroup> pool: array<array<vec4<f32>, TOKEN_QUADS + ROW_QUADS>, STEP>;

// Where in the cache the tokens of group `quad` are. All four belong to one sequence: the last that starts at or before
// them (empty ones before it start there too). No table entry past its tokens is read, and no page outside the cache.
fn slots_of(quad: u32) -> vec4<u32> {
  if (quad >= P.token_quads) { return vec4(NOWHERE); }
  var b = 0u;
  var after = P.B;
  while (after - b > 1u) {
    let middle = (b + after) / 2u;
    if (sequences[middle].x <= 4u * quad) { b = middle; } else { after = middle; }
  }
  let token = 4u * quad - sequences[b].x;
  let end = sequences[b].y;
  return vec4(
    slot_of(b, token, end),
    slot_of(b, token + 1u, end),
    slot_of(b, token + 2u, end),
    slot_of(b, token + 3u, end),
  );
}

fn slot_of(b: u32, token: u32, end: u32) -> u32 {
  if (token >= end) { return NOWHERE; }
  let page_id = u32(page_table[b * P.width + token / P.page]);
  if (page_id >= P.pages) { return NOWHERE; }
  return page_id * P.page + token % P.page;
}

// Zero where there is no token: what attends over its group must not meet NaN.
fn token_chunk(slot: u32, i: u32) -> Chunk {
  if (slot == NOWHERE) { return Chunk(); }
  return cache_chunk(slot, i);
}

fn weight_chunk(row: u32, i: u32) -> weight_Chunk {
  if (row >= P.rows) { return weight_Chunk(); }
  return kv_b_proj[(P.first_row + row) * (R / 8u) + i];
}

fn store_step(r: u32, column: u32, first: mat4x4<f32>, last: mat4x4<f32>) {
  let a = transpose(first);
  let b = transpose(last);
  pool[r][column] = a[0];
  pool[r + 1u][column] = a[1];
  pool[r + 2u][column] = a[2];
  pool[r + 3u][column] = a[3];
  pool[r + 4u][column] = b[0];
  pool[r + 5u][column] = b[1];
  pool[r + 6u][column] = b[2];
  pool[r + 7u][column] = b[3];
}

// Stages eight elements of the latent of four tokens, or of four rows; 96 threads have some.
fn stage(t: u32, slots: vec4<u32>, first_row: u32, step: u32) {
  if (t < 2u * TOKEN_QUADS) {
    let half = t / TOKEN_QUADS;
    let i = 2u * step + half;
    let a = token_chunk(slots.x, i);
    let b = token_chunk(slots.y, i);
    let c = token_chunk(slots.z, i);
    let d = token_chunk(slots.w, i);
    store_step(8u * half, t % TOKEN_QUADS, mat4x4(low(a), low(b), low(c), low(d)), mat4x4(high(a), high(b), high(c), high(d)));
  } else if (t < 2u * (TOKEN_QUADS + ROW_QUADS)) {
    let u = t - 2u * TOKEN_QUADS;
    let half = u / ROW_QUADS;
    let i = 2u * step + half;
    let row = first_row + 4u * (u % ROW_QUADS);
    let a = weight_chunk(row, i);
    let b = weight_chunk(row + 1u, i);
    let c = weight_chunk(row + 2u, i);
    let d = weight_chunk(row + 3u, i);
    store_step(
      8u * half,
      TOKEN_QUADS + u % ROW_QUADS,
      mat4x4(weight_low(a), weight_low(b), weight_low(c), weight_low(d)),
      mat4x4(weight_high(a), weight_high(b), weight_high(c), weight_high(d)),
    );
  }
}

// 8 tokens × 8 rows: sums[2i] and sums[2i+1] belong to token i. Indices are literals because a dynamic index would move
// the array out of registers.
alias Sums = array<vec4<f32>, 16>;

fn add_product(sums: ptr<function, Sums>, r: u32, tg: u32, rg: u32) {
  let a = pool[r][tg];
  let b = pool[r][TOKEN_QUADS / 2u + tg];
  let v = pool[r][TOKEN_QUADS + rg];
  let w = pool[r][TOKEN_QUADS + ROW_QUADS / 2u + rg];
  (*sums)[0] += a.x * v;
  (*sums)[1] += a.x * w;
  (*sums)[2] += a.y * v;
  (*sums)[3] += a.y * w;
  (*sums)[4] += a.z * v;
  (*sums)[5] += a.z * w;
  (*sums)[6] += a.w * v;
  (*sums)[7] += a.w * w;
  (*sums)[8] += b.x * v;
  (*sums)[9] += b.x * w;
  (*sums)[10] += b.y * v;
  (*sums)[11] += b.y * w;
  (*sums)[12] += b.z * v;
  (*sums)[13] += b.z * w;
  (*sums)[14] += b.w * v;
  (*sums)[15] += b.w * w;
}

// Four rows of four tokens; `m` has a column for each token. DN and DV are multiples of eight, so the rows are all of
// keys or all of values, of one head.
fn store_block(quad: u32, row: u32, m: mat4x4<f32>) {
  if (quad >= P.token_quads || row >= P.rows) { return; }
  let head = row / (DN + DV);
  let c = row % (DN + DV);
  if (c < DN) {
    let rows = transpose(m);
    let at = (head * DN + c) * P.token_quads + quad;
    keys[at] = rows[0];
    keys[at + P.token_quads] = rows[1];
    keys[at + 2u * P.token_quads] = rows[2];
    keys[at + 3u * P.token_quads] = rows[3];
  } else {
    let at = (head * P.token_quads + quad) * DV + (c - DN) / 4u;
    values[at] = m[0];
    values[at + DV / 4u] = m[1];
    values[at + DV / 2u] = m[2];
    values[at + 3u * (DV / 4u)] = m[3];
  }
}

fn store_rope(quad: u32, slots: vec4<u32>, i: u32) {
  let a = token_chunk(slots.x, R / 8u + i);
  let b = token_chunk(slots.y, R / 8u + i);
  let c = token_chunk(slots.z, R / 8u + i);
  let d = token_chunk(slots.w, R / 8u + i);
  let first = transpose(mat4x4(low(a), low(b), low(c), low(d)));
  let last = transpose(mat4x4(high(a), high(b), high(c), high(d)));
  let at = 8u * i * P.token_quads + quad;
  rope[at] = first[0];
  rope[at + P.token_quads] = first[1];
  rope[at + 2u * P.token_quads] = first[2];
  rope[at + 3u * P.token_quads] = first[3];
  rope[at + 4u * P.token_quads] = last[0];
  rope[at + 5u * P.token_quads] = last[1];
  rope[at + 6u * P.token_quads] = last[2];
  rope[at + 7u * P.token_quads] = last[3];
}

@compute @workgroup_size(128)
fn main(
  @builtin(workgroup_id) workgroup: vec3<u32>,
  @builtin(num_workgroups) grid: vec3<u32>,
  @builtin(local_invocation_index) t: u32,
) {
  // Workgroups that share rows of the weight run next to each other.
  let item = workgroup.x + workgroup.y * grid.x;
  let blocks = (P.token_quads + TOKEN_QUADS - 1u) / TOKEN_QUADS;
  let first_quad = item % blocks * TOKEN_QUADS;
  let first_row = item / blocks * (4u * ROW_QUADS);
  if (first_row >= P.rows) { return; }

  var slots = vec4(NOWHERE);
  if (t < 2u * TOKEN_QUADS) { slots = slots_of(first_quad + t % TOKEN_QUADS); }
  if (DR > 0u && first_row == 0u && t < 2u * TOKEN_QUADS && first_quad + t % TOKEN_QUADS < P.token_quads) {
    for (var i = t / TOKEN_QUADS; i < DR / 8u; i += 2u) { store_rope(first_quad + t % TOKEN_QUADS, slots, i); }
  }

  // Neighbours (t, t^1) share the rows, (t, t^2) the tokens: memory serves two lanes that read one address at once.
  let tg = t % 2u + 2u * (t / 4u % 4u);
  let rg = t / 2u % 2u + 2u * (t / 16u);
  var sums = Sums();
  for (var step = 0u; step < R / STEP; step++) {
    workgroupBarrier(); // the pool is free
    stage(t, slots, first_row, step);
    workgroupBarrier();
    add_product(&sums, 0u, tg, rg);
    add_product(&sums, 1u, tg, rg);
    add_product(&sums, 2u, tg, rg);
    add_product(&sums, 3u, tg, rg);
    add_product(&sums, 4u, tg, rg);
    add_product(&sums, 5u, tg, rg);
    add_product(&sums, 6u, tg, rg);
    add_product(&sums, 7u, tg, rg);
    add_product(&sums, 8u, tg, rg);
    add_product(&sums, 9u, tg, rg);
    add_product(&sums, 10u, tg, rg);
    add_product(&sums, 11u, tg, rg);
    add_product(&sums, 12u, tg, rg);
    add_product(&sums, 13u, tg, rg);
    add_product(&sums, 14u, tg, rg);
    add_product(&sums, 15u, tg, rg);
  }

  let quad = first_quad + tg;
  let row = first_row + 4u * rg;
  store_block(quad, row, mat4x4(sums[0], sums[2], sums[4], sums[6]));
  store_block(quad, row + 2u * ROW_QUADS, mat4x4(sums[1], sums[3], sums[5], sums[7]));
  store_block(quad + TOKEN_QUADS / 2u, row, mat4x4(sums[8], sums[10], sums[12], sums[14]));
  store_block(quad + TOKEN_QUADS / 2u, row + 2u * ROW_QUADS, mat4x4(sums[9], sums[11], sums[13], sums[15]));
}
