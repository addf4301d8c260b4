import {
  assert,
  assertAlmostEquals,
  assertEquals,
  assertGreater,
  assertLess,
  assertMatch,
  assertRejects,
} from "@std/assert";
import { uint32At } from "../reference/random.ts";
import { type Clock, IDEAL_TIMER, submitAndRead, traitsFrom } from "./clock.ts";
import { judge, type Judgement } from "./judge.ts";
import { HARDWARE_MEASURE } from "./measure.ts";
import type { PassTimer } from "./pass_timer.ts";
import type { Sampled } from "./series.ts";
import { sampleTogether } from "./sampling.ts";
import { batchMedians, quantile } from "./statistics.ts";
import { type FakeDevice, fakeTimer, PROBE_NS } from "./testdata/fake_timer.ts";

/** Samples a planted device whose timer is known. */
async function sample(device: FakeDevice, options: Partial<typeof HARDWARE_MEASURE & { seed: number }> = {}) {
  const timer = fakeTimer(device);
  const { tickNs = 1, quantumNs = tickNs, overheadNs: passOverheadNs = 0 } = device;
  const clock: Clock = { tickNs, quantumNs, passOverheadNs };
  const sampled = await sampleTogether(timer, clock, { ...HARDWARE_MEASURE, seed: 1, ...options });
  return { timer, clock, sampled, ...sampled[0] };
}

function medianOf({ samples }: Pick<Sampled, "samples">): number {
  return quantile(samples.samplesNs, 0.5);
}

function verdictOn({ samples }: Pick<Sampled, "samples">): Judgement {
  const run = { mode: "hot" as const, rotation: 1, ...samples };
  return judge({ timer: "timestamp-query", runs: [run], minBytes: 0, flops: 0 });
}

/** A launch that always takes so long. */
const steady = (ns: number) => () => ns;

Deno.test("a steady kernel gets its time, fifteen batches, the verdict ok, and the device time that its passes took", async () => {
  const taken = await sample({ launchNs: [steady(37_000)] });
  assertAlmostEquals(medianOf(taken) / 37_000, 1, 0.001);
  assertEquals(verdictOn(taken), { verdict: "ok", reasons: [] });
  const { batches, stopped, warmUpBatches, droppedSpans, overlappingSpans, samplesNs } = taken.samples;
  assertEquals([batches!.length, stopped, warmUpBatches, droppedSpans, overlappingSpans], [15, "interval", 0, 0, 0]);
  assertEquals(batches!.reduce((sum, count) => sum + count), samplesNs.length);
  // Fifteen batches of 12 ms, and 24 passes of the probe a submission.
  assertGreater(taken.gpuMs, 180);
  assertLess(taken.gpuMs, 220);
});

Deno.test("launches of a few microseconds fill a pass, those of milliseconds have one each, in whole rotations", async () => {
  const launches = async (ns: number, rotation: number) =>
    (await sample({ launchNs: [steady(ns)], rotation, noise: 0 })).samples.launchesPerPass;
  assertEquals(await launches(5000, 1), 40);
  assertEquals(await launches(5000, 16), 48);
  assertEquals(await launches(3e6, 1), 1);
  assertEquals(await launches(3e6, 4), 4);
  assertEquals(await launches(30e6, 4), 1);
});

Deno.test("a timer that advances by 65,536 ns is given passes of a hundred steps", async () => {
  const taken = await sample({ launchNs: [steady(5000)], quantumNs: 65_536, overheadNs: 2000 });
  assertGreater(taken.samples.launchesPerPass * 5000, 100 * 65_536 * 0.99);
  assertAlmostEquals(medianOf(taken) / 5000, 1, 0.005);
  assertEquals(verdictOn(taken).verdict, "ok");
});

