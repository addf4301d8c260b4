/**
 * The append-only record of a run, one JSON value per line: a header, then every result as soon as it exists, and what
 * the device was calibrated to before the first of them. A kill at any moment loses at most the case in flight, and
 * `--resume` goes on from what is there.
 *
 * @module
 */
import type { Calibration, Environment, Result, Status } from "./result.ts";
import { fingerprintDifferences } from "./fingerprint.ts";

/** The cases of a run, as far as a resumed run must agree. */
export interface CaseList {
  /** How many. */
  readonly count: number;
  /** {@linkcode hashCaseIds} of their ids in order. */
  readonly sha256: string;
}

/** First line of a journal: what was to be run, and where. */
export interface JournalHeader {
  /** Version of the format. */
  readonly journal: 1;
  /** Where and with what; `wallS` as of the start. */
  readonly environment: Environment;
  /** The cases that were planned. */
  readonly cases: CaseList;
}

/** What the device was seen to do at best, by those who timed the results that follow. */
export interface CalibrationEntry {
  /** As in the report's environment. */
  readonly calibration: Calibration;
}

/** A journal open for appending. */
export interface Journal extends Disposable {
  /** Writes one line and waits until the disk has it. */
  append(entry: Result | CalibrationEntry): void;
  /** Closes the file; the lines written stay. */
  close(): void;
}

/** What a journal file holds. */
export interface JournalContent {
  /** First line. */
  readonly header: JournalHeader;
  /** One result per case id, the last where an id comes twice, in the order in which the ids first came. */
  readonly results: readonly Result[];
  /** The last calibration; absent where there is none. */
  readonly calibration?: Calibration;
  /** Whether the last line was cut short; it is not among the results. */
  readonly torn: boolean;
}

/** A journal that is taken up again. */
export interface ResumedJournal extends JournalContent {
  /** Open for what is left to do. */
  readonly journal: Journal;
}

const statuses: Readonly<Record<Status, true>> = {
  measured: true,
  verified: true,
  incorrect: true,
  skipped: true,
  failed: true,
};

