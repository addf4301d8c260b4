import { assertEquals } from "@std/assert";
import type { Failed, Verified } from "../bench/result.ts";
import { duration, Progress, type ProgressOptions } from "./progress.ts";

const right = { id: "attend/fused:a", axes: {}, hostMs: 1, status: "verified" } as unknown as Verified;
const wrong: Failed = { id: "attend/fused:b", axes: {}, hostMs: 1, status: "failed", stage: "run", message: "planted" };

function make(style: ProgressOptions["style"], done = 0) {
  let text = "", nowMs = 0;
  const progress = new Progress({ total: 10, done, style, columns: 40, write: (t) => text += t, now: () => nowMs });
  return { progress, text: () => text, wait: (ms: number) => nowMs += ms };
}

Deno.test("a terminal gets one line with cases done, failures, time left and the case in flight", () => {
  const { progress, text, wait } = make("line");
  progress.begin(right.id);
  assertEquals(text(), "\r\x1b[K0/10  attend/fused:a");
  wait(2000);
  progress.end(right);
  wait(2000);
  progress.end(wrong);
  assertEquals(text().split("\r\x1b[K").slice(2), [
    "1/10, 18 s left  attend/fused:a",
    "failed: attend/fused:b\n",
    "2/10, 1 failed, 16 s left  attend/fuse…",
  ]);
});

Deno.test("cases of an earlier run do not count for the time left", () => {
  const { progress, wait } = make("none", 8);
  wait(3000);
  progress.end(right);
  assertEquals(progress.line(80), "9/10, 3 s left  ");
});

Deno.test("a log gets a line every ten seconds, and failures at once; none gets nothing", () => {
  const log = make("log"), none = make("none");
  for (const { progress, wait } of [log, none]) {
    for (let i = 0; i < 5; i++) {
      progress.begin(right.id);
      progress.end(right);
      wait(4000);
    }
    progress.end(wrong);
  }
  assertEquals(log.text().split("\n").length - 1, 3);
  assertEquals(log.text().includes("failed: attend/fused:b\n"), true);
  assertEquals(none.text(), "");
});

Deno.test("duration() reads well at every size", () => {
  assertEquals([0.4, 59, 95, 3700].map(duration), ["0 s", "59 s", "1 min 35 s", "1 h 1 min"]);
});
