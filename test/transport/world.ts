// The stage of the transport's contract: a world that opens transports and does to their connections
// what happens to connections, and what the tests of contract.ts and stream-contract.ts share.

import { afterEach, beforeEach } from "vitest";

import type { TransportProblem } from "../../transport/problem.ts";
import type { BulkReader, Mailbox, Transport } from "../../transport/transport.ts";

export const clusterName = "contract";
export const silenceMs = 800;

export interface World {
  open(nodeId: string, onProblem: (problem: TransportProblem) => void): Promise<Transport>;
  /** All connections break; nobody gets in until `up`. */
  down(): Promise<void>;
  up(): Promise<void>;
  /** Publishes bytes past all transports; resolves when they are on their way. */
  inject(subject: string, bytes: Buffer): Promise<void>;
  /** Hears what is published on a subject. */
  tap(subject: string, heard: (bytes: Buffer) => void): Promise<void>;
  close(): Promise<void>;
}

export const subjectOf = (nodeId: string, mailbox: Mailbox): string =>
  `spire.${clusterName}.node.${nodeId}.${mailbox}`;
export const bulkOf = (nodeId: string): string => `spire.${clusterName}.bulk.${nodeId}`;

/** Waits for `holds`, looking after every turn of the loop. */
export async function until(holds: () => boolean, timeoutMs = 10_000): Promise<void> {
  const deadline = performance.now() + timeoutMs;
  while (!holds()) {
    if (performance.now() > deadline) throw new Error(`waited in vain: ${holds.toString()}`);
    await new Promise((resolve) => setImmediate(resolve));
  }
}

export const collect = (transport: Transport, mailbox: Mailbox): string[] => {
  const received: string[] = [];
  transport.receive(mailbox, (from, body) => received.push(`${from}:${body.toString()}`));
  return received;
};

export const message = async (attempt: Promise<unknown>): Promise<string> =>
  attempt.then(
    () => "no error",
    (error: Error) => error.message,
  );

export const readAll = async (reader: BulkReader): Promise<Buffer[]> => {
  const chunks: Buffer[] = [];
  for (let chunk = await reader.read(); chunk !== undefined; chunk = await reader.read()) {
    chunks.push(chunk);
  }
  return chunks;
};

/** A fresh world for every test of the `describe` it is made in. */
export class Stage {
  readonly problems: TransportProblem[] = [];
  readonly #opened: Transport[] = [];
  #world: World | undefined;

  constructor(createWorld: () => Promise<World>) {
    beforeEach(async () => {
      this.#world = await createWorld();
    });
    afterEach(async () => {
      await Promise.all(this.#opened.splice(0).map((transport) => transport.close()));
      await this.world.close();
      this.problems.length = 0;
    });
  }

  get world(): World {
    if (this.#world === undefined) throw new Error("no test runs");
    return this.#world;
  }

  async open(nodeId: string): Promise<Transport> {
    const transport = await this.world.open(nodeId, (problem) => this.problems.push(problem));
    this.#opened.push(transport);
    return transport;
  }

  async pair(): Promise<[Transport, Transport]> {
    return [await this.open("a"), await this.open("b")];
  }
}
