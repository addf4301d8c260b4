import { assert, assertEquals } from "@std/assert";
import { type Operation, OPERATIONS } from "../kernels/kernel.ts";
import { total } from "../reference/shapes.ts";
import type { Case } from "./case.ts";
import { estimateCost } from "./cost.ts";
import { expandSuites } from "./expand.ts";
import { PRESETS } from "./presets.ts";
import { SUITE_KERNELS } from "./testing.ts";

const [smoke, standard] = ["smoke", "default"].map((suite) =>
  expandSuites({ suites: [suite], kernelsAvailable: SUITE_KERNELS, software: false, full: false })
);

function casesOf<O extends Operation>(cases: readonly Case[], operation: O): Extract<Case, { operation: O }>[] {
  return cases.filter((testCase): testCase is Extract<Case, { operation: O }> => testCase.operation === operation);
}

/** Asserts that a case is as `is` says; the message is what it says. */
function some<C>(cases: readonly C[], is: (testCase: C) => boolean): void {
  assert(cases.some(is), is.toString());
}

/** A prompt, a prompt of one token, a decode step, a chunk and a sequence without new tokens in one batch. */
function isMixed({ q, kv }: { readonly q: readonly number[]; readonly kv: readonly number[] }): boolean {
  const has = (is: (q: number, kv: number) => boolean) => q.some((tokens, b) => is(tokens, kv[b]));
  return has((q, kv) => q > 1 && q === kv) && has((q, kv) => q === 1 && kv === 1) &&
    has((q, kv) => q === 1 && kv > 1) &&
    has((q, kv) => q > 1 && q < kv) && has((q) => q === 0);
}

Deno.test("smoke attends with several queries, chunks, mixed batches, two caches, and both bases", () => {
  const cases = casesOf(smoke, "attend");
  some(cases, ({ shape }) => isMixed(shape) && shape.layout === undefined);
  some(cases, ({ shape }) => isMixed(shape) && shape.layout === "separate");
  some(cases, ({ shape }) => shape.q[0] > 32 && shape.kv[0] > shape.q[0]);
  some(cases, ({ shape, tuning }) => shape.q[0] > 1 && tuning.splits === 3);
  some(cases, ({ shape }) => shape.q[0] > shape.kv[0] && shape.kv[0] > 0);
  some(cases, ({ shape }) => !shape.causal && shape.q[0] > 1);
  some(cases, ({ shape }) => shape.lseBase === "2" && shape.kv[0] === 0);
  some(cases, ({ shape, tuning }) => shape.lseBase === "2" && tuning.splits === 3);
  some(cases, ({ shape }) => shape.layout === "separate" && shape.Dr === 0);
});

Deno.test("smoke projects both parts, with every weight, few and many tokens, and padding", () => {
  const cases = casesOf(smoke, "project");
  for (const part of ["q", "v"]) {
    for (const R of [256, 512]) some(cases, ({ shape }) => shape.part === part && shape.R === R);
    some(cases, ({ shape }) => shape.part === part && shape.tokens > 32);
  }
  for (const weight of ["f32", "f16", "bf16"]) some(cases, ({ shape }) => shape.weight === weight);
  some(cases, ({ shape }) => shape.padding > 0);
});

Deno.test("smoke expands ragged prompts at the three heads of models, chunks, padding and two caches", () => {
  const cases = casesOf(smoke, "prefill");
  for (const [Dn, Dv, R] of [[64, 128, 256], [128, 128, 512], [192, 256, 512]]) {
    some(cases, ({ shape }) => shape.Dn === Dn && shape.Dv === Dv && shape.R === R && new Set(shape.q).size === 3);
  }
  some(cases, ({ shape }) => shape.kv[0] > shape.q[0] && shape.q[0] > 1);
  some(cases, ({ shape }) => shape.padding > 0 && shape.q.includes(0));
  some(cases, ({ shape }) => shape.layout === "separate");
  some(cases, ({ shape }) => shape.lseBase === "2" && !shape.causal);
});

Deno.test("smoke runs mla in both forms, in mixed batches, in flows, with padding and in both layouts", () => {
  const cases = casesOf(smoke, "mla");
  for (const form of ["absorbed", "expanded"]) {
    some(cases, ({ shape, tuning }) => tuning.form === form && shape.steps === undefined && shape.padding > 0);
    some(cases, ({ shape, tuning }) => tuning.form === form && shape.steps !== undefined);
  }
  for (const layout of [undefined, "separate"]) {
    some(cases, ({ shape }) => isMixed(shape) && shape.layout === layout);
    some(cases, ({ shape }) => shape.steps !== undefined && shape.layout === layout);
  }
  for (const R of [256, 512]) some(cases, ({ shape }) => shape.R === R && shape.q[0] === 1 && shape.kv[0] === 65);
  some(cases, ({ input, tolerance }) => input === "seed" && tolerance === "seed-decode");
});

Deno.test("default has the prompt, the chunk and the append that speed is judged by", () => {
  some(casesOf(standard, "prefill"), ({ shape }) => {
    const { q, kv, H, Dn, Dr, Dv } = shape;
    return q.join() === "8192" && kv.join() === "8192" && [H, Dn, Dr, Dv].join() === "16,128,64,128";
  });
  some(casesOf(standard, "attend"), ({ shape }) => shape.q[0] === 512 && shape.kv[0] === 8192 + 512 && shape.H === 128);
  for (const layout of [undefined, "separate"]) {
    some(casesOf(standard, "append"), ({ shape }) => shape.q.join() === "4096" && shape.layout === layout);
  }
});

Deno.test("default has mla beside each of its parts, and both forms from 128 tokens to 2048", () => {
  for (const H of [16, 128]) {
    const decode = casesOf(standard, "mla").find(({ shape }) =>
      shape.H === H && shape.B === 64 && shape.kv[0] === 4096
    )!;
    const { R, Dn, Dv } = decode.shape;
    for (const part of ["q", "v"]) {
      some(
        casesOf(standard, "project"),
        ({ shape }) =>
          shape.part === part && shape.tokens === 64 &&
          [shape.H, shape.R, shape.Dn, shape.Dv].join() === [H, R, Dn, Dv].join(),
      );
    }
    some(casesOf(standard, "append"), ({ shape }) => shape.B === 64 && shape.q[0] === 1 && shape.R === R);
    if (H === 16) {
      some(casesOf(standard, "attend"), ({ shape }) => shape.B === 64 && shape.H === H && shape.kv[0] === 4096);
    }
  }
  for (const form of ["absorbed", "expanded"]) {
    const tokens = casesOf(standard, "mla").flatMap(({ shape, tuning }) => tuning.form === form ? shape.q : []);
    assertEquals([...new Set(tokens)], [128, 512, 2048]);
  }
  some(casesOf(standard, "mla"), ({ shape }) => shape.B === 20 && total(shape.q) === 4 * 256 + 16);
});

Deno.test("the suite of every model has every operation", () => {
  for (const { name } of PRESETS) {
    const cases = expandSuites({ suites: [name], kernelsAvailable: SUITE_KERNELS, software: false, full: false });
    assertEquals(new Set(cases.map(({ operation }) => operation)).size, OPERATIONS.length, name);
    assert(cases.every((testCase) => estimateCost(testCase).bytes > 0));
  }
});
