import { assertEquals, assertThrows } from "@std/assert";
import { TOLERANCES } from "../reference/tolerances.ts";
import { AXES } from "./axes.ts";
import { MAX_AXIS_POINTS, parseAxis, parseAxisValue } from "./axis_values.ts";

Deno.test("every axis allows its own default", () => {
  for (const axis of AXES) {
    assertEquals(parseAxisValue(axis, String(axis.default), { where: "", form: "id" }), axis.default);
  }
});

const accepted: readonly [text: string, values: readonly (number | string)[]][] = [
  ["page=16,64", [16, 64]],
  ["page=64", [64]],
  ["page=64,16,64", [64, 16]],
  ["kv=0..256:+16", Array.from({ length: 17 }, (_, i) => 16 * i)],
  ["kv=0..40:+16", [0, 16, 32]],
  ["kv=5..5", [5]],
  ["B=1..4", [1, 2, 3, 4]],
  ["B=1..64:x2", [1, 2, 4, 8, 16, 32, 64]],
  ["B=3..20:x3", [3, 9]],
  ["R=256..512:+256", [256, 512]],
  ["kv=boundary", ["boundary"]],
  ["kv=64,1+63+64,0..2,rand(1..1024)", [64, "1,63,64", 0, 1, 2, "rand(1..1024)"]],
  ["kv=ramp(1..140)", ["ramp(1..140)"]],
  ["q=0+3+5", ["0,3,5"]],
  ["q=32+16>16+8>1x5,4", ["32,16>16,8>1x5", 4]],
  ["kv=normal(2..140),idle(2..140)", ["normal(2..140)", "idle(2..140)"]],
  ["part=q,v", ["q", "v"]],
  ["lse=e,2", ["e", "2"]],
  ["form=auto,absorbed,expanded", ["auto", "absorbed", "expanded"]],
  ["tol=none,flashmla", ["none", "flashmla"]],
  ["Dr=0,16,32,64", [0, 16, 32, 64]],
  ["cache=bf16,f16,f32", ["bf16", "f16", "f32"]],
  ["input=peak,normal", ["peak", "normal"]],
  ["causal=0,1", [0, 1]],
  ["splits=auto,1,3", ["auto", 1, 3]],
  ["scale=auto,0.5,1e-3,1,1e-30,1e+30,-2,-1e-30", ["auto", 0.5, 0.001, 1, 1e-30, 1e30, -2, -1e-30]],
  ["seed=4294967295", [4294967295]],
  ["layout=combined,separate", ["combined", "separate"]],
];

for (const [text, values] of accepted) {
  Deno.test(`parseAxis() reads ${text}`, () => {
    assertEquals(parseAxis(text), { name: AXES.find((axis) => text.startsWith(`${axis.name}=`))!.name, values });
  });
}

