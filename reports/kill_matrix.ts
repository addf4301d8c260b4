/**
 * Which planted fault was seen where: the kill matrix of `deno task mutants`.
 *
 * @module
 */
import type { Environment, Result } from "../bench/result.ts";
import { BUG_CLASSES, type BugClass, type Fault } from "../kernels/mutants/fault.ts";
import { markdownCode, markdownText, oneLine } from "./escape.ts";
import { markdownTable } from "./markdown.ts";
import { explain } from "./outcome.ts";

/** A case that a mutant is to run. */
export interface PlannedCase {
  /** Case id. */
  readonly id: string;
  /** Suites that hold the case of the kernel without the fault; none where it was chosen for the fault alone. */
  readonly suites: readonly string[];
}

/** A mutant and what it is to run. */
export interface PlannedMutant {
  /** `attend/fused-no_scale`. */
  readonly name: string;
  /** The kernel without the fault. */
  readonly base: string;
  /** The fault. */
  readonly fault: Pick<Fault, "name" | "bugClass" | "what" | "like">;
  /** Its cases, in the order in which they are tried. */
  readonly cases: readonly PlannedCase[];
}

/**
 * What became of a mutant: `killed` by its numbers, in a case that the kernel without the fault passes; `survived`
 * every case that it ran; `broken` where it did not compile or crashed, or where that kernel fails the case as well,
 * which shows nothing; `skipped` where the device refuses all its cases; `pending` where the run ended before.
 */
export type MutantStatus = "killed" | "survived" | "broken" | "skipped" | "pending";

/** Cases of one suite that a mutant ran. */
export interface SuiteKills {
  /** Cases that ran. */
  readonly cases: number;
  /** Cases that saw the fault. */
  readonly kills: number;
}

/** What became of one mutant. */
export interface MutantOutcome {
  /** `attend/fused-no_scale`. */
  readonly name: string;
  /** The kernel without the fault. */
  readonly kernel: string;
  /** Name of the fault. */
  readonly fault: string;
  /** Its class. */
  readonly bugClass: BugClass;
  /** What is wrong. */
  readonly what: string;
  /** The real bug that it stands for. */
  readonly like: string;
  /** What became of it. */
  readonly status: MutantStatus;
  /** The first case that saw it, with the name of the first check that failed and what it said. */
  readonly kill?: PlannedCase & { readonly check: string; readonly message: string };
  /** Whether a case of `smoke` that ran saw it. */
  readonly killedBySmoke: boolean;
  /** Why it is broken or skipped; the cases that a survivor passed. */
  readonly reason?: string;
  /** What it ran by suite; `chosen` stands for cases that no suite has. */
  readonly suites: Readonly<Record<string, SuiteKills>>;
}

/** The content of `mutants.json`. */
export interface KillMatrix {
  /** Version of this format. */
  readonly schemaVersion: 1;
  /** Where and with what. */
  readonly environment: Environment;
  /** Whether every mutant met every case, or was done with at the first that saw it. */
  readonly full: boolean;
  /** Distinct faults. */
  readonly faults: number;
  /** Mutants by what became of them. */
  readonly counts: Readonly<Record<MutantStatus, number>>;
  /** Mutants that a case of `smoke` saw. */
  readonly killedBySmoke: number;
  /** Mutants by the check that saw them first. */
  readonly checks: Readonly<Record<string, number>>;
  /** What became of each. */
  readonly mutants: readonly MutantOutcome[];
}

/** What {@linkcode killMatrix} is made of. */
export interface KillMatrixInput {
  /** Where and with what. */
  readonly environment: Environment;
  /** Whether every mutant met every case. */
  readonly full: boolean;
  /** The mutants. */
  readonly mutants: readonly PlannedMutant[];
  /** Results by case id. */
  readonly results: ReadonlyMap<string, Result>;
}

/** Judges every mutant by its results. */
export function killMatrix({ environment, full, mutants, results }: KillMatrixInput): KillMatrix {
  const outcomes = mutants.map((mutant) => judgeMutant(mutant, results));
  const counts = { killed: 0, survived: 0, broken: 0, skipped: 0, pending: 0 };
  const checks: Record<string, number> = {};
  for (const { status, kill } of outcomes) {
    counts[status]++;
    if (kill) checks[kill.check] = (checks[kill.check] ?? 0) + 1;
  }
  return {
    schemaVersion: 1,
    environment,
    full,
    faults: new Set(mutants.map(({ fault }) => fault.name)).size,
    counts,
    killedBySmoke: outcomes.filter(({ killedBySmoke }) => killedBySmoke).length,
    checks,
    mutants: outcomes,
  };
}

