import { assertEquals } from "@std/assert";
import { lines } from "./protocol.ts";

Deno.test("lines() joins what chunks cut apart, inside a character too", async () => {
  const bytes = new TextEncoder().encode("one\ntwö\n\nlast");
  const stream = ReadableStream.from(Array.from(bytes, (byte) => Uint8Array.of(byte)));
  assertEquals(await Array.fromAsync(lines(stream)), ["one", "twö", "", "last"]);
});
