/**
 * What can be asked of a kernel's tuning parameters.
 *
 * @module
 */
import { type Tunable, TUNABLES, type Tuning, type Tunings } from "./kernel.ts";

/** Parameters that are tuned: those of {@linkcode TUNABLES}, and the splits, which every `attend` kernel takes. */
export const TUNED = ["splits", ...TUNABLES] as const satisfies readonly (keyof Tuning)[];

/** Values of tuned parameters: a {@linkcode Tuning} without a form. */
export type TunedValues = Omit<Tuning, "form">;

/**
 * Why a kernel does not take the values of {@linkcode TUNABLES} in `tuning`, undefined where it does. Whether it takes
 * their combination is asked of `refuses`.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 * assertEquals(refuseTunables({ tunings: { rows: [8, 16] } }, { rows: 12 }), "rows=12: only 8, 16");
 * assertEquals(refuseTunables({}, { rows: 8 }), "rows=8: the kernel has no choice of rows");
 * ```
 */
export function refuseTunables({ tunings = {} }: { readonly tunings?: Tunings }, tuning: Tuning): string | undefined {
  const name = TUNABLES.find((name) => tuning[name] !== undefined && !tunings[name]?.includes(tuning[name]));
  return name && `${name}=${tuning[name]}: ${choicesOf(name, tunings)}`;
}

function choicesOf(name: Tunable, tunings: Tunings): string {
  return tunings[name] ? `only ${tunings[name].join(", ")}` : `the kernel has no choice of ${name}`;
}

/** `rows=4, tile=2`: the tuned values, in the order of a case id. */
export function formatTuning(tuning: TunedValues): string {
  return TUNED.filter((name) => tuning[name] !== undefined).map((name) => `${name}=${tuning[name]}`).join(", ");
}