/** Exit code of the command: 2 where a mutant survived or is broken, 4 where none was killed at all, else 0. */
export function exitCodeOf({ counts }: KillMatrix): 0 | 2 | 4 {
  if (counts.survived + counts.broken > 0) return 2;
  return counts.killed === 0 ? 4 : 0;
}

/** Whether nothing more can be learnt of a mutant without running all of its cases. */
export function isSettled(mutant: PlannedMutant, results: ReadonlyMap<string, Result>): boolean {
  return mutant.cases.some(({ id }) => isSeen(results.get(id)) || results.get(id)?.status === "failed");
}

/**
 * The control of a mutant that was seen: the same case of the kernel without the fault; undefined where nothing saw it.
 */
export function controlOf(mutant: PlannedMutant, results: ReadonlyMap<string, Result>): string | undefined {
  const seen = mutant.cases.find(({ id }) => isSeen(results.get(id)));
  return seen && `${mutant.base}:${shapeOf(seen.id)}`;
}

function isSeen(result: Result | undefined): result is Result & { readonly status: "incorrect" } {
  return result?.status === "incorrect";
}

function judgeMutant(mutant: PlannedMutant, results: ReadonlyMap<string, Result>): MutantOutcome {
  const { name, base, fault, cases } = mutant;
  const ran = cases.flatMap((planned) => {
    const result = results.get(planned.id);
    return result ? [{ ...planned, result }] : [];
  });
  const kills = ran.filter(({ result }) => isSeen(result));
  const failed = ran.find(({ result }) => result.status === "failed");
  const verified = ran.filter(({ result }) => result.status === "verified" || result.status === "measured");
  const common = {
    name,
    kernel: base,
    fault: fault.name,
    bugClass: fault.bugClass,
    what: fault.what,
    like: fault.like,
    killedBySmoke: kills.some(({ suites }) => suites.includes("smoke")),
    suites: suitesOf(ran),
  };
  if (failed) return { ...common, status: "broken", reason: `${failed.id}: ${explain(failed.result)}` };
  const control = controlOf(mutant, results);
  if (control !== undefined) {
    const without = results.get(control);
    if (!without) return { ...common, status: "pending" };
    if (without.status === "verified") return { ...common, status: "killed", kill: killOf(kills[0]) };
    return { ...common, status: "broken", reason: `fails without the fault, too: ${control}: ${explain(without)}` };
  }
  if (ran.length < cases.length) return { ...common, status: "pending" };
  if (verified.length === 0) {
    return { ...common, status: "skipped", reason: ran.length > 0 ? explain(ran[0].result) : "no case" };
  }
  return { ...common, status: "survived", reason: verified.map(({ id }) => shapeOf(id)).join(" · ") };
}

function killOf({ id, suites, result }: PlannedCase & { readonly result: Result }): NonNullable<MutantOutcome["kill"]> {
  const checks = isSeen(result) ? result.verification.checks : [];
  const first = checks.find(({ passed }) => !passed);
  return { id, suites, check: first?.name ?? "unknown", message: oneLine(first?.message ?? "") };
}

/** Calls of a flow are one suite's business: the case counts, not its calls. */
function suitesOf(ran: readonly (PlannedCase & { readonly result: Result })[]): Record<string, SuiteKills> {
  const suites: Record<string, SuiteKills> = {};
  for (const { suites: names, result } of ran) {
    if (result.status === "skipped") continue;
    for (const name of names.length > 0 ? names : ["chosen"]) {
      const { cases, kills } = suites[name] ?? { cases: 0, kills: 0 };
      suites[name] = { cases: cases + 1, kills: kills + (isSeen(result) ? 1 : 0) };
    }
  }
  return suites;
}

/** A case id without its kernel. */
function shapeOf(id: string): string {
  return id.slice(id.indexOf(":") + 1);
}

/** The last line: `529 of 530 mutants killed, 1 survived; …`. */
export function matrixSummary({ counts, faults, mutants, killedBySmoke, full }: KillMatrix): string {
  const { killed, survived, broken, skipped, pending } = counts;
  const rest = Object.entries({ survived, broken, skipped, "not run": pending })
    .filter(([, count]) => count > 0)
    .map(([what, count]) => `, ${count} ${what}`);
  const cases = full ? "of all its cases" : "of the cases chosen";
  return `${killed} of ${mutants.length} mutants killed${rest.join("")}; ${faults} faults; ` +
    `smoke kills ${killedBySmoke} ${cases}`;
}