Deno.test("a timer too coarse for the probe rejects nothing by chance and wakes nobody: the clock is not checked", async () => {
  for (const probeNs of [110_000, 129_300, 150_000, 169_184, 200_000]) {
    const launchNs = [steady(5000), steady(40_000)];
    const { sampled, clock, timer } = await sample({ launchNs, quantumNs: 65_536, probeNs, overheadNs: 1500 });
    for (const each of sampled) {
      assertEquals([each.samples.rejectedBatches, each.samples.clock], [0, undefined], `${probeNs}`);
      assertEquals(verdictOn(each), { verdict: "ok", reasons: [] });
    }
    assertEquals(clock.bestProbeNs, undefined);
    assert(timer.submissions.every((passes) => passes.some((pass) => pass !== "probe")));
  }
});

Deno.test("a timer of 80 ns a tick gives nanoseconds", async () => {
  const taken = await sample({ launchNs: [steady(37_000)], tickNs: 80 });
  assertAlmostEquals(medianOf(taken) / 37_000, 1, 0.002);
  assertEquals(verdictOn(taken).verdict, "ok");
});

Deno.test("what a pass costs is no part of a launch: 10 µs on a kernel of 5 µs", async () => {
  const device = { launchNs: [steady(5000)], overheadNs: 10_000 };
  const taken = await sample(device);
  assertAlmostEquals(medianOf(taken) / 5000, 1, 0.002);
  // Half of it unknown: the pass is long enough that the estimate is still within two percent.
  const unknown = await sampleTogether(fakeTimer(device), { ...IDEAL_TIMER, passOverheadNs: 9600 }, {
    ...HARDWARE_MEASURE,
    seed: 1,
  });
  assertAlmostEquals(medianOf(unknown[0]) / 5000, 1, 0.02);
});

Deno.test("a timer that is reset within passes, or between them, is unreliable", async () => {
  const resets = (from: number, share: number) => (stamp: number) =>
    stamp > 1000 && stamp % 2 === from && uint32At(5, stamp) < share * 2 ** 32 ? 5e6 : 0;
  const within = await sample({ launchNs: [steady(37_000)], setBackNs: resets(1, 0.05) });
  assertGreater(within.samples.droppedSpans, 5);
  assertEquals(verdictOn(within).verdict, "invalid");
  assertMatch(verdictOn(within).reasons[0], /timer unreliable, \d+ of \d+ spans were negative or zero/);
  const between = await sample({ launchNs: [steady(37_000)], setBackNs: resets(0, 0.05) });
  assertGreater(between.samples.overlappingSpans!, 5);
  assertMatch(verdictOn(between).reasons[0], /timer unreliable, \d+ of \d+ spans began before/);
  const once = await sample({ launchNs: [steady(37_000)], setBackNs: (stamp) => stamp === 501 ? 5e6 : 0 });
  assertEquals([once.samples.droppedSpans, verdictOn(once).verdict], [1, "ok"]);
});

Deno.test("a timer that stands still ends sampling, and is unreliable", async () => {
  const timer = fakeTimer({ launchNs: [steady(37_000)], quantumNs: 1e15 });
  const [taken] = await sampleTogether(timer, { ...IDEAL_TIMER }, { ...HARDWARE_MEASURE, seed: 1 });
  assertEquals([taken.samples.stopped, taken.samples.samplesNs.length], ["timer", 0]);
  assertEquals(verdictOn(taken).verdict, "invalid");
});

Deno.test("passes that overlap are unreliable", async () => {
  const taken = await sample({ launchNs: [steady(37_000)], gapNs: -3000 });
  assertEquals(verdictOn(taken).verdict, "invalid");
  assertMatch(verdictOn(taken).reasons[0], /spans began before the one ahead ended/);
});

Deno.test("a drift of 5 % over ten batches is unstable, and the width says how far it was from closing", async () => {
  const taken = await sample({ launchNs: [(nowNs) => 37_000 * (1 + 0.05 * (nowNs - 1e9) / 120e6)] });
  const { verdict, reasons } = verdictOn(taken);
  assertEquals([verdict, taken.samples.stopped], ["unstable", "budget"]);
  assertMatch(reasons[0], /the budget ended sampling after \d+ batches, .* at ±\d\.\d %/);
});

