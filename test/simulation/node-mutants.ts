// One broken rule each in what lies around the Raft core, as a change of one place in the sources: what
// the simulation of whole nodes must find. It stands between the rules (design safety.md) and
// `run-mutants.ts`, which makes each change in a copy and lets seeds run over it.

/** A rule broken in one place of a node. */
export interface NodeMutant {
  readonly name: string;
  /** Where the rule is written. */
  readonly rule: string;
  /** Below the repository. */
  readonly file: string;
  /** Occurs once in the file. */
  readonly search: string;
  readonly replacement: string;
  /** Where to begin when what it takes is rare: not every minute of seeds has it. 1 unless given. */
  readonly firstSeed?: number;
}

const disk: readonly NodeMutant[] = [
  {
    name: "acknowledge before the group is on the disk",
    rule: "safety.md 3, 7",
    file: "actors/store/group-commit.ts",
    search: "    this.#options.journal.append(write, onDurable);",
    replacement:
      "    this.#options.journal.append(write, () => undefined);\n" +
      "    void Promise.resolve().then(onDurable);",
  },
  {
    name: "write groups without syncing them",
    rule: "safety.md 5",
    file: "storage/journal/journal.ts",
    search: "    file.handle.writeSync(bytes, file.position).then(",
    replacement: "    file.handle.write(bytes, file.position).then(",
  },
  {
    name: "go on after a failed write",
    rule: "safety.md 3",
    file: "storage/journal/journal.ts",
    search: "      (error: unknown) => this.#fail(error),\n    );\n  }\n\n  #landed",
    replacement:
      "      () => {\n        for (const told of this.#landed(file, bytes.length)) told();\n" +
      "        this.#startWanted();\n      },\n    );\n  }\n\n  #landed",
  },
  {
    name: "two batches in flight",
    rule: "safety.md 1",
    file: "actors/store/writer.ts",
    search: "    this.#inFlight = true;\n    const startedMs",
    replacement: "    const startedMs",
  },
  {
    name: "redo nothing between marker and applied",
    rule: "safety.md 2",
    file: "actors/store/recover.ts",
    search: "        regionId,\n        operations,\n        ...(state",
    replacement: "        regionId,\n        operations: [],\n        ...(state",
  },
  {
    name: "cut the log above the marker",
    rule: "safety.md 2",
    file: "actors/store/markers.ts",
    search: "this.#cut(regionId, index);",
    replacement: "this.#cut(regionId, this.#ports.replica(regionId)?.commitIndex ?? index);",
  },
  {
    name: "a marker while what came before is not durable",
    rule: "safety.md 2",
    file: "actors/store/writer.ts",
    search: "    if (sync && this.#isDirty) {",
    replacement: "    if (sync && this.#isDirty && Number.isNaN(0)) {",
  },
  {
    name: "apply what is committed and not durable here",
    rule: "safety.md 7",
    file: "actors/store/region.ts",
    search: "Math.min(raft.commitIndex, raft.durableIndex)",
    replacement: "raft.commitIndex",
  },
  {
    name: "call a batch applied that the engine has not answered",
    rule: "safety.md 21",
    file: "actors/store/evaluate.ts",
    search: "    this.#outbox.committed(index);\n    this.#proposals.committed(index);",
    replacement:
      "    this.#outbox.committed(index);\n    this.memory.applied(index);\n" +
      "    this.#proposals.committed(index);",
  },
];

const snapshots: readonly NodeMutant[] = [
  {
    name: "install into the data that is served",
    rule: "safety.md 8",
    file: "actors/store/snapshot-installer.ts",
    search: `operations.push({ type: "put", key: physicalKey(key, this.#dataId), value: stored });`,
    replacement:
      `const served = this.#target.applied.meta.extents[0]?.dataId ?? 0;\n` +
      `    operations.push({ type: "put", key: physicalKey(key, served), value: stored });`,
  },
  {
    name: "switch to a snapshot without syncing",
    rule: "safety.md 8",
    file: "actors/store/snapshot-installer.ts",
    search: "        sync: true,\n        onDone: () => {\n          // In the step",
    replacement: "        sync: false,\n        onDone: () => {\n          // In the step",
  },
  {
    name: "keep the old log after an interrupted install",
    rule: "safety.md 8",
    file: "actors/store/recover.ts",
    search: "  if (isLast && (await termAt",
    replacement: "  if (isLast && Number.isNaN(0) && (await termAt",
  },
];

