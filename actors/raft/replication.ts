// How the log travels: sending every peer of a leader what it lacks, as its progress allows, finding
// where a peer's log agrees, and sending again what may be lost (paper section 5.3). Nothing here
// commits; that is `leading.ts`.

import assert from "node:assert/strict";
import { becomeProbe, matchedUpTo, type Progress } from "./progress.ts";
import type { RaftEffect, RaftEvent, RaftMessage } from "./protocol.ts";
import type { RaftState } from "./state.ts";

type AppendReply = Extract<RaftMessage, { type: "append.reply" }>;
type SnapshotSent = Extract<RaftEvent, { type: "raft.snapshotSent" }>;

/** Bytes of one append's entries; one that is longer goes alone. */
export const appendBytesMax = 256 * 1024;
/** Bytes of entries on their way to one peer. */
export const windowBytes = 4 * 1024 * 1024;
/** What an entry costs beside its payload: many small ones are large too. */
const entryOverheadBytes = 16;
/** An append without an answer is taken for lost after this long, ms … */
const lostAfterMs = 400;
/** … and at a peer that has not been heard for a while, after this long. */
const silentRetryMs = 2000;

/** Sends all peers what they lack. */
export function sendToAll(state: RaftState, nowMs: number, effects: RaftEffect[]): void {
  for (const [peer, progress] of state.progress) sendTo(state, peer, progress, nowMs, effects);
}

/** Sends a peer what it lacks, as far as its progress allows. */
export function sendTo(
  state: RaftState,
  peer: number,
  progress: Progress,
  nowMs: number,
  effects: RaftEffect[],
): void {
  const { log } = state;
  while (progress.mode === "replicate" && progress.next <= log.lastIndex) {
    if (progress.inflightBytes >= windowBytes) return;
    if (!sendNext(state, peer, progress, nowMs, effects)) return;
  }
  if (progress.mode === "probe" && progress.sentAtMs === -Infinity) {
    sendNext(state, peer, progress, nowMs, effects);
  }
}

/** One append from `next` on; false when the log no longer reaches back that far. */
function sendNext(
  state: RaftState,
  peer: number,
  progress: Progress,
  nowMs: number,
  effects: RaftEffect[],
): boolean {
  const { log, term, commitIndex } = state;
  const prevIndex = progress.next - 1;
  const prevTerm = log.termAt(prevIndex);
  if (prevTerm === undefined) {
    progress.mode = "snapshot";
    progress.inflight = [];
    progress.inflightBytes = 0;
    effects.push({ type: "sendSnapshot", to: peer, term });
    return false;
  }
  let last = prevIndex;
  let bytes = 0;
  // To a peer that nobody has heard for long a probe goes without its entries.
  const isSilent = progress.mode === "probe" && nowMs - progress.heardAtMs > silentRetryMs;
  const end = isSilent ? prevIndex : log.lastIndex;
  while (last < end) {
    const more = log.bytesBetween(last, last + 1) + entryOverheadBytes;
    if (last > prevIndex && bytes + more > appendBytesMax) break;
    last++;
    bytes += more;
    if (progress.mode === "probe" && last === progress.next) break;
  }
  progress.sentAtMs = nowMs;
  progress.toldCommit = Math.max(progress.toldCommit, Math.min(commitIndex, last));
  if (last === prevIndex) {
    sendEmpty(state, { to: peer, term, prevIndex, prevTerm, commitIndex }, nowMs, effects);
    return false;
  }
  effects.push({
    type: "sendEntries",
    to: peer,
    term,
    prevIndex,
    prevTerm,
    commitIndex,
    roleEpoch: state.roleEpoch,
    first: progress.next,
    last,
  });
  if (progress.mode === "replicate") {
    progress.inflight.push({ last, bytes });
    progress.inflightBytes += bytes;
    progress.next = last + 1;
  }
  return true;
}

interface AppendHead {
  readonly to: number;
  readonly term: number;
  readonly prevIndex: number;
  readonly prevTerm: number;
  readonly commitIndex: number;
}

function sendEmpty(state: RaftState, head: AppendHead, nowMs: number, effects: RaftEffect[]): void {
  effects.push({
    type: "send",
    message: {
      type: "append.request",
      from: state.replicaId,
      to: head.to,
      term: head.term,
      prevIndex: head.prevIndex,
      prevTerm: head.prevTerm,
      commitIndex: head.commitIndex,
      entries: [],
      sentAtMs: nowMs,
    },
  });
}

