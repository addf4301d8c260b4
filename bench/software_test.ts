import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { createTar, createTarGzip } from "nanotar";
import { ensureSoftwareVulkan, type SoftwareRelease, type SoftwareVulkanOptions } from "./software.ts";

// All but the last test fetch a small package from a registry on loopback, through the same child as the real one.

const DRIVER = "machine code of a driver";
const MANIFEST = '{"ICD":{"library_path":"./driver.so"}}';
const RELEASE: SoftwareRelease = {
  package: "@test/driver",
  version: "1.0.0",
  archive: "bin/driver.tar.br",
  files: { "driver.so": await sha256Of(DRIVER), "driver.json": await sha256Of(MANIFEST) },
};
const ARCHIVE = await brotli(createTar([
  { name: "driver.so", data: DRIVER },
  { name: "not_wanted.so", data: "OpenGL" },
  { name: "driver.json", data: MANIFEST },
]));

Deno.test("ensureSoftwareVulkan() fetches once, keeps only the wanted files and points a child process at them", async () => {
  await withRegistry(ARCHIVE, async (ensure, cache) => {
    const lines: string[] = [];
    const first = await ensure({ onFetch: (line) => lines.push(line) });
    assertEquals(first.directory, `${cache}/swiftshader-1.0.0`);
    assertEquals(first.env.LD_LIBRARY_PATH.split(":")[0], first.directory);
    assertEquals(first.env.VK_DRIVER_FILES, `${first.directory}/vk_swiftshader_icd.json`);
    assertEquals(namesIn(first.directory), ["driver.json", "driver.so"]);
    assertEquals(namesIn(cache), ["swiftshader-1.0.0"]);
    assertEquals(lines.length, 1);
    assertStringIncludes(lines[0], "npm:@test/driver@1.0.0");
  });
});

Deno.test("ensureSoftwareVulkan() needs no network once the files are there", async () => {
  await withRegistry(ARCHIVE, async (ensure, _cache, shutdown) => {
    const first = await ensure({});
    await shutdown();
    assertEquals(await ensure({ onFetch: (line) => assert(false, line) }), first);
  });
});

Deno.test("ensureSoftwareVulkan() keeps the library path that the user set, after its own directory", async () => {
  await withRegistry(ARCHIVE, async (ensure) => {
    await withEnv({ LD_LIBRARY_PATH: "/opt/lib" }, async () => {
      const { env, directory } = await ensure({});
      assertEquals(env.LD_LIBRARY_PATH, `${directory}:/opt/lib`);
    });
  });
});

Deno.test("ensureSoftwareVulkan() serves callers that start at the same time", async () => {
  await withRegistry(ARCHIVE, async (ensure, cache) => {
    const all = await Promise.all([ensure({}), ensure({}), ensure({})]);
    assertEquals(new Set(all.map((one) => one.directory)).size, 1);
    assertEquals(namesIn(cache), ["swiftshader-1.0.0"]);
    assertEquals(Deno.readTextFileSync(`${all[0].directory}/driver.so`), DRIVER);
  });
});

Deno.test("ensureSoftwareVulkan() replaces a directory with a shortened or a missing file", async () => {
  await withRegistry(ARCHIVE, async (ensure) => {
    const { directory } = await ensure({});
    await Deno.writeTextFile(`${directory}/driver.so`, DRIVER.slice(0, 5));
    await ensure({});
    assertEquals(Deno.readTextFileSync(`${directory}/driver.so`), DRIVER);
    await Deno.remove(`${directory}/driver.json`);
    await ensure({});
    assertEquals(Deno.readTextFileSync(`${directory}/driver.json`), MANIFEST);
  });
});

Deno.test("ensureSoftwareVulkan() is not misled by what a killed fetch left, and removes it after a day", async () => {
  await withRegistry(ARCHIVE, async (ensure, cache) => {
    for (const name of [".fetch-recent", ".fetch-old"]) {
      await Deno.mkdir(`${cache}/${name}/staged`, { recursive: true });
    }
    const twoDaysAgo = new Date(Date.now() - 2 * 24 * 60 * 60 * 1000);
    await Deno.utime(`${cache}/.fetch-old`, twoDaysAgo, twoDaysAgo);
    await ensure({});
    assertEquals(namesIn(cache), [".fetch-recent", "swiftshader-1.0.0"]);
  });
});

