/**
 * The kernels with one fault each, which are in `kernels/mutants`.
 *
 * @module
 */
export { MUTANT_KERNELS as MUTANTS } from "../../kernels/mutants/mutants.ts";
