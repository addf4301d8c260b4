/**
 * What a device does at best, and how near a case comes to it, in words.
 *
 * @module
 */
import type { CalibratedFigure, Calibration } from "../bench/result.ts";
import type { Limit, Roofline } from "../bench/roofline.ts";
import { formatRate, formatShare, formatTimeNs } from "./figures.ts";

type FigureName = Exclude<keyof Calibration, "doubts" | "wallMs" | "gpuMs">;

const flopsPerS = (value: number) => formatRate(value, "FLOP/s");
const bytesPerS = (value: number) => formatRate(value, "B/s");

/** Name and format of each figure, in the order in which they are shown. */
const FIGURES: Readonly<Record<FigureName, readonly [name: string, format: (value: number) => string]>> = {
  tickNs: ["timestamp tick", formatTimeNs],
  quantumNs: ["timer's step", formatTimeNs],
  emptyPassNs: ["empty pass", formatTimeNs],
  dispatchNs: ["one more dispatch", formatTimeNs],
  readBytesPerS: ["memory, read", bytesPerS],
  copyBytesPerS: ["memory, copied", bytesPerS],
  workgroupBytesPerS: ["workgroup memory, read", bytesPerS],
  f32FlopsPerS: ["FMA in f32", flopsPerS],
  f16FlopsPerS: ["FMA in f16", flopsPerS],
  matrixFlopsPerS: ["matrices, f16 in f32", flopsPerS],
};

const LIMITS: Readonly<Record<Limit, readonly [what: string, format: (perS: number) => string]>> = {
  readBytesPerS: ["memory", (perS) => `${bytesPerS(perS)} read`],
  copyBytesPerS: ["memory", (perS) => `${bytesPerS(perS)} copied`],
  f32FlopsPerS: ["arithmetic", (perS) => `${flopsPerS(perS)} f32`],
  f16FlopsPerS: ["arithmetic", (perS) => `${flopsPerS(perS)} f16`],
  matrixFlopsPerS: ["arithmetic", (perS) => `${flopsPerS(perS)} of matrices`],
};

/** Each figure that there is with how far its readings lie apart, what is wrong with them, and what they took. */
export function calibrationInWords(calibration: Calibration): [name: string, value: string][] {
  const figures = (Object.keys(FIGURES) as FigureName[]).flatMap((key): [string, string][] => {
    const figure = calibration[key];
    return figure === undefined ? [] : [[FIGURES[key][0], figureInWords(figure, FIGURES[key][1])]];
  });
  const doubts = calibration.doubts.map((doubt): [string, string] => ["in doubt", doubt]);
  return [...figures, ...doubts, ["calibrated in", formatTimeNs(calibration.wallMs * 1e6)]];
}

function figureInWords({ value, spread }: CalibratedFigure, format: (value: number) => string): string {
  return spread === undefined ? format(value) : `${format(value)}, spread ${formatShare(spread)}`;
}

/** `34.0 % of the arithmetic limit, 62.1 TFLOP/s f32`. */
export function rooflineInWords({ share, limit, perS }: Roofline): string {
  const [what, format] = LIMITS[limit];
  return `${formatShare(share)} of the ${what} limit, ${format(perS)}`;
}
