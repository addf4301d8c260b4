/**
 * A report on loopback, for machines whose browser cannot open the file.
 *
 * @module
 */
import type { Report } from "../bench/result.ts";
import { contentSecurityPolicy, renderHtml } from "./html.ts";

/** Options of {@linkcode serveReport}. */
export interface ServeReportOptions {
  /** Port; 0 takes a free one. @default {0} */
  readonly port?: number;
  /** The same cases under another implementation, to stand beside them. @default {none} */
  readonly other?: Report;
}

/** A report that is being served. */
export interface ReportServer {
  /** Where it is, for a person to open. */
  readonly url: string;
  /** Resolves when the server has stopped. */
  readonly finished: Promise<void>;
  /** Stops it. */
  close(): Promise<void>;
}

/**
 * Serves `report`, drawn once, at `/` of 127.0.0.1, and nothing else. Requests under another name than loopback's are
 * refused: a page elsewhere whose name is made to resolve here (DNS rebinding) must not read the report.
 *
 * @throws {RangeError} If `port` is no port.
 * @throws {Deno.errors.AddrInUse} If the port is taken.
 */
export function serveReport(report: Report, options: ServeReportOptions = {}): ReportServer {
  const { port = 0, other } = options;
  if (!(Number.isInteger(port) && port >= 0 && port <= 65_535)) {
    throw new RangeError(`Cannot serve on port ${port}: ports are 0 (any free one) to 65535`);
  }
  const body = new TextEncoder().encode(renderHtml(report, other));
  const server: Deno.HttpServer<Deno.NetAddr> = Deno.serve(
    { hostname: "127.0.0.1", port, onListen: () => {} },
    (request) => {
      return respond(request, body, server.addr.port);
    },
  );
  return {
    url: `http://127.0.0.1:${server.addr.port}/`,
    finished: server.finished,
    close: () => server.shutdown(),
  };
}

function respond(request: Request, body: Uint8Array<ArrayBuffer>, port: number): Response {
  const names = [`127.0.0.1:${port}`, `localhost:${port}`, ...port === 80 ? ["127.0.0.1", "localhost"] : []];
  if (!names.includes(request.headers.get("host") ?? "")) {
    return plain(403, `This report is served to ${names[0]} only.`);
  }
  if (new URL(request.url).pathname !== "/") return plain(404, "Only the report is served here, at /.");
  if (request.method !== "GET" && request.method !== "HEAD") {
    return plain(405, "The report can only be read.", { allow: "GET, HEAD" });
  }
  return new Response(request.method === "HEAD" ? null : body, {
    headers: {
      ...SAFE_HEADERS,
      "content-type": "text/html; charset=utf-8",
      "content-security-policy": `${contentSecurityPolicy}; frame-ancestors 'none'`,
    },
  });
}

function plain(status: number, text: string, headers: Record<string, string> = {}): Response {
  return new Response(`${text}\n`, {
    status,
    headers: { ...SAFE_HEADERS, "content-type": "text/plain; charset=utf-8", ...headers },
  });
}

const SAFE_HEADERS = {
  "x-content-type-options": "nosniff",
  "referrer-policy": "no-referrer",
  "cross-origin-resource-policy": "same-origin",
  "cache-control": "no-store",
};