/** The matrix in plain text: a line for each mutant by class, and the summary as the last line. */
export function toMatrixText(matrix: KillMatrix): string {
  const width = Math.max(0, ...matrix.mutants.map(({ name }) => name.length));
  const checkWidth = Math.max(0, ...matrix.mutants.map(({ kill }) => kill?.check.length ?? 0));
  const sections = classesOf(matrix).flatMap(([bugClass, mutants]) => [
    `${bugClass}: ${BUG_CLASSES[bugClass]}`,
    ...mutants.map((mutant) =>
      `  ${mutant.status.padEnd(8)} ${mutant.name.padEnd(width)}  ${whereText(mutant, checkWidth)}`.trimEnd()
    ),
    "",
  ]);
  return [...sections, matrixSummary(matrix), ""].join("\n");
}

function whereText({ kill, reason, suites }: MutantOutcome, checkWidth: number): string {
  if (!kill) return oneLine(reason ?? "");
  return `${kill.check.padEnd(checkWidth)}  ${suiteText(kill, suites)}  ${shapeOf(kill.id)}`;
}

/** `smoke`, or with several cases run `smoke 31/67 boundary 120/192`. */
function suiteText({ suites: own }: PlannedCase, suites: MutantOutcome["suites"]): string {
  const counted = Object.entries(suites).filter(([, { cases }]) => cases > 1);
  if (counted.length === 0) return own.length > 0 ? own.join(" ") : "chosen";
  return counted.map(([name, { cases, kills }]) => `${name} ${kills}/${cases}`).join(" ");
}

/** Mutants by class, in the order of {@linkcode BUG_CLASSES}; classes without any are left out. */
function classesOf({ mutants }: KillMatrix): [BugClass, MutantOutcome[]][] {
  const groups = Map.groupBy(mutants, ({ bugClass }) => bugClass);
  return (Object.keys(BUG_CLASSES) as BugClass[]).flatMap((bugClass) => {
    const own = groups.get(bugClass);
    return own ? [[bugClass, own] as [BugClass, MutantOutcome[]]] : [];
  });
}

/** The matrix as Markdown: what was not killed, then a table for each class, faults down and kernels across. */
export function toMatrixMarkdown(matrix: KillMatrix): string {
  const { environment: { adapter, startedAt, wallS } } = matrix;
  const sections = [
    `# Planted faults: ${matrixSummary(matrix)}`,
    `${markdownText(adapter.description)}${adapter.software ? " (software adapter)" : ""}, ${
      markdownText(startedAt)
    }, ` +
    `${wallS.toFixed(0)} s. A cell names the first check that failed` +
    (matrix.full ? ", and how many cases of each suite saw the fault." : "; ° marks a case that no suite has."),
    ...notKilled(matrix),
    ...classesOf(matrix).map(([bugClass, mutants]) => classSection(bugClass, mutants)),
  ];
  return sections.join("\n\n") + "\n";
}

function notKilled({ mutants }: KillMatrix): string[] {
  const others = mutants.filter(({ status }) => status !== "killed");
  if (others.length === 0) return [];
  const lines = others.map(({ name, status, what, reason }) => [
    markdownCode(name),
    status,
    markdownText(what),
    markdownText(oneLine(reason ?? "")),
  ]);
  return ["## Not killed", markdownTable(["mutant", "status", "what", "why"], lines)];
}

function classSection(bugClass: BugClass, mutants: readonly MutantOutcome[]): string {
  const kernels = [...new Set(mutants.map(({ kernel }) => kernel))];
  const lines = [...Map.groupBy(mutants, ({ fault }) => fault).values()].map((own) => [
    markdownCode(own[0].fault),
    markdownText(own[0].what),
    markdownText(own[0].like),
    ...kernels.map((kernel) => cell(own.find((mutant) => mutant.kernel === kernel))),
  ]);
  return `## ${bugClass}: ${BUG_CLASSES[bugClass]}\n\n` +
    markdownTable(["fault", "what is wrong", "stands for", ...kernels.map(markdownCode)], lines);
}

function cell(mutant: MutantOutcome | undefined): string {
  if (!mutant) return "";
  const { kill, status, suites } = mutant;
  if (!kill) return `**${status}**`;
  const counted = suiteText(kill, suites);
  const where = /\d/.test(counted) ? ` (${counted})` : counted === "chosen" ? " °" : "";
  return markdownText(kill.check + where);
}