Deno.test("a drift that is too slow for the interval to see goes on, and is named", async () => {
  // 3 % over fifteen batches leaves an interval of ±0.8 %.
  const taken = await sample({ launchNs: [(nowNs) => 37_000 * (1 + 0.03 * (nowNs - 1e9) / 180e6)] });
  assertEquals(taken.samples.stopped, "budget");
  assert(verdictOn(taken).reasons.some((reason) => /drift, the last half .* % slower than/.test(reason)));
  const slow = (percent: number) =>
    sample({ launchNs: [(nowNs) => 37_000 * (1 + percent / 100 * (nowNs - 1e9) / 1e9)] });
  assertEquals(verdictOn(await slow(5)).verdict, "ok");
});

Deno.test("a kernel whose batches switch between times 3 % apart is unstable, however its phases fall", async () => {
  for (const periodNs of [13e6, 30e6, 60e6, 90e6]) {
    const taken = await sample({ launchNs: [(nowNs) => Math.floor(nowNs / periodNs) % 2 ? 37_000 : 38_110] });
    assertEquals(verdictOn(taken).verdict, "unstable", `${periodNs}`);
  }
});

Deno.test("no variant is sampled alone: what its company does to it is in every batch", async () => {
  // The first runs faster in company of the second, which closes at once; the first wanders, and takes longer.
  let companyNs = 0;
  const wander = (nowNs: number) => 1 + 0.03 * (uint32At(3, Math.floor(nowNs / 10e6)) / 2 ** 31 - 1);
  const inCompany = (nowNs: number) => (nowNs - companyNs < 60e6 ? 47_750 : 50_000) * wander(nowNs);
  const company = (nowNs: number) => {
    companyNs = nowNs;
    return 40_000;
  };
  const { sampled: [a, b], timer } = await sample({ launchNs: [inCompany, company] });
  assertGreater(a.samples.batches!.length, 15);
  const [ofA, ofB] = [a, b].map(({ samples }) => samples.batches!.length + samples.warmUpBatches!);
  assertEquals(ofA, ofB);
  assertAlmostEquals(medianOf(a) / 47_750, 1, 0.01);
  const passes = timer.submissions.flat().filter((pass) => pass !== "probe");
  assert(passes.slice(-600).some(({ subject }) => subject === 1));
});

Deno.test("a variant of few launches within the budget keeps the fast ones company, and all of these are counted", async () => {
  const { sampled: [fast, slow] } = await sample({ launchNs: [steady(50_000), steady(400e6)] });
  assertEquals(verdictOn(fast), { verdict: "ok", reasons: [] });
  assert(slow.samples.batches!.length <= 10 && fast.samples.batches!.length >= 15);
});

Deno.test("two modes are unstable, whether batches or passes switch between them", async () => {
  for (const periodNs of [1e6, 30e6]) {
    const taken = await sample({ launchNs: [(nowNs) => Math.floor(nowNs / periodNs) % 2 ? 37_000 : 41_000] });
    assertEquals(verdictOn(taken).verdict, "unstable", String(periodNs));
    assert(verdictOn(taken).reasons.some((reason) => /two modes/.test(reason)), verdictOn(taken).reasons.join());
  }
});

Deno.test("batches at a fallen clock are taken again; where it falls again and again they count and are judged", async () => {
  const passing = await sample({
    launchNs: [steady(37_000)],
    clock: (nowNs) => nowNs > 1.1e9 && nowNs < 1.2e9 ? 345 / 1980 : 1,
  });
  assertGreater(passing.samples.rejectedBatches, 0);
  assertAlmostEquals(medianOf(passing) / 37_000, 1, 0.002);
  assertEquals(verdictOn(passing).verdict, "ok");
  const lasting = await sample({
    launchNs: [steady(37_000)],
    clock: (nowNs) => nowNs > 1.1e9 ? 345 / 1980 : 1,
  });
  assertEquals(verdictOn(lasting).verdict, "unstable");
  assertMatch(verdictOn(lasting).reasons.at(-1)!, /the clock ran at 17 % of the best/);
});

