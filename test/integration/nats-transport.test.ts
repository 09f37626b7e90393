// The transport's contract over a real nats-server, and what only a server can do: be killed, freeze,
// refuse a password, speak TLS, take too little.

import { execFileSync } from "node:child_process";
import { join } from "node:path";

import { connect, nkeys, type NatsConnection } from "nats";
import { afterEach, beforeAll, afterAll, describe, expect, test } from "vitest";

import { NatsRefusedError, parseServer } from "../../transport/nats-dial.ts";
import { openNatsTransport, type NatsOptions } from "../../transport/nats.ts";
import type { TransportProblem } from "../../transport/problem.ts";
import type { Transport } from "../../transport/transport.ts";
import { describeTransport } from "../transport/contract.ts";
import { clusterName, silenceMs } from "../transport/world.ts";
import { NatsServer, freePort } from "../transport/nats-server.ts";

let server: NatsServer;

beforeAll(async () => {
  server = await NatsServer.create();
  await server.start();
});
afterAll(() => server.dispose());

describeTransport("NATS", async () => {
  const outsider: NatsConnection = await connect({ servers: server.url, maxReconnectAttempts: -1 });
  return {
    open: (nodeId, onProblem) =>
      openNatsTransport({
        cluster: clusterName,
        nodeId,
        servers: [server.url],
        // The server's coming and going is each test's own doing.
        onProblem: (problem) => {
          if (problem.kind !== "lost" && problem.kind !== "unreachable") onProblem(problem);
        },
        streamSilenceMs: silenceMs,
      }),
    down: () => server.kill(),
    up: () => server.start(),
    inject: async (subject, bytes) => {
      outsider.publish(subject, bytes);
      await outsider.flush();
    },
    tap: async (subject, heard) => {
      outsider.subscribe(subject, { callback: (_, { data }) => heard(Buffer.from(data)) });
      await outsider.flush();
    },
    close: () => outsider.close(),
  };
});

const opened: Transport[] = [];
const servers: NatsServer[] = [];
const problems: TransportProblem[] = [];

afterEach(async () => {
  await Promise.all(opened.splice(0).map((transport) => transport.close()));
  await Promise.all(servers.splice(0).map((each) => each.dispose()));
  problems.length = 0;
});

async function open(options: Partial<NatsOptions> & { servers: string[] }): Promise<Transport> {
  const transport = await openNatsTransport({
    cluster: "own",
    nodeId: "a",
    onProblem: (problem) => problems.push(problem),
    ...options,
  });
  opened.push(transport);
  return transport;
}

async function serve(config: (folder: string) => string): Promise<NatsServer> {
  const own = await NatsServer.create(config);
  servers.push(own);
  await own.start();
  return own;
}

const connection = (transport: Transport, wanted: boolean): Promise<void> =>
  new Promise((resolve) => {
    const check = (): void => {
      if (transport.connected !== wanted) return;
      stop();
      resolve();
    };
    const stop = transport.onConnection(check);
    check();
  });

/** One body there and back; asked again, for a connection may just be breaking. */
async function echo(a: Transport, b: Transport): Promise<void> {
  b.receive("store", (from, body) => b.send(from, "store", body));
  await new Promise<void>((resolve) => {
    const ask = (): void => a.send(b.nodeId, "store", Buffer.from("ping"));
    const again = setInterval(ask, 100);
    a.receive("store", () => {
      clearInterval(again);
      resolve();
    });
    ask();
  });
}

const passwordConfig = (): string => "authorization { user: spire, password: secret }";

describe("first connection", () => {
  test("waits for a server, says so once, and goes on when there is one", async () => {
    const late = await NatsServer.create();
    servers.push(late);
    const opening = open({ servers: [late.url] });
    await new Promise((resolve) => setTimeout(resolve, 700));
    expect(problems).toMatchObject([{ kind: "unreachable" }]);
    expect(problems[0]?.message).toContain(`127.0.0.1:${late.port}`);
    await late.start();
    expect((await opening).connected).toBe(true);
    expect(problems).toHaveLength(1);
  });

  test("is given up when its signal says so", async () => {
    const giveUp = new AbortController();
    const url = `nats://127.0.0.1:${await freePort()}`;
    const opening = open({ servers: [url], signal: giveUp.signal });
    setTimeout(() => giveUp.abort(new Error("shut down")), 100);
    await expect(opening).rejects.toThrow("shut down");
  });

  test("takes the server of several that is there", async () => {
    const dead = `nats://127.0.0.1:${await freePort()}`;
    const first = await open({ servers: [dead, server.url] });
    const second = await open({ servers: [server.url, dead], nodeId: "b" });
    await echo(first, second);
  });

  test("a server whose max_payload is too small is refused", async () => {
    const small = await serve(() => "max_payload: 512KB");
    await expect(open({ servers: [small.url] })).rejects.toThrow(
      /max_payload of the NATS server 127\.0\.0\.1:\d+ is 524288 bytes; it must be at least 655456/,
    );
  });

  test("a larger max_payload does not make longer messages", async () => {
    const large = await serve(() => "max_payload: 8MB");
    expect((await open({ servers: [large.url] })).maxBodyBytes).toBeLessThan(1024 * 1024);
  });
});

