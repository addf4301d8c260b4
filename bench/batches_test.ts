import { assertAlmostEquals, assertEquals } from "@std/assert";
import { encodeBatches, passesOf } from "./batches.ts";
import { type Clock, IDEAL_TIMER, SPIN_PASSES, submitAndRead } from "./clock.ts";
import { fakeTimer, PROBE_NS } from "./testdata/fake_timer.ts";

const BATCHES = [{ subject: 0, launches: 2, passes: 3 }, { subject: 1, launches: 1, passes: 2 }];
const DEVICE = { launchNs: [() => 10_000, () => 50_000], noise: 0 };

Deno.test("encodeBatches() reads the probe around each batch in the same submission, and the best of it", async () => {
  const timer = fakeTimer(DEVICE);
  const clock: Clock = { ...IDEAL_TIMER };
  const { batches, probeNs } = await submitAndRead(encodeBatches(timer, clock, BATCHES));
  assertEquals(timer.submissions.map((passes) => passes.length), [passesOf(BATCHES)]);
  assertEquals(batches.map(({ spans }) => spans.map(({ ns }) => ns)), [[20_000, 20_000, 20_000], [50_000, 50_000]]);
  assertEquals(batches.map(({ beforeNs, afterNs }) => [beforeNs, afterNs]), Array(2).fill([PROBE_NS, PROBE_NS]));
  assertEquals([clock.bestProbeNs, probeNs], [PROBE_NS, (SPIN_PASSES + 2) * PROBE_NS]);
});

Deno.test("encodeBatches() needs no probe where there is none", async () => {
  const clock: Clock = { ...IDEAL_TIMER };
  const { batches, probeNs } = await submitAndRead(
    encodeBatches({ ...fakeTimer(DEVICE), hasProbe: false }, clock, BATCHES),
  );
  assertEquals(batches.map(({ spans }) => spans.length), [3, 2]);
  assertEquals([batches[0].beforeNs, batches[1].afterNs, clock.bestProbeNs, probeNs], [
    undefined,
    undefined,
    undefined,
    0,
  ]);
});

Deno.test("one wrong reading of the probe is no best clock for ever, and a lost one is none", async () => {
  const clock: Clock = { ...IDEAL_TIMER };
  // The timer is set back within the third pass of the probe, by a little less than it takes, and within the last one.
  const setBackNs = (stamp: number) => stamp === 5 ? PROBE_NS - 10 : stamp === 2 * passesOf(BATCHES) - 1 ? 1e9 : 0;
  const { batches } = await submitAndRead(encodeBatches(fakeTimer({ ...DEVICE, setBackNs }), clock, BATCHES));
  assertAlmostEquals(clock.bestProbeNs!, PROBE_NS);
  assertEquals(batches[1].afterNs, undefined);
});
