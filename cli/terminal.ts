/**
 * Where a command prints, as an interface: tests give their own.
 *
 * @module
 */

/** Standard streams and Ctrl-C. */
export interface Terminal {
  /** Prints results. */
  readonly out: (text: string) => void;
  /** Prints progress, notices and errors. */
  readonly err: (text: string) => void;
  /** Whether a person watches standard error. */
  readonly interactive: boolean;
  /** Columns of the terminal. */
  readonly columns: number;
  /** Calls `stop` on the first Ctrl-C; returns how to stop listening. */
  readonly onInterrupt: (stop: () => void) => () => void;
}
