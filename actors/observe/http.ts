// The admin HTTP server: health probes and /metrics. It sits between operators' tools and the
// node's health and metrics; it changes nothing in the node, and its limits keep slow, dead or
// greedy clients from costing more than a handful of sockets.

import { createHash, timingSafeEqual } from "node:crypto";
import { createServer } from "node:http";
import type { IncomingMessage, Server, ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

import type { Health, HealthKind } from "./health.ts";
import type { Metrics } from "./metrics.ts";

export interface HttpOptions {
  readonly host: string;
  /** 0 = any free port. */
  readonly port: number;
  /** When set, everything but the health probes asks for `Authorization: Bearer <token>`. */
  readonly token?: string | undefined;
  readonly health: Health;
  readonly metrics: Metrics;
  /** Whole life of a request, and of a connection on which nothing moves. Default 10,000. */
  readonly requestTimeoutMs?: number;
}

export interface HttpServer {
  readonly host: string;
  readonly port: number;
  /** Stops listening and drops every connection. */
  close(): Promise<void>;
}

/** Scrapers and probes need a few; more is somebody leaning on the door. */
const maxConnections = 64;

interface Answer {
  readonly status: number;
  readonly text: string;
  readonly contentType?: string;
  readonly headers?: Readonly<Record<string, string>>;
}

const plain = "text/plain; charset=utf-8";

const answerHealth = (health: Health, kind: HealthKind, query: URLSearchParams): Answer => {
  const exclude = new Set(query.getAll("exclude").flatMap((names) => names.split(",")));
  const { ok, text } = health.report(kind, { verbose: query.has("verbose"), exclude });
  return { status: ok ? 200 : 503, text };
};

const digest = (text: string): Buffer => createHash("sha256").update(text).digest();

/** Compares digests: equal length, and the time taken tells nothing about the token. */
const isAllowed = (request: IncomingMessage, token: string | undefined): boolean =>
  token === undefined ||
  timingSafeEqual(digest(request.headers.authorization ?? ""), digest(`Bearer ${token}`));

const answer = async (request: IncomingMessage, options: HttpOptions): Promise<Answer> => {
  const { health, metrics, token } = options;
  const [path = "/", query = ""] = (request.url ?? "/").split("?", 2);
  const known = ["/livez", "/readyz", "/health", "/metrics"].includes(path);
  if (!known) return { status: 404, text: "not found\n" };
  if (request.method !== "GET" && request.method !== "HEAD") {
    return { status: 405, text: "method not allowed\n", headers: { allow: "GET, HEAD" } };
  }
  if (path === "/livez") return answerHealth(health, "livez", new URLSearchParams(query));
  if (path === "/readyz") return answerHealth(health, "readyz", new URLSearchParams(query));
  if (path === "/health") {
    return { status: 200, text: '{"status":"ok"}', contentType: "application/json" };
  }
  if (!isAllowed(request, token)) {
    const headers = { "www-authenticate": "Bearer" };
    return { status: 401, text: "a bearer token is needed\n", headers };
  }
  return { status: 200, text: await metrics.scrape(), contentType: metrics.contentType };
};

const write = (request: IncomingMessage, response: ServerResponse, result: Answer): void => {
  const { status, text, contentType = plain, headers } = result;
  const length = String(Buffer.byteLength(text));
  response.writeHead(status, {
    "content-type": contentType,
    "content-length": length,
    "cache-control": "no-store",
    ...headers,
    // A body we do not read must not be taken for the next request.
    ...(request.method === "GET" || request.method === "HEAD" ? {} : { connection: "close" }),
  });
  response.end(request.method === "HEAD" ? undefined : text);
};

const handle = (options: HttpOptions) => (request: IncomingMessage, response: ServerResponse) => {
  answer(request, options).then(
    (result) => write(request, response, result),
    () => write(request, response, { status: 500, text: "internal error\n" }),
  );
};

const listen = (server: Server, host: string, port: number): Promise<AddressInfo> =>
  new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, host, () => {
      server.off("error", reject);
      resolve(server.address() as AddressInfo);
    });
  });

/** Starts listening; rejects with the system's error when the address is taken or not ours. */
export async function startHttp(options: HttpOptions): Promise<HttpServer> {
  const timeoutMs = options.requestTimeoutMs ?? 10_000;
  const server = createServer(
    {
      headersTimeout: timeoutMs,
      requestTimeout: timeoutMs,
      keepAliveTimeout: 5000,
      connectionsCheckingInterval: Math.min(1000, timeoutMs),
      maxHeaderSize: 8192,
    },
    handle(options),
  );
  server.maxConnections = maxConnections;
  server.setTimeout(timeoutMs, (socket) => socket.destroy());
  const { address, port } = await listen(server, options.host, options.port);
  return {
    host: address,
    port,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}
