// The same without matrices, for tests on devices that have none: element 16·row + column of a matrix is in lane
// column % LANES, and LANES, 16 at most, is a power of two. So the lane that has an element of the product has the
// elements of the right factor that it needs.
const EACH = 256u / LANES; // elements of a lane
const SIDES = 16u / LANES; // of them in a row of the matrix
struct Matrix { m: array<f32, EACH> }
alias Left = Matrix;
alias Right = Matrix;
alias Sums = Matrix;

var<private> own_lane: u32;

fn set_lane(lane: u32) { own_lane = lane; }

fn half_of(chunk: vec4<u32>, i: u32) -> f32 { return unpack2x16float(chunk[i / 2u])[i % 2u]; }

fn queries_at(at: u32, stride: u32) -> Left {
  var a: Left;
  for (var i = 0u; i < 256u / LANES; i++) { // unroll
    let column = i % SIDES * LANES + own_lane;
    a.m[i] = half_of(tile[at + i / SIDES * stride + column / 8u], column % 8u);
  }
  return a;
}

fn weights_at(at: u32, stride: u32) -> Left {
  var a: Left;
  for (var i = 0u; i < 256u / LANES; i++) { // unroll
    let column = i % SIDES * LANES + own_lane;
    a.m[i] = half_of(weights[at + i / SIDES * stride + column / 8u], column % 8u);
  }
  return a;
}

fn keys_at(at: u32, stride: u32) -> Right {
  var b: Right;
  for (var i = 0u; i < 256u / LANES; i++) { // unroll
    let column = i % SIDES * LANES + own_lane;
    b.m[i] = half_of(tile[at + column * stride + i / SIDES / 8u], i / SIDES % 8u);
  }
  return b;
}

fn values_at(at: u32, stride: u32) -> Right { return queries_at(at, stride); }

fn add_product(a: Left, b: Right, sums: Sums) -> Sums {
  var left = a;
  var right = b;
  var c = sums;
  for (var k = 0u; k < 16u; k++) {
    for (var row = 0u; row < 16u; row++) { // unroll
      let x = subgroupShuffle(left.m[row * SIDES + k / LANES], k % LANES);
      for (var i = 0u; i < 16u / LANES; i++) { // unroll
        c.m[row * SIDES + i] += x * right.m[k * SIDES + i];
      }
    }
  }
  return c;
}

fn store_sums(at: u32, stride: u32, sums: Sums) {
  var c = sums;
  for (var i = 0u; i < 256u / LANES; i++) { // unroll
    partial[at + i / SIDES * stride + i % SIDES * LANES + own_lane] = c.m[i];
  }
}
