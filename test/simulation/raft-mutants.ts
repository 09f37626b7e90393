// One broken rule of Raft each, as a change of one place in the core's source: what a simulation that is
// worth anything must find. It stands between the rules (design safety.md and raft.md section 4) and
// `run-mutants.ts`, which makes each change in a copy and lets random histories run over it.

/** A rule of Raft broken in one place. */
export interface Mutant {
  readonly name: string;
  /** Where the rule is written. */
  readonly rule: string;
  /** Below actors/raft. */
  readonly file: string;
  /** Occurs once in the file. */
  readonly search: string;
  readonly replacement: string;
}

const votes: readonly Mutant[] = [
  {
    name: "vote twice in a term",
    rule: "raft.md 2",
    file: "election.ts",
    search: "(state.vote === 0 || state.vote === request.from) &&",
    replacement: "",
  },
  {
    name: "grant before the vote is durable",
    rule: "raft.md 2",
    file: "election.ts",
    search: "  state.pendingVote = reply;",
    replacement: `  effects.push({ type: "send", message: reply });`,
  },
  {
    name: "ask for votes before the own one is durable",
    rule: "raft.md 3",
    file: "election.ts",
    search: "  state.isTransferElection = isTransfer;",
    replacement:
      "  state.isTransferElection = isTransfer;\n  ask(state, state.term, false, effects);",
  },
  {
    name: "answer votes while term or vote are on their way to the disk",
    rule: "raft.md 2",
    file: "election.ts",
    search: "  if (!isVoteDurable(state)) return;\n  // Without a membership",
    replacement: "  // Without a membership",
  },
  {
    name: "vote for a log that ends in an older term",
    rule: "paper 5.4.1",
    file: "election.ts",
    search: "return request.lastTerm > state.log.lastTerm;",
    replacement: "return true;",
  },
  {
    name: "vote for a shorter log",
    rule: "paper 5.4.1",
    file: "election.ts",
    search: "return request.lastIndex >= state.log.lastIndex;",
    replacement: "return true;",
  },
  {
    name: "count a vote of an older term",
    rule: "raft.md 5",
    file: "election.ts",
    search: `state.role !== "candidate" || reply.term !== state.term) return;`,
    replacement: `state.role !== "candidate") return;`,
  },
  {
    name: "count polls as votes",
    rule: "raft.md 5",
    file: "state.ts",
    search: "  state.granted.clear();",
    replacement: "",
  },
  {
    name: "count votes of learners and strangers",
    rule: "raft.md 7",
    file: "quorum.ts",
    search: "  return count >= majority(voters);",
    replacement: "  return granted.size >= majority(voters) || count >= majority(voters);",
  },
  {
    name: "half of the voters are a majority",
    rule: "paper 5.2",
    file: "quorum.ts",
    search: "Math.floor(voters.length / 2) + 1",
    replacement: "Math.max(1, Math.floor(voters.length / 2))",
  },
  {
    name: "keep the vote when the term goes up",
    rule: "paper figure 2",
    file: "state.ts",
    search: "    state.vote = 0;",
    replacement: "",
  },
  {
    name: "take over a term without writing it down",
    rule: "paper figure 2",
    file: "state.ts",
    search: `  becomeRole(state, "follower", term, 0, effects);\n  persistVote(state, effects);`,
    replacement: `  becomeRole(state, "follower", term, 0, effects);
  state.durableHardState = { term, vote: 0 };`,
  },
  {
    name: "a removed voter gives up before its removal is committed",
    rule: "thesis 4.2.2",
    file: "reconfiguration.ts",
    search: "return !isFinal && older",
    replacement: "return state.commitIndex < 0 && older",
  },
];

