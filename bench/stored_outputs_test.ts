import { assert, assertEquals, assertThrows } from "@std/assert";
import { type OutputRows, packOutputs, readOutputs, writeOutputs } from "./stored_outputs.ts";
import { environment } from "./testing.ts";

function output(name: string, width: number, rows: readonly number[]): OutputRows {
  const values = Float32Array.from(
    { length: rows.length * width },
    (_, i) => rows[Math.floor(i / width)] + i % width / 8,
  );
  return { name, width, rows: Int32Array.from(rows), values };
}

function range(from: number, to: number): number[] {
  return Array.from({ length: to - from }, (_, i) => from + i);
}

async function withFolder(work: (dir: string) => void): Promise<void> {
  const dir = await Deno.makeTempDir({ prefix: "mla-bench-" });
  try {
    work(dir);
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
}

Deno.test("what is stored is read, the last of a case that was stored twice", () =>
  withFolder((dir) => {
    const first = [output("out", 4, [0, 2, 5]), output("lse", 1, [0, 2, 5])], again = [output("out", 2, [7])];
    {
      using writer = writeOutputs(dir, environment);
      writer.append(packOutputs("a", "hash", again));
      writer.append(packOutputs("b", "hash", []));
      writer.append(packOutputs("a", "hash", first));
      assertEquals([writer.stored, writer.cut, writer.leftOut], [3, 0, 0]);
    }
    const reader = readOutputs(dir);
    assertEquals(reader.environment, environment);
    assertEquals(reader.read("a", "hash"), first);
    assertEquals(reader.read("b", "hash"), []);
    assertEquals([...reader.ids], ["a", "b"]);
    assertEquals(reader.read("a", "other"), `the inputs of this case were others in ${dir}`);
    assertEquals(reader.read("c", "hash"), `${dir} has no outputs of this case`);
  }));

Deno.test("a folder is taken up again on resuming, without a line that was cut short, and replaced otherwise", () =>
  withFolder((dir) => {
    const store = (id: string, resume: boolean) => {
      using writer = writeOutputs(dir, environment, { resume });
      writer.append(packOutputs(id, "hash", [output(id, 2, [1, 2])]));
    };
    store("a", true);
    Deno.writeTextFileSync(`${dir}/outputs.ndjson`, `{"id":"torn`, { append: true });
    store("b", true);
    assertEquals(readOutputs(dir).read("a", "hash"), [output("a", 2, [1, 2])]);
    assertEquals(readOutputs(dir).read("b", "hash"), [output("b", 2, [1, 2])]);
    store("c", false);
    assertEquals([...readOutputs(dir).ids], ["c"]);
  }));

Deno.test("a large case keeps as many rows as fit, the same of every output, and those that another sample keeps", () => {
  const pack = (rows: readonly number[]) =>
    packOutputs("a", "hash", [output("out", 4, rows), output("lse", 1, rows)], 500);
  const packed = pack(range(100, 1100));
  assertEquals(packed.outputs, [
    { name: "out", width: 4, rows: 100, cut: true },
    { name: "lse", width: 1, rows: 100, cut: true },
  ]);
  assertEquals(packed.data.length, 4 * 100 * (5 + 2));
  const rowsOf = (data: Uint8Array<ArrayBuffer>) => [...new Int32Array(data.buffer, 0, 100)];
  const kept = rowsOf(packed.data);
  assertEquals(kept, kept.toSorted((a, b) => a - b));
  assertEquals([...new Int32Array(packed.data.buffer, 4 * 500, 100)], kept);
  const values = new Float32Array(packed.data.buffer, 4 * 100, 400);
  assertEquals(kept.map((_, i) => values[4 * i + 1]), kept.map((row) => row + 1 / 8));
  // Beside a tenth more rows most of those that were kept are kept again; of a choice at random a tenth would be.
  const others = new Set(rowsOf(pack(range(0, 1100)).data));
  assert(kept.filter((row) => others.has(row)).length > 75);
});

Deno.test("a folder that is full stores no more, and counts what it left out", () =>
  withFolder((dir) => {
    using writer = writeOutputs(dir, environment, { maxBytes: 100 });
    for (const id of ["a", "b", "c"]) writer.append(packOutputs(id, "hash", [output("out", 4, [1, 2])]));
    assertEquals([writer.stored, writer.leftOut], [2, 1]);
  }));

Deno.test("readOutputs() refuses what is no index, and a case whose data is missing or altered", () =>
  withFolder((dir) => {
    const index = `${dir}/outputs.ndjson`, data = `${dir}/outputs.bin`;
    assertThrows(() => readOutputs(dir), Deno.errors.NotFound);
    {
      using writer = writeOutputs(dir, environment);
      writer.append(packOutputs("a", "hash", [output("out", 4, [1])]));
    }
    const bytes = Deno.readFileSync(data), text = Deno.readTextFileSync(index);
    for (const changed of [bytes.slice(0, -1), bytes.map((byte, i) => i === 3 ? byte ^ 1 : byte)]) {
      Deno.writeFileSync(data, changed);
      assertEquals(
        readOutputs(dir).read("a", "hash"),
        `the outputs of this case in ${data} were altered: their SHA-256 is not that of the index`,
      );
    }
    Deno.removeSync(data);
    assert(typeof readOutputs(dir).read("a", "hash") === "string");
    const refused = (content: string, message: string) => {
      Deno.writeTextFileSync(index, content);
      assertThrows(() => readOutputs(dir), SyntaxError, `Cannot read ${index}: ${message}`);
    };
    refused("", "line 1 is not the header");
    refused(`{"outputs":2}\n`, "line 1 is not the header");
    refused(text.replace(`"rows":1`, `"rows":2`), "line 2 does not describe a case");
    refused(text + "no JSON\n", "it holds a line that is not JSON");
  }));