/** Peers that have everything hear how far it is committed; when all know, an idle group is silent. */
export function tellCommit(state: RaftState, nowMs: number, effects: RaftEffect[]): void {
  for (const [peer, progress] of state.progress) {
    if (progress.mode !== "replicate" || progress.inflight.length > 0) continue;
    const index = Math.min(state.commitIndex, progress.match);
    const isKnown = progress.knownCommit >= index;
    const isTold = progress.toldCommit >= index && !isOverdue(progress, nowMs);
    if (isKnown || isTold) continue;
    const { term, commitIndex, log } = state;
    const prevIndex = progress.match;
    const prevTerm = log.termAt(prevIndex);
    if (prevTerm === undefined) continue;
    progress.toldCommit = index;
    progress.sentAtMs = nowMs;
    sendEmpty(state, { to: peer, term, prevIndex, prevTerm, commitIndex }, nowMs, effects);
  }
}

/** What was sent last has had its time to be answered: less often at a peer that says nothing at all. */
function isOverdue(progress: Progress, nowMs: number): boolean {
  const isSilent = nowMs - progress.heardAtMs > silentRetryMs;
  return nowMs - progress.sentAtMs >= (isSilent ? silentRetryMs : lostAfterMs);
}

/** Shows a peer that asks for votes who leads, and where its log stands. */
export function probe(state: RaftState, peer: number, nowMs: number, effects: RaftEffect[]): void {
  const progress = state.progress.get(peer);
  if (progress === undefined) return;
  progress.heardAtMs = Math.max(progress.heardAtMs, nowMs);
  if (progress.mode === "snapshot") return;
  becomeProbe(progress, resumeAt(progress));
  sendTo(state, peer, progress, nowMs, effects);
}

/** Where to try again. A probe stays where it is: below may lie what the log no longer holds. */
function resumeAt({ mode, next, match }: Progress): number {
  return mode === "probe" ? next : match + 1;
}

/** What may have been lost is sent again; what was committed meanwhile is told. */
export function onReplicationTick(state: RaftState, nowMs: number, effects: RaftEffect[]): void {
  const { lastIndex } = state.log;
  for (const [peer, progress] of state.progress) {
    const isDone = progress.mode === "replicate" && progress.match === lastIndex;
    if (isDone || progress.mode === "snapshot" || progress.sentAtMs === -Infinity) continue;
    if (!isOverdue(progress, nowMs)) continue;
    becomeProbe(progress, resumeAt(progress));
    sendTo(state, peer, progress, nowMs, effects);
  }
  tellCommit(state, nowMs, effects);
}

/** True when more of the log is on the peer's disk than was known. */
export function onMatched(state: RaftState, reply: AppendReply, progress: Progress): boolean {
  const hasAdvanced = reply.index > progress.match;
  assert(reply.index <= state.log.lastIndex, "nobody has more of a term's log than its leader");
  matchedUpTo(progress, reply.index);
  progress.knownCommit = Math.max(progress.knownCommit, reply.commitIndex);
  // A snapshot that is no longer needed, or a probe that has found where the logs agree.
  if (progress.mode !== "replicate" && state.log.termAt(progress.match) !== undefined) {
    becomeProbe(progress, progress.match + 1);
    progress.mode = "replicate";
  }
  return hasAdvanced;
}

/** The peer's log does not agree where the append began, or it asks to be probed. */
export function onRejected(state: RaftState, reply: AppendReply, progress: Progress): void {
  progress.knownCommit = Math.min(progress.knownCommit, reply.commitIndex);
  if (progress.mode === "snapshot") return;
  // Of all that was on its way behind a gap the first rejection is enough.
  if (progress.mode === "probe" && reply.sentAtMs < progress.sentAtMs) return;
  const agreeable = state.log.agreeableIndex(reply.index, reply.hintTerm);
  const next = progress.mode === "replicate" ? progress.match + 1 : agreeable + 1;
  // A hint may name a higher index: never go up on a rejection. Nor below the log's start, unless the
  // peer's log ends before it or differs there: only then it needs a snapshot.
  const { prevIndex } = state.log;
  const reaches =
    reply.index > prevIndex ||
    (reply.index === prevIndex && reply.hintTerm === state.log.termAt(prevIndex));
  const floor = reaches ? prevIndex + 1 : 1;
  const lower = Math.max(progress.next - 1, progress.match + 1, floor);
  becomeProbe(progress, Math.min(next, lower));
}

/** The stream has ended; either way a probe finds out where the peer stands now. */
export function onSnapshotSent(state: RaftState, event: SnapshotSent, effects: RaftEffect[]): void {
  const progress = state.progress.get(event.to);
  if (state.role !== "leader" || progress?.mode !== "snapshot") return;
  if (event.ok) {
    progress.heardAtMs = Math.max(progress.heardAtMs, event.nowMs);
    becomeProbe(progress, Math.min(event.index, state.log.lastIndex) + 1);
    sendTo(state, event.to, progress, event.nowMs, effects);
    return;
  }
  // Not at once again: the tick takes it for a lost probe. It may have failed because the peer has
  // more by now, so the log's start is tried first.
  progress.mode = "probe";
  progress.next = Math.max(progress.next, state.log.prevIndex + 1);
  progress.sentAtMs = event.nowMs;
}
