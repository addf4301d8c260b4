import {
  assert,
  assertAlmostEquals,
  assertEquals,
  assertGreater,
  assertLess,
  assertNotEquals,
  assertRejects,
} from "@std/assert";
import { f32ToF16Bits } from "../reference/dtypes.ts";
import { readBack, uploadStorage } from "./buffers.ts";
import { calibrate, calibrationOf, fastestOf, rateOf, spannerOf } from "./calibration.ts";
import {
  fillLaunch,
  HARDWARE_SIZES,
  MAX_ROUNDS,
  PROBE_UNIT,
  type ProbeSizes,
  type RateName,
  rateProbes,
} from "./calibration_probes.ts";
import { spansOf, type TimerTraits } from "./clock.ts";
import type { Gpu } from "./device.ts";
import { prepare } from "./plan.ts";
import { withGpu } from "./testing.ts";

const TIMER: TimerTraits = { tickNs: 1, quantumNs: 32, passOverheadNs: 1000 };

Deno.test("rateOf() takes a fast pass for the rate, but not one that seems faster than the rest by a glitch", () => {
  const spansNs = Array.from({ length: 24 }, (_, i) => 1000 + i);
  assertAlmostEquals(rateOf(1e6, spansNs).value, 1e6 / 1002.3e-9, 1);
  const glitch = rateOf(1e6, [1, ...spansNs.slice(1)]).value;
  assertLess(glitch, 1e6 / 1000e-9);
  assertEquals(rateOf(1e6, [0, -5, ...spansNs]), rateOf(1e6, spansNs));
});

Deno.test("rateOf() tells how far the passes lie apart, and has no rate of passes that took no time", () => {
  assertAlmostEquals(rateOf(1, [90, 95, 100, 105, 110]).spread!, 0.1, 1e-12);
  assertEquals(rateOf(1, [0, -1]).value, NaN);
});

Deno.test("fastestOf() takes the best way of doing the same work, whichever comes first", () => {
  const [slow, fast, unknown] = [{ value: 66e12, spread: 0.01 }, { value: 103e12 }, { value: NaN }];
  for (const rates of [[slow, fast], [fast, slow], [unknown, slow, fast], [fast, unknown]]) {
    assertEquals(fastestOf(rates), fast);
  }
  assertEquals(fastestOf([unknown]), unknown);
});

/**
 * Spans of one pass each, its clock as `ratios` say in turn, the last for ever; and how often the clock was waited for.
 */
function makeSpanner(...ratios: number[]) {
  let submissions = 0, waits = 0;
  const spans = spannerOf(
    () => Promise.resolve({ spansNs: [submissions], clockRatio: ratios[Math.min(submissions++, ratios.length - 1)] }),
    () => Promise.resolve(waits++),
  );
  return { spans, waits: () => waits };
}

Deno.test("spannerOf() takes what was not at full clock again, some times in all", async () => {
  const { spans, waits } = makeSpanner(1, 2, 1.04, 1.5, 1, 1.1);
  assertEquals([await spans([]), await spans([]), await spans([]), waits()], [[0], [2], [4], 2]);
  // Two are left, then a clock that is a little slow must do.
  assertEquals([await spans([]), waits(), await spans([]), waits()], [[7], 4, [8], 4]);
});

Deno.test("spannerOf() refuses a clock that stays low, or is not known: such a limit would condemn every kernel", async () => {
  await assertRejects(() => makeSpanner(2).spans([]), RangeError, "the clock stayed at 50 % of its best");
  await assertRejects(() => makeSpanner(NaN).spans([]), RangeError);
});

Deno.test("calibrationOf() refuses figures that are zero, negative or no number, and says which", () => {
  for (const value of [0, -1, NaN, Infinity]) {
    const figures = { readBytesPerS: { value }, f32FlopsPerS: { value: 6e13, spread: 0.01 }, quantumNs: undefined };
    assertEquals(calibrationOf(figures, { doubts: ["the tick period varies"], wallMs: 5 }), {
      f32FlopsPerS: { value: 6e13, spread: 0.01 },
      doubts: ["the tick period varies", `readBytesPerS: it was measured as ${value}`],
      wallMs: 5,
    });
  }
});

