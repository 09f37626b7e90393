// Which TCP ports of this machine are free. For `spiredb cluster` and `spiredb demo`, which hand out
// ports before the processes that will listen on them exist; somebody else may still take one between.

import { createServer, type Server } from "node:net";

const host = "127.0.0.1";

/** A server that holds the port, or undefined when somebody else does; 0 = any free one. */
function hold(port: number): Promise<Server | undefined> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once("error", (error: NodeJS.ErrnoException) => {
      if (error.code === "EADDRINUSE" || error.code === "EACCES") resolve(undefined);
      else reject(error);
    });
    server.listen({ host, port, exclusive: true }, () => resolve(server));
  });
}

const release = (server: Server): Promise<void> =>
  new Promise((resolve) => server.close(() => resolve()));

/** Whether a process could listen there now. */
export async function isPortFree(port: number): Promise<boolean> {
  const server = await hold(port);
  if (server === undefined) return false;
  await release(server);
  return true;
}

/** So many different free ports. */
export async function freePorts(count: number): Promise<number[]> {
  const held: Server[] = [];
  while (held.length < count) {
    const server = await hold(0);
    if (server !== undefined) held.push(server);
  }
  const ports = held.map((server) => (server.address() as { port: number }).port);
  await Promise.all(held.map((server) => release(server)));
  return ports;
}
