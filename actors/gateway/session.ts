// The state of one client connection that commands may see and change: protocol, database, name,
// authentication. It stands between session commands and the connection that owns it; it holds no
// socket and answers through its owner.

import type { Reply } from "../../resp/reply.ts";
import type { Session } from "../../resp/server.ts";

/** The part of a connection its session needs. */
export interface SessionOwner {
  /** Answers the command in progress that returned `undefined`. */
  answerLater(reply: Reply): void;
  endAfterReplies(): void;
  /** Authentication may have changed: the decoder's limits depend on it. */
  authenticationChanged(): void;
}

/** What is fixed when a connection is accepted. */
export interface SessionOrigin {
  readonly id: number;
  readonly address: string;
  readonly localAddress: string;
  readonly connectedAtMs: number;
}

export class ClientSession implements Session {
  readonly id: number;
  readonly address: string;
  readonly localAddress: string;
  readonly connectedAtMs: number;
  protocol: 2 | 3 = 2;
  db = 0;
  name = "";
  libraryName = "";
  libraryVersion = "";
  noEvict = false;
  noTouch = false;
  replyMode: Session["replyMode"] = "on";
  #authenticated: boolean;
  readonly #owner: SessionOwner;
  readonly #needsPassword: () => boolean;

  constructor(origin: SessionOrigin, owner: SessionOwner, needsPassword: () => boolean) {
    this.id = origin.id;
    this.address = origin.address;
    this.localAddress = origin.localAddress;
    this.connectedAtMs = origin.connectedAtMs;
    this.#owner = owner;
    this.#needsPassword = needsPassword;
    this.#authenticated = !needsPassword();
  }

  get authenticated(): boolean {
    return this.#authenticated;
  }

  set authenticated(value: boolean) {
    this.#authenticated = value;
    this.#owner.authenticationChanged();
  }

  reply(reply: Reply): void {
    this.#owner.answerLater(reply);
  }

  /** As RESET of Redis: everything but the connection itself; a password is asked for again. */
  reset(): void {
    this.protocol = 2;
    this.db = 0;
    this.name = "";
    this.noEvict = false;
    this.noTouch = false;
    this.replyMode = "on";
    this.authenticated = !this.#needsPassword();
  }

  closeAfterReply(): void {
    this.#owner.endAfterReplies();
  }
}