const lengths = "an integer from 0 to 2147483647, rand(a..b), ramp(a..b), normal(a..b), idle(a..b)";
const ragged = "one length per sequence such as 1+63+64";
const steps = "or the steps of a flow such as 32>1x5";
const names = AXES.map((axis) => axis.name).join(", ");
const rangeForm = "a range is a..b, a..b:+step or a..b:xfactor, for instance 0..256:+16 or 1..64:x2";
const refused: readonly [text: string, error: typeof RangeError, reason: string][] = [
  ["", SyntaxError, "write NAME=VALUES, for instance page=16,64 or kv=0..256:+16"],
  ["page", SyntaxError, "write NAME=VALUES, for instance page=16,64 or kv=0..256:+16"],
  ["=16", SyntaxError, "write NAME=VALUES, for instance page=16,64 or kv=0..256:+16"],
  ["pge=16", RangeError, `axes are ${names}`],
  ["b=16", RangeError, `axes are ${names}`],
  ["page=", SyntaxError, "a value is missing; page is an integer from 1 to 2147483647"],
  ["page=16,", SyntaxError, "a value is missing; page is an integer from 1 to 2147483647"],
  ["page=16,,64", SyntaxError, "a value is missing; page is an integer from 1 to 2147483647"],
  ["page=0", RangeError, "page is an integer from 1 to 2147483647"],
  ["page=-1", RangeError, "page is an integer from 1 to 2147483647"],
  ["page=1.5", RangeError, "page is an integer from 1 to 2147483647"],
  ["page=016", RangeError, "page is an integer from 1 to 2147483647"],
  ["page=1e3", RangeError, "page is an integer from 1 to 2147483647"],
  ["page=0x10", RangeError, "page is an integer from 1 to 2147483647"],
  ["page= 16", RangeError, "page is an integer from 1 to 2147483647"],
  ["page=64\n", RangeError, "page is an integer from 1 to 2147483647"],
  ["page=NaN", RangeError, "page is an integer from 1 to 2147483647"],
  ["page=boundary", RangeError, "page is an integer from 1 to 2147483647"],
  ["page=0..2", RangeError, "page is an integer from 1 to 2147483647"],
  ["B=65537", RangeError, "B is an integer from 1 to 65536"],
  ["R=100", RangeError, "R is a multiple of 16 from 16 to 2147483632"],
  ["R=0", RangeError, "R is a multiple of 16 from 16 to 2147483632"],
  ["R=256..512:+8", RangeError, "R is a multiple of 16 from 16 to 2147483632"],
  ["Dr=8", RangeError, "Dr is 0, 16, 32 or 64"],
  ["Dr=0..64:+16", RangeError, "Dr is 0, 16, 32 or 64"],
  ["Dn=4", RangeError, "Dn is a multiple of 8 from 8 to 2147483640"],
  ["cache=fp8", RangeError, "cache is f32, f16 or bf16"],
  ["layout=split", RangeError, "layout is combined or separate"],
  ["lse=10", RangeError, "lse is e or 2"],
  ["form=auto,unfolded", RangeError, "form is auto, absorbed or expanded"],
  ["part=k", RangeError, "part is q or v"],
  ["weight=fp8", RangeError, "weight is f32, f16 or bf16"],
  ["padding=-1", RangeError, "padding is an integer from 0 to 65536"],
  ["tol=loose", RangeError, `tol is none, ${Object.keys(TOLERANCES).join(", ").replace(/, ([^,]+)$/, " or $1")}`],
  [
    "input=zeros",
    RangeError,
    "input is normal, peak, large, equal, monotone, jump, alternating, onehot, seed or flashmla",
  ],
  ["seed=-1", RangeError, "seed is an integer from 0 to 4294967295"],
  ["seed=4294967296", RangeError, "seed is an integer from 0 to 4294967295"],
  ["causal=true", RangeError, "causal is 0 or 1"],
  ["splits=0", RangeError, "splits is auto or an integer from 1 to 2147483647"],
  ["scale=0", RangeError, "scale is auto or a decimal number from 1e-30 to 1e+30 such as 0.5, or minus such a number"],
  [
    "scale=1e39",
    RangeError,
    "scale is auto or a decimal number from 1e-30 to 1e+30 such as 0.5, or minus such a number",
  ],
  [
    "scale=1e-31",
    RangeError,
    "scale is auto or a decimal number from 1e-30 to 1e+30 such as 0.5, or minus such a number",
  ],
  [
    "scale=1e999",
    RangeError,
    "scale is auto or a decimal number from 1e-30 to 1e+30 such as 0.5, or minus such a number",
  ],
  [
    "scale=-1e39",
    RangeError,
    "scale is auto or a decimal number from 1e-30 to 1e+30 such as 0.5, or minus such a number",
  ],
  ["scale=-0", RangeError, "scale is auto or a decimal number from 1e-30 to 1e+30 such as 0.5, or minus such a number"],
  [
    "scale=0..1",
    RangeError,
    "scale is auto or a decimal number from 1e-30 to 1e+30 such as 0.5, or minus such a number",
  ],
  ["kv=2147483648", RangeError, `kv is ${lengths}, boundary or ${ragged}`],
  ["kv=1+", RangeError, `kv is ${lengths}, boundary or ${ragged}`],
  ["kv=rand(5..1)", RangeError, `kv is ${lengths}, boundary or ${ragged}`],
  ["kv=rand(1..)", RangeError, `kv is ${lengths}, boundary or ${ragged}`],
  ["kv=normal(5..1)", RangeError, `kv is ${lengths}, boundary or ${ragged}`],
  ["kv=8>1", RangeError, `kv is ${lengths}, boundary or ${ragged}`],
  ...["q=8>", "q=>8", "q=8>x5", "q=8>1x0", "q=8>1x05", "q=8+1x5", "q=1x8193", "q=8>boundary"].map((text) =>
    [text, RangeError, `q is ${lengths}, ${ragged} ${steps}`] as [string, typeof RangeError, string]
  ),
  ["kv=edges", RangeError, `kv is ${lengths}, boundary or ${ragged}`],
  ["q=boundary", RangeError, `q is ${lengths}, ${ragged} ${steps}`],
  ["kv=..5", SyntaxError, rangeForm],
  ["kv=0..", SyntaxError, rangeForm],
  ["kv=0..8:2", SyntaxError, rangeForm],
  ["kv=0..8:*2", SyntaxError, rangeForm],
  ["kv=0..8:+1.5", SyntaxError, rangeForm],
  ["kv=0..8..16", SyntaxError, rangeForm],
  ["kv=8..0:+2", RangeError, "the range 8..0:+2 is empty; write the smaller end first"],
  ["kv=0..8:+0", RangeError, "the step of a range is at least 1"],
  ["kv=0..8:+-2", RangeError, "the step of a range is at least 1"],
  ["B=1..8:x1", RangeError, "the factor of a range is at least 2"],
  ["B=1..8:x-2", RangeError, "the factor of a range is at least 2"],
  ["kv=0..8:x2", RangeError, "a range with a factor starts at 1 or more, 0 stays 0"],
  ["kv=0..100000", RangeError, "an axis takes at most 100000 values"],
  ["kv=0..99999,200000", RangeError, "an axis takes at most 100000 values"],
  ["kv=0..2147483647", RangeError, "an axis takes at most 100000 values"],
];

for (const [text, error, reason] of refused) {
  Deno.test(`parseAxis() refuses ${JSON.stringify(text)} in one line`, () => {
    const { message } = assertThrows(() => parseAxis(text), error);
    assertEquals(message, `Cannot read axis ${JSON.stringify(text)}: ${reason}`);
  });
}

Deno.test("parseAxis() cuts a value of a megabyte in its message", () => {
  const { message } = assertThrows(() => parseAxis(`page=${"9".repeat(1e6)}`), RangeError);
  assertEquals(message, `Cannot read axis "page=${"9".repeat(95)}…": page is an integer from 1 to 2147483647`);
});

Deno.test("parseAxis() takes as many points as it says", () => {
  assertEquals(parseAxis(`kv=1..${MAX_AXIS_POINTS}`).values.length, MAX_AXIS_POINTS);
});