const leases: readonly Mutant[] = [
  {
    name: "skip the boot wait",
    rule: "safety.md 17",
    file: "state.ts",
    search: "heardAtMs: start.nowMs,",
    replacement: "heardAtMs: -Infinity,",
  },
  {
    name: "vote against the promise",
    rule: "safety.md 17",
    file: "election.ts",
    search: "  if (promised && !request.transfer) return;",
    replacement: "",
  },
  {
    name: "promise half as long as is said",
    rule: "safety.md 15",
    file: "election.ts",
    search: "nowMs - state.heardAtMs < minElectionTimeoutMs;",
    replacement: "nowMs - state.heardAtMs < minElectionTimeoutMs / 2;",
  },
  {
    name: "drop the promise when any node restarts",
    rule: "safety.md 16",
    file: "election.ts",
    search: `if (state.role !== "follower" || state.leader !== leader || leader === 0) return;`,
    replacement: `if (state.role !== "follower") return;`,
  },
  {
    name: "keep the lease over a transfer",
    rule: "safety.md 18",
    file: "transfer.ts",
    search: "  state.isLeaseForfeited = true;",
    replacement: "",
  },
  {
    name: "obey an order to stand that is old",
    rule: "raft.md 54",
    file: "election.ts",
    search: `  if (message.term !== state.term || state.role !== "follower") return;
  if (message.from !== state.leader || !isVoteDurable(state)) return;`,
    replacement: `  if (state.role !== "follower" || !isVoteDurable(state)) return;`,
  },
  {
    name: "the lease begins when an append is acknowledged",
    rule: "safety.md 15",
    file: "leading.ts",
    search: "  countPromise(progress, reply, nowMs);",
    replacement: "  countPromise(progress, { ...reply, sentAtMs: nowMs }, nowMs);",
  },
  {
    name: "the lease begins when a heartbeat is acknowledged",
    rule: "safety.md 15",
    file: "reads.ts",
    search: "  countPromise(progress, event, event.nowMs);",
    replacement: "  countPromise(progress, { ...event, sentAtMs: event.nowMs }, event.nowMs);",
  },
  {
    name: "a lease longer than the promise",
    rule: "safety.md 15",
    file: "reads.ts",
    search: "Math.min(leaseMs, promiseShare * progress.promiseMs)",
    replacement: "2 * progress.promiseMs",
  },
  {
    name: "read before the no-op is applied",
    rule: "raft.md 27",
    file: "reads.ts",
    search: `return role === "leader" && noopIndex > 0 && appliedIndex >= noopIndex;`,
    replacement: `return role === "leader" && noopIndex + appliedIndex >= 0;`,
  },
  {
    name: "confirm a read by the round before it",
    rule: "raft.md 29",
    file: "reads.ts",
    search: "return confirmed >= round;",
    replacement: "return confirmed >= round - 1;",
  },
  {
    name: "confirm a read by one follower",
    rule: "raft.md 28",
    file: "reads.ts",
    search: `voter === state.replicaId ? Infinity : (state.progress.get(voter)?.round ?? 0),`,
    replacement: `Math.max(0, ...[...state.progress.values()].map(({ round: r }) => r)) + voter * 0,`,
  },
  {
    name: "follow a deposed leader's heartbeat",
    rule: "safety.md 16",
    file: "following.ts",
    search: "if (term < state.term || leader === state.replicaId) return;",
    replacement: "if (leader === state.replicaId) return;",
  },
];

