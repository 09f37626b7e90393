// One stream of commands from another node, as the executor knows it: how far it has come, what is
// kept of its answers, and why nothing more of it is taken at the moment. What is done with it stands
// in the executor.

import { Answers, type KeptBytes } from "./answers.ts";
import { streamStates, type StreamId, type StreamState } from "./messages.ts";
import type { Fetch } from "./transfers.ts";

/** What is fetched, or what it waits for, is on its way when a piece came so lately. */
const fetchingMs = 2000;

/** A process of another node; its number is its own among all gateways ever heard. */
export interface Sender extends KeptBytes {
  readonly epoch: number;
  readonly number: number;
}

export interface Incoming {
  readonly from: string;
  readonly sender: Sender;
  readonly id: StreamId;
  readonly term: number;
  /** Everything below has been taken. */
  expected: number;
  readonly answers: Answers;
  /** Answered since the last body of answers. */
  fresh: number[];
  /** The large command at `expected`, on its way or waiting for others. */
  fetch: Fetch | undefined;
  /** Its term is over: nothing more is taken. */
  closed: boolean;
  heardAtMs: number;
  /** A body of answers is due. */
  isDue: boolean;
  /** A command was missing. */
  hasGap: boolean;
  /** Commands were not taken because too many answers are kept. */
  isHeldBack: boolean;
  /** Nobody asks for its answers any more. */
  isOver: boolean;
}

/** Which of two streams of a node for a region is the newer one. */
export const isNewer = (id: StreamId, than: StreamId): boolean =>
  id.epoch === than.epoch ? id.number > than.number : id.epoch > than.epoch;

/** A node's gateway uses one stream for a region at a time: with a newer one the older is over. */
export const keyOf = (from: string, { regionId }: StreamId): string => `${regionId}/${from}`;

export const newIncoming = (
  from: string,
  id: StreamId,
  term: number,
  sender: Sender,
): Incoming => ({
  from,
  sender,
  id,
  term,
  expected: 1,
  answers: new Answers(sender),
  fresh: [],
  fetch: undefined,
  closed: false,
  heardAtMs: 0,
  isDue: false,
  hasGap: false,
  isHeldBack: false,
  isOver: false,
});

export function stateOf(stream: Incoming, nowMs: number): StreamState {
  const { closed, isHeldBack, hasGap, fetch } = stream;
  if (closed) return streamStates.closed;
  if (isHeldBack) return streamStates.full;
  // Its sender hears nothing of a command that waits for its turn, and must not give it up.
  if (fetch !== undefined && nowMs - fetch.progressAtMs < fetchingMs) return streamStates.full;
  return hasGap ? streamStates.gap : streamStates.open;
}

/** Its sender has opened another one. */
export function end(stream: Incoming): void {
  stream.closed = true;
  stream.isOver = true;
  stream.answers.clear();
}
