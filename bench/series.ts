/**
 * The samples of one subject on their way: which of its batches count, and when they are enough.
 *
 * @module
 */
import type { Batch, BatchReading } from "./batches.ts";
import type { Clock, Span } from "./clock.ts";
import { PassLength } from "./pass_length.ts";
import type { Samples } from "./result.ts";
import { changeOfHalves, medianHalfWidth, quantile } from "./statistics.ts";

/** When samples are enough. */
export interface SamplingOptions {
  /** Batches that count, at least. Fewer than 6 have no interval. */
  readonly minBatches: number;
  /** Samples at least, where the budget allows. */
  readonly minSamples: number;
  /** Relative half-width, of the 95 % interval of the median of batch medians, at which sampling stops. */
  readonly targetHalfWidth: number;
  /** Device time of a batch, ms; one of slow launches takes longer. */
  readonly batchMs: number;
  /** Device time after which sampling ends though the interval is wider, ms. */
  readonly budgetMs: number;
  /** Batches after which samples count though no three in a row agreed; 0: they count from the first. */
  readonly maxWarmUpBatches: number;
  /** Least time of a pass, ns, whatever the timer. */
  readonly minPassNs: number;
}

/** What was sampled of one subject. */
export interface Sampled {
  /** The samples. */
  readonly samples: Omit<Samples, "mode" | "rotation">;
  /** Device time of all its passes and of its share of the probe's, ms. */
  readonly gpuMs: number;
}

const MAX_PASSES_PER_BATCH = 256;
/** Most device time of a batch of several passes, ns. */
const MAX_BATCH_NS = 0.25e9;
/** Batches in a row whose medians agree within {@linkcode STEADY_SHARE} once the subject is warm. */
const STEADY_BATCHES = 3;
const STEADY_SHARE = 0.01;
/** Multiple of the budget at which even the least number of batches is cut: launches that take seconds. */
const MAX_SPENT = 4;

/** A batch that was taken. */
interface Taken extends BatchReading {
  readonly samplesNs: readonly number[];
  readonly medianNs: number;
}

/** The samples of one subject on their way. */
export class Series {
  /** Device time so far, ns: of its own passes, and its share of the probe's. */
  gpuNs = 0;
  /** What ended it; undefined until then. */
  stopped?: Samples["stopped"];
  /** How long its passes are. */
  readonly pass: PassLength;
  readonly #subject: number;
  readonly #clock: Clock;
  readonly #options: SamplingOptions;
  readonly #batches: Taken[] = [];
  /** Which batch is the first that counts; undefined while it warms up. */
  #first?: number;
  #spentNs = 0;
  /** Whether its last medians agreed; where it is not asked to warm up nobody looks. */
  #isSettled?: boolean;
  /** Batches of passes that turned out to be too short. */
  #discarded = 0;
  #rejected = 0;

  /** @param rotation Copies of its inputs that its launches use in turn. */
  constructor(subject: number, rotation: number, { clock, options }: { clock: Clock; options: SamplingOptions }) {
    this.pass = new PassLength(clock, { minPassNs: options.minPassNs, rotation });
    this.#subject = subject;
    this.#clock = clock;
    this.#options = options;
    if (options.maxWarmUpBatches === 0) this.#first = 0;
  }

