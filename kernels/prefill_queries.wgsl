// queries[h, block, d, r] = scale·log₂e·(q_nope[first + r, h, :] | q_pe[first + r, h, :])[d] for the blocks of the work
// list.
// Shapes: q_nope [T+P,H,DN], q_pe [T+P,H,DR]; queries [heads, blocks one after the other: [DN+DR, rows up to a multiple
// of four]].
// Mapping: workgroup ↔ (item of the work list, head); thread ↔ 4 rows × 4 elements.
// Needs: nothing optional. Appended: DN, DR.

struct Params {
  items: u32,
  heads: u32,
  first_head: u32,
  H: u32,
  query_quads: u32,
  factor: f32,
}

struct Item {
  first: u32, // query token of the batch
  rows: u32,
  query_quad: u32, // where its queries are, in groups of four
  token_quad: u32,
  end: u32, // tokens that its last row sees
  limit: i32,
}

@group(0) @binding(0) var<uniform> P: Params;
@group(0) @binding(1) var<storage, read> work: array<Item>;
@group(0) @binding(2) var<storage, read> q_nope: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> q_pe: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read_write> queries: array<vec4<f32>>;

const THREADS = 128u;
const DEPTH_QUADS = (DN + DR) / 4u;
const PADDED_QUADS = (DEPTH_QUADS + 3u) / 4u * 4u;

// Four elements of a row; zero past the last row.
fn load(row: u32, rows: u32, first: u32, head: u32, quad: u32) -> vec4<f32> {
  if (row >= rows) { return vec4(0.0); }
  let at = (first + row) * P.H + head;
  if (quad < DN / 4u) { return q_nope[at * (DN / 4u) + quad] * P.factor; }
  return q_pe[at * (DR / 4u) + quad - DN / 4u] * P.factor;
}

@compute @workgroup_size(128)
fn main(
  @builtin(workgroup_id) workgroup: vec3<u32>,
  @builtin(num_workgroups) grid: vec3<u32>,
  @builtin(local_invocation_index) t: u32,
) {
  let index = workgroup.x + workgroup.y * grid.x;
  if (index >= P.items * P.heads) { return; }
  let item = work[index / P.heads];
  if (item.end == 0u) { return; } // rows that see nothing have no queries
  let head = index % P.heads;
  let quads = (item.rows + 3u) / 4u;
  let base = (head * P.query_quads + item.query_quad) * (DN + DR);
  for (var i = t; i < quads * PADDED_QUADS; i += THREADS) {
    // Four neighbours read 64 bytes of a row side by side, and sixteen write the rows of one element.
    let d = i % 4u + i / (4u * quads) * 4u;
    let quad = i / 4u % quads;
    if (d >= DEPTH_QUADS) { continue; }
    let h = P.first_head + head;
    let m = transpose(mat4x4(
      load(4u * quad, item.rows, item.first, h, d),
      load(4u * quad + 1u, item.rows, item.first, h, d),
      load(4u * quad + 2u, item.rows, item.first, h, d),
      load(4u * quad + 3u, item.rows, item.first, h, d),
    ));
    let at = base + 4u * d * quads + quad;
    queries[at] = m[0];
    queries[at + quads] = m[1];
    queries[at + 2u * quads] = m[2];
    queries[at + 3u * quads] = m[3];
  }
}