Deno.test("pilots at a fallen clock are taken again: passes have their length, and whole rotations", async () => {
  // Awake while the best probe is read, then asleep until it has been busy for 100 ms.
  const fallen = { launchNs: [steady(5000)], rotation: 16, clock: (nowNs: number) => nowNs < 1.11e9 ? 345 / 1980 : 1 };
  const best: Clock = { ...IDEAL_TIMER, bestProbeNs: PROBE_NS };
  const [taken] = await sampleTogether(fakeTimer(fallen), best, { ...HARDWARE_MEASURE, seed: 1 });
  assertEquals(taken.samples.launchesPerPass, 48);
  assertGreater(taken.samples.rejectedBatches, 0);
  assertEquals(verdictOn(taken).verdict, "ok");
});

Deno.test("passes that turn out to be too short are lengthened while the kernel warms up, and judged where it is late", async () => {
  // The probe was never read at full clock, so nothing says that the first pilots are slow.
  const clock = (untilNs: number) => (nowNs: number) => nowNs < untilNs ? 345 / 1980 : 1;
  const early = await sample({ launchNs: [steady(5000)], rotation: 16, clock: clock(1.05e9) });
  assertEquals([early.samples.launchesPerPass, verdictOn(early).verdict], [48, "ok"]);
  // A kernel that becomes ten times as fast after its passes were found: while it warms up, and later.
  const soon = await sample({ launchNs: [(nowNs) => nowNs < 1.045e9 ? 50_000 : 5000] });
  assertEquals([soon.samples.launchesPerPass, verdictOn(soon).verdict], [40, "ok"]);
  const late = await sample({ launchNs: [(nowNs) => nowNs < 1.1e9 ? 50_000 : 5000] });
  assertEquals(late.samples.launchesPerPass, 4);
  assert(verdictOn(late).reasons.some((reason) => /passes took 20\.\d µs, the timer needs 200\.0 µs/.test(reason)));
});

Deno.test("judge() names passes that cover no whole rotation, unless a rotation is too long", () => {
  const runOf = (launchNs: number, launchesPerPass: number) => {
    const samplesNs = Array<number>(30).fill(launchNs);
    const run = { mode: "cold", samplesNs, launchesPerPass, rotation: 16, leastPassNs: 200_000 } as const;
    return judge({
      timer: "timestamp-query",
      runs: [{ ...run, droppedSpans: 0, rejectedBatches: 0 }],
      minBytes: 0,
      flops: 0,
    });
  };
  assertEquals(runOf(37_000, 6).reasons, ["cold: passes of 6 launches cover no whole rotation over 16 copies"]);
  assertEquals([runOf(37_000, 16).verdict, runOf(30e6, 1).verdict], ["ok", "ok"]);
});

Deno.test("a kernel that gets faster while the device warms up gets the time it settles at", async () => {
  const taken = await sample({ launchNs: [(nowNs) => 37_000 * (1 + 0.4 * Math.exp((1e9 - nowNs) / 30e6))] });
  assertGreater(taken.samples.warmUpBatches!, 3);
  assertAlmostEquals(medianOf(taken) / 37_000, 1, 0.01);
  assertEquals(verdictOn(taken).verdict, "ok");
});

