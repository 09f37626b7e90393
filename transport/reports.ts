// What the operator hears of messages that were dropped: another protocol version, no message at all,
// another cluster of the name. It tells the first of each and stands between the endpoint, which
// drops and counts them, and whoever logs.

import { protocolVersion, type Unreadable } from "./codec.ts";
import type { OnProblem, TransportProblem } from "./problem.ts";

/** Of this many reasons the first message is reported; of more, none. */
const reportedMax = 256;

export class Reports {
  readonly #onProblem: OnProblem;
  readonly #reported = new Set<string>();

  constructor(onProblem: OnProblem) {
    this.#onProblem = onProblem;
  }

  /** Bytes that are no message, or none that belongs where it came. */
  unreadable(frame: Unreadable | { readonly sender: string }): void {
    const from = frame.sender ?? "an unknown sender";
    if ("problem" in frame && frame.problem === "version") {
      const versions = `protocol version ${frame.version}, this node ${protocolVersion}`;
      this.#report("version", from, `${from} speaks ${versions}: its messages are ignored`);
    } else {
      this.#report("damaged", from, `${from} sent bytes that are no message: they are ignored`);
    }
  }

  /** A message of a node of another cluster, whose id may be that of one of ours. */
  foreign(from: string): void {
    const message =
      `a node ${from} of another cluster of this name sends to the same subjects: ` +
      "its messages are ignored; rename or stop one of the two clusters";
    this.#report("foreign", from, message);
  }

  /** A body of this node's own that no message can hold. */
  tooLong(subject: string, bytes: number, bytesMax: number): void {
    if (!this.#isNew(`tooLong ${subject}`)) return;
    const message = `a body of ${bytes} bytes for ${subject} is dropped: ${bytesMax} at most`;
    this.#onProblem({ kind: "tooLong", message });
  }

  #report(kind: TransportProblem["kind"], from: string, message: string): void {
    if (this.#isNew(`${kind} ${from}`)) this.#onProblem({ kind, message, from });
  }

  #isNew(key: string): boolean {
    if (this.#reported.has(key) || this.#reported.size >= reportedMax) return false;
    this.#reported.add(key);
    return true;
  }
}
