/**
 * The buffers of a launch around timed runs: what they are before, and what the runs left.
 *
 * @module
 */
import type { Check } from "../reference/check.ts";
import { createStorage, readBack, writeStorage } from "./buffers.ts";
import type { Gpu } from "./device.ts";
import { type Digest, digestedRange, digestOf, encodeDigest } from "./digests.ts";
import { encodePoison } from "./execute.ts";
import { guarded } from "./guard.ts";
import { Guards } from "./guard_bands.ts";
import type { PreparedLaunch } from "./plan.ts";
import { encodeFill, patternOf } from "./poison.ts";
import { Tally } from "./tally.ts";
import type { Upload } from "./uploads.ts";

/**
 * Poisons outputs, scratch, bands and what follows the contents of `plan` buffers, which another run may have poisoned
 * otherwise, and gives buffers that are changed in place their first content.
 */
export async function resetState(gpu: Gpu, prepared: PreparedLaunch, upload: Upload): Promise<void> {
  const { launch, buffers } = prepared;
  const plans = launch.buffers.flatMap(({ name, contents }) =>
    contents ? [{ range: buffers.get(name)!, contents }] : []
  );
  await guarded(gpu, "run", () => {
    const encoder = gpu.device.createCommandEncoder();
    new Guards(gpu, prepared).encodeFill(encoder, "nan");
    const pass = encoder.beginComputePass();
    encodePoison(gpu, pass, prepared);
    for (const { range } of plans) encodeFill(gpu, pass, range, patternOf("own", "nan"));
    pass.end();
    gpu.device.queue.submit([encoder.finish()]);
    for (const { range, contents: { buffer, byteOffset, byteLength } } of plans) {
      writeStorage(gpu, range, new Uint8Array(buffer, byteOffset, byteLength));
    }
    upload.restore();
  });
}

/** What timed runs left. */
export interface TimedState {
  /** The guards. */
  readonly guards: Check;
  /** Names of the buffers whose digest is not what it was. */
  readonly changed: ReadonlySet<string>;
}

/**
 * Reads it. Buffers stay on the device: their digests are compared, where a cache of hundreds of megabytes would have
 * to be copied after each mode.
 *
 * @param digests Those of inputs and results before, by name.
 */
export async function readState(
  gpu: Gpu,
  prepared: PreparedLaunch,
  digests: ReadonlyMap<string, Digest>,
): Promise<TimedState> {
  const { launch, buffers } = prepared;
  const compared = launch.buffers.filter(({ name }) => digests.has(name));
  const own: GPUBuffer[] = [];
  try {
    const { guards, tally, copies } = await guarded(gpu, "run", () => {
      const guards = new Guards(gpu, prepared);
      const tally = new Tally(gpu, compared.length);
      own.push(tally.range.buffer);
      const copies = createStorage(gpu, "guards", guards.bytes);
      own.push(copies.buffer);
      return { guards, tally, copies };
    });
    const sums = compared.map(() => tally.take());
    const contents = await readBack(gpu, [tally.range, copies], (encoder) => {
      const pass = encoder.beginComputePass();
      compared.forEach((spec, i) => encodeDigest(gpu, pass, digestedRange(spec, buffers.get(spec.name)!), sums[i]));
      pass.end();
      guards.encodeCopy(encoder, copies);
    });
    const pairAt = tally.reader(contents[0]);
    return {
      guards: guards.check([contents[1].subarray(0, guards.bytes)], ["nan"]),
      changed: new Set(
        compared.map(({ name }) => name).filter((name, i) => digestOf(pairAt(sums[i])) !== digests.get(name)),
      ),
    };
  } finally {
    for (const buffer of own) buffer.destroy();
  }
}
