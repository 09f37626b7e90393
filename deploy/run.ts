// Runs a started node until it is told to stop: the ready line, signals, the drain with its
// deadline, and the exit code. Between the command line and `startNode`; it knows the process
// (through `Host`) and nothing of how a node is built.

import type { Log } from "../actors/observe/log.ts";
import type { DataDirectory } from "./data-directory.ts";
import { describeFailure } from "./failure.ts";

/** Exit codes of the outside contract. 128 + signal number = a second signal, as shells expect. */
export type ExitCode = 0 | 1 | 2 | 130 | 143;

/** A node that serves. */
export interface RunningNode {
  /** "host:port" of the RESP listener, with the port really bound. */
  readonly respAddress: string;
  /** "host:port" of the HTTP listener. */
  readonly httpAddress: string;
  /** Stops accepting, answers what is under way, syncs and closes everything. */
  stop(): Promise<void>;
}

/** What a running node may ask of its process. */
export interface NodeEvents {
  /** A disk error, damage, or a supervisor that gave up: ends the process at once. */
  onFatal(error: unknown): void;
  /** A client asked for SHUTDOWN: drain as for SIGTERM. */
  onShutdown(): void;
}

/** Builds and starts a node; rejects when it cannot start. */
export type StartNode = (
  directory: DataDirectory,
  events: NodeEvents,
  log: Log,
) => Promise<RunningNode>;

/** The process as `runNode` needs it; tests pass their own. */
export interface Host {
  /** Writes one line to stdout. */
  print(line: string): void;
  readonly log: Log;
  onSignal(listener: (signal: "SIGTERM" | "SIGINT") => void): void;
  /** The process that started this one over a channel, and wants it to live no longer, has ended. */
  onAbandoned(listener: () => void): void;
  /** An error nobody caught: a bug. The state in memory can no longer be trusted. */
  onCrash(listener: (error: unknown) => void): void;
  /** Calls back once after that time unless cancelled. */
  after(delayMs: number, callback: () => void): { cancel(): void };
}

/** Resolves with the exit code when the process should end; the caller exits. */
export function runNode(
  directory: DataDirectory,
  host: Host,
  startNode: StartNode,
): Promise<ExitCode> {
  const { config } = directory.resolved;
  const { log } = host;
  return new Promise((resolve) => {
    const end = (exitCode: ExitCode): void => {
      directory.release();
      resolve(exitCode);
    };
    let node: RunningNode | undefined;
    let stopping = false;
    const fail = (error: unknown): void => {
      const failure = describeFailure(error);
      log.error(failure.message);
      end(failure.exitCode);
    };
    const drain = (reason: string): void => {
      stopping = true;
      if (node === undefined) {
        // A start alone is short and finished first; one that waits for other nodes may take for ever,
        // and has promised nothing to a client yet.
        if (config.nats.length === 0) return;
        log.info(`${reason}: stopped before the node was ready`);
        return end(0);
      }
      log.info(`${reason}: draining`);
      const deadline = host.after(config.shutdownTimeoutMs, () => {
        log.warning("the drain took too long; everything acknowledged is on disk");
        end(0);
      });
      node.stop().then(() => {
        deadline.cancel();
        log.info("stopped");
        end(0);
      }, fail);
    };
    host.onSignal((signal) => {
      if (stopping) end(signal === "SIGINT" ? 130 : 143);
      else drain(signal);
    });
    host.onAbandoned(() => (stopping ? undefined : drain("the process that started it is gone")));
    host.onCrash((error) => {
      log.error("an error nobody caught", { error });
      end(1);
    });
    const events = { onFatal: fail, onShutdown: () => (stopping ? undefined : drain("SHUTDOWN")) };
    startNode(directory, events, log).then((started) => {
      node = started;
      host.print(
        `ready node=${config.nodeId} resp=${started.respAddress} http=${started.httpAddress}`,
      );
      if (stopping) drain("signal during the start");
    }, fail);
  });
}
