import { assert, assertEquals, assertGreater, assertLess } from "@std/assert";
import { type Clock, IDEAL_TIMER } from "./clock.ts";
import { fakeTimer, PROBE_NS } from "./testdata/fake_timer.ts";
import { warmUp } from "./warm_up.ts";

Deno.test("warmUp() keeps an idle device busy until it is at its best clock, and tells what that took", async () => {
  const clock: Clock = { ...IDEAL_TIMER };
  // It wakes over 300 ms.
  const timer = fakeTimer({ launchNs: [], clock: (nowNs) => Math.min(1, 0.2 + 0.8 * (nowNs - 1e9) / 300e6) });
  const spentNs = await warmUp(timer, clock, { minMs: 0, maxMs: 3000 });
  assertEquals(clock.bestProbeNs, PROBE_NS);
  assertGreater(spentNs, 200e6);
  assertLess(spentNs, 500e6);
});

Deno.test("warmUp() takes its least time of a device that is awake, and no more than its most of one that never is", async () => {
  const awake = await warmUp(fakeTimer({ launchNs: [] }), { ...IDEAL_TIMER }, { minMs: 400, maxMs: 3000 });
  assert(awake >= 400e6 && awake < 500e6, String(awake));
  const clock = (nowNs: number) => 0.5 + 0.4 * Math.sin(nowNs / 40e6);
  const restless = await warmUp(fakeTimer({ launchNs: [], clock }), { ...IDEAL_TIMER }, { minMs: 0, maxMs: 1000 });
  assert(restless >= 1000e6 && restless < 1200e6, String(restless));
});

Deno.test("warmUp() sees with a coarse timer, too, that the device is awake, and takes no best probe from it", async () => {
  for (const probeNs of [110_000, 129_300, 150_000, 169_184, 200_000]) {
    const clock: Clock = { ...IDEAL_TIMER, quantumNs: 65_536 };
    const wakes = (nowNs: number) => Math.min(1, 0.2 + 0.8 * (nowNs - 1e9) / 300e6);
    const timer = fakeTimer({ launchNs: [], quantumNs: 65_536, probeNs, clock: wakes });
    const spentNs = await warmUp(timer, clock, { minMs: 0, maxMs: 12_000 });
    assert(spentNs > 200e6 && spentNs < 700e6, `${probeNs}: ${spentNs}`);
    assertEquals(clock.bestProbeNs, undefined);
  }
});

Deno.test("warmUp() ends where the timer stands still", async () => {
  const timer = fakeTimer({ launchNs: [], quantumNs: 1e15 });
  assertEquals(await warmUp(timer, { ...IDEAL_TIMER }, { minMs: 0, maxMs: 1000 }), 0);
  assertLess(timer.submissions.length, 1000);
});
