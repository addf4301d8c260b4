// page_table[b, i] = cache_loc[cu_num_pages[b] + i] for the pages that sequence b owns, 0 past them.
// Shapes: cu_num_pages [B+1], cache_loc [entries], page_table [B,width], all i32.
// Mapping: thread ↔ entry of the table; workgroups folded over x and y.
// Needs: nothing optional. An index past cache_loc reads its last entry; whoever reads the table checks pages.

struct Params {
  B: u32,
  width: u32,
  entries: u32,
}

@group(0) @binding(0) var<uniform> P: Params;
@group(0) @binding(1) var<storage, read> cu_num_pages: array<u32>;
@group(0) @binding(2) var<storage, read> cache_loc: array<i32>;
@group(0) @binding(3) var<storage, read_write> page_table: array<i32>;

@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) workgroup: vec3<u32>,
  @builtin(num_workgroups) grid: vec3<u32>,
  @builtin(local_invocation_index) t: u32,
) {
  let item = (workgroup.x + workgroup.y * grid.x) * 64u + t;
  if (item >= P.B * P.width) { return; }
  let b = item / P.width;
  let i = item % P.width;
  let first = cu_num_pages[b];
  let owned = cu_num_pages[b + 1u] - first;
  var page = 0;
  if (i < owned && P.entries > 0u) { page = cache_loc[min(first + i, P.entries - 1u)]; }
  page_table[item] = page;
}
