import { assertEquals } from "@std/assert";
import { uploadStorage } from "./buffers.ts";
import { holds } from "./digests.ts";
import { withGpu } from "./testing.ts";

Deno.test("holds() tells a single bit anywhere, and looks at no more than the given bytes", async () => {
  await withGpu(async (gpu) => {
    const bytes = new Uint8Array(4 * 100_003).map((_, i) => i * 7);
    const range = uploadStorage(gpu, "held", new Uint8Array([...bytes, 1, 2, 3, 4]));
    const flipped = (at: number) => bytes.with(at, bytes[at] ^ 0x80);
    assertEquals(await holds(gpu, range, bytes), true);
    for (const at of [0, 3, 200_001, bytes.length - 1]) assertEquals(await holds(gpu, range, flipped(at)), false);
    const swapped = bytes.slice();
    swapped.set(bytes.subarray(4, 8), 0);
    swapped.set(bytes.subarray(0, 4), 4);
    assertEquals(await holds(gpu, range, swapped), false);
    range.buffer.destroy();
  });
});
