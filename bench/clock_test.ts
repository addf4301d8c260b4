import { assert, assertAlmostEquals, assertEquals, assertMatch } from "@std/assert";
import { calibrateClock, clockFrom, quantumOf } from "./clock.ts";
import { openGpu } from "./device.ts";

/** Readings 15 ms apart of a device with `tickNs`, the queue delayed by `delayMs(i)`. */
function readings(tickNs: number, delayMs: (i: number) => number, count = 150) {
  return Array.from({ length: count }, (_, i) => ({
    submittedMs: 1000 + 15 * i,
    firstTick: BigInt(Math.round(7e15 + (15 * i + delayMs(i)) * 1e6 / tickNs)),
  }));
}

Deno.test("clockFrom() finds the period whatever the fixed delay, and is not moved by a few late submissions", () => {
  for (const tickNs of [0.52, 1.7, 10, 80]) {
    const clock = clockFrom(readings(tickNs, (i) => 0.3 + (i % 10 === 0 ? 8 : 0)));
    assertAlmostEquals(clock.tickNs / tickNs, 1, 0.002);
    assertEquals(clock.doubt, undefined);
  }
});

Deno.test("clockFrom() takes what is within 0.5 % of a nanosecond for a nanosecond, and nothing else", () => {
  assertEquals(clockFrom(readings(1.001, () => 0)).tickNs, 1);
  assertAlmostEquals(clockFrom(readings(1.02, () => 0)).tickNs, 1.02, 1e-4);
});

Deno.test("clockFrom() doubts timestamps that drift, are reset or stand still, and too few readings", () => {
  const drifting = readings(1, () => 0).map((r, i) => ({ ...r, firstTick: r.firstTick + BigInt(i * i * 20_000) }));
  const reset = readings(1, () => 0).map((r, i) => ({
    ...r,
    firstTick: i < 80 ? r.firstTick : r.firstTick - 6n * 10n ** 15n,
  }));
  const still = readings(1, () => 0).map((r) => ({ ...r, firstTick: 5n }));
  assertMatch(clockFrom(drifting).doubt ?? "", /varies by/);
  assertMatch(clockFrom(reset).doubt ?? "", /do not grow/);
  assertMatch(clockFrom(still).doubt ?? "", /do not grow/);
  assertMatch(clockFrom(readings(1, () => 0, 4)).doubt ?? "", /too few/);
});

Deno.test("calibrateClock() reads the tick of a driver that counts nanoseconds as one", async () => {
  const gpu = await openGpu();
  try {
    const clock = await calibrateClock(gpu, 1500);
    // A loaded machine delays submissions; the work between them must not enter, as it would by 10 % and more.
    assert(Math.abs(clock.tickNs - 1) < 0.03, JSON.stringify(clock));
  } finally {
    gpu.close();
  }
});

/** Steps between stamps that are rounded down to `stepNs` and come as ticks of `tickNs`, in ticks. */
function quantized(stepNs: number, tickNs: number): number[] {
  const stamp = (ns: number) => Math.round(Math.floor(ns / stepNs) * stepNs / tickNs);
  return Array.from({ length: 1024 }, (_, i) => {
    const begin = i * 23_456.7;
    // An empty pass, now and then a longer one.
    return stamp(begin + (1 + i % 7) * 1.3 * stepNs) - stamp(begin);
  });
}

Deno.test("quantumOf() finds the step of a timer, also where it is no whole number of ticks", () => {
  for (const [stepNs, tickNs] of [[32, 1], [65_536, 1], [80, 80], [1, 1], [1000 / 24, 1], [65_536, 80], [1024, 0.52]]) {
    const found = quantumOf(quantized(stepNs, tickNs).filter((step) => step > 0)) * tickNs;
    assertAlmostEquals(found / stepNs, 1, 0.01, `${stepNs} ns in ticks of ${tickNs} ns`);
  }
});

Deno.test("quantumOf() takes steps that have no common one for a timer that advances by ticks", () => {
  assertEquals(quantumOf([1031, 1047, 1190, 1203, 1204]), 1);
  assertEquals(quantumOf([]), 1);
  assertEquals(quantumOf([64, 96]), 32);
});
