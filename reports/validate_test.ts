import { assert, assertEquals, assertMatch, assertThrows } from "@std/assert";
import type {
  CalibratedFigure,
  Calibration,
  Check,
  ClockProbe,
  Measurement,
  OutputDifference,
  Report,
  ResultBase,
  Samples,
  Verification,
} from "../bench/result.ts";
import { makeBrokenVerification, makeCalibration, makeEnvironment, makeMeasured, makeReport } from "./fixture.ts";
import schema from "./report.schema.json" with { type: "json" };
import { readReport, schemaVersion, validateReport } from "./validate.ts";

type Json = null | boolean | number | string | Json[] | { [key: string]: Json };
type Path = readonly (string | number)[];

const plain = (): Json => JSON.parse(JSON.stringify(makeReport()));

function at(value: Json, path: Path): Json {
  return path.reduce<Json>((inner, key) => (inner as { [key: string]: Json })[key], value);
}
function replaced(value: Json, path: Path, by: Json | undefined): Json {
  const copy = structuredClone(value);
  const parent = at(copy, path.slice(0, -1)) as { [key: string]: Json };
  const key = path[path.length - 1];
  if (by === undefined) delete parent[key];
  else parent[key] = by;
  return copy;
}
/** Path of every member and element inside `value`. */
function* paths(value: Json, base: Path = []): Generator<Path> {
  if (typeof value !== "object" || value === null) return;
  for (const key of Array.isArray(value) ? value.keys() : Object.keys(value)) {
    yield [...base, key];
    yield* paths(at(value, [key]), [...base, key]);
  }
}
const refuses = (value: Json, message: string) =>
  assertThrows(() => validateReport(value, "report.json"), Error, "Cannot read report report.json: ", message);

Deno.test("readReport() returns what was written, for results of every kind", () => {
  for (const software of [false, true]) {
    const report = makeReport({ software });
    assertEquals(new Set(report.results.map((result) => result.status)).size, 5);
    assertEquals(readReport(JSON.stringify(report), "report.json"), report);
  }
  assertEquals(schema.properties.schemaVersion.const, schemaVersion);
});

/** Every member present: a member that is added to a type, even an optional one, breaks the literal below. */
type Complete<T> = T extends readonly (infer U)[] ? readonly Complete<U>[]
  : T extends object ? { readonly [K in keyof T]-?: Complete<T[K]> }
  : T;

function completeReport(): Complete<Report> {
  const worst = makeBrokenVerification().checks[0].worst!;
  const check: Complete<Check> = {
    name: "out",
    passed: true,
    message: "",
    elements: 1,
    mismatches: 0,
    maxAbsError: 1,
    maxRelError: 1,
    nmse: 1,
    cosineDifference: 1,
    budgetUsed: 1,
    worst: { ...worst, head: 0, dim: 0, absError: 1, edges: ["e"] },
    first: { ...worst, head: 0, dim: 0, absError: 1, edges: ["e"] },
    pattern: ["p"],
    maps: [{
      rows: { name: "head", from: 0, step: 1, bins: 1 },
      columns: { name: "slot", from: 0, step: 1, bins: 2 },
      values: [-2, -1],
    }],
    ceilingUsed: 1,
    exactElements: 1,
  };
  const difference: Complete<OutputDifference> = {
    name: "out",
    elements: 2,
    equalShare: 0.5,
    ulpMedian: 0,
    ulpP99: 1,
    ulpMax: 1,
    errorUlpMedian: 0.5,
    errorUlpMax: 0.5,
    otherErrorUlpMedian: 0.5,
    otherErrorUlpMax: 1.5,
    worst: { sequence: 0, head: 0, token: 0, dim: 0, page: 0, actual: 1, other: "NaN", expected: 1 },
  };
  const base: Complete<ResultBase> = {
    id: "",
    axes: { B: 1 },
    hostMs: 1,
    gpuMs: 1,
    checkGpuMs: 1,
    inputsMs: 1,
    checksMs: 1,
    compileMs: 1,
    chosen: { splits: 1 },
    precision: { scores: { f16Chain: 18 }, values: "f32" },
    resolver: { backend: "fused", form: "absorbed", tuning: { rows: 16 }, reasons: [""] },
    plan: { planMs: 1, updateMs: 1 },
    differential: {
      against: "attend/unfused",
      adapter: "GPU",
      environment: "wgpu",
      outputs: [difference],
      skipped: "r",
    },
  };
  const verification: Complete<Verification> = { passed: true, checks: [check], coverage: 1, blind: ["zeros"] };
  const shrunk = { id: "small", runs: 3 };
  const calibrated: Complete<CalibratedFigure> = { value: 1, spread: 0 };
  const calibration: Complete<Calibration> = {
    tickNs: calibrated,
    quantumNs: calibrated,
    emptyPassNs: calibrated,
    dispatchNs: calibrated,
    readBytesPerS: calibrated,
    copyBytesPerS: calibrated,
    workgroupBytesPerS: calibrated,
    f32FlopsPerS: calibrated,
    f16FlopsPerS: calibrated,
    matrixFlopsPerS: calibrated,
    doubts: ["d"],
    wallMs: 1,
    gpuMs: 1,
  };
  const clock: Complete<ClockProbe> = { beforeNs: 1, afterNs: 1, bestNs: 1 };
  const samples: Complete<Samples> = {
    ...makeMeasured().measurement.runs[0],
    batches: [40],
    leastPassNs: 1,
    targetHalfWidth: 0.01,
    overlappingSpans: 0,
    warmUpBatches: 1,
    isSettled: true,
    nonlinearity: -0.01,
    probesNs: [1],
    stopped: "interval",
    clock,
  };
  const measurement: Complete<Measurement> = {
    ...makeMeasured().measurement,
    tickNs: 1,
    quantumNs: 32,
    passOverheadNs: 1500,
    cacheBytes: 1,
    interleaved: { seed: 1, cases: ["a", "b"] },
    runs: [samples],
  };
  const environment = makeEnvironment();
  const adapter = { ...environment.adapter, toggles: ["disable_robustness"] };
  return {
    schemaVersion,
    environment: { ...environment, adapter, calibration, git: { commit: "0", dirty: true } },
    results: [
      { ...base, id: "a", status: "measured", verification, measurement, verdict: "ok", reasons: [""] },
      { ...base, id: "b", status: "verified", verification, reason: "r" },
      { ...base, id: "c", status: "incorrect", verification: { ...verification, passed: false }, shrunk },
      { ...base, id: "d", status: "skipped", reason: "r" },
      { ...base, id: "e", status: "failed", stage: "run", message: "", shrunk },
    ],
  };
}

