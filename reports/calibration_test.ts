import { assertEquals } from "@std/assert";
import { calibrationInWords, rooflineInWords } from "./calibration.ts";
import { makeCalibration } from "./fixture.ts";

Deno.test("calibrationInWords() names every figure with how far its readings lie apart", () => {
  const spread = (percent: string) => `spread ${percent} %`;
  assertEquals(calibrationInWords(makeCalibration()), [
    ["timestamp tick", `1.00 ns, ${spread("0.01")}`],
    ["timer's step", "32.0 ns"],
    ["empty pass", `1.09 µs, ${spread("3.00")}`],
    ["one more dispatch", `1.60 µs, ${spread("1.00")}`],
    ["memory, read", `4.60 TB/s, ${spread("0.40")}`],
    ["memory, copied", `3.80 TB/s, ${spread("0.40")}`],
    ["workgroup memory, read", `28.7 TB/s, ${spread("0.40")}`],
    ["FMA in f32", `61.5 TFLOP/s, ${spread("0.40")}`],
    ["FMA in f16", `103 TFLOP/s, ${spread("0.40")}`],
    ["calibrated in", "1.45 s"],
  ]);
});

Deno.test("calibrationInWords() leaves out what is not known, and says why", () => {
  assertEquals(calibrationInWords({ quantumNs: { value: 65_536 }, doubts: ["memory: out of memory"], wallMs: 20 }), [
    ["timer's step", "65.5 µs"],
    ["in doubt", "memory: out of memory"],
    ["calibrated in", "20.0 ms"],
  ]);
});

Deno.test("rooflineInWords() names the limit with its figure", () => {
  assertEquals(
    (["readBytesPerS", "copyBytesPerS", "f32FlopsPerS", "f16FlopsPerS", "matrixFlopsPerS"] as const).map((limit) =>
      rooflineInWords({ share: 0.34, limit, perS: 62.1e12 })
    ),
    [
      "34.0 % of the memory limit, 62.1 TB/s read",
      "34.0 % of the memory limit, 62.1 TB/s copied",
      "34.0 % of the arithmetic limit, 62.1 TFLOP/s f32",
      "34.0 % of the arithmetic limit, 62.1 TFLOP/s f16",
      "34.0 % of the arithmetic limit, 62.1 TFLOP/s of matrices",
    ],
  );
});