  /** The batch that tells how long a pass is. */
  get pilot(): Batch {
    return { subject: this.#subject, launches: this.pass.launches, passes: 2 };
  }

  /** The next batch. */
  get batch(): Batch {
    const { batchMs, minSamples, minBatches } = this.#options;
    const { launches, passNs } = this.pass;
    const passes = Math.max(Math.ceil(minSamples / minBatches), Math.ceil(batchMs * 1e6 / passNs));
    const most = Math.max(1, Math.min(MAX_PASSES_PER_BATCH, Math.floor(MAX_BATCH_NS / passNs)));
    return { subject: this.#subject, launches, passes: Math.min(most, passes) };
  }

  /** Batches to take before looking again. */
  get wanted(): number {
    const { minBatches } = this.#options;
    const missing = minBatches - this.#counted.length;
    return missing > 0 ? missing : Math.ceil(minBatches / 2);
  }

  /** Batches that it can still take, alone or as company of another: none where its timer stands still. */
  get affordable(): number {
    if (this.stopped === "timer") return 0;
    const leftNs = MAX_SPENT * this.#options.budgetMs * 1e6 - this.#spentNs;
    return Math.max(0, Math.ceil(leftNs / (this.batch.passes * this.pass.passNs)));
  }

  /** Takes what was read of {@linkcode Series.pilot}. */
  tune({ spans }: BatchReading): void {
    this.#spend(spans);
    this.pass.take(spans);
  }

  /** Takes what was read of a {@linkcode Series.batch} of passes of so many launches. */
  add(reading: BatchReading, launches: number): void {
    this.#spentNs += this.#spend(reading.spans);
    if (launches !== this.pass.launches) {
      this.#discarded++;
      return;
    }
    const samplesNs = reading.spans.map(({ ns }) => (ns - this.#clock.passOverheadNs) / launches).filter((ns) =>
      ns > 0
    );
    const medianNs = samplesNs.length === 0 ? NaN : quantile(samplesNs, 0.5);
    this.#batches.push({ ...reading, samplesNs, medianNs });
    if (this.#first === undefined && samplesNs.length > 0 && this.pass.lengthen(medianNs)) {
      this.#discarded += this.#batches.splice(0).length;
    }
    this.#first ??= this.#warmSince();
    // Batches that were submitted together are all counted: one that comes after the last needed may say otherwise.
    this.stopped = this.#reason();
  }

  /** Counts a batch that is not taken, because the clock was not at its best. */
  reject({ spans }: BatchReading): void {
    this.#spend(spans);
    this.#rejected++;
  }

  /** What was sampled; a series that never became warm is described from its first batch. */
  end(): Sampled {
    const first = this.#first !== undefined && this.#first < this.#batches.length ? this.#first : 0;
    const counted = this.#batches.slice(first);
    const spans = counted.flatMap((batch) => batch.spans);
    const samplesNs = counted.flatMap((batch) => batch.samplesNs);
    return {
      samples: {
        samplesNs,
        batches: counted.map((batch) => batch.samplesNs.length),
        targetHalfWidth: this.#options.targetHalfWidth,
        launchesPerPass: this.pass.launches,
        leastPassNs: this.pass.leastNs,
        droppedSpans: spans.length - samplesNs.length,
        overlappingSpans: spans.filter(({ overlaps }) => overlaps).length,
        rejectedBatches: this.#rejected,
        warmUpBatches: this.#discarded + first,
        ...this.#isSettled !== undefined && { isSettled: this.#isSettled },
        stopped: this.stopped,
        ...this.#clockAround(counted),
      },
      gpuMs: this.gpuNs / 1e6,
    };
  }

  get #counted(): readonly Taken[] {
    return this.#first === undefined ? [] : this.#batches.slice(this.#first);
  }

  /** Device time of `spans`, ns. */
  #spend(spans: readonly Span[]): number {
    const ns = spans.reduce((sum, span) => sum + Math.max(0, span.ns), 0);
    this.gpuNs += ns;
    return ns;
  }

  /** The first batch that counts, once that is known. */
  #warmSince(): number | undefined {
    const taken = this.#batches.length;
    const all = this.#discarded + taken;
    const last = this.#batches.slice(-STEADY_BATCHES).map(({ medianNs }) => medianNs);
    if (last.length === STEADY_BATCHES && Math.max(...last) <= (1 + STEADY_SHARE) * Math.min(...last)) {
      this.#isSettled = true;
      return taken - STEADY_BATCHES;
    }
    this.#isSettled = false;
    return all >= this.#options.maxWarmUpBatches ? taken : undefined;
  }

  /** Why it ends here, if it does. */
  #reason(): Samples["stopped"] {
    if (this.#batches.some(({ samplesNs }) => samplesNs.length === 0)) return "timer";
    const { minBatches, minSamples, targetHalfWidth, budgetMs } = this.#options;
    const counted = this.#counted;
    const isSpent = this.#spentNs >= budgetMs * 1e6;
    if (counted.length >= minBatches) {
      const samples = counted.reduce((sum, { samplesNs }) => sum + samplesNs.length, 0);
      const medians = counted.map(({ medianNs }) => medianNs);
      const halfWidth = medianHalfWidth(medians);
      const isClosed = halfWidth !== undefined && halfWidth <= targetHalfWidth;
      // A slow drift, or company that has gone, leaves a narrow interval around a median that still moves.
      const isSteady = Math.abs(changeOfHalves(medians)?.change ?? 0) <= targetHalfWidth;
      if (isClosed && isSteady && (samples >= minSamples || isSpent)) return "interval";
      if (isSpent) return "budget";
    }
    return this.#spentNs >= MAX_SPENT * budgetMs * 1e6 ? "budget" : undefined;
  }

  #clockAround(counted: readonly Taken[]): Pick<Samples, "clock" | "probesNs"> {
    const { bestProbeNs: bestNs } = this.#clock;
    const beforeNs = counted.flatMap((batch) => batch.beforeNs ?? []);
    const afterNs = counted.flatMap((batch) => batch.afterNs ?? []);
    if (bestNs === undefined || beforeNs.length === 0 || afterNs.length === 0) return {};
    const clock = { beforeNs: quantile(beforeNs, 0.5), afterNs: quantile(afterNs, 0.5), bestNs };
    const isWhole = beforeNs.length === counted.length && afterNs.length === counted.length;
    return { clock, ...isWhole && { probesNs: beforeNs.map((ns, i) => (ns + afterNs[i]) / 2) } };
  }
}
