/**
 * What the runs of one call say of the kernel: whether it depends on poison, on the moment, or writes where it may not.
 *
 * @module
 */
import type { Check } from "../reference/check.ts";
import type { Results } from "./inputs_buffers.ts";
import type { RoundsOutcome } from "./rounds.ts";

/** Runs a call again, once, into the given poison; what it left comes back. */
export type RunAgain = (poison: "nan" | "finite") => Promise<Results>;

/** What {@linkcode checkRounds} needs beside the runs. */
export interface RoundChecksOptions {
  /** Whether the kernel promises the same bits each time. */
  readonly deterministic: boolean;
  /** Checks results of the call against the reference. */
  readonly check: (results: Results) => readonly Check[];
  /** Runs the call again. It is asked only where runs differ. */
  readonly again: RunAgain;
}

/**
 * The checks of a call that ran three times:
 *
 * - `poison`: it leaves the same bits whatever lies where it may not look.
 * - `repeat`: it leaves the same bits twice.
 * - `guards`: it writes nothing around its buffers.
 * - `inputs_unchanged`: its inputs are what they were.
 *
 * Of a kernel that is declared non-deterministic, a run that differs must keep the bounds instead.
 */
export async function checkRounds(rounds: RoundsOutcome, options: RoundChecksOptions): Promise<Check[]> {
  const changed = [...rounds.inputDigests].filter(([, [before, after]]) => before !== after).map(([name]) => name);
  return [
    await checkSame("poison", rounds, options),
    await checkSame("repeat", rounds, options),
    rounds.guards,
    checkInputs(rounds.inputDigests.size, changed),
  ];
}

/** The run that each check compares with the first one. */
const COMPARED = { poison: 1, repeat: 2 } as const;

async function checkSame(
  name: keyof typeof COMPARED,
  rounds: RoundsOutcome,
  { deterministic, check, again }: RoundChecksOptions,
): Promise<Check> {
  const elements = rounds.resultBytes / 4;
  const fail = (mismatches: number, message: string): Check => ({ name, passed: false, elements, mismatches, message });
  const [disturbed] = name === "poison" ? rounds.disturbed : [];
  if (disturbed) {
    const { name: buffer, words, first } = disturbed;
    return fail(
      words,
      `${words} words of "${buffer}" that nobody may write were written, the first at byte ${4 * first}`,
    );
  }
  const differing = [...rounds.digests].filter(([, of]) => of[0] !== of[COMPARED[name]]).map(([buffer]) => buffer);
  if (differing.length === 0) return { name, passed: true, elements, mismatches: 0 };
  const results = await again(name === "poison" ? "finite" : "nan");
  if (!deterministic) {
    const failed = check(results).find(({ passed }) => !passed);
    if (!failed) return { name, passed: true, elements, mismatches: 0 };
    return fail(failed.mismatches, `the kernel is declared non-deterministic, but ${failed.name} is out of bounds`);
  }
  const { words, text } = describeDifference(differing, rounds.results, results);
  return fail(
    words,
    name === "poison" ? `${text} where unused memory holds other values` : `${text} when it runs again`,
  );
}

/** Where `again` differs from `results`. A difference may show only now and then. */
function describeDifference(
  differing: readonly string[],
  results: Results,
  again: Results,
): { readonly words: number; readonly text: string } {
  for (const name of differing) {
    const [a, b] = [results.get(name), again.get(name)].map((bytes) => bytes && new Uint32Array(bytes.slice().buffer));
    if (!a || !b) continue;
    let words = 0, first = -1;
    a.forEach((word, i) => {
      if (word === b[i]) return;
      if (words++ === 0) first = i;
    });
    if (words > 0) {
      return { words, text: `${words} of ${a.length} words of "${name}" differ, the first at byte ${4 * first},` };
    }
  }
  return { words: 1, text: `${differing.map((name) => `"${name}"`).join(", ")} differ, though not each time,` };
}

/** Whether inputs are unchanged. `elements` are buffers. */
export function checkInputs(inputs: number, changed: readonly string[]): Check {
  const check = { name: "inputs_unchanged", elements: inputs, mismatches: changed.length };
  if (changed.length === 0) return { ...check, passed: true };
  const names = changed.map((name) => `"${name}"`).join(", ");
  return { ...check, passed: false, message: `the kernel changed ${names}, which it may only read` };
}