describe("authentication", () => {
  test("user and password, from the options or the URL", async () => {
    const closed = await serve(passwordConfig);
    const address = `127.0.0.1:${closed.port}`;
    const first = await open({ servers: [closed.url], user: "spire", password: "secret" });
    const second = await open({ servers: [`nats://spire:secret@${address}`], nodeId: "b" });
    await echo(first, second);
  });

  test.each([{ user: "spire", password: "wrong" }, {}])("%j is refused", async (credentials) => {
    const closed = await serve(passwordConfig);
    const opening = open({ servers: [closed.url], ...credentials });
    await expect(opening).rejects.toThrow(NatsRefusedError);
    await expect(opening).rejects.toThrow(/does not accept our user, password, token or key/);
  });

  test("a token, from the options or the URL", async () => {
    const closed = await serve(() => "authorization { token: s3cret }");
    const first = await open({ servers: [closed.url], token: "s3cret" });
    const url = `nats://s3cret@127.0.0.1:${closed.port}`;
    await echo(first, await open({ servers: [url], nodeId: "b" }));
  });

  test("an nkey seed", async () => {
    const user = nkeys.createUser();
    const closed = await serve(() => `authorization { users: [{ nkey: ${user.getPublicKey()} }] }`);
    const nkeySeed = Buffer.from(user.getSeed()).toString();
    const first = await open({ servers: [closed.url], nkeySeed });
    await echo(first, await open({ servers: [closed.url], nkeySeed, nodeId: "b" }));
    await expect(open({ servers: [closed.url] })).rejects.toThrow(NatsRefusedError);
  });

  test("a missing creds file is told by its name", async () => {
    const opening = open({ servers: [server.url], credsFile: "/absent.creds" });
    await expect(opening).rejects.toThrow(/absent\.creds/);
  });
});

test("TLS with a private authority; an unknown authority and another name are refused", async () => {
  let caFile = "";
  const secure = await serve((folder) => {
    caFile = join(folder, "cert.pem");
    const keyFile = join(folder, "key.pem");
    const names = "subjectAltName=IP:127.0.0.1";
    const key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];
    const files = ["-keyout", keyFile, "-out", caFile, "-subj", "/CN=spiredb", "-addext", names];
    execFileSync("openssl", ["req", "-x509", "-days", "2", ...key, ...files], { stdio: "ignore" });
    return `tls { cert_file: ${caFile}, key_file: ${keyFile} }`;
  });
  const first = await open({ servers: [secure.url], tls: { caFile } });
  const url = `tls://127.0.0.1:${secure.port}`;
  await echo(first, await open({ servers: [url], tls: { caFile }, nodeId: "b" }));
  const byName = open({ servers: [`tls://localhost:${secure.port}`], tls: { caFile } });
  await expect(byName).rejects.toThrow(/ALTNAME/);
  await expect(open({ servers: [secure.url] })).rejects.toThrow(/no TLS connection .*CERT/);
  await expect(open({ servers: [server.url], tls: { caFile } })).rejects.toThrow(/no TLS there/);
});

describe("a server that", () => {
  test("freezes is noticed, costs bounded memory, and is used again when it thaws", async () => {
    const own = await serve(() => "");
    // More than the kernel holds, so that a write hangs.
    const outboundCapBytes = 32 * 1024 * 1024;
    const options = { servers: [own.url], pingIntervalMs: 200, dialTimeoutMs: 300 };
    const a = await open({ ...options, outboundCapBytes });
    const b = await open({ ...options, nodeId: "b" });
    own.freeze();
    const body = Buffer.alloc(512 * 1024);
    for (let index = 0; index < 80; index++) {
      a.send("b", "store", body);
      await new Promise((resolve) => setImmediate(resolve));
    }
    expect(a.statistics().dropped).toBeGreaterThanOrEqual(16);
    await connection(a, false);
    own.thaw();
    await Promise.all([connection(a, true), connection(b, true)]);
    await echo(a, b);
    expect(problems.map(({ kind }) => kind)).toContain("lost");
  });

  test("hangs does not hold up close for more than 2 s", async () => {
    const own = await serve(() => "");
    const a = await open({ servers: [own.url] });
    own.freeze();
    a.send("b", "store", Buffer.alloc(1));
    const started = performance.now();
    await a.close();
    expect(performance.now() - started).toBeLessThan(2_700);
  });

  test("is killed while its other half of a list lives costs a moment only", async () => {
    const [one, two] = [await serve(() => ""), await serve(() => "")];
    const list = [one.url, two.url];
    // The first of the list is dialled first.
    const a = await open({ servers: list, random: () => 0 });
    await one.kill();
    await connection(a, false);
    await connection(a, true);
    expect(a.statistics().reconnects).toBe(1);
    const b = await open({ servers: [two.url], nodeId: "b" });
    await echo(a, b);
  });

  test("is closed down for good does not keep close waiting", async () => {
    const own = await serve(() => "");
    const a = await open({ servers: [own.url] });
    await own.kill();
    await connection(a, false);
    const started = performance.now();
    await a.close();
    expect(performance.now() - started).toBeLessThan(500);
  });
});

test("servers are read from URLs of any form", () => {
  expect(parseServer("nats.example")).toMatchObject({ host: "nats.example", port: 4222 });
  expect(parseServer("tls://[::1]:4333")).toMatchObject({ host: "::1", port: 4333, tls: true });
  expect(parseServer("nats://u%40x:p@h:1")).toMatchObject({ user: "u@x", password: "p" });
  for (const bad of ["http://h", "nats://", "nats://u:secret@"]) {
    expect(() => parseServer(bad)).toThrow(TypeError);
    expect(() => parseServer(bad)).not.toThrow(/secret/);
  }
});
