/**
 * Digests of buffers, made on the GPU: what must not change is compared without reading it back.
 *
 * A digest is two sums over all words, mod 2³², of two mixtures of a word with its place. Each mixture is a bijection
 * of the word, so a buffer in which one word changed never has the digest it had; of other changes one in 2⁶⁴ is
 * missed.
 *
 * @module
 */
import type { BufferSpec } from "../kernels/kernel.ts";
import { type BufferRange, readBack, uploadStorage } from "./buffers.ts";
import type { Gpu } from "./device.ts";
import { guarded } from "./guard.ts";
import { encodeTool, stridedWorkgroups, toolPipeline } from "./poison.ts";
import { Tally } from "./tally.ts";

// \`mix\` is Chris Wellons' "lowbias32": every bit of the word moves half of the bits of the result.
const DIGEST_SHADER = `
@group(0) @binding(0) var<storage, read> words: array<u32>;
@group(0) @binding(1) var<storage, read_write> sums: array<atomic<u32>>;
var<workgroup> a: atomic<u32>;
var<workgroup> b: atomic<u32>;
fn mix(w: u32) -> u32 {
  var x = w;
  x = (x ^ (x >> 16u)) * 0x7feb352du;
  x = (x ^ (x >> 15u)) * 0x846ca68bu;
  return x ^ (x >> 16u);
}
@compute @workgroup_size(256) fn main(
  @builtin(global_invocation_id) id: vec3<u32>,
  @builtin(num_workgroups) n: vec3<u32>,
  @builtin(local_invocation_index) t: u32,
) {
  var x = 0u;
  var y = 0u;
  for (var i = id.x; i < arrayLength(&words); i += n.x * 256u) {
    x += mix(words[i] ^ mix(i));
    y += mix(mix(words[i] + 0x9e3779b9u) ^ (i * 0xc2b2ae35u));
  }
  atomicAdd(&a, x);
  atomicAdd(&b, y);
  workgroupBarrier();
  if (t == 0u) {
    atomicAdd(&sums[0], atomicLoad(&a));
    atomicAdd(&sums[1], atomicLoad(&b));
  }
}`;

/** Encodes the digest of `range`, which is added to the two words of `sums`. */
export function encodeDigest(gpu: Gpu, pass: GPUComputePassEncoder, range: BufferRange, sums: BufferRange): void {
  encodeTool(gpu, pass, toolPipeline(gpu, "digest", DIGEST_SHADER), {
    ranges: [range, sums],
    workgroups: [stridedWorkgroups(range.size)],
  });
}

/** The part of the buffer of `spec` that is digested: what the launch gives or may write, not the room for others. */
export function digestedRange({ role, bytes, contents }: BufferSpec, range: BufferRange): BufferRange {
  if (role === "output" || role === "inout") return { ...range, size: bytes };
  return { ...range, size: contents?.byteLength ?? range.size };
}

/** A digest, as one string. */
export type Digest = string;

/** The digest whose sums are `pair`. */
export function digestOf(pair: readonly number[]): Digest {
  return pair.map((sum) => sum.toString(16)).join();
}

/** Whether `range` begins with `bytes`, a whole number of words, by their digests: nothing large is read back. */
export async function holds(gpu: Gpu, range: BufferRange, bytes: Uint8Array): Promise<boolean> {
  const own: GPUBuffer[] = [];
  const put = (buffer: BufferRange) => (own.push(buffer.buffer), buffer);
  try {
    const { compared, tally } = await guarded(gpu, "run", () => {
      const expected = put(uploadStorage(gpu, "expected", bytes));
      const tally = new Tally(gpu, 2);
      put(tally.range);
      const compared = [expected, range].map((of) => ({ of: { ...of, size: bytes.byteLength }, sums: tally.take() }));
      return { compared, tally };
    });
    const [contents] = await readBack(gpu, [tally.range], (encoder) => {
      const pass = encoder.beginComputePass();
      for (const { of, sums } of compared) encodeDigest(gpu, pass, of, sums);
      pass.end();
    });
    const [expected, held] = compared.map(({ sums }) => digestOf(tally.reader(contents)(sums)));
    return expected === held;
  } finally {
    for (const buffer of own) buffer.destroy();
  }
}
