/**
 * The form in which every comparison with the reference is reported.
 *
 * @module
 */

/** The element of a check that used most of its error bound, with its place in the batch. */
export interface WorstElement {
  /** Sequence of the batch; −1 for an element of a cache page that nobody owns. */
  readonly sequence: number;
  /** Query head; absent for cache elements. */
  readonly head?: number;
  /**
   * Query token of the sequence (attend), or token of the sequence in the cache (append); −1 where nobody owns the
   * page.
   */
  readonly token: number;
  /** Element of the row; absent for the LSE. */
  readonly dim?: number;
  /** Physical page of the last token the row attends to, or of the cache element; −1 for an empty sequence. */
  readonly page: number;
  /** What the kernel wrote; a string for NaN and ±Infinity, which JSON lacks. */
  readonly actual: number | string;
  /** What the reference says. */
  readonly expected: number | string;
  /** `|actual − expected|`, absent where either is not finite. */
  readonly absError?: number;
  /** The bound on it. */
  readonly bound: number;
  /** Edges that it sits on, in words: `first token of a page`, `last head`, … */
  readonly edges?: readonly string[];
}

/** One direction of an {@linkcode ErrorMap}: equal bins, the last of which may be shorter. */
export interface MapAxis {
  /** What is counted. */
  readonly name: "sequence" | "token" | "head" | "dim" | "page" | "slot";
  /** First value. */
  readonly from: number;
  /** Values per bin. */
  readonly step: number;
  /** Bins. */
  readonly bins: number;
}

/** Where the errors of a failed check lie, over two of its directions. */
export interface ErrorMap {
  /** Downwards. */
  readonly rows: MapAxis;
  /** To the right. */
  readonly columns: MapAxis;
  /**
   * Largest share of the error bound in each bin, row by row, to two digits and at most 10⁶; above 1 is out of bound,
   * −1 stands for NaN or ∞ out of place, −2 for a bin of which nothing was compared.
   */
  readonly values: readonly number[];
}

/** One comparison of a verification. */
export interface Check {
  /** `out`, `lse`, `cache`, `recorded_out`, `recorded_cosine`, `inputs_unchanged`, … */
  readonly name: string;
  /** Whether every condition of the check held. */
  readonly passed: boolean;
  /** In one line, why not. */
  readonly message?: string;
  /** Elements compared. */
  readonly elements: number;
  /** Elements out of bound, or whose NaN/∞ mask differs. */
  readonly mismatches: number;
  /** How many of the elements had to equal those of another run bit by bit, where a check compares with one. */
  readonly exactElements?: number;
  /** Largest absolute error over finite elements. */
  readonly maxAbsError?: number;
  /** Largest relative error over finite elements with a non-zero reference. */
  readonly maxRelError?: number;
  /** Normalized mean square error, `Σ(a−b)²/Σb²`. */
  readonly nmse?: number;
  /** `1 − 2Σab/Σ(a²+b²)`. */
  readonly cosineDifference?: number;
  /** Largest share of the bound used by an element, 0…1 when passed. */
  readonly budgetUsed?: number;
  /** The element that used it. */
  readonly worst?: WorstElement;
  /** The first element that is wrong, in the order of the tensor. */
  readonly first?: WorstElement;
  /**
   * What all wrong elements have in common, and not all elements have, of a failed check: `last head`, `dims 256–511`,
   * …
   */
  readonly pattern?: readonly string[];
  /** Where the errors lie, of a failed check. */
  readonly maps?: readonly ErrorMap[];
  /** Largest share of the a-priori bound used, where {@linkcode Check.budgetUsed} is a share of a tighter one. */
  readonly ceilingUsed?: number;
}

/** Outcome of verifying one case. */
export interface Verification {
  /** Whether every check passed. */
  readonly passed: boolean;
  /** The checks, in order. */
  readonly checks: readonly Check[];
  /** Share of output rows compared with the reference, 0…1. */
  readonly coverage: number;
  /**
   * Trivial outputs (`zeros`, …) that this case would have accepted though its answer is none; absent where it sees
   * all.
   */
  readonly blind?: readonly string[];
}