Deno.test("the schema lists exactly the members that the types have", () => {
  const report = completeReport();
  assertEquals(validateReport(report, "report.json"), report);
  // Members by the definition that lists them: `check.nmse`. A definition is used once per member that refers to it.
  type Node = { $ref?: string; allOf?: Node[]; items?: Node; properties?: Record<string, Node> };
  const definitions = schema.$defs as Record<string, Node>;
  const compare = (value: Json, node: Node, path: string): void => {
    if (node.$ref !== undefined) return compare(value, definitions[node.$ref.split("/").pop()!], path);
    if (node.allOf !== undefined && node.properties === undefined) return compare(value, node.allOf[0], path);
    if (Array.isArray(value)) return value.forEach((item, i) => compare(item, node.items!, `${path}[${i}]`));
    if (typeof value !== "object" || value === null || node.properties === undefined) return;
    const of = path.startsWith("results[") && path.endsWith("]") && "status" in value
      ? definitions[value.status as string]
      : node;
    assertEquals(Object.keys(of.properties!).sort(), Object.keys(value).sort(), path);
    for (const [key, inner] of Object.entries(value)) {
      compare(inner, of.properties![key], path ? `${path}.${key}` : key);
    }
  };
  compare(report as unknown as Json, schema as unknown as Node, "");
});

Deno.test("validateReport() refuses a wrong type in any member", () => {
  const report = plain();
  let refused = 0;
  for (const path of paths(report)) {
    // Open maps hold any name, and two of them more than one type; samples are all alike.
    const open = path.some((key) => key === "axes");
    if (open && path.length > path.indexOf("axes") + 1) continue;
    if (path.includes("samplesNs") && path[path.length - 1] !== 0 && path[path.length - 1] !== "samplesNs") continue;
    refuses(replaced(report, path, null), `null at ${path.join("/")}`);
    refuses(replaced(report, path, [[]]), `[[]] at ${path.join("/")}`);
    refused++;
  }
  assert(refused > 300, `${refused} members`);
});

Deno.test("validateReport() refuses a report that lacks a required member or has an unknown one", () => {
  const report = plain();
  const optional = new Set([
    "git",
    "compileMs",
    "inputsMs",
    "checksMs",
    "chosen",
    "precision",
    "clock",
    "tickNs",
    "message",
    "worst",
    "head",
    "dim",
    "absError",
    "edges",
    "first",
    "pattern",
    "maps",
    "ceilingUsed",
    "blind",
    "shrunk",
    "differential",
    "skipped",
    "gpuMs",
    "checkGpuMs",
    "calibration",
    "matrixFlopsPerS",
    "spread",
    ...Object.keys(makeCalibration()).filter((name) => !["doubts", "wallMs", "gpuMs"].includes(name)),
  ]);
  for (const name of ["maxAbsError", "maxRelError", "nmse", "cosineDifference", "budgetUsed"]) optional.add(name);
  for (const path of paths(report)) {
    const key = path[path.length - 1];
    const parent = path[path.length - 2];
    if (typeof key === "number" || ["axes", "limits", "chosen"].includes(String(parent))) continue;
    // `message` is optional in a check only.
    const required = !optional.has(key) || (key === "message" && path.length === 3);
    const without = replaced(report, path, undefined);
    if (required) refuses(without, `without ${path.join("/")}`);
    else validateReport(without, "report.json");
    refuses(replaced(report, [...path.slice(0, -1), `${key}X`], 1), `unknown member beside ${path.join("/")}`);
  }
});