/** SHA-256 of `ids`, one per line, as lower-case hexadecimal: equal for the same cases in the same order only. */
export async function hashCaseIds(ids: readonly string[]): Promise<string> {
  const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(ids.join("\n")));
  return Array.from(new Uint8Array(digest), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/**
 * Starts a journal at `path`, in place of any file that is there.
 *
 * @throws {Error} What the file system says when `path` cannot be written.
 */
export function openJournal(path: string, header: JournalHeader): Journal {
  const file = Deno.openSync(path, { write: true, create: true, truncate: true });
  writeLine(file, header);
  return journalOf(file);
}

/**
 * Takes up the journal at `path`: reads it, cuts off a torn last line and opens it for appending.
 *
 * @param header What the present command would write; must agree with the file's as {@linkcode planDifference} says,
 * otherwise results of two different runs would pass for one.
 * @throws {SyntaxError} If the file is no journal, or is malformed beyond a torn last line.
 * @throws {RangeError} If it belongs to another plan; the message names the difference.
 */
export function resumeJournal(path: string, header: JournalHeader): ResumedJournal {
  const bytes = Deno.readFileSync(path);
  const content = parseJournal(bytes, path);
  const difference = planDifference(content.header, header);
  if (difference !== undefined) throw new RangeError(`Cannot resume ${path}: ${difference}`);
  const file = Deno.openSync(path, { read: true, write: true });
  file.truncateSync(endOfLastLine(bytes));
  file.seekSync(0, Deno.SeekMode.End);
  return { ...content, journal: journalOf(file) };
}

/**
 * Reads the journal at `path`. A last line without its line feed was cut short by a kill and is left out.
 *
 * @throws {SyntaxError} If the file is no journal, or any other line is malformed.
 */
export function readJournal(path: string): JournalContent {
  return parseJournal(Deno.readFileSync(path), path);
}

/**
 * Why `present` cannot go on where `past` ended; undefined when it can: command, arguments, suites, seed, cases,
 * version, adapter and, where git knows it on both sides, the code must be the same. What two uncommitted changes of
 * one commit are, nobody knows: they pass.
 */
export function planDifference(past: JournalHeader, present: JournalHeader): string | undefined {
  const compared: Compared[] = [
    ["command", (header) => header.environment.command],
    ["list of suites", (header) => header.environment.suites],
    ["seed", (header) => header.environment.seed],
    ["number of cases", (header) => header.cases.count],
    ["hash of the case ids", (header) => header.cases.sha256],
    ["list of arguments", (header) => planArguments(header.environment.argv)],
    ["version", (header) => header.environment.version],
    ...past.environment.git && present.environment.git
      ? [
        ["commit", (header: JournalHeader) => header.environment.git?.commit],
        ["state of the checkout", (header: JournalHeader) => header.environment.git?.dirty ? "changed" : "clean"],
      ] satisfies Compared[]
      : [],
  ];
  for (const [name, of] of compared) {
    const [then, now] = [JSON.stringify(of(past)), JSON.stringify(of(present))];
    if (then !== now) return `the ${name} was ${then} and is now ${now}`;
  }
  return fingerprintDifferences(past.environment, present.environment)[0];
}

type Compared = [name: string, of: (header: JournalHeader) => unknown];

/** Arguments that decide what is run: without progress, and where the results go. */
function planArguments(argv: readonly string[]): string[] {
  return argv.filter((word, i) =>
    !/^--(quiet|out|resume)(=|$)/.test(word) && !(i > 0 && /^--(out|resume)$/.test(argv[i - 1]))
  );
}

function journalOf(file: Deno.FsFile): Journal {
  return {
    append: (entry) => writeLine(file, entry),
    close: () => file.close(),
    [Symbol.dispose]: () => file.close(),
  };
}

function writeLine(file: Deno.FsFile, value: unknown): void {
  const bytes = new TextEncoder().encode(JSON.stringify(value) + "\n");
  for (let written = 0; written < bytes.length;) written += file.writeSync(bytes.subarray(written));
  file.syncDataSync();
}

/** Bytes up to and with the last line feed. */
function endOfLastLine(bytes: Uint8Array): number {
  return bytes.lastIndexOf(10) + 1;
}

function parseJournal(bytes: Uint8Array, source: string): JournalContent {
  const end = endOfLastLine(bytes);
  if (end === 0) throw new SyntaxError(`Cannot read journal ${source}: it has no complete first line`);
  const lines = new TextDecoder().decode(bytes.subarray(0, end - 1)).split("\n");
  const values = lines.map((line, index) => {
    try {
      return JSON.parse(line) as unknown;
    } catch {
      throw new SyntaxError(`Cannot read journal ${source}: line ${index + 1} is not JSON`);
    }
  });
  const header = values[0];
  if (!isHeader(header)) {
    throw new SyntaxError(`Cannot read journal ${source}: line 1 is not the header of a journal of version 1`);
  }
  const results = new Map<string, Result>();
  let calibration: Calibration | undefined;
  values.slice(1).forEach((value, index) => {
    if (isCalibration(value)) {
      ({ calibration } = value);
      return;
    }
    if (!isResult(value)) throw new SyntaxError(`Cannot read journal ${source}: line ${index + 2} is not a result`);
    results.set(value.id, value);
  });
  return { header, results: [...results.values()], ...calibration && { calibration }, torn: end < bytes.length };
}

function isCalibration(value: unknown): value is CalibrationEntry {
  const { calibration } = (value ?? {}) as Partial<CalibrationEntry>;
  return typeof calibration === "object" && calibration !== null && Array.isArray(calibration.doubts);
}

/** Structure only as far as this module relies on it; `reports/` validates what it reads by schema. */
function isHeader(value: unknown): value is JournalHeader {
  const header = value as Partial<JournalHeader> | null;
  return typeof header === "object" && header !== null && header.journal === 1 &&
    typeof header.environment?.adapter === "object" && header.environment.adapter !== null &&
    typeof header.cases?.sha256 === "string";
}

function isResult(value: unknown): value is Result {
  const result = value as Partial<Result> | null;
  return typeof result === "object" && result !== null && typeof result.id === "string" &&
    typeof result.axes === "object" && result.axes !== null &&
    typeof result.status === "string" && Object.hasOwn(statuses, result.status);
}
