/**
 * Guard bands: poison before and behind every buffer of a launch, looked at after it ran.
 *
 * What a shader does past the end of a binding WebGPU moves to its last element, or drops. Bindings end behind the band
 * wherever the shader cannot tell (`plan.ts`), so such a write is found in the band; where it asks for `arrayLength`
 * the binding is exact, and a write past the end of an output or of the cache is found there, where it lands, and one
 * past the end of scratch only by what it does to the results.
 *
 * @module
 */
import type { Check } from "../reference/check.ts";
import { BAND_BYTES, type BufferRange } from "./buffers.ts";
import type { Gpu } from "./device.ts";
import type { PreparedLaunch } from "./plan.ts";
import { type Pattern, patternOf, type Poison } from "./poison.ts";

/** A place where nothing may be written. */
interface GuardRegion {
  /** The buffer that it guards. */
  readonly name: string;
  /** On which side of the buffer. */
  readonly side: "before" | "behind";
  /** Distance of its first byte from the end of the buffer, or of its end from the buffer's beginning. */
  readonly distance: number;
  /** Where it is. */
  readonly range: BufferRange;
  /** Words of the pattern before its first one. */
  readonly phase: number;
  /** Whether it is written here; what lies between the end of an output and that of its range is poisoned with it. */
  readonly isBand: boolean;
}

/** The guards of a launch: they are filled before a run, copied after it, and looked at on the host. */
export class Guards {
  readonly #gpu: Gpu;
  readonly #regions: readonly GuardRegion[];

  constructor(gpu: Gpu, { launch, buffers }: PreparedLaunch) {
    this.#gpu = gpu;
    this.#regions = launch.buffers.flatMap(({ name, bytes, role, contents }) => {
      const isOwn = role === "output" || role === "scratch" || role === "plan";
      const used = contents?.byteLength ?? bytes;
      return regionsOf(name, buffers.get(name)!, isOwn ? used : undefined);
    });
  }

  /** Bytes of one copy of all guards. */
  get bytes(): number {
    return this.#regions.reduce((sum, { range }) => sum + range.size, 0);
  }

  /** Encodes the filling of all bands. */
  encodeFill(encoder: GPUCommandEncoder, poison: Poison): void {
    const source = bandOf(this.#gpu, poison);
    for (const { range: { buffer, offset, size }, isBand } of this.#regions) {
      if (isBand) encoder.copyBufferToBuffer(source, 0, buffer, offset, size);
    }
  }

  /** Encodes a copy of all guards to `target`, {@linkcode Guards.bytes} long. */
  encodeCopy(encoder: GPUCommandEncoder, target: BufferRange): void {
    let at = target.offset;
    for (const { range: { buffer, offset, size } } of this.#regions) {
      encoder.copyBufferToBuffer(buffer, offset, target.buffer, at, size);
      at += size;
    }
  }

  /** Looks at copies of the guards, each taken after a run into the poison of the same place in `poisons`. */
  check(copies: readonly Uint8Array[], poisons: readonly Poison[]): Check {
    const faults: string[] = [];
    let mismatches = 0;
    copies.forEach((copy, run) => {
      const words = new Uint32Array(copy.slice().buffer);
      const pattern = patternOf("own", poisons[run]);
      let at = 0;
      for (const region of this.#regions) {
        const own = words.subarray(at, at += region.range.size / 4);
        const wrong = wrongWords(own, pattern, region.phase);
        mismatches += wrong.length;
        if (wrong.length > 0) faults.push(describeFault(region, own, pattern, wrong));
      }
    });
    const elements = copies.length * this.bytes / 4;
    return {
      name: "guards",
      passed: mismatches === 0,
      elements,
      mismatches,
      ...(faults.length ? { message: faults[0] } : {}),
    };
  }
}

/** The bands of a buffer; of one that launches fill themselves also what follows the `used` bytes, as far as a band. */
function regionsOf(name: string, { buffer, offset, size, band = 0 }: BufferRange, used = size): GuardRegion[] {
  const regions: GuardRegion[] = [];
  if (band > 0) {
    const range = { buffer, offset: offset - band, size: band };
    regions.push({ name, side: "before", distance: 0, range, phase: 0, isBand: true });
  }
  const rest = Math.min(BAND_BYTES, size - used);
  if (rest > 0) {
    const range = { buffer, offset: offset + used, size: rest };
    regions.push({ name, side: "behind", distance: 0, range, phase: used / 4, isBand: false });
  }
  if (band > 0) {
    const range = { buffer, offset: offset + size, size: band };
    regions.push({ name, side: "behind", distance: size - used, range, phase: 0, isBand: true });
  }
  return regions;
}

function wrongWords(words: Uint32Array, pattern: Pattern, phase: number): number[] {
  const wrong: number[] = [];
  words.forEach((word, i) => {
    if (word !== pattern[(phase + i) % pattern.length]) wrong.push(i);
  });
  return wrong;
}

/** Which buffer, which side, and the first byte that changed. */
function describeFault(
  { name, side, distance, range, phase }: GuardRegion,
  words: Uint32Array,
  pattern: Pattern,
  wrong: readonly number[],
): string {
  const [first] = wrong;
  const changed = words[first] ^ pattern[(phase + first) % pattern.length];
  // The lowest byte of a word comes first.
  const byte = 4 * first + Math.floor(Math.log2((changed & -changed) >>> 0) / 8);
  const where = side === "before"
    ? `${range.size - byte} bytes before its beginning`
    : `${distance + byte} bytes past its end`;
  return `"${name}" was written ${
    side === "before" ? "before" : "behind"
  } itself: ${wrong.length} words changed, the first byte ${where}`;
}

/** A band of each poison, made once a device. */
const bands = new WeakMap<GPUDevice, Map<Poison, GPUBuffer>>();

function bandOf({ device }: Gpu, poison: Poison): GPUBuffer {
  let known = bands.get(device);
  if (!known) bands.set(device, known = new Map());
  let buffer = known.get(poison);
  if (!buffer) {
    const pattern = patternOf("own", poison);
    const words = Uint32Array.from({ length: BAND_BYTES / 4 }, (_, i) => pattern[i % pattern.length]);
    buffer = device.createBuffer({
      label: `band of ${poison}`,
      size: BAND_BYTES,
      usage: GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST,
    });
    device.queue.writeBuffer(buffer, 0, words);
    known.set(poison, buffer);
  }
  return buffer;
}
