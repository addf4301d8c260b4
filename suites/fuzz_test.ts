import { assert, assertEquals, assertLess, assertThrows } from "@std/assert";
import { KERNELS } from "../kernels/registry.ts";
import { type Kernel, type KernelBase, kernelName, type Operation, TUNABLES } from "../kernels/kernel.ts";
import { DTYPES } from "../reference/dtypes.ts";
import { total } from "../reference/shapes.ts";
import { AXES, choicesOf } from "./axes.ts";
import type { Case } from "./case.ts";
import { parseCaseId } from "./case_id.ts";
import { estimateCost } from "./cost.ts";
import { Draw } from "./draw.ts";
import { FUZZ_TURN, fuzzCases } from "./fuzz.ts";

const COUNT = 2000;
const drawn = fuzzCases({ count: COUNT, seed: 1, kernels: KERNELS });
const ids = (cases: readonly Case[]) => cases.map(({ id }) => id);

Deno.test("a fuzz draws the same cases again, and other ones for another seed", () => {
  assertEquals(ids(fuzzCases({ count: 300, seed: 1, kernels: KERNELS })), ids(drawn.slice(0, 300)));
  const other = new Set(ids(fuzzCases({ count: 300, seed: 2, kernels: KERNELS })));
  assertEquals(drawn.filter(({ id }) => other.has(id)), []);
});

Deno.test("a longer fuzz begins with the shorter one, and its shards are its parts", () => {
  for (const count of [1, 17, 143, 144]) {
    assertEquals(ids(fuzzCases({ count, seed: 1, kernels: KERNELS })), ids(drawn.slice(0, count)));
  }
  const shards = [1, 2, 3].map((index) =>
    fuzzCases({ count: COUNT, seed: 1, kernels: KERNELS, shard: { index, count: 3 } })
  );
  assertEquals(ids(shards.flat()).toSorted(), ids(drawn).toSorted());
  for (const shard of shards) assertLess(Math.abs(shard.length - COUNT / 3), FUZZ_TURN * KERNELS.length);
});

Deno.test("every case has an id of its own that is read back as the same case", () => {
  assertEquals(new Set(ids(drawn)).size, COUNT);
  assertEquals(new Set(drawn.map(({ seed }) => seed)).size, COUNT);
  for (const c of drawn) assertEquals(parseCaseId(c.id), c);
});

Deno.test("every kernel takes its turn in every round, and a round has one model", () => {
  const round = FUZZ_TURN * KERNELS.length;
  for (let first = 0; first + round <= COUNT; first += round) {
    const cases = drawn.slice(first, first + round);
    const names = Map.groupBy(cases, kernelName);
    assertEquals([...names.keys()].toSorted(), KERNELS.map(kernelName).toSorted());
    for (const [name, own] of names) assertEquals(own.length, FUZZ_TURN, name);
    assertEquals(new Set(cases.map(({ shape }) => shape.R)).size, 1);
  }
});

Deno.test("every named value of every axis is drawn for every operation, and every edge of lengths", () => {
  const many = fuzzCases({ count: 10_000, seed: 3, kernels: KERNELS });
  const seen = new Map<string, Set<string>>();
  for (const { operation, axes } of many) {
    for (const [name, value] of Object.entries(axes)) {
      const key = `${operation} ${name}`;
      seen.set(key, (seen.get(key) ?? new Set()).add(String(value)));
    }
  }
  for (const axis of AXES.filter(({ kind, name }) => kind === "choice" && name !== "tol")) {
    for (const operation of axis.operations) {
      const values = axis.kind === "choice" ? choicesOf(axis, operation) : [];
      assertEquals([...seen.get(`${operation} ${axis.name}`)!].toSorted(), values.map(String).toSorted());
    }
  }
  const attends = many.filter((c) => c.operation === "attend").map(({ shape }) => shape);
  const has = (what: string, test: (shape: (typeof attends)[number]) => boolean) => assert(attends.some(test), what);
  for (const B of [1, 2, 3, 7, 157]) has(`B=${B}`, (shape) => shape.B === B);
  for (const H of [1, 3, 8, 16, 17, 128]) has(`H=${H}`, (shape) => shape.H === H);
  for (const page of [1, 3, 16, 61, 64, 256]) has(`page=${page}`, (shape) => shape.page === page);
  for (const past of [-1, 0, 1]) {
    has(`page edge ${past}`, ({ kv, page }) => page > 4 && kv.some((n) => n > page + 1 && (n - past) % page === 0));
    for (const tile of [8, 16, 32, 64]) {
      has(`tile ${tile} ${past}`, ({ kv }) => kv.some((n) => n > tile && (n - past) % tile === 0));
    }
  }
  has("an empty sequence", ({ kv, q }) => kv.some((n, b) => n === 0 && q[b] > 0));
  has("a sequence without new tokens", ({ q }) => q.includes(0));
  has("a prompt beside a step", ({ q, kv }) => q.includes(1) && q.some((n, b) => n > 9 && n === kv[b]));
  has("a chunk", ({ q, kv }) => q.some((n, b) => n > 9 && n < kv[b]));
  has("a row that sees nothing", ({ q, kv }) => q.some((n, b) => n > kv[b] && kv[b] > 0));
  has("a negative scale", ({ scale }) => scale < 0);
  const flows = many.filter((c) => c.operation === "mla" && c.shape.steps !== undefined);
  assertLess(300, flows.length);
  assert(new Set(many.map(({ shape }) => shape.R)).size > 20);
  for (const cache of DTYPES) assert(many.some((c) => "cache" in c.shape && c.shape.cache === cache));
});

