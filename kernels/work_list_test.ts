import { assert, assertEquals } from "@std/assert";
import { queryStarts, tokensSeen } from "../reference/rows.ts";
import { type AttendShape, total } from "../reference/shapes.ts";
import type { DeviceTraits } from "./kernel.ts";
import { SLOTS } from "./splits.ts";
import { decodeShape, deviceTraits } from "./testing.ts";
import {
  DIRECT,
  ITEM_WORDS,
  itemIterations,
  itemWords,
  mergeWords,
  mostSplits,
  planWork,
  type WorkItem,
  type WorkList,
  type WorkRequest,
} from "./work_list.ts";

const device = deviceTraits(8);
const LLVMPIPE: DeviceTraits = { ...device, maxLoopIterations: 65535 };

/** Numbers 0…1, the same on every run. */
function generator(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}

function randomBatch(next: () => number): { shape: AttendShape; request: WorkRequest; splits?: number } {
  const upTo = (n: number) => Math.floor(next() * (n + 1));
  const B = 1 + upTo(5);
  const q = Array.from({ length: B }, () => [0, 1, 1, upTo(9), upTo(60)][upTo(4)]);
  const kv = q.map((n) => [0, n, n + upTo(40), upTo(3000), upTo(n)][upTo(4)]);
  const shape = decodeShape({ H: 1 + upTo(20), q, kv, causal: next() < 0.7 });
  const request = {
    rows: [8, 16, 32][upTo(2)],
    loop: { tile: [4, 8, 16][upTo(2)], tileIterations: 9 },
    groups: 1 + upTo(3),
    scores: next() < 0.5,
  };
  return { shape, request, splits: next() < 0.5 ? undefined : 1 + upTo(12) };
}

/** Tokens that row `r` sees of an item, as the header of `WorkItem` says it: end of a range that starts at `begin`. */
function seenBy(item: WorkItem, row: number, H: number): number {
  return Math.min(item.end, Math.floor(row / H) + (item.offset | 0));
}

function assertCovered(shape: AttendShape, { items }: WorkList, what: string) {
  const starts = queryStarts(shape);
  const { H } = shape;
  const covered = Array.from({ length: total(shape.q) * H }, (): [number, number][] => []);
  for (const item of items) {
    assert(item.rows >= 1 && item.begin <= item.end, what);
    assert(item.row >= starts[item.sequence] * H, what);
    assert(item.row + item.rows <= starts[item.sequence + 1] * H, `${what}: rows of another sequence`);
    for (let row = item.row; row < item.row + item.rows; row++) {
      covered[row].push([item.begin, Math.max(item.begin, seenBy(item, row, H))]);
    }
  }
  for (let b = 0; b < shape.B; b++) {
    for (let i = 0; i < shape.q[b]; i++) {
      for (let head = 0; head < H; head++) {
        const ranges = covered[(starts[b] + i) * H + head].sort(([a], [c]) => a - c);
        assert(ranges.length >= 1, `${what}: a row without an item`);
        let at = 0;
        for (const [begin, end] of ranges) {
          if (end === begin) continue;
          assertEquals(begin, at, what);
          at = end;
        }
        assertEquals(at, tokensSeen(shape, b, i), `${what}: sequence ${b}, query ${i}`);
      }
    }
  }
}

/** Every row is written once: directly, or as `splits` partial rows that no other row uses. */
function assertWritten(shape: AttendShape, list: WorkList, what: string) {
  const written = new Uint8Array(total(shape.q) * shape.H);
  const partial = new Uint8Array(list.partialRows);
  list.items.forEach((item, i) => {
    assertEquals(item.slot === DIRECT, i < list.direct, what);
    const target = item.slot === DIRECT ? written : partial;
    const first = item.slot === DIRECT ? item.row : item.slot;
    for (let r = first; r < first + item.rows; r++) target[r]++;
  });
  assert(partial.every((n) => n === 1), what);
  for (const { row, rows, slot, splits } of list.merges) {
    assert(splits >= 2, what);
    const own = list.items.filter((item) => item.slot !== DIRECT && item.row === row);
    assertEquals(
      own.map((item) => item.slot).sort((a, b) => a - b),
      Array.from({ length: splits }, (_, s) => slot + s * rows),
    );
    for (const item of own) assertEquals(item.rows, rows);
    for (let r = row; r < row + rows; r++) written[r]++;
  }
  assert(written.every((n) => n === 1), what);
}

Deno.test("planWork() covers every token that a row sees exactly once, and writes every row once", () => {
  const next = generator(1);
  for (let n = 0; n < 400; n++) {
    const { shape, request, splits } = randomBatch(next);
    const what = JSON.stringify({ q: shape.q, kv: shape.kv, H: shape.H, causal: shape.causal, request, splits });
    const list = planWork(shape, request, { splits }, device);
    assertCovered(shape, list, what);
    assertWritten(shape, list, what);
    for (const { begin, end, rows } of list.items) {
      assert(begin % request.loop.tile === 0 && end - begin <= list.longest && rows <= request.rows, what);
    }
    assert(splits === undefined || mostSplits(list) <= splits, what);
  }
});

