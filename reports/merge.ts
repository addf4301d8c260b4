/**
 * Makes one report of several: shards of a sweep, or a sweep and what was run again.
 *
 * @module
 */
import { fingerprintDifferences } from "../bench/fingerprint.ts";
import type { Environment, Report, Result } from "../bench/result.ts";

/** A report and where it came from. */
export interface Source {
  /** Path or other name, for messages. */
  readonly source: string;
  /** The report. */
  readonly report: Report;
}

/**
 * Merges reports of the same project version, commit and adapter.
 *
 * Where a case comes twice, the result of the later `startedAt` wins (of the later argument, when equal), with one
 * exception: a wrong or failed result is never hidden by a right one, because on the same commit that is a kernel that
 * is sometimes wrong. The environment is that of the earliest report with the suites of all, the wall times added, and
 * the first calibration, the arguments of all but `--shard`; the command is `bench` if any is.
 *
 * @param sources At least one.
 * @throws {RangeError} If there is none, or two do not go together; the message names them and the difference.
 */
export function mergeReports(sources: readonly Source[]): Report {
  if (sources.length === 0) throw new RangeError("Cannot merge reports: there are none");
  const inOrder = sources.toSorted((a, b) => startMs(a) - startMs(b));
  const [first, ...others] = inOrder;
  for (const other of others) {
    const difference = whyApart(first.report, other.report);
    if (difference !== undefined) {
      throw new RangeError(`Cannot merge ${first.source} and ${other.source}: ${difference}`);
    }
  }
  if (others.length === 0) return first.report;
  const results = new Map<string, Result>();
  for (const { report } of inOrder) {
    for (const result of report.results) {
      const earlier = results.get(result.id);
      if (earlier === undefined || !isWrong(earlier) || isWrong(result)) results.set(result.id, result);
    }
  }
  const environments = inOrder.map(({ report }) => report.environment);
  return {
    schemaVersion: 1,
    environment: mergeEnvironments(environments),
    results: [...results.values()],
  };
}

function mergeEnvironments(environments: readonly Environment[]): Environment {
  const [first] = environments;
  const calibration = environments.find(({ calibration }) => calibration)?.calibration;
  const calls = new Map(environments.map(({ argv }) => withoutShard(argv)).map((argv) => [JSON.stringify(argv), argv]));
  return {
    ...first,
    ...calibration && { calibration },
    ...first.git && { git: { ...first.git, dirty: environments.some(({ git }) => git?.dirty) } },
    argv: [...calls.values()].flat(),
    command: environments.find(({ command }) => command === "bench")?.command ?? first.command,
    suites: [...new Set(environments.flatMap(({ suites }) => suites))],
    wallS: environments.reduce((sum, { wallS }) => sum + wallS, 0),
  };
}

function whyApart(a: Report, b: Report): string | undefined {
  const differ = (name: string, left: unknown, right: unknown) =>
    left === right ? [] : [`${name} is ${JSON.stringify(left)} and ${JSON.stringify(right)}`];
  return [
    ...differ("schemaVersion", a.schemaVersion, b.schemaVersion),
    ...fingerprintDifferences(a.environment, b.environment),
    ...differ("version", a.environment.version, b.environment.version),
    ...differ("git.commit", a.environment.git?.commit ?? null, b.environment.git?.commit ?? null),
  ][0];
}

function isWrong({ status }: Result): boolean {
  return status === "incorrect" || status === "failed";
}

function startMs({ report }: Source): number {
  return Date.parse(report.environment.startedAt);
}

/** Drops `--shard i/n` and `--shard=i/n`: the merged report holds every shard. */
function withoutShard(argv: readonly string[]): string[] {
  return argv.filter((word, i) => word !== "--shard" && argv[i - 1] !== "--shard" && !word.startsWith("--shard="));
}
