/**
 * Storage buffers: to the device and back.
 *
 * @module
 */
import { meterOf, STAMP_BYTES } from "./busy_meter.ts";
import type { Gpu } from "./device.ts";
import { guarded, settled } from "./guard.ts";

/** A buffer, or a part of one that starts at a multiple of the binding alignment. */
export interface BufferRange {
  /** The buffer. */
  readonly buffer: GPUBuffer;
  /** First byte. */
  readonly offset: number;
  /** Bytes. */
  readonly size: number;
  /** Bytes of a guard band before and of one behind the range, in the same buffer (`guard_bands.ts`). @default {0} */
  readonly band?: number;
}

const STORAGE_USAGE = GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST;

/** Bytes of an empty tensor: one element of the widest array that a shader declares, eight f32 of a cache. */
const EMPTY_BYTES = 32;

/** Allocates one storage buffer, of {@linkcode EMPTY_BYTES} at least so that an empty tensor can be bound. */
export function createStorage(gpu: Gpu, label: string, size: number): BufferRange {
  const bytes = storageBytes(size);
  return { buffer: gpu.device.createBuffer({ label, size: bytes, usage: STORAGE_USAGE }), offset: 0, size: bytes };
}

function storageBytes(size: number): number {
  return Math.max(EMPTY_BYTES, Math.ceil(size / 4) * 4);
}

/**
 * Bytes of a guard band: a multiple of every alignment that a binding may need, so that what lies between can be bound.
 */
export const BAND_BYTES = 256;

/** {@linkcode createStorage} between two guard bands; without them where the device has no buffer that large. */
export function createGuarded(gpu: Gpu, label: string, size: number): BufferRange {
  const bytes = storageBytes(size);
  if (bytes + 2 * BAND_BYTES > gpu.traits.limits.maxBufferSize) return createStorage(gpu, label, size);
  const buffer = gpu.device.createBuffer({ label, size: bytes + 2 * BAND_BYTES, usage: STORAGE_USAGE });
  return { buffer, offset: BAND_BYTES, size: bytes, band: BAND_BYTES };
}

/** Allocates a storage buffer that holds `data`. */
export function uploadStorage(gpu: Gpu, label: string, data: Uint8Array): BufferRange {
  const range = createStorage(gpu, label, data.byteLength);
  writeStorage(gpu, range, data);
  return range;
}

/** Writes `data` to the beginning of `range`. */
export function writeStorage(gpu: Gpu, range: BufferRange, data: Uint8Array): void {
  const whole = data.byteLength - data.byteLength % 4;
  // One write copies the data into a staging buffer of the same size: in slices the peak stays small.
  const slice = 64 << 20;
  // Of memory that threads share Dawn makes a segmentation fault.
  const isCopied = gpu.adapter.provider === "dawn" && data.buffer instanceof SharedArrayBuffer;
  for (let at = 0; at < whole; at += slice) {
    const end = Math.min(at + slice, whole);
    const part = isCopied ? data.slice(at, end) : data.subarray(at, end);
    gpu.device.queue.writeBuffer(range.buffer, range.offset + at, part as Uint8Array<ArrayBuffer>);
    if (end < whole) gpu.device.queue.submit([]);
  }
  if (whole < data.byteLength) {
    const tail = new Uint8Array(4);
    tail.set(data.subarray(whole));
    gpu.device.queue.writeBuffer(range.buffer, range.offset + whole, tail);
  }
}

/**
 * Copies `ranges` back to the host through one staging buffer, so that the fixed cost of mapping (10 ms in Deno) is
 * paid once. `encode` may put work in front of the copy in the same submission.
 */
export async function readBack(
  gpu: Gpu,
  ranges: readonly BufferRange[],
  encode?: (encoder: GPUCommandEncoder) => void,
): Promise<Uint8Array<ArrayBuffer>[]> {
  const meter = meterOf(gpu);
  const bytes = ranges.reduce((sum, { size }) => sum + size, 0);
  const stampsAt = Math.ceil(bytes / 8) * 8;
  let staging: GPUBuffer | undefined;
  try {
    const { mapped } = await guarded(gpu, "run", () => {
      staging = gpu.device.createBuffer({
        label: "read back",
        size: meter ? stampsAt + STAMP_BYTES : Math.max(4, bytes),
        usage: GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST,
      });
      const encoder = gpu.device.createCommandEncoder();
      meter?.begin(encoder);
      encode?.(encoder);
      let at = 0;
      for (const { buffer, offset, size } of ranges) {
        encoder.copyBufferToBuffer(buffer, offset, staging, at, size);
        at += size;
      }
      meter?.end(encoder, staging, stampsAt);
      gpu.device.queue.submit([encoder.finish()]);
      // Wrapped, so that the scopes are left before the mapping is awaited; a rejection is seen below.
      const mapped = staging.mapAsync(GPUMapMode.READ);
      mapped.catch(() => {});
      return { mapped };
    });
    await settled(gpu, mapped);
    const whole = staging!.getMappedRange();
    meter?.add(whole.slice(stampsAt, stampsAt + STAMP_BYTES));
    let at = 0;
    return ranges.map(({ size }) => {
      const copy = new Uint8Array(whole.slice(at, at + size));
      at += size;
      return copy;
    });
  } finally {
    staging?.destroy();
  }
}
