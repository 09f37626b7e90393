// What CLIENT SETNAME, CLIENT SETINFO and HELLO SETNAME accept as a name: Redis' rule
// (`validateClientAttr`), shared by the commands that take one.

import { ErrorReply } from "../reply.ts";

/** Printable ASCII without space: CLIENT LIST is split at spaces and lines. */
export function isName(bytes: Buffer): boolean {
  return bytes.every((byte) => byte >= 0x21 && byte <= 0x7e);
}

/** `what` as Redis says it: "Client names", "lib-name". */
export function invalidName(what: string): ErrorReply {
  return new ErrorReply(`ERR ${what} cannot contain spaces, newlines or special characters.`);
}
