/**
 * Progress on standard error: one line that is rewritten on a terminal, a line now and then elsewhere.
 *
 * @module
 */
import type { Result } from "../bench/result.ts";

/** How progress is shown. */
export interface ProgressOptions {
  /** Cases in all. */
  readonly total: number;
  /** Cases that an earlier run had done. */
  readonly done: number;
  /** `line` rewrites one line, `log` prints one now and then, `none` prints nothing. */
  readonly style: "line" | "log" | "none";
  /** Columns of the terminal. @default {80} */
  readonly columns?: number;
  /** Where it goes. */
  readonly write: (text: string) => void;
  /** Clock, ms. @default {performance.now} */
  readonly now?: () => number;
  /** Whether wrong results are what is wanted: then they are not shown as failures. @default {false} */
  readonly expectsFailures?: boolean;
}

const LOG_INTERVAL_MS = 10_000;
const REDRAW_INTERVAL_MS = 100;

/** Shows how far a run is. */
export class Progress {
  readonly #options: Required<ProgressOptions>;
  readonly #startMs: number;
  #done: number;
  #failures = 0;
  #inFlight = "";
  #shownMs = -Infinity;

  /** Starts the clock. */
  constructor(options: ProgressOptions) {
    this.#options = { columns: 80, now: () => performance.now(), expectsFailures: false, ...options };
    this.#startMs = this.#options.now();
    this.#done = options.done;
  }

  /** A case begins. */
  begin(id: string): void {
    this.#inFlight = id;
    this.#show(REDRAW_INTERVAL_MS);
  }

  /** A case ended. Failures are shown at once, whatever the style. */
  end(result: Result): void {
    this.#done++;
    if (isFailure(result, this.#options.expectsFailures)) {
      this.#failures++;
      if (this.#options.style !== "none") {
        this.clear();
        this.#options.write(`${result.status}: ${result.id}\n`);
      }
    }
    this.#show(this.#options.style === "log" ? LOG_INTERVAL_MS : REDRAW_INTERVAL_MS);
  }

  /** Removes the line, so that something else can be printed. */
  clear(): void {
    if (this.#options.style === "line") this.#options.write("\r\x1b[K");
  }

  #show(intervalMs: number): void {
    const { style, now, write, columns } = this.#options;
    if (style === "none" || (style === "log" && intervalMs === REDRAW_INTERVAL_MS)) return;
    if (now() - this.#shownMs < intervalMs) return;
    this.#shownMs = now();
    write(style === "line" ? `\r\x1b[K${this.line(columns - 1)}` : `${this.line(120)}\n`);
  }

  /** The line: cases done, failures, time left, the case in flight. */
  line(width: number): string {
    const { total, done, now } = this.#options;
    const elapsedS = (now() - this.#startMs) / 1000;
    const fresh = this.#done - done;
    const left = fresh > 0 ? `, ${duration(elapsedS / fresh * (total - this.#done))} left` : "";
    const failures = this.#failures > 0 ? `, ${this.#failures} failed` : "";
    const head = `${this.#done}/${total}${failures}${left}`;
    const room = width - head.length - 2;
    const id = this.#inFlight.length > room ? `${this.#inFlight.slice(0, Math.max(0, room - 1))}…` : this.#inFlight;
    return room > 8 ? `${head}  ${id}` : head.slice(0, width);
  }
}

function isFailure({ status }: Result, expected: boolean): boolean {
  return status === "failed" || (status === "incorrect" && !expected);
}

/** `95` s as `1 min 35 s`. */
export function duration(seconds: number): string {
  const whole = Math.round(seconds);
  if (whole < 60) return `${whole} s`;
  const minutes = Math.floor(whole / 60);
  return minutes < 60 ? `${minutes} min ${whole % 60} s` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}
