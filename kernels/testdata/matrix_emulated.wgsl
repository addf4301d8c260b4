// Matrices for tests on devices that have none: element 16·row + column of one is in lane column % LANES, and LANES, 16 at
// most, is a power of two. So the lane that has an element of the product has the elements of the right factor that it
// needs. Functions take what the builtins take in whose place they are called (emulated_matrix.ts).
const EACH = 256u / LANES; // elements of a lane
const SIDES = 16u / LANES; // of them in a row of the matrix
struct Matrix { m: array<f32, EACH> }
alias Left = Matrix;
alias Right = Matrix;
alias Sums = Matrix;

var<private> own_lane: u32;

fn half_of(chunk: vec4<u32>, i: u32) -> f32 { return unpack2x16float(chunk[i / 2u])[i % 2u]; }

fn rows_of_tile(buffer: u32, at: u32, stride: u32) -> Matrix {
  var a: Matrix;
  for (var i = 0u; i < 256u / LANES; i++) { // unroll
    let column = i % SIDES * LANES + own_lane;
    a.m[i] = half_of(tile[buffer][at + i / SIDES * stride + column / 8u], column % 8u);
  }
  return a;
}

fn columns_of_tile(buffer: u32, at: u32, stride: u32) -> Matrix {
  var b: Matrix;
  for (var i = 0u; i < 256u / LANES; i++) { // unroll
    let column = i % SIDES * LANES + own_lane;
    b.m[i] = half_of(tile[buffer][at + column * stride + i / SIDES / 8u], i / SIDES % 8u);
  }
  return b;
}

fn rows_of_weights(at: u32, stride: u32) -> Matrix {
  var a: Matrix;
  for (var i = 0u; i < 256u / LANES; i++) { // unroll
    let column = i % SIDES * LANES + own_lane;
    a.m[i] = half_of(vec4(weights[at + i / SIDES * stride + column / 4u], 0u, 0u), column % 4u);
  }
  return a;
}

fn add_product(a: Left, b: Right, c: Sums) -> Sums {
  var left = a;
  var right = b;
  var sum = c;
  for (var k = 0u; k < 16u; k++) {
    for (var row = 0u; row < 16u; row++) { // unroll
      let x = subgroupShuffle(left.m[row * SIDES + k / LANES], k % LANES);
      for (var i = 0u; i < 16u / LANES; i++) { // unroll
        sum.m[row * SIDES + i] += x * right.m[k * SIDES + i];
      }
    }
  }
  return sum;
}

fn store_partial(at: u32, sum: Sums, stride: u32) {
  var c = sum;
  for (var i = 0u; i < 256u / LANES; i++) { // unroll
    let column = i % SIDES * LANES + own_lane;
    partial[at + i / SIDES * stride + column / 2u][column % 2u] = c.m[i];
  }
}

fn store_sums(at: u32, sum: Sums, stride: u32) {
  var c = sum;
  for (var i = 0u; i < 256u / LANES; i++) { // unroll
    let column = i % SIDES * LANES + own_lane;
    sums[at + i / SIDES * stride + column / 4u][column % 4u] = c.m[i];
  }
}