Deno.test("ensureSoftwareVulkan() refuses a file that differs from the reviewed one, and installs nothing", async () => {
  const other = await brotli(
    createTar([{ name: "driver.so", data: "malice" }, { name: "driver.json", data: MANIFEST }]),
  );
  await withRegistry(other, async (ensure, cache) => {
    const error = await assertRejects(() => ensure({}), Error, "Cannot use driver.so in bin/driver.tar.br");
    assertStringIncludes(error.message, `expected ${RELEASE.files["driver.so"]}`);
    assertEquals(namesIn(cache), []);
  });
});

Deno.test("ensureSoftwareVulkan() names the file that the archive lacks", async () => {
  const without = await brotli(createTar([{ name: "driver.so", data: DRIVER }]));
  await withRegistry(without, async (ensure, cache) => {
    await assertRejects(
      () => ensure({}),
      Error,
      "Cannot find driver.json in bin/driver.tar.br of npm:@test/driver@1.0.0",
    );
    assertEquals(namesIn(cache), []);
  });
});

Deno.test("ensureSoftwareVulkan() says that the archive is damaged", async () => {
  await withRegistry(ARCHIVE.slice(0, 20), async (ensure) => {
    await assertRejects(() => ensure({}), Error, "Cannot unpack bin/driver.tar.br of npm:@test/driver@1.0.0");
  });
});

Deno.test("ensureSoftwareVulkan() names the package that has no archive, or no such version", async () => {
  await withRegistry(ARCHIVE, async (ensure) => {
    const moved = { ...RELEASE, archive: "bin/moved.tar.br" };
    await assertRejects(
      () => ensure({ release: moved }),
      Error,
      "Cannot find bin/moved.tar.br in npm:@test/driver@1.0.0",
    );
    const newer = { ...RELEASE, version: "2.0.0" };
    await assertRejects(
      () => ensure({ release: newer }),
      Error,
      "Cannot fetch the software adapter npm:@test/driver@2.0.0",
    );
  });
});

Deno.test("ensureSoftwareVulkan() says in one line that the registry cannot be reached", async () => {
  await withRegistry(ARCHIVE, async (ensure, cache, shutdown) => {
    await shutdown();
    const error = await assertRejects(
      () => ensure({}),
      Error,
      "Cannot fetch the software adapter npm:@test/driver@1.0.0",
    );
    assertStringIncludes(error.message, "connect to the npm registry or install a Vulkan driver");
    assertEquals(error.message.includes("\n"), false);
    assertEquals(namesIn(cache), []);
  });
});

Deno.test("ensureSoftwareVulkan() names a cache directory that cannot be written", async () => {
  const file = await Deno.makeTempFile();
  try {
    const cacheDirectory = `${file}/mla-bench`;
    const error = await assertRejects(
      () => ensureSoftwareVulkan({ cacheDirectory, release: RELEASE }),
      Error,
      `Cannot write the cache directory ${cacheDirectory}`,
    );
    assertStringIncludes(error.message, "set XDG_CACHE_HOME");
  } finally {
    await Deno.remove(file);
  }
});

Deno.test("ensureSoftwareVulkan() asks for a home when no variable names one, and ignores a relative cache path", async () => {
  await withEnv({ XDG_CACHE_HOME: "relative", HOME: undefined }, async () => {
    await assertRejects(
      () => ensureSoftwareVulkan({ release: RELEASE }),
      Error,
      "neither XDG_CACHE_HOME nor HOME is set",
    );
  });
});

