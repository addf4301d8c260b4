/**
 * Runs one call three times: into NaN, into large finite values, into NaN again. What a call may not depend on differs,
 * what it leaves must not.
 *
 * All of it is one submission. Inputs are shared by cases that are in flight at once, and the queue of a device runs
 * one submission after another: the second poison is there only while nobody else runs.
 *
 * @module
 */
import type { Check } from "../reference/check.ts";
import { type BufferRange, createStorage, readBack, writeStorage } from "./buffers.ts";
import type { Gpu } from "./device.ts";
import { type Digest, digestedRange, digestOf, encodeDigest } from "./digests.ts";
import { encodePoison } from "./execute.ts";
import { guarded } from "./guard.ts";
import { Guards } from "./guard_bands.ts";
import type { BoundLaunch, PreparedLaunch } from "./plan.ts";
import { encodeExchange, patternOf, type Poison } from "./poison.ts";
import { Tally } from "./tally.ts";
import { partsOf, type PoisonedPart, type Unread } from "./unread.ts";

/** The poison of each run. The results of the last one are read back: what only a first run gets right fails. */
export const ROUNDS: readonly Poison[] = ["nan", "finite", "nan"];

/**
 * Bytes from which a buffer that is changed in place is read back only where its digest is not known: a tenth of a
 * second of the host.
 */
const LARGE_BYTES = 16 << 20;

/** What large buffers held that were read back, by name. */
export type KnownContents = Map<string, { readonly digest: Digest; readonly bytes: Uint8Array<ArrayBuffer> }>;

/** What a call is run with. */
export interface RoundsOptions {
  /** What it may not depend on. */
  readonly unread: Unread;
  /** Names of the buffers that it may not change; `plan` buffers are added. */
  readonly inputs: Iterable<string>;
  /** Whether buffers that are changed in place are read back: a cache may be large. */
  readonly inPlace: boolean;
  /** What other kernels left in large ones: where the digest is the same, so are the bytes. @default {nothing} */
  readonly known?: KnownContents;
}

/** What the runs left. */
export interface RoundsOutcome {
  /** Contents of the result buffers after the last run, by name. */
  readonly results: Map<string, Uint8Array<ArrayBuffer>>;
  /** Digest of each result buffer after each run, in their order. */
  readonly digests: ReadonlyMap<string, readonly Digest[]>;
  /** Digest of each input before the first run and after the last one. */
  readonly inputDigests: ReadonlyMap<string, readonly [before: Digest, after: Digest]>;
  /** Parts that hold something else than the poison that was put there: how many words, and the first one. */
  readonly disturbed: readonly { readonly name: string; readonly words: number; readonly first: number }[];
  /** Bytes of the result buffers together. */
  readonly resultBytes: number;
  /** The guards after each run. */
  readonly guards: Check;
}

/** Runs `prepared` into each of `poisons` in turn. */
export async function runRounds(
  gpu: Gpu,
  prepared: PreparedLaunch,
  options: RoundsOptions,
  poisons: readonly Poison[] = ROUNDS,
): Promise<RoundsOutcome> {
  const own: GPUBuffer[] = [];
  try {
    const { rounds, bound } = await guarded(gpu, "run", () => ({
      rounds: describeRounds(gpu, prepared, { ...options, poisons }, own),
      bound: prepared.bind(),
    }));
    const { results, tally, copies } = rounds;
    const ranges = [...results.filter(({ read }) => read === "now").map((each) => each.range), tally.range, copies];
    const contents = await readBack(gpu, ranges, (encoder) => encodeRounds(gpu, encoder, rounds, bound));
    const outcome = outcomeOf(rounds, contents);
    for (const { name, range } of results.filter(({ read }) => read === "later")) {
      outcome.results.set(
        name,
        await readOnce(gpu, range, { name, digest: outcome.digests.get(name)!.at(-1)!, known: options.known }),
      );
    }
    return outcome;
  } finally {
    for (const buffer of own) buffer.destroy();
  }
}

/** What a large buffer holds, read back where nothing of its name and digest is known. */
async function readOnce(
  gpu: Gpu,
  range: BufferRange,
  { name, digest, known }: { name: string; digest: Digest; known?: KnownContents },
): Promise<Uint8Array<ArrayBuffer>> {
  const before = known?.get(name);
  if (before?.digest === digest && before.bytes.length === range.size) return before.bytes;
  const [bytes] = await readBack(gpu, [range]);
  known?.set(name, { digest, bytes });
  return bytes;
}

/** A result buffer. */
interface ResultBuffer {
  readonly name: string;
  readonly range: BufferRange;
  /** Whether it is read back with the others, once its digest is known, or not at all. */
  readonly read: "now" | "later" | "never";
  /** Where its digest goes after each run. */
  readonly sums: readonly BufferRange[];
}

/** A buffer that may not change. */
interface InputBuffer {
  readonly name: string;
  readonly range: BufferRange;
  readonly before: BufferRange;
  readonly after: BufferRange;
}

/** Parts of a buffer that get other poison. */
interface Part extends PoisonedPart {
  readonly range: BufferRange;
  readonly spansRange: BufferRange;
  /** Where it is told what was disturbed, before and after the run into finite values. */
  readonly found: readonly BufferRange[];
}

/** What the runs need on the device. */
interface Described {
  readonly poisons: readonly Poison[];
  readonly prepared: PreparedLaunch;
  readonly results: readonly ResultBuffer[];
  readonly inputs: readonly InputBuffer[];
  readonly idle: readonly Part[];
  /** Parts that are poisoned before each run, and then written or never looked at. */
  readonly fresh: readonly Part[];
  readonly guards: Guards;
  readonly tally: Tally;
  /** Copies of the guards, one after another. */
  readonly copies: BufferRange;
}

