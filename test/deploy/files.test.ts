// What the Dockerfile, compose.yaml, nats.conf and the systemd unit say, read strictly. That their
// commands work is test/integration/deploy-files.test.ts; no container is run anywhere.

import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";

import { deployFile, only, readCompose, readDockerfile, readUnit, root, wordsOf } from "./files.ts";

describe("the Dockerfile", () => {
  const stages = readDockerfile(deployFile("Dockerfile"));
  const [build = [], image = []] = stages;

  it("builds in one stage and keeps only what runs in the next", () => {
    expect(stages.map((stage) => stage[0]?.text)).toEqual([
      "node:20-slim AS build",
      "node:20-slim",
    ]);
    const steps = build.filter(({ word }) => word === "RUN").map(({ text }) => text);
    expect(steps.at(-1)).toBe("npm run build && npm ci --omit=dev");
    const copies = image.filter(({ word }) => word === "COPY").map(({ text }) => text.split(" "));
    for (const [from, source = "", target] of copies) {
      expect(from).toBe("--from=build");
      expect(existsSync(join(root, source.replace("/opt/spiredb/", "")))).toBe(true);
      expect(target?.startsWith("./")).toBe(true);
    }
  });

  it("runs as a user that owns the data directory and nothing else", () => {
    const userAt = image.findIndex(({ word }) => word === "USER");
    expect(image[userAt]?.text).toBe("spiredb");
    expect(image.slice(userAt).some(({ word }) => ["RUN", "COPY"].includes(word))).toBe(false);
    expect(only(image, "VOLUME")).toBe("/var/lib/spiredb");
    expect(only(image, "RUN")).toContain(
      "install -d -m 0700 -o spiredb -g spiredb /var/lib/spiredb",
    );
  });

  it("gives libuv its threads, drains on stop and asks /readyz for its health", () => {
    expect(only(image, "ENV").split(" ")).toContain("UV_THREADPOOL_SIZE=16");
    expect(only(image, "STOPSIGNAL")).toBe("SIGTERM");
    expect(wordsOf(only(image, "HEALTHCHECK")).slice(0, 2)).toEqual(["node", "-e"]);
    expect(only(image, "HEALTHCHECK")).toContain("/readyz");
    expect(wordsOf(only(image, "ENTRYPOINT"))).toEqual(["node", "dist/deploy/cli.js"]);
  });
});

describe("compose.yaml", () => {
  const { services, volumes } = readCompose(deployFile("compose.yaml"), { NATS_PASSWORD: "hush" });
  const { nats, ...nodes } = services;

  it("has three founders by name, each with a volume and ports of its own", () => {
    expect(Object.keys(nodes)).toEqual(["node-1", "node-2", "node-3"]);
    expect(Object.keys(volumes)).toEqual(Object.keys(nodes));
    const ports = new Set<string>();
    for (const [name, node] of Object.entries(nodes)) {
      expect(node.command).toEqual(["start", "--node-id", name]);
      expect(node.environment["SPIRE_INITIAL_NODES"]?.split(",")).toContain(name);
      expect(node.volumes).toEqual([`${name}:/var/lib/spiredb`]);
      expect(node.depends_on).toEqual({ nats: { condition: "service_healthy" } });
      expect(node.stop_grace_period).toBe("30s");
      for (const port of node.ports ?? []) {
        expect(port).toMatch(/^127\.0\.0\.1:\d+:(6379|9090)$/u);
        ports.add(port);
      }
    }
    expect(ports.size).toBe(6);
  });

  it("gives NATS its file, its password and a health check", () => {
    expect(nats?.command).toEqual(["-c", "/etc/nats/nats.conf"]);
    expect(nats?.volumes).toEqual(["./nats.conf:/etc/nats/nats.conf:ro"]);
    expect(nats?.environment["NATS_PASSWORD"]).toBe("hush");
    expect(nats?.healthcheck?.test.at(-1)).toBe("http://127.0.0.1:8222/healthz");
  });

  it("asks for the password instead of having one", () => {
    expect(() => readCompose(deployFile("compose.yaml"), {})).toThrow("asks for NATS_PASSWORD");
  });
});

const check = (environment: Record<string, string>) =>
  spawnSync("nats-server", ["-t", "-c", join(root, "deploy/nats.conf")], {
    env: { PATH: process.env["PATH"] ?? "", ...environment },
    encoding: "utf8",
  });

describe("nats.conf", () => {
  it("is accepted by nats-server, but not without a password", () => {
    expect(check({ NATS_PASSWORD: "hush" }).stderr).toContain("is valid");
    expect(check({}).status).not.toBe(0);
  });

  it("limits payloads to what the nodes count on, and keeps JetStream off", () => {
    expect(deployFile("nats.conf")).toMatch(/^max_payload: 1MB$/mu);
    expect(deployFile("nats.conf")).not.toMatch(/^\s*jetstream\b/mu);
  });
});

describe("the systemd unit", () => {
  const unit = readUnit(deployFile("systemd/spiredb.service"));
  const service = unit.get("Service");
  const value = (key: string): string | undefined => service?.get(key)?.at(-1);

  it("starts what a crash ended, and leaves damaged data alone", () => {
    expect(value("Restart")).toBe("on-failure");
    expect(value("RestartPreventExitStatus")).toBe("2");
    expect(unit.get("Unit")?.get("StartLimitBurst")).toEqual(["10"]);
  });

  it("gives the drain its time and libuv its threads", () => {
    expect(value("KillSignal")).toBe("SIGTERM");
    expect(Number(value("TimeoutStopSec"))).toBeGreaterThan(10);
    expect(service?.get("Environment")).toContain("UV_THREADPOOL_SIZE=16");
    expect(Number(value("LimitNOFILE"))).toBeGreaterThanOrEqual(100_000);
  });

  it("runs as a user of its own that may write its state and nothing else", () => {
    expect([value("User"), value("StateDirectory"), value("UMask")]).toEqual([
      "spiredb",
      "spiredb",
      "0077",
    ]);
    expect([value("ProtectSystem"), value("NoNewPrivileges")]).toEqual(["strict", "yes"]);
    expect(value("CapabilityBoundingSet")).toBe("");
    expect(value("ExecStart")).toContain("--data-dir /var/lib/spiredb");
  });
});