Deno.test("validateReport() takes reports of before calibrations, and none with a figure that is no number above zero", () => {
  const report = plain();
  const path = ["environment", "calibration"];
  validateReport(replaced(report, path, undefined), "report.json");
  validateReport(replaced(report, path, { doubts: ["lost"], wallMs: 3 }), "report.json");
  for (const value of [0, -1, "1"]) refuses(replaced(report, [...path, "readBytesPerS", "value"], value), `${value}`);
  refuses(replaced(report, [...path, "dramBytesPerS"], { value: 1 }), "an unknown figure");
});

Deno.test("the stored baselines are read, and one from before calibrations were as well", () => {
  for (const name of ["h200-wgpu.json", "h200-default.json"]) {
    const report = readReport(Deno.readTextFileSync(new URL(`./baselines/${name}`, import.meta.url)), name);
    assert(report.environment.calibration !== undefined && report.results.length > 0, name);
    const { calibration: _, ...environment } = report.environment;
    assertEquals(readReport(JSON.stringify({ ...report, environment }), name).results.length, report.results.length);
  }
});

Deno.test("validateReport() lets no time stand beside anything but a passed verification", () => {
  const report = makeReport();
  const measured = report.results.find((result) => result.status === "measured")!;
  const { measurement, verification } = measured;
  for (const result of report.results) {
    if (result.status === "measured") continue;
    refuses({ ...report, results: [{ ...result, measurement }] } as unknown as Json, result.status);
  }
  const failed = { ...measured, verification: { ...verification, passed: false } };
  const error = refuses({ ...report, results: [failed] } as unknown as Json, "measured but not passed");
  assertMatch(error.message, /results\[0\]\.verification\.passed must be true, not false$/);
});

Deno.test("readReport() says in one line what is wrong and where", () => {
  const report = plain();
  const cases: [string, Json | string, RegExp, typeof TypeError | typeof RangeError | typeof SyntaxError][] = [
    ["empty", " ", /it is empty$/, SyntaxError],
    ["truncated", JSON.stringify(report).slice(0, 1000), /it is not JSON \(/, SyntaxError],
    ["no object", 7, /it must be object, not 7$/, TypeError],
    ["null", "null", /it must be object, not null$/, TypeError],
    ["other object", { hello: 1 }, /it lacks "schemaVersion"$/, TypeError],
    ["version", replaced(report, ["schemaVersion"], 2), /schemaVersion is 2, this version reads 1$/, RangeError],
    [
      "timer",
      replaced(report, ["results", 0, "measurement", "timer"], "guess"),
      /results\[0\]\.measurement\.timer must be one of "timestamp-query", "host-slope", not "guess"$/,
      TypeError,
    ],
    [
      "status",
      replaced(report, ["results", 1, "status"], "fine"),
      /results\[1\]\.status must be one of "measured", /,
      TypeError,
    ],
    [
      "sample",
      replaced(report, ["results", 0, "measurement", "runs", 1, "samplesNs", 2], -1),
      /results\[0\]\.measurement\.runs\[1\]\.samplesNs\[2\] must be > 0, not -1$/,
      TypeError,
    ],
    [
      "limit",
      replaced(report, ["environment", "adapter", "limits", "max~/x y"], "1"),
      /environment\.adapter\.limits\["max~\/x y"\] must be number, not "1"$/,
      TypeError,
    ],
    [
      "started",
      replaced(report, ["environment", "startedAt"], "yesterday"),
      /environment\.startedAt must match/,
      TypeError,
    ],
    [
      "twice",
      replaced(report, ["results", 1], at(report, ["results", 0])),
      /two results of the case "attend\/fused:/,
      RangeError,
    ],
  ];
  for (const [name, value, message, errorClass] of cases) {
    const text = typeof value === "string" ? value : JSON.stringify(value);
    const error = assertThrows(
      () => readReport(text, "out/report.json"),
      errorClass,
      "Cannot read report out/report.json: ",
    );
    assertMatch(error.message, message, name);
    assertEquals(error.message.includes("\n"), false, name);
    assertEquals(error.constructor, errorClass, name);
  }
});
