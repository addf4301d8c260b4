/**
 * Pairs of words that shaders count into, in one buffer that is read back once.
 *
 * @module
 */
import { type BufferRange, createStorage } from "./buffers.ts";
import type { Gpu } from "./device.ts";

/** Bytes from pair to pair, so that each can be bound: the largest alignment that a binding may need. */
const STRIDE_BYTES = 256;

/** Pairs of words on the device, all zero at first, each a binding of its own. */
export class Tally {
  /** All of them. */
  readonly range: BufferRange;
  #taken = 0;

  /** Allocates `pairs` of them. */
  constructor(gpu: Gpu, pairs: number) {
    this.range = createStorage(gpu, "tally", pairs * STRIDE_BYTES);
  }

  /** The next pair. */
  take(): BufferRange {
    return { buffer: this.range.buffer, offset: this.range.offset + STRIDE_BYTES * this.#taken++, size: 8 };
  }

  /** Looks pairs up in `contents`, what {@linkcode Tally.range} holds. */
  reader(contents: Uint8Array<ArrayBuffer>): (pair: BufferRange) => [number, number] {
    const words = new Uint32Array(contents.buffer, contents.byteOffset, contents.byteLength / 4);
    return ({ offset }) => {
      const at = (offset - this.range.offset) / 4;
      return [words[at], words[at + 1]];
    };
  }
}
