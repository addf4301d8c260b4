/**
 * How long the device works at what is not timed: runs that are checked, and what checks them.
 *
 * @module
 */
import type { Gpu } from "./device.ts";

/** Meters of devices whose time is asked for. */
const meters = new WeakMap<Gpu, BusyMeter>();

/** The meter of `gpu`; undefined where its time is not asked for. */
export function meterOf(gpu: Gpu): BusyMeter | undefined {
  return meters.get(gpu);
}

/** Counts from now on what is read back from `gpu`, which has timestamps. */
export function startMeter(gpu: Gpu): BusyMeter {
  const meter = new BusyMeter(gpu.device);
  meters.set(gpu, meter);
  return meter;
}

/** Bytes of the stamps of a submission. */
export const STAMP_BYTES = 16;

/** Adds up the device time of submissions, from their first command to their last. */
export class BusyMeter {
  readonly #queries: GPUQuerySet;
  readonly #resolved: GPUBuffer;
  #ticks = 0;

  /** @param device With the feature `timestamp-query`. */
  constructor(device: GPUDevice) {
    this.#queries = device.createQuerySet({ label: "busy", type: "timestamp", count: 2 });
    this.#resolved = device.createBuffer({
      label: "busy",
      size: STAMP_BYTES,
      usage: GPUBufferUsage.QUERY_RESOLVE | GPUBufferUsage.COPY_SRC,
    });
  }

  /** Encodes the first stamp of a submission. Submissions share the queries: the queue runs one after another. */
  begin(encoder: GPUCommandEncoder): void {
    this.#stamp(encoder, { beginningOfPassWriteIndex: 0 });
  }

  /** Encodes the last stamp and copies both to `staging`. */
  end(encoder: GPUCommandEncoder, staging: GPUBuffer, offset: number): void {
    this.#stamp(encoder, { endOfPassWriteIndex: 1 });
    encoder.resolveQuerySet(this.#queries, 0, 2, this.#resolved, 0);
    encoder.copyBufferToBuffer(this.#resolved, 0, staging, offset, STAMP_BYTES);
  }

  /** Takes the stamps that {@linkcode BusyMeter.end} copied; those of a timer that ran backwards are none. */
  add(stamps: ArrayBuffer): void {
    const [begin, end] = new BigUint64Array(stamps);
    this.#ticks += Math.max(0, Number(end - begin));
  }

  /** Ticks since it was last asked. */
  take(): number {
    const ticks = this.#ticks;
    this.#ticks = 0;
    return ticks;
  }

  #stamp(encoder: GPUCommandEncoder, indices: Omit<GPUComputePassTimestampWrites, "querySet">): void {
    encoder.beginComputePass({ timestampWrites: { querySet: this.#queries, ...indices } }).end();
  }
}