Deno.test("a kernel that never settles is unstable, also where the interval of many batches closes", async () => {
  // Batches, which the probe stands between, alternate by ±1.4 %.
  let lastNs = 0, batch = 0;
  const scatter = (nowNs: number) => {
    if (nowNs - lastNs > 2 * PROBE_NS) batch++;
    lastNs = nowNs;
    return 37_000 * (batch % 2 ? 1.014 : 0.986);
  };
  const taken = await sample({ launchNs: [scatter] }, { targetHalfWidth: 0.05 });
  assertEquals([taken.samples.isSettled, taken.samples.warmUpBatches], [false, 20]);
  assert(verdictOn(taken).reasons.some((reason) => /never warm, no three batches in a row agreed/.test(reason)));
});

Deno.test("the probe of every batch is kept", async () => {
  const { samples } = await sample({ launchNs: [steady(37_000)] });
  assertEquals(samples.probesNs, Array(samples.batches!.length).fill(PROBE_NS));
  assertEquals(samples.isSettled, true);
});

Deno.test("variants that are timed together take turns in random order, drawn from the seed, and drift alike", async () => {
  const drift = (nowNs: number) => 1 + 0.03 * (nowNs - 1e9) / 1e9;
  const launchNs = [30_000, 33_000, 300_000].map((ns) => (nowNs: number) => ns * drift(nowNs));
  const taken = await sample({ launchNs });
  const [a, b, c] = taken.sampled.map(medianOf);
  assertAlmostEquals(b / a, 1.1, 0.005);
  assertAlmostEquals(c / a, 10, 0.05);
  const order = ({ timer }: typeof taken) =>
    timer.submissions.flat().flatMap((pass, i, all) =>
      pass !== "probe" && all[i - 1] === "probe" ? [pass.subject] : []
    );
  const turns = order(taken).slice(-30);
  // Each round has every variant once.
  for (let i = 0; i < 30; i += 3) assertEquals(turns.slice(i, i + 3).toSorted(), [0, 1, 2]);
  assertGreater(new Set(Array.from({ length: 10 }, (_, i) => turns.slice(3 * i, 3 * i + 3).join())).size, 2);
  assertEquals(order(await sample({ launchNs })), order(taken));
  assert(order(await sample({ launchNs }, { seed: 2 })).join() !== order(taken).join());
});

Deno.test("what follows is encoded before the device is waited for, and submitted before its times are looked at", async () => {
  const timer = fakeTimer({ launchNs: [steady(37_000), steady(5000)] });
  const order: string[] = [];
  let made = 0;
  const watched: PassTimer = {
    ...timer,
    encode(passes) {
      const name = made++;
      const { submit, read } = timer.encode(passes);
      order.push(`encode ${name}`);
      const readAndSay = async () => {
        order.push(`wait ${name}`);
        const stamps = await read();
        order.push(`read ${name}`);
        return stamps;
      };
      return { submit: () => (order.push(`submit ${name}`), submit()), read: readAndSay };
    },
  };
  const clock: Clock = { tickNs: 1, quantumNs: 1, passOverheadNs: 0 };
  const sampled = await sampleTogether(watched, clock, { ...HARDWARE_MEASURE, seed: 1 });
  assertEquals(sampled.map((each) => verdictOn(each).verdict), ["ok", "ok"]);
  // Two pilots, on whose lengths what follows depends; then two submissions of one look.
  assertEquals(order, [
    ...["encode 0", "submit 0", "wait 0", "read 0", "encode 1", "submit 1", "wait 1", "read 1"],
    ...["encode 2", "submit 2", "encode 3", "wait 2", "submit 3", "read 2", "wait 3", "read 3"],
  ]);
});

