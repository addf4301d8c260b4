import { assert, assertEquals } from "@std/assert";
import { bitsView, nanBits } from "../reference/dtypes.ts";
import { makeAppendInputs, makeAttendInputs } from "../reference/inputs.ts";
import { makeMlaInputs } from "../reference/mla_inputs.ts";
import { mlaReference } from "../reference/mla_flow.ts";
import { makePrefillInputs } from "../reference/model_inputs.ts";
import type { AppendCase, AttendCase, MlaCase, PrefillCase } from "../suites/case.ts";
import { parseCaseId } from "../suites/case_id.ts";
import type { CaseCall, CaseInputs } from "./case_inputs.ts";
import { bytesOf, cacheBuffers } from "./inputs_buffers.ts";
import { MOST_SPAN_WORDS, patternOf } from "./poison.ts";
import { heldSlots, partsOf, type PoisonedPart, readSlots, unreadOf } from "./unread.ts";

/** Bytes of every part. */
function spansOf({ spans }: PoisonedPart): [number, number][] {
  return Array.from({ length: spans.length / 2 }, (_, i) => [4 * spans[2 * i], 4 * spans[2 * i + 1]]);
}

/** Words of `data` that are in `parts`, or that are not. */
function wordsOf(data: Uint8Array, { spans }: PoisonedPart, inside: boolean): Uint32Array {
  const words = new Uint32Array(data.slice().buffer);
  const isIn = new Uint8Array(words.length);
  for (let i = 0; i < spans.length; i += 2) isIn.fill(1, spans[i], spans[i + 1]);
  return words.filter((_, i) => (isIn[i] === 1) === inside);
}

/** Calls of which only the sources count. */
function callsOf(...sources: CaseCall["source"][]): CaseInputs["calls"] {
  return sources.map((source) => ({ source }) as CaseCall);
}

Deno.test("readSlots() marks the tokens of each sequence, page by page", () => {
  const { shape } = parseCaseId("attend/fused:B=3;H=1;R=16;Dr=0;q=1;kv=5,0,4;page=4;cache=f32") as AttendCase;
  const inputs = { ...makeAttendInputs(shape, "normal", 1), pages: 5, tableWidth: 3 };
  const pageTable = Int32Array.of(3, 1, -1, 0, -1, -1, 4, -1, -1);
  assertEquals([...readSlots({ ...inputs, pageTable })].join(""), "0000" + "1000" + "0000" + "1111" + "1111");
});

Deno.test("unreadOf() of attend: slots and table entries, in bytes of both layouts", () => {
  for (const layout of ["combined", "separate"] as const) {
    const id = `attend/fused:B=2;H=1;R=32;Dr=16;q=1;kv=3,5;page=4;cache=f16${
      layout === "separate" ? ";layout=separate" : ""
    }`;
    const { shape } = parseCaseId(id) as AttendCase;
    const inputs = {
      ...makeAttendInputs(shape, "normal", 1),
      pages: 5,
      tableWidth: 3,
      pageTable: Int32Array.of(2, -1, -1, 0, 3, -1),
    };
    const [{ idle, fresh }] = unreadOf({
      calls: callsOf({ operation: "attend", inputs }),
      state: new Map(),
    });
    assertEquals(fresh, []);
    // Slots 4 to 8, 11, and from 13 on: page 1, the last slot of page 2, all but the first of page 3, page 4.
    const slots = [[4, 8], [11, 12], [13, 20]];
    const bytes = (width: number) => slots.map(([from, to]): [number, number] => [from * width * 2, to * width * 2]);
    const caches: [string, [number, number][]][] = layout === "combined"
      ? [["cache", bytes(48)]]
      : [["ckv_cache", bytes(32)], ["kpe_cache", bytes(16)]];
    assertEquals(idle.map((part) => [part.name, spansOf(part)]), [...caches, ["page_table", [[4, 12], [20, 24]]]]);
  }
});

Deno.test("what is unread holds the poison and nothing else does, for every dtype, with sequences that are empty", () => {
  for (const cache of ["f32", "f16", "bf16"]) {
    const id = `prefill/fused:B=4;H=2;R=32;Dr=16;Dn=16;Dv=16;q=1,0,3,2;kv=9,0,4,130;page=8;cache=${cache};padding=3`;
    const { shape } = parseCaseId(id) as PrefillCase;
    const inputs = makePrefillInputs(shape, "normal", 3);
    const [{ idle }] = unreadOf({ calls: callsOf({ operation: "prefill", inputs }), state: new Map() });
    const buffers = new Map([
      ...cacheBuffers(inputs.cache, shape),
      ["page_table", bytesOf(inputs.pageTable)] as const,
      ["q_nope", bytesOf(inputs.qNope)] as const,
      ["q_pe", bytesOf(inputs.qPe)] as const,
    ]);
    assertEquals(idle.map(({ name }) => name), ["cache", "page_table", "q_nope", "q_pe"]);
    for (const part of idle) {
      const data = buffers.get(part.name)!;
      const poison = new Set(patternOf(part.kind, "nan"));
      assert(wordsOf(data, part, true).every((word) => poison.has(word)), part.name);
      assert(wordsOf(data, part, false).every((word) => !poison.has(word)), part.name);
    }
  }
});

