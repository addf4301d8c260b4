/**
 * What a suite is: data.
 *
 * @module
 */
import type { Operation } from "../kernels/kernel.ts";
import type { AxisName, AxisValue, AxisValues } from "./axes.ts";
import type { ShapeFields } from "./overrides.ts";

/** Values of axes that a group crosses; the first value of each is its control value. */
export type GroupAxes = { readonly [K in AxisName]?: readonly AxisValue[] };

/**
 * Cases that vary together: every variant that takes the cache × the cross product of `axes` and `rows`. Axes that are
 * not named are at their default. `kv: ["boundary"]` stands for every edge of the case's own pages and splits.
 */
export interface Group {
  /** The test of another system that it repeats, as the suite's file names it. */
  readonly source?: string;
  /** Operation of the kernels. */
  readonly operation: Operation;
  /** Every registered kernel of the operation, or these. */
  readonly variants: "all" | readonly string[];
  /** Values that are crossed. */
  readonly axes: GroupAxes;
  /** Values that belong together, one row at a time; the first is the control row. */
  readonly rows?: readonly AxisValues[];
  /** Keeps a combination; sees the values that the group gives it, `boundary` not yet expanded. */
  readonly where?: (fields: ShapeFields) => boolean;
  /**
   * Whether a kernel that does not take the element type of a case runs it in the first that it takes; without it such
   * a kernel has no case there. @default {false}
   */
  readonly ownDtype?: boolean;
  /** Whether kernels that declare less precision than f32 have no case there. @default {false} */
  readonly exact?: boolean;
  /**
   * What a software adapter runs of it without `--full`: a sample (the default; the rule is in `sample.ts`), all of
   * it, or nothing.
   */
  readonly onSoftware?: "sample" | "all" | "nothing";
}

/** A named set of cases. */
export interface Suite {
  /** Name that `--suite` takes. */
  readonly name: string;
  /** What it is for, in one line. */
  readonly summary: string;
  /** Its cases. */
  readonly groups: readonly Group[];
  /** Whether its groups may hold the same case, as tests of another system do; it runs once. @default {false} */
  readonly overlapping?: boolean;
  /** Names of suites whose cases it holds as well. */
  readonly includes?: readonly string[];
}