Deno.test("cases are small on the whole, and few are large", () => {
  const flops = drawn.map((c) => estimateCost(c).flops);
  assertLess(total(flops) / COUNT, 2e7);
  assertLess(Math.max(...flops), 4e8);
});

Deno.test("built-in kernels refuse none of their cases; one that takes little is given that", () => {
  const refusal = (c: Case, kernels: readonly Kernel[]) => {
    const kernel = kernels.find((kernel) => kernelName(kernel) === kernelName(c)) as KernelBase<Operation, unknown>;
    return c.operation === "mla" && c.shape.steps ? undefined : kernel.refuses(c.shape, c.tuning);
  };
  assertEquals(drawn.map((c) => refusal(c, KERNELS)).filter((reason) => reason !== undefined), []);
  const fused = KERNELS.find((kernel) => kernelName(kernel) === "attend/fused")!;
  const picky = {
    ...fused,
    refuses: (shape: { cache: string; B: number }) => shape.cache !== "f32" || shape.B > 2 ? "no" : undefined,
  } as unknown as Kernel;
  const cases = fuzzCases({ count: 200, seed: 5, kernels: [picky] });
  assertLess(cases.filter((c) => refusal(c, [picky])).length, 10);
});

Deno.test("a kernel of some element types or of one layout is given those caches, and all that it takes", () => {
  const one = KERNELS.filter(({ dtypes, layouts }) => dtypes ?? layouts);
  assert(one.some(({ dtypes }) => dtypes) && one.some(({ layouts }) => layouts));
  const many = fuzzCases({ count: 3000, seed: 4, kernels: one });
  for (const kernel of one) {
    const own = many.filter((c) => kernelName(c) === kernelName(kernel));
    const values = (axis: string) => [...new Set(own.map(({ axes }) => String(axes[axis])))].toSorted();
    assertEquals(values("cache"), [...kernel.dtypes ?? DTYPES].toSorted(), kernelName(kernel));
    assertEquals(values("layout"), [...kernel.layouts ?? ["combined", "separate"]].toSorted(), kernelName(kernel));
  }
});

Deno.test("half of the turns of a kernel ask for a tuning that it takes, the same in all of their cases", () => {
  const many = fuzzCases({ count: 12_000, seed: 6, kernels: KERNELS.filter(({ tunings }) => tunings) });
  let asked = 0, turns = 0;
  for (let first = 0; first < many.length; first += FUZZ_TURN) {
    const turn = many.slice(first, first + FUZZ_TURN);
    const values = turn.map(({ axes }) => TUNABLES.map((name) => axes[name]).join());
    // Of another model, where a shape was refused, the tuning may be left out.
    if (new Set(values).size === 1) turns++;
    if (values.some((value) => value !== "auto,auto,auto")) asked++;
  }
  assertLess(0.9 * many.length / FUZZ_TURN, turns);
  assertLess(Math.abs(asked / (many.length / FUZZ_TURN) - 0.35), 0.15);
  for (const kernel of KERNELS) {
    for (const name of TUNABLES) {
      const drawn = many.filter((c) => kernelName(c) === kernelName(kernel)).map(({ tuning }) => tuning[name]);
      const values = [...new Set(drawn)].filter((value) => value !== undefined).sort((a, b) => a - b);
      assertEquals(values, [...kernel.tunings?.[name] ?? []], `${kernelName(kernel)} ${name}`);
    }
  }
});

Deno.test("append gets the layout that its kernel takes; without a kernel there is nothing to draw", () => {
  for (const { operation, variant, shape } of drawn) {
    if (operation === "append") assertEquals(shape.layout ?? "combined", variant);
  }
  assertThrows(() => fuzzCases({ count: 1, seed: 0, kernels: [] }), RangeError, "no kernel");
});

Deno.test("a stream weighs, picks and scales within its bounds", () => {
  const draw = new Draw(1, 2, 3);
  const counts = { a: 0, b: 0 };
  for (let i = 0; i < 1000; i++) counts[draw.weigh([["a", 3], ["b", 1]] as const)]++;
  assert(counts.a > 650 && counts.b > 180, JSON.stringify(counts));
  const scaled = Array.from({ length: 1000 }, () => draw.scaled(3, 1000));
  assertEquals([Math.min(...scaled), scaled.every((n) => n >= 3 && n <= 1000)], [3, true]);
  assert(scaled.filter((n) => n < 32).length > 350, "small ones are as likely as large ones");
  assertEquals(draw.scaled(7, 7), 7);
  assertThrows(() => draw.weigh([["a", 0]]), RangeError);
  assertEquals(new Draw(1, 2, 3).below(1e6), new Draw(1, 2, 3).below(1e6));
});
