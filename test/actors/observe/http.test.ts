// The admin server over real loopback sockets: probes, metrics, the token, and clients that are
// wrong, slow or dead. Health and log are tested beside it.

import { request } from "node:http";
import { connect } from "node:net";

import { afterEach, describe, expect, test } from "vitest";

import { Health } from "../../../actors/observe/health.ts";
import type { HttpOptions, HttpServer } from "../../../actors/observe/http.ts";
import { startHttp } from "../../../actors/observe/http.ts";
import { createLog } from "../../../actors/observe/log.ts";
import { Metrics } from "../../../actors/observe/metrics.ts";

const open: { server: HttpServer; metrics: Metrics }[] = [];

const start = async (over: Partial<HttpOptions> = {}) => {
  const health = new Health();
  const metrics = new Metrics(() => {});
  const server = await startHttp({ host: "127.0.0.1", port: 0, health, metrics, ...over });
  open.push({ server, metrics });
  const ask = (path: string, method = "GET", headers: Record<string, string> = {}) =>
    new Promise<{ status: number; text: string; type: string | undefined }>((resolve, reject) => {
      const options = { host: server.host, port: server.port, path, method, headers, agent: false };
      const sent = request(options, (response) => {
        let text = "";
        response.setEncoding("utf8");
        response.on("data", (chunk: string) => (text += chunk));
        response.on("end", () =>
          resolve({ status: response.statusCode!, text, type: response.headers["content-type"] }),
        );
      });
      sent.on("error", reject);
      sent.end();
    });
  return { server, health, ask };
};

afterEach(async () => {
  for (const { server, metrics } of open.splice(0)) {
    await server.close();
    metrics.close();
  }
});

describe("probes", () => {
  test("/health answers the original's JSON", async () => {
    const { ask } = await start();
    const reply = await ask("/health");
    expect([reply.status, reply.text, reply.type]).toEqual([
      200,
      '{"status":"ok"}',
      "application/json",
    ]);
  });

  test("readyz names what fails, lists all when verbose, and leaves out what is excluded", async () => {
    const { health, ask } = await start();
    let disk: string | undefined;
    health.check("disk", () => disk);
    health.check("raft_leader", () => undefined);
    expect(await ask("/readyz")).toMatchObject({ status: 200, text: "ok\n" });
    expect((await ask("/readyz?verbose")).text).toBe(
      "[+]disk ok\n[+]raft_leader ok\nreadyz check passed\n",
    );
    disk = "full";
    const failed = await ask("/readyz");
    expect(failed.status).toBe(503);
    expect(failed.text).toContain("[-]disk failed: full\n");
    expect((await ask("/readyz?exclude=disk,other")).status).toBe(200);
  });

  test("livez only fails for what a restart would cure", async () => {
    const { health, ask } = await start();
    health.check("raft_leader", () => "none");
    expect((await ask("/livez")).status).toBe(200);
    const remove = health.check(
      "loop",
      () => {
        throw new Error("stuck");
      },
      true,
    );
    expect((await ask("/livez")).text).toBe("[-]loop failed: stuck\nlivez check failed\n");
    remove();
    expect((await ask("/livez")).status).toBe(200);
  });
});

describe("metrics and limits", () => {
  test("HEAD gives the headers only; other methods and paths are refused", async () => {
    const { ask } = await start();
    const head = await ask("/metrics", "HEAD");
    expect([head.status, head.text]).toEqual([200, ""]);
    expect(await ask("/metrics", "POST")).toMatchObject({
      status: 405,
      text: "method not allowed\n",
    });
    expect(await ask("/nope")).toMatchObject({ status: 404, text: "not found\n" });
    expect((await ask("/metrics")).type).toBe("text/plain; version=0.0.4; charset=utf-8");
  });

  test("with a token metrics need it, probes do not", async () => {
    const { ask } = await start({ token: "secret" });
    expect((await ask("/metrics")).status).toBe(401);
    expect((await ask("/metrics", "GET", { authorization: "Bearer wrong" })).status).toBe(401);
    expect((await ask("/metrics", "GET", { authorization: "Bearer secret" })).status).toBe(200);
    expect((await ask("/livez")).status).toBe(200);
  });

  test("a client that never finishes its request is dropped, others are served meanwhile", async () => {
    const { server, ask } = await start({ requestTimeoutMs: 200 });
    const socket = connect(server.port, server.host);
    const closed = new Promise<void>((resolve) => {
      socket.on("close", () => resolve());
    });
    socket.on("error", () => {});
    socket.on("data", () => {});
    socket.write("GET /livez HTTP/1.1\r\nHost: x\r\nX-Slow: ");
    expect((await ask("/livez")).status).toBe(200);
    await closed;
  });

  test("bad bytes get an error, not a crash", async () => {
    const { server, ask } = await start();
    const socket = connect(server.port, server.host);
    const text = await new Promise<string>((resolve) => {
      let got = "";
      socket.on("data", (chunk) => (got += String(chunk)));
      socket.on("error", () => {});
      socket.on("close", () => resolve(got));
      socket.end("\0\x01*3\r\n$3\r\nSET\r\n\r\n");
    });
    expect(text).toContain("400 Bad Request");
    expect((await ask("/livez")).status).toBe(200);
  });

  test("a taken port rejects with the system's error", async () => {
    const { server } = await start();
    await expect(start({ port: server.port })).rejects.toMatchObject({ code: "EADDRINUSE" });
  });
});

describe("log", () => {
  test("lines are JSON with time, level, node and msg; the level changes at run time", () => {
    const lines: string[] = [];
    const stream = { write: (line: string) => void lines.push(line) };
    const log = createLog({ node: "n1", level: "info", stream });
    const region = log.with({ region_id: 7 });
    region.debug("unheard");
    region.warning("slow", { ms: 12 });
    log.setLevel("debug");
    region.debug("heard");
    log.error("failed", { error: new Error("outer", { cause: new Error("inner") }) });
    const parsed = lines.map((line) => JSON.parse(line) as Record<string, unknown>);
    expect(parsed.map((line) => [line["level"], line["msg"]])).toEqual([
      ["warning", "slow"],
      ["debug", "heard"],
      ["error", "failed"],
    ]);
    expect(parsed[0]).toMatchObject({ node: "n1", region_id: 7, ms: 12 });
    expect(Date.parse(parsed[0]!["time"] as string)).not.toBeNaN();
    expect(parsed[2]).toMatchObject({ error: { message: "outer", cause: { message: "inner" } } });
  });
});