Deno.test("calibrate() measures every figure of a device that has f16, and each but that of one that has not", () =>
  withGpu(async (gpu) => {
    const names = [
      "tickNs",
      "quantumNs",
      "emptyPassNs",
      "dispatchNs",
      "readBytesPerS",
      "copyBytesPerS",
      "workgroupBytesPerS",
      "f32FlopsPerS",
    ];
    assert(gpu.traits.features.has("shader-f16"));
    const { doubts, wallMs, gpuMs, ...figures } = await calibrate(gpu, TIMER, 5e6);
    assertEquals([Object.keys(figures), doubts], [[...names, "f16FlopsPerS"], []]);
    assertLess(wallMs, 10_000);
    assertGreater(gpuMs!, 5);
    assertLess(gpuMs! - 5, wallMs);
    // What one core of any computer does, and no computer.
    assertGreater(figures.f32FlopsPerS!.value, 1e8);
    assertLess(figures.f32FlopsPerS!.value, 1e14);
    const features = new Set([...gpu.traits.features].filter((name) => name !== "shader-f16"));
    const without = await calibrate({ ...gpu, traits: { ...gpu.traits, features } }, TIMER);
    assertEquals(Object.keys(without), [...names, "doubts", "wallMs", "gpuMs"]);
  }));

Deno.test("calibrate() says what a device does not allow, and measures the rest", () =>
  withGpu(async (gpu) => {
    const limits = { ...gpu.traits.limits, maxComputeInvocationsPerWorkgroup: 128 };
    const { doubts, wallMs: _, gpuMs: __, ...figures } = await calibrate(
      { ...gpu, traits: { ...gpu.traits, limits } },
      {
        ...TIMER,
        doubt: "the tick period varies by 9 %",
      },
    );
    assertEquals(Object.keys(figures), ["tickNs", "quantumNs", "emptyPassNs", "dispatchNs"]);
    assertEquals(doubts.map((doubt) => doubt.split(":")[0]), [
      "the tick period varies by 9 %",
      "memory",
      "readBytesPerS",
      "copyBytesPerS",
      "workgroupBytesPerS",
      "f32FlopsPerS",
      "f16FlopsPerS",
    ]);
  }));

Deno.test("calibrate() of a device that is lost has doubts and no figure that it measured", () =>
  withGpu(async (gpu) => {
    gpu.device.destroy();
    await gpu.device.lost;
    const { doubts, wallMs: _, gpuMs: __, ...figures } = await calibrate(gpu, TIMER);
    assertEquals(Object.keys(figures), ["tickNs", "quantumNs", "emptyPassNs"]);
    assertGreater(doubts.length, 5);
  }));

const SIZES: ProbeSizes = { memoryBytes: 1 << 17, groups: 2, rounds: 3 };

/**
 * Runs a way of a probe, the first one unless another is named, and returns what it left in the buffer `name`, as
 * words.
 */
async function runProbe(
  gpu: Gpu,
  rate: RateName,
  name: string,
  { source, way = 0, sizes = SIZES }: { source?: Uint32Array; way?: number; sizes?: ProbeSizes } = {},
): Promise<Uint32Array> {
  const launch = rateProbes(sizes, gpu.traits).find((probe) => probe.name === rate)!.launches[way];
  const range = source && uploadStorage(gpu, "source", new Uint8Array(source.buffer));
  const prepared = await prepare(gpu, launch, new Map(range ? [["source", range]] : []));
  try {
    await spansOf(gpu, [prepared.bind()]);
    const [bytes] = await readBack(gpu, [prepared.buffers.get(name)!]);
    return new Uint32Array(bytes.buffer);
  } finally {
    prepared.destroy();
    range?.buffer.destroy();
  }
}

Deno.test("the memory probes read every word once: one word changes what is found, and all are copied", () =>
  withGpu(async (gpu) => {
    const source = new Uint32Array(SIZES.memoryBytes / 4);
    /** What is found once vector `i` of thread 201 of the second workgroup is `word`; its vectors are 4 KiB apart. */
    const found = async (i: number, word: number) => {
      source.fill(word, (4096 + 256 * i + 201) * 4, (4096 + 256 * i + 202) * 4);
      return (await runProbe(gpu, "readBytesPerS", "sink", { source }))[0];
    };
    // The thread writes where its vectors sum up to 0x12345678, and only there.
    assertEquals(await found(0, 0x12340000), 0);
    assertEquals(await found(15, 0x00005678), 201);
    assertEquals(await found(7, 0x00000001), 0);
    const fill = await prepare(gpu, fillLaunch(SIZES), new Map());
    await spansOf(gpu, [fill.bind()]);
    const [bytes] = await readBack(gpu, [fill.buffers.get("source")!]);
    fill.destroy();
    const filled = new Uint32Array(bytes.buffer);
    assertGreater(new Set(filled).size, 0.99 * filled.length);
    assertEquals(await runProbe(gpu, "copyBytesPerS", "copied", { source: filled }), filled);
  }));