Deno.test("SwiftShader runs a compute shader in a child process that has no other Vulkan", async () => {
  const { env } = await ensureSoftwareVulkan();
  const script = `
    const adapter = await navigator.gpu.requestAdapter();
    const device = await adapter.requestDevice();
    const module = device.createShaderModule({ code: \`
      @group(0) @binding(0) var<storage, read_write> squares: array<u32>;
      @compute @workgroup_size(64) fn main(@builtin(global_invocation_id) id: vec3<u32>) { squares[id.x] = id.x * id.x; }\` });
    const pipeline = device.createComputePipeline({ layout: "auto", compute: { module } });
    const bytes = 4 * 1024, usage = GPUBufferUsage;
    const buffer = device.createBuffer({ size: bytes, usage: usage.STORAGE | usage.COPY_SRC });
    const read = device.createBuffer({ size: bytes, usage: usage.MAP_READ | usage.COPY_DST });
    const encoder = device.createCommandEncoder(), pass = encoder.beginComputePass();
    pass.setPipeline(pipeline);
    const entries = [{ binding: 0, resource: { buffer } }];
    pass.setBindGroup(0, device.createBindGroup({ layout: pipeline.getBindGroupLayout(0), entries }));
    pass.dispatchWorkgroups(16);
    pass.end();
    encoder.copyBufferToBuffer(buffer, 0, read, 0, bytes);
    device.queue.submit([encoder.finish()]);
    await read.mapAsync(GPUMapMode.READ);
    const wrong = new Uint32Array(read.getMappedRange()).filter((value, i) => value !== i * i).length;
    console.log(JSON.stringify({ description: adapter.info.description, wrong }));`;
  const { stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["eval", "--no-config", script],
    env: { ...env, DENO_WEBGPU_BACKEND: "vulkan", XDG_RUNTIME_DIR: "/tmp" },
  }).output();
  assertEquals(new TextDecoder().decode(stderr), "");
  const seen = JSON.parse(new TextDecoder().decode(stdout));
  assertStringIncludes(seen.description, "SwiftShader");
  assertEquals(seen.wrong, 0);
});

type Ensure = (options: SoftwareVulkanOptions) => ReturnType<typeof ensureSoftwareVulkan>;

/** Runs `body` with a registry that knows one package, which holds `archive`, and with an empty cache directory. */
async function withRegistry(
  archive: Uint8Array<ArrayBuffer>,
  body: (ensure: Ensure, cache: string, shutdown: () => Promise<void>) => Promise<void>,
): Promise<void> {
  const manifest = { name: RELEASE.package, version: RELEASE.version };
  const tarball = new Uint8Array(
    await createTarGzip([
      { name: "package/package.json", data: JSON.stringify(manifest) },
      { name: `package/${RELEASE.archive}`, data: archive },
    ]),
  );
  const integrity = `sha512-${new Uint8Array(await crypto.subtle.digest("SHA-512", tarball)).toBase64()}`;
  const server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen: () => {} }, (request) => {
    const { origin, pathname } = new URL(request.url);
    if (pathname === "/driver.tgz") return new Response(tarball);
    const versions = { [RELEASE.version]: { ...manifest, dist: { tarball: `${origin}/driver.tgz`, integrity } } };
    return Response.json({ name: RELEASE.package, versions, "dist-tags": { latest: RELEASE.version } });
  });
  const cache = await Deno.makeTempDir();
  const env = {
    HOME: cache, // no .npmrc of the user
    NPM_CONFIG_REGISTRY: `http://127.0.0.1:${server.addr.port}/`,
    NO_PROXY: "127.0.0.1",
    LD_LIBRARY_PATH: undefined,
  };
  try {
    const ensure: Ensure = (options) => ensureSoftwareVulkan({ cacheDirectory: cache, release: RELEASE, ...options });
    await withEnv(env, () => body(ensure, cache, () => server.shutdown()));
  } finally {
    await server.shutdown();
    await Deno.remove(cache, { recursive: true });
  }
}

async function withEnv(env: Record<string, string | undefined>, body: () => Promise<void>): Promise<void> {
  const before = Object.keys(env).map((name) => [name, Deno.env.get(name)] as const);
  const set = ([name, value]: readonly [string, string | undefined]) =>
    value === undefined ? Deno.env.delete(name) : Deno.env.set(name, value);
  Object.entries(env).forEach(set);
  try {
    await body();
  } finally {
    before.forEach(set);
  }
}

function namesIn(directory: string): string[] {
  return [...Deno.readDirSync(directory)].map((entry) => entry.name).sort();
}

async function brotli(bytes: Uint8Array): Promise<Uint8Array<ArrayBuffer>> {
  const stream = new Blob([new Uint8Array(bytes)]).stream().pipeThrough(new CompressionStream("brotli"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

async function sha256Of(text: string): Promise<string> {
  return new Uint8Array(await crypto.subtle.digest("SHA-256", new TextEncoder().encode(text))).toHex();
}