const replies: readonly NodeMutant[] = [
  {
    name: "answer before the commit",
    rule: "decision 11",
    file: "actors/store/outbox.ts",
    search: "    if (index <= this.#committed && round === 0 && this.size === 0)",
    replacement: "    if (round === 0 && this.size === 0)",
  },
  {
    name: "answer reads of what is not committed",
    rule: "safety.md 24",
    file: "actors/store/outbox.ts",
    search: "    if (index <= this.#committed && round === 0 && this.size === 0)",
    replacement: "    if (!wrote && round === 0)",
  },
  {
    name: "read without proof of leading",
    rule: "data.md 6",
    file: "actors/store/evaluate.ts",
    search: "    const round = wrote ? 0 : this.#gate;",
    replacement: "    const round = 0;",
  },
  {
    name: "say that an appended write did not happen",
    rule: "safety.md 25",
    file: "actors/store/evaluate.ts",
    search: "(wrote ? unknownOutcome(reason) : storeRestarting)",
    replacement: "(wrote ? storeRestarting : storeRestarting)",
  },
  {
    name: "fill the cache without a ticket",
    rule: "safety.md 22",
    file: "actors/store/memory.ts",
    search: "    if (this.#tickets.get(ticket) !== fetch) return;\n",
    replacement: "",
  },
  {
    name: "take a key that was written for one that never was",
    rule: "key-filter.ts",
    file: "actors/store/apply.ts",
    search: "else if (key[0] === spaces.meta) this.#applied.keys.add(key);",
    replacement: "",
  },
  {
    name: "take a region with keys for an empty one",
    rule: "key-filter.ts",
    file: "actors/store/recover.ts",
    search: "  if (applied.counters.counts.every((count) => count === 0)) applied.keys",
    replacement: "  applied.keys",
  },
  {
    name: "keep cache and overlay over a change of role",
    rule: "safety.md 22, 23",
    file: "actors/store/memory.ts",
    search: "    for (const table of this.#tables) table?.drop();\n    this.#tables = [];\n",
    replacement: "",
  },
  {
    name: "hide what has expired and write nothing down",
    rule: "safety.md 26",
    file: "storage/keyspace/keyspace.ts",
    search:
      "      this.#batch.hidExpired = true;\n      if (this.#mayRemove) this.drop(db, key, record);\n",
    replacement: "",
  },
];

const clocks: readonly NodeMutant[] = [
  {
    name: "take over from a leader that does not know of the wrong clock",
    rule: "safety.md 26",
    file: "actors/store/inbox.ts",
    search: `    if (message.type === "timeout.now" && !this.#mayLead) return;\n`,
    replacement: "",
  },
  {
    name: "stand for election with a wrong clock",
    rule: "safety.md 26",
    file: "actors/store/inbox.ts",
    search: "mayLead || isLeader ? this.#electionTimeoutMs : Infinity",
    replacement: "this.#electionTimeoutMs",
  },
  {
    name: "never find the own clock wrong",
    rule: "safety.md 26",
    file: "actors/store/trusted-clock.ts",
    search: "      this.#isTrusted = isNear(offsetMs);",
    replacement: "      this.#isTrusted = isNear(medianMs);",
  },
];

const heartbeats: readonly NodeMutant[] = [
  {
    name: "count a lease from when the answer came",
    rule: "safety.md 15",
    file: "actors/cluster/heartbeats.ts",
    search: "ackRound === 0 ? 0 : ack.sentAtMs",
    replacement: "ackRound === 0 ? 0 : this.#ports.clock.monotonicMs()",
  },
  {
    name: "take an answer for all regions, also those not followed",
    rule: "safety.md 16",
    file: "actors/store/evidence.ts",
    search: "      if (refused.has(regionId)) continue;\n",
    replacement: "",
    // Once in some 300 seeds.
    firstSeed: 300,
  },
];

const forwarding: readonly NodeMutant[] = [
  {
    name: "execute a forwarded batch again",
    rule: "safety.md 25",
    file: "actors/gateway/forward/executor.ts",
    search: "      if (seq < stream.expected) continue;\n",
    replacement: "",
  },
  {
    name: "send a write again whose outcome is unknown",
    rule: "safety.md 25",
    file: "actors/gateway/forward/stream.ts",
    search: "      if (errand?.isWrite === true) this.#remove(seq)?.finish(unknown);\n",
    replacement: "      void errand;\n      void unknown;\n",
  },
  {
    name: "a restarted leader says that nothing was executed",
    rule: "safety.md 25",
    file: "actors/gateway/forward/executor.ts",
    search: "place !== undefined && head.term > place.recoveredTerm",
    replacement: "place !== undefined",
  },
  {
    name: "take back what the leader has taken",
    rule: "safety.md 25",
    file: "actors/gateway/forward/stream.ts",
    search: "      this.#takeBack(expected);",
    replacement: "      this.#takeBack(this.#base);",
  },
];

export const nodeMutants: readonly NodeMutant[] = [
  ...disk,
  ...snapshots,
  ...replies,
  ...clocks,
  ...heartbeats,
  ...forwarding,
];
