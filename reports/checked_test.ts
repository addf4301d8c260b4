import { assertEquals } from "@std/assert";
import { checkedInWords, checkedKinds } from "./checked.ts";
import { makeFailed, makeIncorrect, makeVerified } from "./fixture.ts";

Deno.test("checkedKinds() counts cases, not checks, and names the case that came closest to its bound", () => {
  const flow = makeVerified("mla/fused");
  const [out] = flow.verification.checks;
  const checks = [1, 2].map((call) => ({
    ...out,
    name: `call${call}_out`,
    budgetUsed: 0.4 * call,
    ceilingUsed: 0.01 * call,
  }));
  const results = [
    makeVerified(),
    { ...flow, verification: { ...flow.verification, checks } },
    makeIncorrect(),
    makeFailed(),
  ];
  assertEquals(checkedKinds(results), [
    { kind: "out", cases: 3, wrong: 1, budgetUsed: 0.8, closest: flow.id, ceilingUsed: 0.034 },
    { kind: "lse", cases: 2, wrong: 1, budgetUsed: 0.08, closest: makeVerified().id },
    { kind: "inputs_unchanged", cases: 1, wrong: 0 },
  ]);
  assertEquals(checkedInWords(results), "out 3 (1 wrong), lse 2 (1 wrong), inputs_unchanged 1");
  assertEquals(checkedInWords([makeFailed()]), "");
});
