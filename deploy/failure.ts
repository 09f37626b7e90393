// What ends the process before or while it serves, and with which code: 1 = settings or start-up,
// 2 = damaged data. Between everything in this room that can fail and the one place that exits;
// it turns system errors into one plain sentence and never exits itself.

import { DamagedError } from "../storage/errors.ts";

/** Bad settings or a start that cannot succeed until someone changes something. Exit code 1. */
export class SetupError extends Error {
  override readonly name = "SetupError";
}

/** One line for the operator, and the exit code. */
export interface Failure {
  readonly message: string;
  readonly exitCode: 1 | 2;
}

const systemReasons: Readonly<Record<string, string>> = {
  EACCES: "permission denied",
  EPERM: "not permitted",
  EROFS: "the file system is read-only",
  ENOSPC: "no space left on the disk",
  EDQUOT: "the disk quota is used up",
  ENOTDIR: "a part of the path is not a folder",
  EADDRNOTAVAIL: "this machine does not have that address",
  EMFILE: "too many open files (raise the limit, ulimit -n)",
};

/** The plain reason of a system error, or its own message. */
export function systemReason(error: unknown): string {
  const code = (error as NodeJS.ErrnoException | undefined)?.code;
  const message = error instanceof Error ? error.message : String(error);
  return (code === undefined ? undefined : systemReasons[code]) ?? message;
}

/** What to tell and how to exit for anything thrown by a start or reported by a running node. */
export function describeFailure(error: unknown): Failure {
  for (let each: unknown = error; each instanceof Error; each = each.cause) {
    if (each instanceof DamagedError)
      return { message: `damaged data: ${each.message}`, exitCode: 2 };
    const socket = each as NodeJS.ErrnoException & { address?: string; port?: number };
    if (socket.syscall === "listen") {
      const reason =
        socket.code === "EADDRINUSE" ? "the port is already in use" : systemReason(each);
      return {
        message: `cannot listen on ${socket.address ?? "?"}:${socket.port ?? "?"}: ${reason}`,
        exitCode: 1,
      };
    }
  }
  return { message: chain(error), exitCode: 1 };
}

/** "writing to RocksDB failed: no space left on the disk": every cause that adds something. */
function chain(error: unknown): string {
  const reason = systemReason(error);
  if (!(error instanceof Error) || error.cause === undefined) return reason;
  const cause = chain(error.cause);
  return reason.includes(cause) ? reason : `${reason}: ${cause}`;
}
