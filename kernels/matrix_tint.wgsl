// Matrices of 16 × 16 that a subgroup holds together, as Tint has them: factors in f16, products added up in f32.
// Offsets and strides count elements of the array that is read, as Tint does: 16 bytes of `tile` and `weights`.
alias Left = subgroup_matrix_left<f16, 16, 16>;
alias Right = subgroup_matrix_right<f16, 16, 16>;
alias Sums = subgroup_matrix_result<f32, 16, 16>;

// Rows of queries or weights; columns are elements of d, or tokens.
fn queries_at(at: u32, stride: u32) -> Left { return subgroupMatrixLoad<Left, row_major>(&tile, at, stride); }
fn weights_at(at: u32, stride: u32) -> Left { return subgroupMatrixLoad<Left, row_major>(&weights, at, stride); }

// Tokens of the tile: its columns as keys, its rows as values.
fn keys_at(at: u32, stride: u32) -> Right { return subgroupMatrixLoad<Right, col_major>(&tile, at, stride); }
fn values_at(at: u32, stride: u32) -> Right { return subgroupMatrixLoad<Right, row_major>(&tile, at, stride); }

fn add_product(a: Left, b: Right, sums: Sums) -> Sums { return subgroupMatrixMultiplyAccumulate(a, b, sums); }

// Into `partial`, at that element.
fn store_sums(at: u32, stride: u32, sums: Sums) {
  subgroupMatrixStore<row_major>(&partial, at, sums, stride);
}

// What only the emulation must know.
fn set_lane(lane: u32) {}
