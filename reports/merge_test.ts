import { assertEquals, assertThrows } from "@std/assert";
import type { Environment, Result } from "../bench/result.ts";
import { makeEnvironment, makeFailed, makeIncorrect, makeMeasured, makeReport, makeSkipped } from "./fixture.ts";
import { mergeReports } from "./merge.ts";
import { validateReport } from "./validate.ts";

const of = (source: string, results: readonly Result[], environment: Partial<Environment> = {}) => ({
  source,
  report: makeReport({ results, environment }),
});
const one = makeMeasured({ axes: { B: 1 } });
const two = makeMeasured({ axes: { B: 2 } });
const early = { startedAt: "2026-08-01T12:00:00.000Z" };
const late = { startedAt: "2026-08-01T13:00:00.5Z" };

Deno.test("mergeReports() joins shards into one valid report", () => {
  const merged = mergeReports([
    of("b", [two], { ...late, argv: ["--suite", "smoke", "--shard", "2/2"], wallS: 3 }),
    of("a", [one], { ...early, argv: ["--suite", "smoke", "--shard=1/2"], wallS: 2, suites: ["smoke", "page"] }),
  ]);
  assertEquals(merged.results, [one, two]);
  assertEquals(merged.environment, {
    ...makeEnvironment(),
    ...early,
    argv: ["--suite", "smoke"],
    suites: ["smoke", "page"],
    wallS: 5,
  });
  assertEquals(validateReport(merged, "merged"), merged);
});

Deno.test("mergeReports() takes the first calibration, also where a verification that had none came before", () => {
  const { calibration } = makeEnvironment();
  const merged = mergeReports([
    of("a", [one], { ...early, command: "verify", calibration: undefined }),
    of("b", [two], late),
  ]);
  assertEquals(merged.environment.calibration, calibration);
});

Deno.test("mergeReports() of one report is that report", () => {
  const { source, report } = of("a", [one]);
  assertEquals(mergeReports([{ source, report }]), report);
});

Deno.test("mergeReports() lets the later result of a case win, whatever the order of arguments", () => {
  const slower = makeMeasured({ axes: { B: 1 }, centreNs: 60_000 });
  const sources = [of("a", [one, two], early), of("b", [slower], late)];
  for (const some of [sources, sources.toReversed()]) assertEquals(mergeReports(some).results, [slower, two]);
  const equal = [of("a", [one], early), of("b", [slower], early)];
  assertEquals(mergeReports(equal).results, [slower]);
});

Deno.test("mergeReports() never hides a wrong result behind a right one", () => {
  const wrong = { ...makeIncorrect(), id: one.id };
  const crashed = { ...makeFailed(), id: one.id };
  assertEquals(mergeReports([of("a", [wrong], early), of("b", [one], late)]).results, [wrong]);
  assertEquals(mergeReports([of("a", [one], early), of("b", [wrong], late)]).results, [wrong]);
  assertEquals(mergeReports([of("a", [wrong], early), of("b", [crashed], late)]).results, [crashed]);
  const skipped = { ...makeSkipped(), id: one.id };
  assertEquals(mergeReports([of("a", [skipped], early), of("b", [one], late)]).results, [one]);
});

Deno.test("mergeReports() names what keeps two reports apart", () => {
  const { adapter } = makeEnvironment();
  const others: [Partial<Environment>, string][] = [
    [{ adapter: { ...adapter, description: "L40S" } }, 'adapter.description is "NVIDIA H200" and "L40S"'],
    [{ adapter: { ...adapter, software: true } }, "adapter.software is false and true"],
    [{ version: "0.2.0" }, 'version is "0.1.0" and "0.2.0"'],
    [{ git: { commit: "f00", dirty: false } }, 'git.commit is "0123456789abcdef0123456789abcdef01234567" and "f00"'],
  ];
  for (const [environment, difference] of others) {
    const sources = [of("a.json", [one], early), of("b.json", [two], { ...late, ...environment })];
    assertThrows(() => mergeReports(sources), RangeError, `Cannot merge a.json and b.json: ${difference}`);
  }
  assertThrows(() => mergeReports([]), RangeError, "there are none");
});

Deno.test("mergeReports() remembers that a checkout had changes and that something was timed", () => {
  const { git } = makeEnvironment();
  const merged = mergeReports([
    of("a", [one], { ...early, command: "verify" }),
    of("b", [two], { ...late, git: { ...git!, dirty: true } }),
  ]);
  assertEquals([merged.environment.git?.dirty, merged.environment.command], [true, "bench"]);
});
