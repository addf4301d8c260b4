/**
 * How large the elements of many vectors are, as error bounds take them.
 *
 * @module
 */

/** Gathers vectors, one after the other. */
export class ColumnSizes {
  readonly #squares: Float64Array;
  #longest = 0;
  #count = 0;

  /**
   * Starts with no vectors.
   *
   * @param width Elements of each.
   */
  constructor(width: number) {
    this.#squares = new Float64Array(width);
  }

  /** Vectors so far. */
  get count(): number {
    return this.#count;
  }

  /** Adds the vector that starts at element `at`. */
  add(values: Float32Array | Float64Array, at: number): void {
    const squares = this.#squares;
    let length = 0;
    for (let d = 0; d < squares.length; d++) {
      const square = values[at + d] * values[at + d];
      squares[d] += square;
      length += square;
    }
    this.#longest = Math.max(this.#longest, length);
    this.#count++;
  }

  /**
   * Size of each element at the longest vector: the root mean square of its column, times the ratio of the longest
   * vector to the rms vector. Zero where there are no vectors.
   */
  sizes(): Float64Array<ArrayBuffer> {
    const mean = this.#squares.reduce((a, b) => a + b, 0) / this.#count;
    const ratio = mean > 0 ? this.#longest / mean : 0;
    return Float64Array.from(this.#squares, (square) => ratio > 0 ? Math.sqrt(square / this.#count * ratio) : 0);
  }
}

/** {@linkcode ColumnSizes} of a matrix `[n, width]`. */
export function columnSizes(matrix: Float32Array | Float64Array, width: number): Float64Array<ArrayBuffer> {
  const gathered = new ColumnSizes(width);
  for (let at = 0; at < matrix.length; at += width) gathered.add(matrix, at);
  return gathered.sizes();
}