Deno.test("planWork() gives every item scores of its own, where they are asked for", () => {
  const next = generator(2);
  for (let n = 0; n < 100; n++) {
    const { shape, request, splits } = randomBatch(next);
    const { items, scoreUnits } = planWork(shape, request, { splits }, device);
    let at = 0;
    for (
      const { scores, rows, begin, end } of items.toSorted((a, b) =>
        a.scores - b.scores || a.end - a.begin - b.end + b.begin
      )
    ) {
      assertEquals(scores, request.scores ? at : 0);
      at += request.scores ? rows * Math.ceil((end - begin) / 16) : 0;
    }
    assertEquals(scoreUnits, at);
  }
});

Deno.test("planWork() loads no tile that is masked for the whole block", () => {
  const shape = decodeShape({ H: 4, q: [64], kv: [100] });
  const { items } = planWork(shape, { rows: 16, loop: { tile: 16, tileIterations: 9 } }, {}, device);
  assertEquals(items.length, 16);
  for (const { row, end } of items) assertEquals(end, 36 + row / 4 + 4);
});

Deno.test("planWork() cuts a ragged batch into spans of about equal length", () => {
  const shape = decodeShape({ kv: [100_000, 30_000, 2000, 7] });
  const { items } = planWork(shape, { rows: 16, loop: { tile: 16, tileIterations: 9 } }, {}, device);
  const whole = items.filter(({ sequence, end }) => sequence < 2 && end < shape.kv[sequence]);
  const lengths = new Set(whole.map(({ begin, end }) => end - begin));
  assert(Math.max(...lengths) <= 1.1 * Math.min(...lengths), [...lengths].join());
  assert(items.length > 200 && items.length < 300, `${items.length} items`);
});

Deno.test("planWork() leaves a prefill that fills the device several times in one piece", () => {
  const shape = decodeShape({ H: 128, q: [2048], kv: [2048] });
  const { items, direct } = planWork(shape, { rows: 32, loop: { tile: 16, tileIterations: 9 } }, {}, device);
  assertEquals([items.length, direct], [8192, 8192]);
  assertEquals([items[0].end, items.at(-1)!.end], [2048, 1]);
});

Deno.test("planWork() keeps the items of the same span of a sequence next to each other", () => {
  const shape = decodeShape({ H: 128, kv: [8192, 5000] });
  const { items } = planWork(shape, { rows: 16, loop: { tile: 16, tileIterations: 9 } }, {}, device);
  const spans = items.map(({ sequence, begin }) => `${sequence} ${begin}`);
  const runs = spans.filter((span, i) => span !== spans[i - 1]);
  assertEquals(runs.length, new Set(spans).size);
});

Deno.test("planWork() keeps to the driver's loops, and below that to the room for partial results", () => {
  const loop = { tile: 16, tileIterations: 100 };
  const shape = decodeShape({ kv: [200_000, 1], R: 512 });
  // So many sequences that nothing else asks for a split.
  const many = decodeShape({ kv: Array(SLOTS).fill(200_000), R: 16 });
  assertEquals(mostSplits(planWork(many, { rows: 16, loop }, {}, device)), 1);
  assert(itemIterations(planWork(many, { rows: 16, loop }, {}, LLVMPIPE), loop) <= 65535);
  const rows = 40;
  const tight = deviceTraits(8, { maxStorageBufferBindingSize: 4 * 512 * rows });
  assert(planWork(shape, { rows: 16, loop }, {}, device).partialRows > rows);
  assert(planWork(shape, { rows: 16, loop }, {}, tight).partialRows <= rows);
});

Deno.test("planWork() gives the same list again, and a sequence without query tokens no item", () => {
  const shape = decodeShape({ H: 3, q: [0, 5, 0, 1], kv: [9, 5, 0, 0] });
  const request = { rows: 8, loop: { tile: 8, tileIterations: 9 } };
  const list = planWork(shape, request, {}, device);
  assertEquals(planWork(shape, request, {}, device), list);
  assertEquals(new Set(list.items.map(({ sequence }) => sequence)), new Set([1, 3]));
  const empty = list.items.find(({ sequence }) => sequence === 3)!;
  assertEquals(empty, { sequence: 3, row: 15, rows: 3, slot: DIRECT, begin: 0, end: 0, offset: -5, scores: 0 });
});

Deno.test("itemWords() and mergeWords() write the fields in the order of their vectors", () => {
  const item = { sequence: 1, row: 2, rows: 3, slot: DIRECT, begin: 5, end: 6, offset: -7, scores: 8 };
  const words = itemWords([item, { ...item, slot: 9 }]);
  assertEquals([...words.subarray(0, ITEM_WORDS)], [1, 2, 3, DIRECT, 5, 6, 2 ** 32 - 7, 8]);
  assertEquals(words[ITEM_WORDS + 3], 9);
  assertEquals([...mergeWords([{ row: 1, rows: 2, slot: 3, splits: 4 }])], [1, 2, 3, 4]);
});
