// cache[cache_loc[cu_num_pages[b] + pos / page], pos % page, :] = (compressed_kv[i,:], kpe[i,:]), pos = input_pos[b] + i − cu_seqlen[b].
// Shapes: compressed_kv [tokens,R], kpe [tokens,DR] f32 bits; cu_seqlen, cu_num_pages [B+1]; cache_loc [entries]; cache [pages,page,R+DR].
// Mapping: thread ↔ 16 bytes of the cache; it finds the sequence b of its token i by binary search over cu_seqlen.
// Needs: nothing optional. Appended: R, DR, HALF (elements of 2 bytes, not 4) and `narrow`, which rounds to them.

struct Params {
  B: u32,
  tokens: u32,
  page: u32,
  pages: u32,
  entries: u32,
}

@group(0) @binding(0) var<uniform> P: Params;
@group(0) @binding(1) var<storage, read> compressed_kv: array<vec4<u32>>;
@group(0) @binding(2) var<storage, read> kpe: array<vec4<u32>>;
@group(0) @binding(3) var<storage, read> cu_seqlen: array<u32>;
@group(0) @binding(4) var<storage, read> cu_num_pages: array<u32>;
@group(0) @binding(5) var<storage, read> cache_loc: array<i32>;
@group(0) @binding(6) var<storage, read> input_pos: array<u32>;
@group(0) @binding(7) var<storage, read_write> cache: array<vec4<u32>>;

const QUARTERS = (R + DR) / 4u; // groups of four elements in a token
const PIECES = QUARTERS / (1u + HALF); // 16-byte pieces of a token

// Four elements of a token, as f32 bits; the latent comes first.
fn load4(token: u32, quarter: u32) -> vec4<u32> {
  if (quarter < R / 4u) { return compressed_kv[token * (R / 4u) + quarter]; }
  return kpe[token * (DR / 4u) + quarter - R / 4u];
}

// The last sequence that starts at or before the token: empty ones before it start there too and are skipped.
fn sequence_of(token: u32) -> u32 {
  var low = 0u;
  var high = P.B;
  while (high - low > 1u) {
    let middle = (low + high) / 2u;
    if (cu_seqlen[middle] <= token) { low = middle; } else { high = middle; }
  }
  return low;
}

@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) workgroup: vec3<u32>,
  @builtin(num_workgroups) grid: vec3<u32>,
  @builtin(local_invocation_index) t: u32,
) {
  let item = (workgroup.x + workgroup.y * grid.x) * 64u + t;
  if (item >= P.tokens * PIECES) { return; }
  let token = item / PIECES;
  let piece = item % PIECES;
  let b = sequence_of(token);
  if (token >= cu_seqlen[b + 1u]) { return; } // past the last sequence: padding

  let pos = input_pos[b] + token - cu_seqlen[b];
  if (pos >= 0x80000000u) { return; } // negative as i32
  let first = cu_num_pages[b];
  let end = min(cu_num_pages[b + 1u], P.entries);
  if (first >= end || pos / P.page >= end - first) { return; } // the sequence owns no such page
  let page_id = u32(cache_loc[first + pos / P.page]);
  if (page_id >= P.pages) { return; }
  let at = (page_id * P.page + pos % P.page) * PIECES + piece;
  if (HALF == 1u) {
    let a = narrow(load4(token, 2u * piece));
    let c = narrow(load4(token, 2u * piece + 1u));
    cache[at] = vec4(a.x | (a.y << 16u), a.z | (a.w << 16u), c.x | (c.y << 16u), c.z | (c.w << 16u));
  } else {
    cache[at] = load4(token, piece);
  }
}