Deno.test("a clock that falls during several submissions costs a wake each time, whatever is in flight", async () => {
  // Four subjects have several submissions a look; every fall lasts until the device is woken.
  for (const falls of [1, 2, 3, 4]) {
    const launchNs = [20_000, 30_000, 40_000, 50_000].map(steady);
    let fallen = 0, woken = 0, submitted = 0, wakes = 0, isProbe = false;
    const timer = fakeTimer({ launchNs, clock: () => fallen > woken ? 0.2 : 1 });
    const falling: PassTimer = {
      ...timer,
      encode(passes) {
        const encoded = timer.encode(passes);
        const submit = () => {
          const wasProbe = isProbe;
          isProbe = passes.every((pass) => pass === "probe");
          if (isProbe && !wasProbe) wakes++;
          if (isProbe) woken = fallen;
          // Not behind another that falls, and before the last of a look.
          else if (++submitted % 3 === 0 && fallen === woken && fallen < falls) fallen++;
          encoded.submit();
        };
        return { ...encoded, submit };
      },
    };
    const clock: Clock = { tickNs: 1, quantumNs: 1, passOverheadNs: 0 };
    const sampled = await sampleTogether(falling, clock, { ...HARDWARE_MEASURE, minBatches: 60, seed: 1 });
    assertEquals([fallen, woken, wakes], [falls, falls, falls]);
    assertEquals(sampled.map((each) => verdictOn(each).verdict), Array(4).fill("ok"), `${falls} falls`);
  }
});

Deno.test("a submission that fails ends sampling with its error", async () => {
  const timer = fakeTimer({ launchNs: [steady(37_000), steady(5000)] });
  for (let failing = 0; failing < 3; failing++) {
    let made = 0;
    const encode: PassTimer["encode"] = (passes) => {
      const encoded = timer.encode(passes);
      return made++ < failing ? encoded : { ...encoded, read: () => Promise.reject(new Error("device lost")) };
    };
    const clock: Clock = { tickNs: 1, quantumNs: 1, passOverheadNs: 0 };
    const sampling = sampleTogether({ ...timer, encode }, clock, { ...HARDWARE_MEASURE, seed: 1 });
    await assertRejects(() => sampling, Error, "device lost");
  }
});

Deno.test("a submission has at most 2,048 passes and less than half a second, whatever the launches", async () => {
  for (const launchNs of [[2000, 3000, 4000, 5000], [90e6, 40e6], [400e6], [50_000, 60e6]]) {
    const { timer } = await sample({ launchNs: launchNs.map(steady) });
    assertLess(timer.longestNs, 0.5e9 + 0.4e9 * Number(launchNs[0] === 400e6));
    assert(timer.submissions.every((passes) => passes.length <= 2048));
  }
});

Deno.test("launches of seconds end sampling before there is an interval, and are unstable", async () => {
  const taken = await sample({ launchNs: [steady(2e9)] });
  assertEquals(taken.samples.stopped, "budget");
  assertLess(batchMedians(taken.samples).length, 6);
  assertEquals(verdictOn(taken).verdict, "unstable");
});

Deno.test("traitsFrom() reads quantum and overhead from empty passes, whatever the tick, and past a reset", async () => {
  const empty = Array(1024).fill({ subject: 0, launches: 0 });
  const traits = async (device: Partial<FakeDevice>) =>
    traitsFrom(
      await submitAndRead(fakeTimer({ launchNs: [steady(0)], gapNs: 1777, ...device }).encode(empty)),
      device.tickNs ?? 1,
    );
  assertEquals(await traits({ overheadNs: 1500 }), { tickNs: 1, quantumNs: 1, passOverheadNs: 1500 });
  assertEquals(await traits({ overheadNs: 1600, tickNs: 80, gapNs: 880 }), {
    tickNs: 80,
    quantumNs: 80,
    passOverheadNs: 1600,
  });
  const coarse = await traits({ overheadNs: 1500, quantumNs: 65_536 });
  assertEquals(coarse.quantumNs, 65_536);
  assertLess(coarse.passOverheadNs, 65_536);
  const reset = await traits({ overheadNs: 1500, quantumNs: 500, setBackNs: (stamp) => stamp === 99 ? 123_457 : 0 });
  assertEquals(reset, { tickNs: 1, quantumNs: 500, passOverheadNs: 1500 });
});