/** @param own Gets the buffers that are created, at once. */
function describeRounds(
  gpu: Gpu,
  prepared: PreparedLaunch,
  { unread, inputs, inPlace, poisons }: RoundsOptions & Pick<Described, "poisons">,
  own: GPUBuffer[],
): Described {
  const { launch: { buffers: specs }, buffers } = prepared;
  const results = specs.filter(({ role }) => role === "output" || role === "inout");
  const given = new Set(inputs);
  const unchanged = specs.filter(({ name, role }) => given.has(name) || role === "plan");
  const bound = (parts: readonly PoisonedPart[]) =>
    parts.filter(({ name }) => specs.some((spec) => spec.name === name));
  const idle = bound(unread.idle);
  const fresh = [...bound(unread.fresh), ...planPadding(prepared)];
  const pairs = poisons.length * results.length + 2 * unchanged.length + 2 * idle.length + fresh.length;
  const create = (label: string, bytes: number) => {
    const range = createStorage(gpu, label, bytes);
    own.push(range.buffer);
    return range;
  };
  const tally = new Tally(gpu, pairs);
  own.push(tally.range.buffer);
  const partOf = (part: PoisonedPart, times: number): Part => {
    const spansRange = { ...create("spans", part.spans.byteLength), size: part.spans.byteLength };
    writeStorage(gpu, spansRange, new Uint8Array(part.spans.buffer));
    return {
      ...part,
      range: buffers.get(part.name)!,
      spansRange,
      found: Array.from({ length: times }, () => tally.take()),
    };
  };
  const guards = new Guards(gpu, prepared);
  return {
    poisons,
    prepared,
    results: results.map((spec) => ({
      name: spec.name,
      range: digestedRange(spec, buffers.get(spec.name)!),
      read: spec.role === "output" ? "now" : !inPlace ? "never" : spec.bytes < LARGE_BYTES ? "now" : "later",
      sums: poisons.map(() => tally.take()),
    })),
    inputs: unchanged.map((spec) => {
      const range = digestedRange(spec, buffers.get(spec.name)!);
      return { name: spec.name, range, before: tally.take(), after: tally.take() };
    }),
    idle: idle.map((part) => partOf(part, 2)),
    fresh: fresh.map((part) => partOf(part, 1)),
    guards,
    tally,
    copies: create("guards", poisons.length * guards.bytes),
  };
}

/** What follows the contents of `plan` buffers: room for other lengths. */
function planPadding({ launch, buffers }: PreparedLaunch): PoisonedPart[] {
  return launch.buffers.flatMap(({ name, contents }) => {
    const range = buffers.get(name)!;
    if (!contents) return [];
    return partsOf(name, "own", [[contents.byteLength / 4, range.size / 4]]);
  });
}

function encodeRounds(gpu: Gpu, encoder: GPUCommandEncoder, rounds: Described, bound: BoundLaunch): void {
  const { poisons, prepared, results, inputs, idle, fresh, guards, copies } = rounds;
  const inPass = (work: (pass: GPUComputePassEncoder) => void) => {
    const pass = encoder.beginComputePass();
    work(pass);
    pass.end();
  };
  const exchange = (
    pass: GPUComputePassEncoder,
    part: Part,
    after: Poison,
    check?: { before: Poison; found: number },
  ) =>
    encodeExchange(gpu, pass, {
      range: part.range,
      spans: part.spansRange,
      before: check && patternOf(part.kind, check.before),
      after: patternOf(part.kind, after),
      found: part.found[check?.found ?? 0],
    });
  inPass((pass) => {
    for (const { range, before } of inputs) encodeDigest(gpu, pass, range, before);
  });
  poisons.forEach((poison, round) => {
    guards.encodeFill(encoder, poison);
    inPass((pass) => {
      encodePoison(gpu, pass, prepared, poison);
      for (const part of fresh) exchange(pass, part, poison);
      if (poison === "finite") { for (const part of idle) exchange(pass, part, poison, { before: "nan", found: 0 }); }
      bound.encode(pass);
      if (poison === "finite") { for (const part of idle) exchange(pass, part, "nan", { before: poison, found: 1 }); }
      for (const { range, sums } of results) encodeDigest(gpu, pass, range, sums[round]);
    });
    guards.encodeCopy(encoder, { ...copies, offset: copies.offset + round * guards.bytes });
  });
  inPass((pass) => {
    for (const { range, after } of inputs) encodeDigest(gpu, pass, range, after);
  });
}

/** @param contents Those of the results that are read, of the tally, and the copies of the guards. */
function outcomeOf(rounds: Described, contents: readonly Uint8Array<ArrayBuffer>[]): RoundsOutcome {
  const { poisons, results, inputs, idle, guards, tally } = rounds;
  const copies = contents.at(-1)!;
  const pairAt = tally.reader(contents.at(-2)!);
  const digestAt = (pair: BufferRange) => digestOf(pairAt(pair));
  const read = results.filter((each) => each.read === "now");
  return {
    results: new Map(read.map(({ name }, i) => [name, contents[i]])),
    digests: new Map(results.map(({ name, sums }) => [name, sums.map(digestAt)])),
    inputDigests: new Map(
      inputs.map(({ name, before, after }) => [name, [digestAt(before), digestAt(after)] as const]),
    ),
    disturbed: idle.flatMap(({ name, found }) =>
      found.map(pairAt).filter(([count]) => count > 0).map(([count, first]) => ({
        name,
        words: count,
        first: ~first >>> 0,
      }))
    ),
    resultBytes: results.reduce((sum, { range }) => sum + range.size, 0),
    guards: guards.check(poisons.map((_, i) => copies.subarray(i * guards.bytes, (i + 1) * guards.bytes)), poisons),
  };
}
