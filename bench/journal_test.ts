import { assert, assertEquals, assertMatch, assertNotEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { hashCaseIds, type JournalHeader, openJournal, planDifference, readJournal, resumeJournal } from "./journal.ts";
import type { Result } from "./result.ts";
import { environment } from "./testing.ts";

const header: JournalHeader = { journal: 1, environment, cases: { count: 3, sha256: "abc" } };
const skipped = (id: string, reason = "größer als 16 KiB"): Result => ({
  status: "skipped",
  id,
  axes: { B: 1 },
  hostMs: 0,
  reason,
});
const results = [skipped("a"), skipped("b"), skipped("c")];

function withFile(action: (path: string) => void): void {
  const path = Deno.makeTempFileSync({ suffix: ".ndjson" });
  try {
    action(path);
  } finally {
    Deno.removeSync(path);
  }
}

function write(path: string, some: readonly Result[] = results): void {
  using journal = openJournal(path, header);
  for (const result of some) journal.append(result);
}

Deno.test("readJournal() returns what was appended, in order", () =>
  withFile((path) => {
    Deno.writeTextFileSync(path, "an older journal");
    write(path);
    assertEquals(readJournal(path), { header, results, torn: false });
  }));

Deno.test("readJournal() keeps the last calibration apart from the results", () =>
  withFile((path) => {
    const calibration = { readBytesPerS: { value: 4e12, spread: 0.01 }, doubts: [], wallMs: 1 };
    {
      using journal = openJournal(path, header);
      journal.append({ calibration: { ...calibration, wallMs: 2 } });
      journal.append(results[0]);
      journal.append({ calibration });
      journal.append(results[1]);
    }
    assertEquals(readJournal(path), { header, results: results.slice(0, 2), calibration, torn: false });
    Deno.writeTextFileSync(path, `${JSON.stringify(header)}\n{"calibration":7}\n`);
    assertThrows(() => readJournal(path), SyntaxError, "line 2 is not a result");
  }));

Deno.test("append() has the line in the file before it returns", () =>
  withFile((path) => {
    using journal = openJournal(path, header);
    for (let n = 1; n <= results.length; n++) {
      journal.append(results[n - 1]);
      assertEquals(readJournal(path).results.length, n);
    }
  }));

Deno.test("readJournal() survives a cut at any byte after the header and loses the cut line only", () =>
  withFile((path) => {
    write(path);
    const whole = Deno.readFileSync(path);
    const ends = [...whole.keys()].filter((index) => whole[index] === 10).map((index) => index + 1);
    assertEquals(ends.length, 4);
    for (let length = 0; length <= whole.length; length++) {
      Deno.writeFileSync(path, whole.subarray(0, length));
      if (length < ends[0]) {
        assertThrows(() => readJournal(path), SyntaxError, "no complete first line");
      } else {
        const complete = ends.filter((end) => end <= length).length - 1;
        const content = readJournal(path);
        assertEquals(content.results, results.slice(0, complete));
        assertEquals(content.torn, !ends.includes(length));
      }
    }
  }));

Deno.test("readJournal() says which other line is malformed", () =>
  withFile((path) => {
    const first = JSON.stringify(header);
    const cases: [string, string][] = [
      ["", "no complete first line"],
      ["\n", "line 1 is not JSON"],
      ["{}\n", "line 1 is not the header"],
      [`{"journal":2}\n`, "line 1 is not the header of a journal of version 1"],
      [`null\n`, "line 1 is not the header"],
      [`${first}\n{"id":"a"\n${JSON.stringify(results[1])}\n`, "line 2 is not JSON"],
      [`${first}\n${JSON.stringify(results[0])}\n{"id":"a"}\n`, "line 3 is not a result"],
      [`${first}\n${JSON.stringify({ ...results[0], status: "toString" })}\n`, "line 2 is not a result"],
      [`${first}\n\n`, "line 2 is not JSON"],
    ];
    for (const [text, message] of cases) {
      Deno.writeTextFileSync(path, text);
      const error = assertThrows(() => readJournal(path), SyntaxError, message);
      assertStringIncludes(error.message, `Cannot read journal ${path}: `);
      assertEquals(error.message.includes("\n"), false);
    }
  }));

Deno.test("readJournal() keeps the last result of an id in the place of its first", () =>
  withFile((path) => {
    write(path, [...results, skipped("a", "again")]);
    assertEquals(readJournal(path).results, [skipped("a", "again"), results[1], results[2]]);
  }));

Deno.test("resumeJournal() cuts off a torn line and goes on after it", () =>
  withFile((path) => {
    write(path, results.slice(0, 2));
    const whole = Deno.readFileSync(path);
    Deno.writeFileSync(path, whole.subarray(0, whole.length - 7));
    {
      const resumed = resumeJournal(path, header);
      using journal = resumed.journal;
      assertEquals([resumed.results, resumed.torn], [results.slice(0, 1), true]);
      for (const result of results.slice(1)) journal.append(result);
    }
    assertEquals(readJournal(path), { header, results, torn: false });
  }));

Deno.test("resumeJournal() refuses another plan and leaves the file as it was", () =>
  withFile((path) => {
    write(path);
    const before = Deno.readTextFileSync(path);
    const others: [JournalHeader, RegExp][] = [
      [{ ...header, environment: { ...environment, seed: 2 } }, /the seed was 1 and is now 2$/],
      [
        { ...header, environment: { ...environment, command: "verify" } },
        /the command was "bench" and is now "verify"$/,
      ],
      [
        { ...header, environment: { ...environment, suites: [] } },
        /the list of suites was \["smoke"\] and is now \[\]$/,
      ],
      [{ ...header, cases: { count: 4, sha256: "abc" } }, /the number of cases was 3 and is now 4$/],
      [{ ...header, cases: { count: 3, sha256: "abd" } }, /the hash of the case ids was "abc" and is now "abd"$/],
      [{ ...header, environment: { ...environment, version: "0.2.0" } }, /the version was "0.1.0" and is now "0.2.0"$/],
      [
        { ...header, environment: { ...environment, adapter: { ...environment.adapter, description: "llvmpipe" } } },
        /adapter.description is "NVIDIA H200" and "llvmpipe"$/,
      ],
    ];
    for (const [other, message] of others) {
      assertMatch(assertThrows(() => resumeJournal(path, other), RangeError, "Cannot resume").message, message);
    }
    assertEquals(Deno.readTextFileSync(path), before);
  }));

Deno.test("planDifference() lets start time, load and the arguments that decide nothing differ", () => {
  const host = { ...environment.host, loadAverage: [9, 9, 9] };
  const later = { ...environment, host, startedAt: "2026-08-02T00:00:00.000Z", wallS: 3 };
  for (const argv of [["--resume", "out"], ["--resume=out", "--quiet"], ["--out=x"], ["--quiet", "--out", "x"]]) {
    assertEquals(planDifference(header, { ...header, environment: { ...later, argv } }), undefined, argv.join(" "));
  }
});

Deno.test("planDifference() sees other kernels or another provider in the arguments", () => {
  const withArguments = (...argv: string[]) => ({ ...header, environment: { ...environment, argv } });
  const past = withArguments("--kernel", "a.ts", "--out", "x");
  assertEquals(planDifference(past, withArguments("--out=y", "--kernel", "a.ts")), undefined);
  assertEquals(
    planDifference(past, withArguments("--kernel", "b.ts", "--out", "x")),
    'the list of arguments was ["--kernel","a.ts"] and is now ["--kernel","b.ts"]',
  );
  assertMatch(planDifference(past, withArguments("--out", "x")) ?? "", /is now \[\]$/);
  assertMatch(planDifference(header, withArguments("--outer", "x")) ?? "", /is now \["--outer","x"\]$/);
});

Deno.test("planDifference() keeps results of two states of the code apart", () => {
  const at = (commit: string, dirty: boolean): JournalHeader => ({
    ...header,
    environment: { ...environment, git: { commit, dirty } },
  });
  assertEquals(planDifference(at("a", false), at("b", false)), 'the commit was "a" and is now "b"');
  assertEquals(
    planDifference(at("a", false), at("a", true)),
    'the state of the checkout was "clean" and is now "changed"',
  );
  assertEquals(planDifference(at("a", false), at("a", false)), undefined);
  assertEquals(planDifference(at("a", true), at("a", true)), undefined);
  assertEquals(planDifference(header, at("a", true)), undefined);
  assertEquals(planDifference(at("a", true), header), undefined);
});

Deno.test("hashCaseIds() depends on every id and on their order", async () => {
  // `printf 'a\nb' | sha256sum`
  assertEquals(await hashCaseIds(["a", "b"]), "7e18f737311b2dc3b2f269dd78396b0351f14fb66efa879f768cb23181883c78");
  assertNotEquals(await hashCaseIds(["a", "b"]), await hashCaseIds(["b", "a"]));
  assert(/^[0-9a-f]{64}$/.test(await hashCaseIds([])));
});
