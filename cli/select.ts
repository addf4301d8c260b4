/**
 * From flags to cases. Everything that can be refused without a GPU is refused here.
 *
 * @module
 */
import { resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { loadKernels } from "../bench/kernel_modules.ts";
import type { RecordedFile } from "../bench/protocol.ts";
import { type Kernel, kernelName } from "../kernels/kernel.ts";
import { KERNELS } from "../kernels/registry.ts";
import type { Dtype } from "../reference/dtypes.ts";
import { readRecorded, type RecordedTensors } from "../reference/recorded.ts";
import { parseAxis, type ParsedAxis } from "../suites/axis_values.ts";
import type { Case } from "../suites/case.ts";
import { expandSuites, findSuites } from "../suites/expand.ts";
import { FUZZ_SUITE, fuzzCases, MAX_FUZZ } from "../suites/fuzz.ts";
import { defaultSuite } from "../suites/suites.ts";
import { filterCases, mergeCases, selectKernels, takesCache } from "../suites/select.ts";
import { recordedCases, recordedKey } from "../suites/recorded.ts";
import { parseShard, type Shard, shard } from "../suites/shard.ts";
import { type AgainstSelection, readAgainst, readSaveOutputs } from "./against.ts";
import { describeIo } from "./files.ts";
import { type Flags, isOn, list, text, UsageError } from "./flags.ts";

/** A selection that was found valid. */
export interface Selection {
  /** Suites that were named. */
  readonly suites: readonly string[];
  /** Axes that were given. */
  readonly axes: readonly ParsedAxis[];
  /** Id or glob. */
  readonly filter?: string;
  /** Every kernel that can run: built-in ones and those of modules. */
  readonly kernels: readonly Kernel[];
  /** Kernels that were asked for; none means all. */
  readonly kernelNames: readonly string[];
  /** URLs of the modules. */
  readonly kernelModules: readonly string[];
  /** What each case that passes is compared with. */
  readonly against?: AgainstSelection;
  /** Absolute path of the folder that outputs are stored in. */
  readonly saveOutputs?: string;
  /** Seed that was given. */
  readonly seed?: number;
  /** Part of the cases. */
  readonly shard?: Shard;
  /** Cases that `--fuzz` drew, those of the shard; they take the place of suites. */
  readonly fuzzed?: readonly Case[];
  /** Whether suites are run whole on a software adapter. */
  readonly full: boolean;
  /** Recorded files. */
  readonly recorded: readonly (RecordedFile & { readonly tensors: RecordedTensors })[];
}

/** Page sizes over which recorded tensors are replayed: the least, two usual ones, one that is no power of two. */
const RECORDED_PAGES: readonly number[] = [1, 16, 61, 64];
const RECORDED_DTYPES: readonly Dtype[] = ["f32", "f16", "bf16"];

/** Reads the selection off `flags`. */
export async function readSelection(flags: Flags): Promise<Selection> {
  const asked = list(flags, "kernel");
  const modules = moduleUrls(asked);
  const own = await loadKernels(modules);
  const otherModules = moduleUrls([text(flags, "against") ?? ""]).filter((url) => !modules.includes(url));
  const others = await loadKernels(otherModules);
  const kernels = [...KERNELS, ...own, ...others];
  const kernelNames = [...asked.filter((name) => !isModule(name)), ...own.map(kernelName)];
  selectKernels(kernels, kernelNames);
  const suites = list(flags, "suite");
  if (suites.length > 0) findSuites(suites);
  const against = readAgainst(flags, kernels, others);
  const seedText = text(flags, "seed");
  const shardText = text(flags, "shard");
  const seed = seedText === undefined ? undefined : parseSeed(seedText);
  const shard = shardText === undefined ? undefined : parseShard(shardText);
  const fuzz = parseFuzz(flags);
  return {
    suites,
    axes: list(flags, "axis").map(parseAxis),
    filter: text(flags, "filter"),
    kernels,
    kernelNames,
    kernelModules: [...modules, ...otherModules],
    against,
    saveOutputs: readSaveOutputs(flags, against),
    seed,
    shard,
    fuzzed: fuzz === undefined
      ? undefined
      : fuzzCases({ count: fuzz, seed: seed ?? 0, kernels: selectKernels(kernels, kernelNames), shard }),
    full: isOn(flags, "full"),
    recorded: await Promise.all(list(flags, "tensors").map(readTensors)),
  };
}

function moduleUrls(names: readonly string[]): string[] {
  return names.filter(isModule).map((path) => pathToFileURL(resolve(path)).href);
}

function isModule(name: string): boolean {
  return /\.[cm]?[jt]s$/.test(name);
}

function parseSeed(seed: string): number {
  const value = Number(seed);
  if (!/^\d+$/.test(seed) || value > 0xffff_ffff) {
    throw new UsageError(`Cannot take seed "${seed}": give an integer from 0 to 4294967295`);
  }
  return value;
}

/** Flags that say which cases there are, as `--fuzz` does. */
const NOT_WITH_FUZZ = ["suite", "axis", "tensors", "full"] as const;

function parseFuzz(flags: Flags): number | undefined {
  const given = text(flags, "fuzz");
  if (given === undefined) return undefined;
  const count = Number(given);
  if (!/^\d+$/.test(given) || count < 1 || count > MAX_FUZZ) {
    throw new UsageError(`Cannot fuzz with "${given}" cases: give an integer from 1 to ${MAX_FUZZ}`);
  }
  const other = NOT_WITH_FUZZ.find((name) => flags.values[name] !== undefined);
  if (other) throw new UsageError(`Cannot combine --fuzz with --${other}: it draws its own cases (--filter chooses)`);
  return count;
}

async function readTensors(path: string): Promise<Selection["recorded"][number]> {
  let bytes: Uint8Array;
  try {
    bytes = await Deno.readFile(path);
  } catch (error) {
    throw new UsageError(`Cannot read tensors "${path}": ${describeIo(error)}`);
  }
  const tensors = readRecorded(bytes, path);
  const key = recordedKey(tensors);
  return { key, path: resolve(path), tensors };
}

/**
 * The cases of `selection`, in the order in which they run.
 *
 * @param software Whether the adapter is a software one: it runs `smoke` where hardware runs `default`, and samples.
 * @throws {RangeError} If nothing is selected.
 */
export function casesOf(selection: Selection, software: boolean): Case[] {
  const { filter, kernels, kernelNames, recorded, axes, seed, full, fuzzed } = selection;
  // The shard was taken as they were drawn.
  if (fuzzed) return filter === undefined ? [...fuzzed] : filterCases(fuzzed, filter, kernels);
  const suites = suitesOf(selection, software);
  const request = { suites, axes, kernelsAvailable: kernels, kernels: kernelNames, seed, software, full };
  let cases: Case[];
  if (recorded.length === 0) {
    cases = expandSuites({ ...request, filter });
  } else {
    // The filter is applied to all cases at once: it may match replays only.
    const replayed = recorded.map((file) => replays(selection, file));
    cases = mergeCases(suites.length > 0 ? [...replayed, expandSuites(request)] : replayed);
    if (filter !== undefined) cases = filterCases(cases, filter, kernels);
  }
  return selection.shard ? shard(cases, selection.shard.index, selection.shard.count, software) : cases;
}

/** Suites that run: those named; without any, recorded tensors alone, or the default of the adapter. */
export function suitesOf({ suites, recorded, fuzzed }: Selection, software: boolean): readonly string[] {
  if (fuzzed) return [FUZZ_SUITE];
  if (suites.length > 0 || recorded.length > 0) return suites;
  return [defaultSuite({ software })];
}

function replays({ kernels, kernelNames, axes }: Selection, file: Selection["recorded"][number]): Case[] {
  const chosen = selectKernels(kernels, kernelNames);
  const variantsOf = (operation: Kernel["operation"]) =>
    chosen.filter((kernel) => kernel.operation === operation).map(({ variant }) => variant);
  const other = axes.find(({ name }) => name !== "page" && name !== "cache");
  if (other) {
    throw new UsageError(`Cannot set axis ${other.name} with --tensors: the file gives it (page and cache can be set)`);
  }
  const values = (name: string) => axes.find((axis) => axis.name === name)?.values;
  const takes = (c: Case) =>
    chosen.some((kernel) => kernelName(kernel) === kernelName(c) && takesCache(kernel, c.axes));
  return recordedCases({
    name: file.tensors.name,
    hash8: file.tensors.hash8,
    dims: file.tensors,
    variants: variantsOf("attend"),
    appendVariants: variantsOf("append"),
    mlaVariants: variantsOf("mla"),
    pages: values("page") as number[] | undefined ?? RECORDED_PAGES,
    dtypes: values("cache") as Dtype[] | undefined ?? RECORDED_DTYPES,
  }).filter(takes);
}