/** Bits of a value as an arithmetic probe has it in a register. */
const REGISTERS = {
  f32FlopsPerS: ([value]: number[]) => new Uint32Array(new Float32Array([value]).buffer)[0],
  f16FlopsPerS: ([low, high]: number[]) => (f32ToF16Bits(low) | f32ToF16Bits(high) << 16) >>> 0,
};

function hashOf(words: readonly number[]): number {
  return words.reduce((hash, word) => (Math.imul(31, hash) + word) >>> 0, 0);
}

/** What the accumulators of an outer product end at after `rounds`, four sweeps over them each. */
function outerProductHash(name: keyof typeof REGISTERS, thread: number, rounds: number): number {
  const factors = (bits: number) =>
    Array.from({ length: 8 }, (_, i) => (bits >>> i & 1) === 0 ? [1, 2] : [2, 1]).map((pair) =>
      pair.map((times) => times * PROBE_UNIT)
    );
  const [left, right] = [factors(thread), factors(Math.imul(thread, 0x9e3779b1) >>> 24)];
  const sums = left.flatMap((a) => right.map((b) => a.map((_, lane) => a[lane] + 4 * rounds * a[lane] * b[lane])));
  return hashOf(sums.map(REGISTERS[name]));
}

for (const name of ["f32FlopsPerS", "f16FlopsPerS"] as const) {
  Deno.test(`the outer product of ${name} does each of its FMAs, up to the most rounds`, () =>
    withGpu(async (gpu) => {
      for (const rounds of [3, MAX_ROUNDS]) {
        const found = await runProbe(gpu, name, "sink", { sizes: { ...SIZES, rounds } });
        assertEquals(found, Uint32Array.from({ length: 256 }, (_, thread) => outerProductHash(name, thread, rounds)));
        assertNotEquals(found[201], outerProductHash(name, 201, rounds - 1));
      }
    }));

  Deno.test(`every accumulator of the recurrence of ${name} is drawn to 1`, () =>
    withGpu(async (gpu) => {
      const ones = new Array(32).fill(REGISTERS[name]([1, 1]));
      assertEquals(new Set(await runProbe(gpu, name, "sink", { way: 1 })), new Set([hashOf(ones)]));
      // They were not there from the start.
      const begun = await runProbe(gpu, name, "sink", { way: 1, sizes: { ...SIZES, rounds: 0 } });
      assert(!begun.includes(hashOf(ones)));
    }));
}

Deno.test("the arithmetic probes have work in a straight line, distinct operands and enough of them", () => {
  assert(HARDWARE_SIZES.rounds <= MAX_ROUNDS);
  for (
    const { name, launches } of rateProbes(SIZES, { features: new Set(["shader-f16"]), subgroupMaxSize: 32 }).filter((
      { name },
    ) => /Flops/.test(name))
  ) {
    for (const { dispatches: [{ shader, label }] } of launches) {
      const fmas = [...shader.matchAll(/(x\d+) = fma\((\w+), (\w+), (\w+)\)/g)];
      const accumulators = new Set(fmas.map(([, x]) => x));
      const factors = new Set(fmas.flatMap(([, x, ...operands]) => operands.filter((operand) => operand !== x)));
      assertEquals(fmas.length, 256, `${name} ${label}`);
      assert(accumulators.size >= 32 && factors.size >= 16, `${name} ${label}`);
      // None waits for the one before it: an FMA takes four clocks and more.
      fmas.slice(16).forEach(([, x], i) => assert(fmas.slice(i, i + 16).every(([, other]) => other !== x)));
    }
  }
});

Deno.test("the probe of workgroup memory reads what it says", () =>
  withGpu(async (gpu) => {
    const found = await runProbe(gpu, "workgroupBytesPerS", "sink");
    const tile = Array.from(
      { length: 1024 },
      (_, i) => [1, 3, 5, 7].map((factor) => Math.imul(0x9e3779b1 * i, factor)),
    );
    const expected = Uint32Array.from({ length: 256 }, (_, thread) => {
      let sum = 0;
      for (let round = 0; round < Math.ceil(SIZES.rounds / 8); round++) {
        for (const shift of [0, 8, 16, 24]) {
          for (let row = 0; row < 32; row++) {
            for (const word of tile[32 * row + ((thread + round + shift) & 31)]) sum ^= word;
          }
        }
      }
      return sum;
    });
    assertEquals(found, expected);
  }));
