import { assert, assertEquals, assertRejects } from "@std/assert";
import { parseCaseId } from "../suites/case_id.ts";
import type { TimedCase, VerifiedCase } from "./measure_case.ts";
import { TimingGroup } from "./timing_group.ts";

const CASES = ["unfused", "fused", "fused_subgroup"].map((variant) =>
  parseCaseId(`attend/${variant}:B=1;H=2;R=32;Dr=16;q=1;kv=9;page=4;cache=f32`)
);
/** Only which case it is matters here. */
const verified = CASES.map((c) => ({ c }) as VerifiedCase);
const timed = ({ c }: VerifiedCase) =>
  ({ outcome: { status: "measured", reasons: [c.variant] } }) as unknown as TimedCase;

Deno.test("a group is timed once, when each of its cases has joined or left, in its own order whoever joins first", async () => {
  const calls: string[][] = [];
  const group = new TimingGroup(CASES, (list) => {
    calls.push(list.map(({ c }) => c.variant));
    return Promise.resolve(list.map(timed));
  });
  const ends = [group.join(verified[2]), group.join(verified[0])];
  await Promise.resolve();
  assertEquals(calls, []);
  group.leave(CASES[1]);
  assertEquals((await Promise.all(ends)).map(({ outcome }) => outcome), [2, 0].map((i) => timed(verified[i]).outcome));
  group.leave(CASES[0]);
  assertEquals(calls, [["unfused", "fused_subgroup"]]);
});

Deno.test("a case has arrived when it has joined or left, not before", async () => {
  const group = new TimingGroup(CASES, (list) => Promise.resolve(list.map(timed)));
  const seen: string[] = [];
  const all = CASES.map((c) => group.arrived(c).then(() => seen.push(c.variant)));
  group.leave(CASES[1]);
  await all[1];
  void group.join(verified[0]);
  await all[0];
  assertEquals(seen, ["fused", "unfused"]);
  group.leave(CASES[2]);
  await all[2];
});

Deno.test("a group that all have left is not timed", () => {
  const group = new TimingGroup(CASES, () => Promise.reject(new Error("timed")));
  for (const c of CASES) group.leave(c);
});

Deno.test("where cases cannot be timed together each is timed alone, and what fails then is its own", async () => {
  const group = new TimingGroup(CASES, (list) => {
    const bad = list.some(({ c }) => c.variant === "fused");
    return bad ? Promise.reject(new Error(`${list.length} failed`)) : Promise.resolve(list.map(timed));
  });
  const [first, second, third] = verified.map((each) => group.join(each));
  await assertRejects(() => second, Error, "1 failed");
  assertEquals([(await first).outcome, (await third).outcome], [0, 2].map((i) => timed(verified[i]).outcome));
});

Deno.test("the time of a group is divided: what a case waits for is not its own", async () => {
  const wait = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));
  const group = new TimingGroup(CASES.slice(0, 2), async (list) => {
    await wait(60);
    return list.map(timed);
  });
  const before = performance.now();
  const first = group.join(verified[0]);
  await wait(40);
  const second = group.join(verified[1]);
  const foreign = [(await first).foreignMs, (await second).foreignMs];
  const wall = performance.now() - before;
  assert(foreign[0] - foreign[1] > 30, foreign.join());
  assert(Math.abs(wall - foreign[0] - (wall - 40) / 2) < 15, `${foreign} of ${wall}`);
});
