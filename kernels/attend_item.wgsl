// What kernels have in common that stage the tokens of an item in workgroup memory: bindings, which tokens a row sees, and
// where they are. Appended: R, DR.

struct Params {
  H: u32,
  page: u32,
  pages: u32,
  width: u32,
  first: u32,
  count: u32,
  scale: f32,
  lse_factor: f32,
}

@group(0) @binding(0) var<uniform> P: Params;
@group(0) @binding(1) var<storage, read> work: array<vec4<u32>>;
@group(0) @binding(2) var<storage, read> q_latent: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> q_pe: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read> page_table: array<i32>;
@group(0) @binding(5) var<storage, read_write> out: array<vec4<f32>>;
@group(0) @binding(6) var<storage, read_write> lse: array<f32>;

const LATENT = R / 8u; // chunks of the latent; those of the rope key follow
const CHUNKS = (R + DR) / 8u; // chunks of a token
const MASKED = -1e30; // finite: ∞ is no constant in WGSL, and ∞ − ∞ would be NaN
const NOWHERE = 0xffffffffu; // slot of a token that is not there
const DIRECT = 0xffffffffu; // slot of an item that writes the result

// Token after the last one that row `row` of the batch sees of those before `end`: `offset` is its sequence's, negative
// or not.
fn limit_of(row: u32, offset: u32, end: u32) -> u32 {
  return min(end, u32(max(i32(row / P.H) + bitcast<i32>(offset), 0)));
}

// Index into the cache, in tokens. The table is read only for tokens before `end`, and no page outside the cache is
// touched.
fn slot_of(sequence: u32, token: u32, end: u32) -> u32 {
  if (token >= end) { return NOWHERE; }
  let page_id = u32(page_table[sequence * P.width + token / P.page]);
  if (page_id >= P.pages) { return NOWHERE; }
  return page_id * P.page + token % P.page;
}
