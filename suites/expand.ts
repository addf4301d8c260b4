/**
 * Suites to cases: what `--suite`, `--axis`, `--kernel`, `--filter` and `--seed` select, in the order it runs.
 *
 * @module
 */
import { kernelName } from "../kernels/kernel.ts";
import type { ParsedAxis } from "./axis_values.ts";
import type { Case } from "./case.ts";
import { expandSuite } from "./expand_suite.ts";
import { filterCases, type KernelName, mergeCases, selectKernels } from "./select.ts";
import type { Suite } from "./suite.ts";
import { SUITES } from "./suites.ts";
import { quote } from "./words.ts";

/** What to expand. */
export interface ExpandOptions {
  /** Names of suites; a case that several of them hold runs once. */
  readonly suites: readonly string[];
  /** Axis values that replace those of every case whose operation has the axis. */
  readonly axes?: readonly ParsedAxis[];
  /** Only cases whose id matches: a whole id, or a glob with `*`. With it nothing is sampled. */
  readonly filter?: string;
  /** Only these kernels: `attend/fused`, or `fused` for that variant of every operation. */
  readonly kernels?: readonly string[];
  /** Registered kernels. */
  readonly kernelsAvailable: readonly KernelName[];
  /** Seed of every case; absent leaves those of the suite. */
  readonly seed?: number;
  /** Whether the adapter is a software one, for which large suites are sampled. */
  readonly software: boolean;
  /** Whether a software adapter runs whole suites all the same. */
  readonly full: boolean;
  /** Suites to choose from; default {@linkcode SUITES}. */
  readonly registry?: readonly Suite[];
}

/**
 * The cases of some suites. Variants of one shape stand side by side.
 *
 * A `filter` that is the whole id of a registered kernel's case selects that case even where no suite holds it, so an
 * id printed anywhere can be run anywhere.
 *
 * @throws {RangeError} If a suite or kernel is unknown, an axis is given twice, an axis value makes an impossible
 * shape, a suite holds the same case twice, or nothing is selected.
 * @throws {SyntaxError} If `filter` begins like an id and is none.
 */
export function expandSuites(options: ExpandOptions): Case[] {
  const { filter, software, full } = options;
  const axes = allAxes(options);
  const kernels = selectKernels(options.kernelsAvailable, options.kernels);
  const sampled = software && !full && filter === undefined;
  const plan = { axes, kernels, registered: options.kernelsAvailable, sampled };
  const suites = findSuites(options.suites, options.registry);
  const cases = mergeCases(suites.map((suite) => expandSuite(suite, plan)));
  if (filter !== undefined) return filterCases(cases, filter, kernels);
  if (cases.length > 0) return cases;
  const whole = sampled ? suites.flatMap((suite) => expandSuite(suite, { ...plan, sampled: false })) : [];
  const why = whole.length > 0
    ? "all are too large for a software adapter (--full runs them)"
    : `it has none for kernel ${kernels.map(kernelName).join(", ")}`;
  throw new RangeError(`Cannot find a case in suite ${options.suites.join(", ")}: ${why}`);
}

/** The axes that were given, the seed as one of them. */
function allAxes({ axes = [], seed }: ExpandOptions): ParsedAxis[] {
  const all = seed === undefined ? [...axes] : [...axes, { name: "seed", values: [seed] } as const];
  const names = all.map((axis) => axis.name);
  const twice = names.find((name, i) => names.indexOf(name) !== i);
  if (twice) throw new RangeError(`Cannot take axis ${twice} twice: give all its values in one list`);
  return all;
}

/**
 * The suites called `names` and those they include, each once.
 *
 * @throws {RangeError} If one is unknown, or none is named.
 */
export function findSuites(names: readonly string[], registry: readonly Suite[] = SUITES): Suite[] {
  const choices = registry.map((suite) => suite.name).join(", ");
  if (names.length === 0) throw new RangeError(`Cannot expand suites: name at least one of ${choices}`);
  const found = new Set<Suite>();
  function add(name: string) {
    const suite = registry.find((suite) => suite.name === name);
    if (!suite) throw new RangeError(`Cannot find suite ${quote(name)}: there are ${choices}`);
    if (found.has(suite)) return;
    found.add(suite);
    suite.includes?.forEach(add);
  }
  names.forEach(add);
  return [...found];
}
