// The exact commands of the Dockerfile, compose.yaml, nats.conf and the systemd unit, run as plain
// processes through SET, kill -9 and GET. Only what a container or systemd would provide is replaced:
// paths, host names, ports and the network to bind to. No container is run.

import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { afterAll, afterEach, describe, expect, it } from "vitest";

import { freePorts } from "../../deploy/local/ports.ts";
import {
  deployFile,
  only,
  readCompose,
  readDockerfile,
  readUnit,
  root,
  wordsOf,
  type ComposeService,
} from "../deploy/files.ts";
import { Connection, type Reply } from "./connection.ts";
import { newFolder, removeFolders } from "./harness.ts";
import { killLaunched, Launched, until } from "./launched.ts";

afterEach(killLaunched);
afterAll(removeFolders);

const image = readDockerfile(deployFile("Dockerfile")).at(-1) ?? [];
const entrypoint = wordsOf(only(image, "ENTRYPOINT"));
const healthcheck = wordsOf(only(image, "HEALTHCHECK"));

/** Where one container, or one machine, really is. */
interface Place {
  readonly dataDir: string;
  readonly port: number;
  readonly httpPort: number;
  readonly natsPort: number;
}

async function newPlace(natsPort = 0): Promise<Place> {
  const [port = 0, httpPort = 0] = await freePorts(2);
  const dataDir = join(newFolder(), "data");
  mkdirSync(dataDir);
  return { dataDir, port, httpPort, natsPort };
}

/** A word of a command or a value of a variable, as it is on this machine. */
function here(text: string, { dataDir, natsPort }: Place): string {
  if (text === "node" || text === "/usr/bin/node") return process.execPath;
  return text
    .replace("/var/lib/spiredb", dataDir)
    .replace("0.0.0.0", "127.0.0.1")
    .replace("nats://nats:4222", `nats://127.0.0.1:${natsPort}`);
}

/** What publishing ports, or /etc/spiredb/spiredb.env, would do. */
const portVariables = ({ port, httpPort }: Place): Record<string, string> => ({
  SPIRE_PORT: String(port),
  SPIRE_HTTP_PORT: String(httpPort),
});

function launch(
  command: readonly string[],
  place: Place,
  environment: Readonly<Record<string, string>> = {},
): Launched {
  const env: Record<string, string> = portVariables(place);
  for (const [name, text] of Object.entries(environment)) env[name] ??= here(text, place);
  return new Launched(
    command.map((word) => here(word, place)),
    { env },
  );
}

/** Exit code of the image's health check there. */
function health(place: Place): number | null {
  const [program = "", ...args] = healthcheck.map((word) => here(word, place));
  return spawnSync(program, args, { env: { ...process.env, ...portVariables(place) } }).status;
}

async function ask(place: Place, ...args: string[]): Promise<Reply> {
  const connection = await Connection.open(place.port);
  try {
    return await connection.call(...args);
  } finally {
    connection.close();
  }
}

/** A node alone: SET, kill -9, the same command again, GET, and SIGTERM as its runner sends it. */
async function surviveKill(start: () => Launched, place: Place): Promise<void> {
  const first = start();
  await first.waitFor(/^ready /mu);
  expect(await ask(place, "SET", "k", "v")).toBe("OK");
  await first.kill();
  const second = start();
  await second.waitFor(/^ready /mu);
  expect(await ask(place, "GET", "k")).toBe("v");
  second.signal("SIGTERM");
  expect(await second.waitEnd()).toBe(0);
}

describe("the commands of the Dockerfile", () => {
  it("serve, keep what they acknowledged over kill -9, and end with the stop signal", async () => {
    const place = await newPlace();
    const command = [...entrypoint, ...wordsOf(only(image, "CMD"))];
    expect(health(place)).toBe(1);
    await surviveKill(() => launch(command, place), place);
    const running = launch(command, place);
    await running.waitFor(/^ready /mu);
    expect(health(place)).toBe(0);
  });
});

describe("the systemd unit", () => {
  it("starts a node that keeps what it acknowledged over kill -9", async () => {
    const place = await newPlace();
    const service = readUnit(deployFile("systemd/spiredb.service")).get("Service");
    const assignments = service?.get("Environment")?.map((each) => each.split("="));
    const environment = Object.fromEntries(assignments ?? []) as Record<string, string>;
    const command = service?.get("ExecStart")?.[0]?.split(" ") ?? [];
    await surviveKill(() => launch(command, place, environment), place);
  });

  it("is accepted by systemd-analyze where that is installed", () => {
    const unit = join(root, "deploy/systemd/spiredb.service");
    const { error, status, stderr } = spawnSync("systemd-analyze", ["verify", unit], {
      encoding: "utf8",
    });
    // It also looks for the program that is to be started.
    if (error === undefined && existsSync("/usr/bin/node"))
      expect([status, stderr]).toEqual([0, ""]);
  });
});

describe("compose.yaml", () => {
  it("makes three nodes that go on without one and take it back", async () => {
    const { services } = readCompose(deployFile("compose.yaml"), { NATS_PASSWORD: "hush" });
    const { nats, ...nodes } = services;
    const [natsPort = 0, monitorPort = 0] = await freePorts(2);
    startNats(nats, natsPort, monitorPort);
    await until(() => healthOfNats(nats, monitorPort), "nats-server is not healthy");

    const places = new Map<string, Place>();
    for (const name of Object.keys(nodes)) places.set(name, await newPlace(natsPort));
    const start = (name: string): Launched => {
      const service = nodes[name];
      const place = places.get(name);
      if (service === undefined || place === undefined) throw new Error(`no service ${name}`);
      const command = [...entrypoint, ...service.command];
      return launch(command, place, service.environment);
    };
    const running = new Map([...places.keys()].map((name) => [name, start(name)]));
    const healthy = (): boolean => [...places.values()].every((place) => health(place) === 0);
    await until(healthy, "the nodes do not become healthy", 60_000);

    const [one, two, three] = [...places.values()] as [Place, Place, Place];
    expect(await ask(one, "SET", "k", "v")).toBe("OK");
    await running.get("node-1")?.kill();
    for (const place of [two, three]) {
      await until(async () => (await ask(place, "GET", "k")) === "v", "the others do not go on");
    }
    start("node-1");
    await until(healthy, "the killed node does not come back", 60_000);
    expect(await ask(one, "GET", "k")).toBe("v");
  });
});

/** The command of the service, with the file where it is, and ports of our own. */
function startNats(service: ComposeService | undefined, port: number, monitorPort: number): void {
  const [option = "", file = ""] = service?.command ?? [];
  expect([option, file]).toEqual(["-c", "/etc/nats/nats.conf"]);
  const conf = join(root, "deploy/nats.conf");
  const ports = ["-a", "127.0.0.1", "-p", String(port), "-m", String(monitorPort)];
  void new Launched(["nats-server", option, conf, ...ports], { env: service?.environment ?? {} });
}

/** What the service's health check asks, without wget. */
async function healthOfNats(
  service: ComposeService | undefined,
  monitorPort: number,
): Promise<boolean> {
  const url = service?.healthcheck?.test.at(-1)?.replace(":8222", `:${monitorPort}`) ?? "";
  return fetch(url).then(
    ({ ok }) => ok,
    () => false,
  );
}
