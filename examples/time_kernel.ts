/**
 * Verifies and times kernels from a program: `deno run examples/time_kernel.ts`.
 *
 * @module
 */
import { attendFused, describeResult, parseCaseId, runCases } from "../mod.ts";
import { naive } from "./naive_kernel.ts";

const shape = "B=2;H=4;R=256;Dr=64;q=1;kv=65;page=16;cache=f32";
const cases = ["attend/naive", "attend/fused"].map((name) => parseCaseId(`${name}:${shape}`));
for await (const result of runCases(cases, { kernels: [naive, attendFused] })) {
  console.log(describeResult(result));
}