const logs: readonly Mutant[] = [
  {
    name: "acknowledge before the write",
    rule: "raft.md 18",
    file: "following.ts",
    search: "  const index = Math.min(pending.index, state.durableIndex);",
    replacement: "  const { index } = pending;",
  },
  {
    name: "take a received entry for a durable one",
    rule: "safety.md 7",
    file: "following.ts",
    search: "  if (state.durableIndex >= index) acknowledge(state, effects);",
    replacement:
      "  state.durableIndex = Math.max(state.durableIndex, index);\n  acknowledge(state, effects);",
  },
  {
    name: "acknowledge before the term is durable",
    rule: "raft.md 19",
    file: "following.ts",
    search: "if (pending === undefined || !isVoteDurable(state)) return;",
    replacement: "if (pending === undefined) return;",
  },
  {
    name: "the leader counts itself before its own write",
    rule: "safety.md 7",
    file: "leading.ts",
    search: "voter === replicaId ? state.durableIndex :",
    replacement: "voter === replicaId ? log.lastIndex :",
  },
  {
    name: "commit an entry of an older term by counting",
    rule: "raft.md 1",
    file: "leading.ts",
    search: "  if (log.termAt(index) !== state.term) return;",
    replacement: "",
  },
  {
    name: "count learners towards a commit",
    rule: "raft.md 7",
    file: "leading.ts",
    search: "quorumValue(membership.voters, (voter) =>",
    replacement: "quorumValue([...membership.voters, ...membership.learners], (voter) =>",
  },
  {
    name: "commit beyond what was verified",
    rule: "raft.md 15",
    file: "following.ts",
    search: "Math.min(request.commitIndex, verified)",
    replacement: "Math.min(request.commitIndex, log.lastIndex)",
  },
  {
    name: "cut the log on a shorter append",
    rule: "raft.md 14",
    file: "following.ts",
    search: "({ index, term }) => index > log.prevIndex && log.termAt(index) !== term,",
    replacement: "({ index }) => index > Math.max(log.prevIndex, state.commitIndex),",
  },
  {
    name: "append without looking at the entry before",
    rule: "paper 5.3",
    file: "following.ts",
    search: "request.prevIndex >= log.prevIndex && prevTerm !== request.prevTerm",
    replacement: "request.prevIndex >= log.prevIndex && prevTerm === undefined",
  },
  {
    name: "take the append of a deposed leader",
    rule: "paper 5.1",
    file: "following.ts",
    search: "if (request.term < state.term) {",
    replacement: "if (request.term < 0) {",
  },
  {
    name: "carry an acknowledgement over to the next leader",
    rule: "raft.md 13",
    file: "state.ts",
    search: "  state.pendingAck = undefined;\n  state.transfer",
    replacement: "  state.transfer",
  },
  {
    name: "take what was cut from the log for durable",
    rule: "raft.md 26",
    file: "following.ts",
    search: "    state.durableIndex = Math.min(state.durableIndex, first.index - 1);",
    replacement: "",
  },
  {
    name: "open a term without a no-op",
    rule: "paper 8",
    file: "leading.ts",
    search: "  append(state, 0, [empty], effects);",
    replacement: "  void empty;",
  },
  {
    name: "never send a lost append again",
    rule: "raft.md 50",
    file: "replication.ts",
    search: "    if (!isOverdue(progress, nowMs)) continue;\n    becomeProbe",
    replacement: "    if (nowMs > 0) continue;\n    becomeProbe",
  },
  {
    name: "tell what is committed only once",
    rule: "raft.md 60",
    file: "replication.ts",
    search: "progress.toldCommit >= index && !isOverdue(progress, nowMs);",
    replacement: "progress.toldCommit >= index;",
  },
  {
    name: "a restarted follower of a quiet group waits for the next write",
    rule: "safety.md 19",
    file: "following.ts",
    search: "if (state.probedEpoch === state.roleEpoch || !follows",
    replacement: "if (nowMs > -Infinity || !follows",
  },
];

const changes: readonly Mutant[] = [
  {
    name: "a second change before the first is committed",
    rule: "safety.md 20",
    file: "reconfiguration.ts",
    search: `  if (state.membershipIndex > state.commitIndex) return "another`,
    replacement: `  if (state.membershipIndex < 0) return "another`,
  },
  {
    name: "keep a membership whose entry was cut",
    rule: "raft.md 37",
    file: "following.ts",
    search: "    rollBackMembership(state, first.index, effects);",
    replacement: "",
  },
  {
    name: "change the membership when it is applied by nobody but the leader",
    rule: "safety.md 20",
    file: "following.ts",
    search: "    if (kind === 2) adoptMembership(",
    replacement: "    if (kind === 2 && state.commitIndex > index) adoptMembership(",
  },
  {
    name: "take a snapshot's end for its installation",
    rule: "safety.md 8",
    file: "replication.ts",
    search: "    becomeProbe(progress, Math.min(event.index, state.log.lastIndex) + 1);",
    replacement: `    matchedUpTo(progress, Math.min(event.index, state.log.lastIndex));
    becomeProbe(progress, progress.match + 1);`,
  },
  {
    name: "acknowledge a snapshot before the log is restarted",
    rule: "safety.md 8",
    file: "following.ts",
    search: "    state.durableIndex = Math.min(state.durableIndex, state.commitIndex);",
    replacement: "    state.durableIndex = index;",
  },
  {
    name: "keep the log in front of a snapshot that contradicts it",
    rule: "raft.md 47",
    file: "following.ts",
    search: "  if (log.termAt(index) === term) {",
    replacement: "  if (log.termAt(index) !== undefined) {",
  },
];

export const mutants: readonly Mutant[] = [...votes, ...leases, ...logs, ...changes];
