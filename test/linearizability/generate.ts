// Histories made to order for the checker's own tests: clients against one imaginary store that does
// everything right, or miscounts exactly once. Everything follows from the given random numbers.

import { perform, type Answer, type Command, type Operation, type Outcome } from "./history.ts";

/** The shape of a history of one key. */
export interface Shape {
  readonly key: string;
  /** Counters see INCR and GET, registers everything else. */
  readonly kind: "register" | "counter";
  readonly clients: number;
  readonly operations: number;
  /** Share of operations whose outcome stays unknown, 0..1. */
  readonly unknown: number;
  /** What the store does to one acknowledged INCR in the middle. */
  readonly fault?: "forgets an increment" | "increments twice";
}

interface Running {
  readonly command: Command;
  readonly invokedAt: number;
  /** Undefined until it was executed. */
  answer: Answer | undefined;
}

/** Clients in closed loops, interleaved by `random` (numbers in [0, 1)). */
export function generate(shape: Shape, random: () => number): Operation[] {
  const store = new Store(shape);
  const history: Operation[] = [];
  const running = new Map<number, Running>();
  /** Unknown to their clients and not yet executed. */
  const late: Command[] = [];
  let sequence = 0;
  let now = 0;
  const end = (client: number, outcome: Outcome): void => {
    const { command, invokedAt } = running.get(client)!;
    history.push({ client: `c${client}`, key: shape.key, command, invokedAt, outcome });
    running.delete(client);
  };
  while (sequence < shape.operations || running.size > 0) {
    now += 1;
    const client = Math.floor(random() * shape.clients);
    const current = running.get(client);
    if (late.length > 0 && random() < 0.05) store.execute(late.shift()!);
    if (current === undefined) {
      if (sequence >= shape.operations) continue;
      const command = nextCommand(shape.kind, sequence++, random());
      running.set(client, { command, invokedAt: now, answer: undefined });
    } else if (current.answer !== undefined) {
      end(client, { kind: "ok", answer: current.answer, returnedAt: now });
    } else if (random() >= shape.unknown) {
      current.answer = store.execute(current.command);
    } else {
      const dice = random();
      if (dice < 0.3) store.execute(current.command);
      else if (dice < 0.6) late.push(current.command);
      end(client, { kind: dice < 0.9 ? "unknown" : "fail" });
    }
  }
  return history;
}

function nextCommand(kind: Shape["kind"], sequence: number, dice: number): Command {
  const value = `v${sequence};`;
  if (dice < 0.4) return { kind: "get" };
  if (kind === "counter") return { kind: "incr", by: 1 };
  if (dice < 0.6) return { kind: "set", value };
  if (dice < 0.7) return { kind: "getset", value };
  if (dice < 0.8) return { kind: "append", value: `+${value}` };
  if (dice < 0.9) return { kind: "setnx", value };
  return { kind: dice < 0.95 ? "del" : "getdel" };
}

class Store {
  #value: string | null = null;
  #executed = 0;
  #fault: Shape["fault"];
  readonly #faultAfter: number;

  constructor(shape: Shape) {
    this.#fault = shape.fault;
    this.#faultAfter = shape.operations / 2;
  }

  execute(command: Command): Answer {
    const step = perform(command, this.#value);
    this.#executed += 1;
    if (command.kind === "incr" && this.#executed > this.#faultAfter && this.#fault) {
      if (this.#fault === "increments twice") this.#value = perform(command, step.value).value;
      this.#fault = undefined;
    } else {
      this.#value = step.value;
    }
    return step.answer;
  }
}
