import { assertAlmostEquals, assertEquals, assertMatch } from "@std/assert";
import { sampleSlopes } from "./host_slope.ts";
import { judge } from "./judge.ts";

const options = { spanMs: 60, pairs: 20 };

/** A host whose await costs 10 ms, and on which so many launches take `busyNs`. */
function hostOf(busyNs: (launches: number) => number) {
  const asked: number[] = [];
  return {
    asked,
    hostNs(launches: number) {
      asked.push(launches);
      return Promise.resolve(10e6 + busyNs(launches) + 1000 * (asked.length % 3));
    },
  };
}

async function judged(busyNs: (launches: number) => number) {
  const samples = await sampleSlopes(hostOf(busyNs).hostNs, options);
  const run = { mode: "hot" as const, rotation: 1, ...samples };
  return { samples, ...judge({ timer: "host-slope", runs: [run], minBytes: 0, flops: 0 }) };
}

Deno.test("sampleSlopes() takes the cost of an await off, after one submission that wakes the device", async () => {
  const { samples, verdict } = await judged((launches) => 50_000 * launches);
  assertEquals([samples.samplesNs.length, samples.launchesPerPass, verdict], [20, 1024, "ok"]);
  for (const ns of samples.samplesNs) assertAlmostEquals(ns, 50_000, 10);
  const { asked, hostNs } = hostOf((launches) => 50_000 * launches);
  await sampleSlopes(hostNs, options);
  const first = asked.length - 2 * options.pairs - 6;
  assertEquals(asked.slice(first - 1, first + 4), [2048, 1024, 2048, 2048, 1024]);
  assertEquals(asked.slice(-6), [1024, 3072, 1024, 3072, 1024, 3072]);
});

Deno.test("host time that does not grow with the launches is unstable", async () => {
  // Half of what comes after the second thousand is hidden, as where a driver drops work that nobody reads.
  const { samples, verdict, reasons } = await judged((n) =>
    50_000 * Math.min(n, 2048) + 25_000 * Math.max(0, n - 2048)
  );
  assertAlmostEquals(samples.nonlinearity!, -0.25, 0.01);
  assertEquals(verdict, "unstable");
  assertMatch(reasons[0], /^hot: three times the launches take 25\.0 % less than the slope says$/);
});
