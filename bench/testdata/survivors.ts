/**
 * Mutants that show what the command does with those that are not killed: one that is no fault, one that does not
 * compile, one that no device can run, and one that is killed.
 *
 * @module
 */
import type { Edit, Fault } from "../../kernels/mutants/fault.ts";
import { type Mutant, mutantsOf } from "../../kernels/mutants/plant.ts";

const SHAPES = ["B=1;H=2;R=32;Dr=16;q=1;kv=5;page=4;cache=f32", "B=1;H=2;R=32;Dr=16;q=1;kv=6;page=4;cache=f32"];

function fault(name: string, ...edits: readonly Edit[]): Fault {
  return {
    name,
    bugClass: "plan",
    what: "made for a test",
    like: "made for a test",
    edits: { "attend/fused": edits },
    cases: { attend: SHAPES },
  };
}

function unsupported(mutant: Mutant): Mutant {
  return { ...mutant, kernel: { ...mutant.kernel, requires: ["no-such-feature"] } };
}

/** The mutants. */
export const MUTANTS: readonly Mutant[] = [
  ...mutantsOf(fault("harmless", { find: "var sum = 0.0;", replace: "var sum = 0.0 + 0.0;" })),
  ...mutantsOf(fault("unreadable", { find: "var sum = 0.0;", replace: "var sum = nothing;" })),
  ...mutantsOf(fault("refused", { find: "s * P.scale", replace: "s" })).map(unsupported),
  ...mutantsOf(fault("wrong", { find: "s * P.scale", replace: "s" })),
];

/** Their kernels. */
export const KERNELS: readonly Mutant["kernel"][] = MUTANTS.map(({ kernel }) => kernel);
