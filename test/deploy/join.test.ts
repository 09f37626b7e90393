// What a node's settings become for NATS and for the founding of its cluster. Nothing connects.

import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";

import { resolveConfig } from "../../deploy/config.ts";
import { formationOf, natsOptions } from "../../deploy/join.ts";

const folder = mkdtempSync(join(tmpdir(), "spiredb-join-"));
afterAll(() => rmSync(folder, { recursive: true }));

const configOf = (flags: Record<string, string>) =>
  resolveConfig({ flags: { nats: "a,b:4333", ...flags }, environment: {} }).config;

const founding = (flags: Record<string, string>) => formationOf(configOf(flags));
const natsOf = (flags: Record<string, string>) => natsOptions(configOf(flags));

function file(text: string): string {
  const path = join(folder, "secret");
  writeFileSync(path, text);
  return path;
}

describe("a node among others", () => {
  it("founds by count, by name, or not at all", () => {
    expect(founding({ "bootstrap-expect": "3" })).toEqual({ kind: "expect", count: 3 });
    expect(founding({ "initial-nodes": "x,node1" })).toEqual({
      kind: "named",
      nodeIds: ["x", "node1"],
    });
    expect(founding({})).toEqual({ kind: "named", nodeIds: [] });
  });

  it("gives NATS every server and no identity unless asked", () => {
    expect(natsOptions(configOf({ "node-id": "n", cluster: "c" }))).toEqual({
      cluster: "c",
      nodeId: "n",
      servers: ["nats://a", "nats://b:4333"],
    });
  });

  it("gives NATS a user, a credentials file, a seed out of a file, and TLS", () => {
    const user = { "nats-user": "u", "nats-password": "p" };
    expect(natsOf(user)).toMatchObject({ user: "u", password: "p", tls: undefined });
    const path = file("");
    expect(natsOf({ "nats-creds": path })).toMatchObject({ credsFile: path });
    expect(natsOf({ "nats-tls-ca": path }).tls).toEqual({ caFile: path });
    const pair = { "nats-tls-cert": path, "nats-tls-key": path };
    expect(natsOf(pair).tls).toEqual({ certFile: path, keyFile: path });
    const seed = `SU${"A2".repeat(28)}`;
    expect(natsOf({ "nats-nkey": file(`-----BEGIN SEED-----\n${seed}\n`) }).nkeySeed).toBe(seed);
    expect(() => natsOf({ "nats-nkey": file("no seed") })).toThrow("no seed (SU…) in this file");
  });
});
