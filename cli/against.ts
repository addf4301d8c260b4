/**
 * `--against` and `--save-outputs`: what the outputs of a run are compared with, and where they go.
 *
 * @module
 */
import { resolve } from "node:path";
import { OUTPUTS_INDEX, type OutputsWriter, readOutputs } from "../bench/stored_outputs.ts";
import { type Kernel, kernelName } from "../kernels/kernel.ts";
import type { Case } from "../suites/case.ts";
import { selectKernels } from "../suites/select.ts";
import { describeIo } from "./files.ts";
import { type Flags, text, UsageError } from "./flags.ts";

/** What each case that passes is compared with. */
export type AgainstSelection =
  /** Names of kernels, the other one of a case's operation is taken. */
  | { readonly kernels: readonly string[] }
  /** Absolute path of a folder of stored outputs. */
  | { readonly folder: string };

/**
 * Reads `--against`: a folder that holds stored outputs, a kernel's name, or a variant of several operations.
 *
 * @param kernels Every kernel that can run.
 * @param own Kernels of the module that `--against` names; empty where it names none.
 * @throws {UsageError} If it is none of these.
 * @throws {SyntaxError} If the folder's index is not one.
 */
export function readAgainst(
  flags: Flags,
  kernels: readonly Kernel[],
  own: readonly Kernel[],
): AgainstSelection | undefined {
  const against = text(flags, "against");
  if (against === undefined) return undefined;
  if (own.length > 0) return { kernels: own.map(kernelName) };
  if (isFolder(against)) {
    try {
      readOutputs(against);
    } catch (error) {
      if (error instanceof SyntaxError) throw error;
      throw new UsageError(`Cannot compare with "${against}": ${describeIo(error)} (${OUTPUTS_INDEX})`);
    }
    return { folder: resolve(against) };
  }
  try {
    return { kernels: selectKernels(kernels, [against]).map(kernelName) };
  } catch {
    throw new UsageError(
      `Cannot compare with "${against}": it is no folder with outputs of --save-outputs, and the kernels are ` +
        kernels.map(kernelName).join(", "),
    );
  }
}

/**
 * Reads `--save-outputs`: the absolute path of the folder.
 *
 * @throws {UsageError} If it is the folder of `--against`, which it would replace.
 */
export function readSaveOutputs(flags: Flags, against: AgainstSelection | undefined): string | undefined {
  const dir = text(flags, "save-outputs");
  if (dir === undefined) return undefined;
  const path = resolve(dir);
  if (against && "folder" in against && against.folder === path) {
    throw new UsageError(`Cannot save outputs in "${dir}": it is the folder that they are compared with`);
  }
  return path;
}

/**
 * Demands that some of `cases` can be compared.
 *
 * @throws {UsageError} If `against` names a kernel and no case is of its operation and another variant.
 */
export function checkAgainst(against: AgainstSelection | undefined, cases: readonly Case[]): void {
  if (!against || "folder" in against) return;
  const isCompared = ({ operation, variant }: Case) =>
    against.kernels.some((name) => name.startsWith(`${operation}/`) && name !== `${operation}/${variant}`);
  if (!cases.some(isCompared)) {
    throw new UsageError(
      `Cannot compare with ${against.kernels.join(", ")}: no case of another kernel of the operation is selected`,
    );
  }
}

/** What was stored, in one line. */
export function describeOutputs(dir: string, { stored, cut, leftOut }: OutputsWriter): string {
  const limits = [
    ...(cut > 0 ? [`of ${cut} of them only some rows: a case has room for 1 MiB`] : []),
    ...(leftOut > 0 ? [`none of ${leftOut} more: the folder has room for 512 MiB`] : []),
  ];
  return [
    `Outputs of ${stored} ${stored === 1 ? "case" : "cases"} are in ${dir}: compare with --against ${dir}`,
    ...limits,
  ].join("; ");
}

function isFolder(path: string): boolean {
  try {
    return Deno.statSync(path).isDirectory && Deno.statSync(`${path}/${OUTPUTS_INDEX}`).isFile;
  } catch {
    return false;
  }
}
