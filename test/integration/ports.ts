// Ports that stay usable for a node that is stopped for a while and comes back on the same one: below
// the range the kernel hands out by itself. It keeps no list; the next bind decides.

import { createServer } from "node:net";

let next = 20_000 + ((process.pid * 53) % 9000);

/** A port of 127.0.0.1 that nobody listens on now, never given twice by this process. */
export async function freeLowPort(): Promise<number> {
  for (;;) {
    next += 1;
    if (next > 32_000) next = 20_000;
    if (await isFree(next)) return next;
  }
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once("error", () => resolve(false));
    server.listen({ host: "127.0.0.1", port, exclusive: true }, () =>
      server.close(() => resolve(true)),
    );
  });
}
