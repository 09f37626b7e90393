// Sockets of clients that read into one buffer for all of them. Node allocates 64 KiB for each read of
// an accepted socket, and gives most of it back; its way to avoid that (`onread`) is open to sockets
// that are made, not to those that a server accepts. It stands under the listener and knows no bytes.

import { Socket } from "node:net";
import type { OnReadOpts, SocketConstructorOpts } from "node:net";

/** As much as Node reads at once. */
const readBytes = 64 * 1024;

/** What Node does with `onread` of a new socket needs this of its handle. */
interface Handle {
  useUserBuffer(buffer: Uint8Array): void;
}

interface WithHandle {
  _handle?: Partial<Handle> | null;
}

/** Not in the types: Node's own servers make sockets of handles this way. */
interface OfHandle extends SocketConstructorOpts {
  readonly handle: object;
  readonly onread: OnReadOpts;
}

/** For all sockets: a chunk is copied out before anything else is read. */
const shared = Buffer.allocUnsafeSlow(readBytes);

/**
 * The same connection as another socket, which emits "data" as always and reads from now on. The given
 * one must be paused (`pauseOnConnect`), plain TCP, and is of no more use. A socket that has no handle
 * of the expected kind (another version of Node) is returned as it is, reading too.
 *
 * Three nodes with 50 clients take 1.06 times the GETs and 1.09 times the SETs (docs/benchmarks.md).
 */
export function sharingReads(accepted: Socket): Socket {
  const from = accepted as WithHandle;
  // oxlint-disable-next-line no-underscore-dangle
  const handle = from._handle;
  if (typeof handle?.useUserBuffer !== "function") return accepted.resume();
  // oxlint-disable-next-line no-underscore-dangle
  from._handle = null;
  accepted.destroy();
  const options: OfHandle = {
    handle,
    allowHalfOpen: true,
    onread: {
      buffer: shared,
      callback: (bytes) => socket.emit("data", copyOf(bytes)) || true,
    },
  };
  const socket = new Socket(options);
  return socket;
}

/** Small ones from Node's pool. */
function copyOf(bytes: number): Buffer {
  const chunk = Buffer.allocUnsafe(bytes);
  shared.copy(chunk, 0, 0, bytes);
  return chunk;
}
