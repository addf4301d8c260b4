/**
 * Which cases of a sweep are timed together.
 *
 * @module
 */
import type { Case } from "../suites/case.ts";
import { inputsKey } from "./case_inputs.ts";

/** Most bytes that a group may hold on the device beside its inputs, all at once. */
const MAX_BYTES = 4 * 2 ** 30;

/**
 * The variants of one shape that begin `cases`: its neighbours with the same inputs, at most `most` and as many as fit
 * the device together, at least one.
 */
export function leadingGroup(cases: readonly Case[], most: number): Case[] {
  const key = inputsKey(cases[0]);
  const other = cases.findIndex((c) => inputsKey(c) !== key);
  const fitting = Math.max(1, Math.floor(MAX_BYTES / heldBytes(cases[0])));
  return cases.slice(0, Math.min(other < 0 ? cases.length : other, most, fitting));
}

/**
 * Bytes that a variant of the case holds at most, roughly: a score for each row and token, as `unfused` does. The
 * kernel is not asked: it may crash, and no case has begun yet.
 */
function heldBytes({ operation, shape }: Case): number {
  if (operation === "append" || operation === "project") return 1;
  return Math.max(1, 4 * shape.H * shape.q.reduce((sum, tokens, i) => sum + tokens * shape.kv[i], 0));
}