Deno.test("the hostile entries of a page table lie as their pattern says, and rotated nowhere as they were", () => {
  const { shape } = parseCaseId("attend/fused:B=5;H=1;R=16;Dr=0;q=1;kv=1,9,30,0,17;page=4;cache=f32") as AttendCase;
  const { pageTable, ...inputs } = makeAttendInputs(shape, "normal", 2);
  const [{ idle }] = unreadOf({
    calls: callsOf({ operation: "attend", inputs: { ...inputs, pageTable } }),
    state: new Map(),
  });
  const { spans } = idle.find(({ name }) => name === "page_table")!;
  const [nan, finite] = [patternOf("entry", "nan"), patternOf("entry", "finite")];
  for (let i = 0; i < spans.length; i += 2) {
    for (let at = spans[i]; at < spans[i + 1]; at++) {
      assertEquals(pageTable[at] >>> 0, nan[at % nan.length]);
      assert(nan[at % nan.length] !== finite[at % finite.length]);
    }
  }
});

Deno.test("unreadOf() of append: what is written is fresh, what follows it idle, what was cached neither", () => {
  const { shape } = parseCaseId("append/combined:B=3;R=32;Dr=16;q=3,0,1;kv=9,5,1;page=4;cache=bf16") as AppendCase;
  const inputs = makeAppendInputs(shape, 1);
  const state = new Map(cacheBuffers(inputs.cache, shape));
  const [{ idle, fresh }] = unreadOf({ calls: callsOf({ operation: "append", inputs }), state });
  const slots = (parts: readonly PoisonedPart[]) =>
    parts.flatMap(spansOf).reduce((sum, [from, to]) => sum + (to - from) / (48 * 2), 0);
  assertEquals([slots(fresh), slots(idle)], [4, inputs.pages * 4 - 15]);
});

Deno.test("the slots that hold a token are those of the page table", () => {
  for (const layout of ["", ";layout=separate"]) {
    const id = `append/${layout ? "separate" : "combined"}:B=3;R=32;Dr=16;q=3,0,1;kv=9,5,1;page=4;cache=bf16${layout}`;
    const { shape } = parseCaseId(id) as AppendCase;
    const { cache, cacheLoc, cuNumPages, inputPos, pages } = makeAppendInputs(shape, 1);
    const expected = new Uint8Array(pages * 4);
    inputPos.forEach((tokens, b) => {
      for (let token = 0; token < tokens; token++) {
        expected[cacheLoc[cuNumPages[b] + Math.floor(token / 4)] * 4 + token % 4] = 1;
      }
    });
    assertEquals(heldSlots(new Map(cacheBuffers(cache, shape)), shape), expected);
  }
});

Deno.test("in a flow nothing that any sequence holds is unread, whether it is part of the call or not", () => {
  const id = "mla/fused:B=3;H=2;R=32;Dr=16;Dn=16;Dv=16;q=5,0,0>1,3,0>0,1,0;kv=9,5,6;page=4;cache=f16";
  const c = parseCaseId(id) as MlaCase;
  const inputs = makeMlaInputs(c.shape, c.input, c.seed);
  const calls = [...mlaReference(inputs)];
  const unread = unreadOf({
    calls: callsOf(...calls.map((call) => ({ operation: "mla" as const, inputs: call.inputs, prefill: call.prefill }))),
    state: new Map(cacheBuffers(inputs.cache, c.shape)),
  });
  unread.forEach(({ idle, fresh }, i) => {
    const after = bitsView(calls[i].cacheAfter, "f16");
    const isPoison = (slot: number) => after[slot * 48] === nanBits("f16");
    const held = Array.from({ length: after.length / 48 }, (_, slot) => slot).filter((slot) => !isPoison(slot));
    const slotsOf = (parts: readonly PoisonedPart[]) =>
      parts.filter(({ name }) => name === "cache").flatMap(spansOf).flatMap(([from, to]) =>
        Array.from({ length: (to - from) / 96 }, (_, k) => from / 96 + k)
      );
    assert(slotsOf(idle).every(isPoison), `call ${i + 1}`);
    assertEquals(slotsOf(idle).length + held.length, after.length / 48);
    assertEquals(slotsOf(fresh).length, calls[i].inputs.call.shape.q.reduce((a, b) => a + b, 0));
    assert(slotsOf(fresh).every((slot) => !isPoison(slot)));
  });
});

Deno.test("partsOf() cuts long runs and drops empty ones", () => {
  const [{ spans }] = partsOf("x", "f32", [[5, 5], [7, 7 + MOST_SPAN_WORDS + 2]]);
  assertEquals([...spans], [7, 7 + MOST_SPAN_WORDS, 7 + MOST_SPAN_WORDS, 9 + MOST_SPAN_WORDS]);
  assertEquals(partsOf("x", "f32", [[5, 5]]), []);
});
