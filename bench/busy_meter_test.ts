import { assertEquals, assertGreater, assertLess } from "@std/assert";
import { readBack, uploadStorage } from "./buffers.ts";
import { BusyMeter, startMeter } from "./busy_meter.ts";
import { encodeDigest } from "./digests.ts";
import { Tally } from "./tally.ts";
import { withGpu } from "./testing.ts";

Deno.test("a meter counts what submissions take on the device, once, and leaves what they read as it is", async () => {
  await withGpu(async (gpu) => {
    const bytes = new Uint8Array(4 * 1_000_003).map((_, i) => i);
    const range = uploadStorage(gpu, "words", bytes);
    const tally = new Tally(gpu, 1);
    const sums = tally.take();
    const meter = startMeter(gpu);
    try {
      const read = () =>
        readBack(gpu, [{ ...range, size: bytes.length }, tally.range], (encoder) => {
          const pass = encoder.beginComputePass();
          encodeDigest(gpu, pass, range, sums);
          pass.end();
        });
      const before = performance.now();
      assertEquals((await read())[0], bytes);
      const once = meter.take();
      assertGreater(once, 0);
      assertEquals(meter.take(), 0);
      await Promise.all([read(), read()]);
      assertGreater(meter.take(), once / 10);
      // Stamps of lavapipe, as of NVIDIA, are nanoseconds.
      assertLess(once, 1e6 * (performance.now() - before));
    } finally {
      range.buffer.destroy();
      tally.range.buffer.destroy();
    }
  });
});

Deno.test("a timer that ran backwards counts nothing", async () => {
  await withGpu((gpu) => {
    const meter = new BusyMeter(gpu.device);
    meter.add(new BigUint64Array([9n, 5n]).buffer);
    meter.add(new BigUint64Array([5n, 9n]).buffer);
    assertEquals(meter.take(), 4);
    return Promise.resolve();
  });
});
