// What the journal keeps and gives back: the vocabulary shared by its files and by the actors that
// use it. A journal serves all regions of a store; one group write is in flight at a time.

/**
 * What an entry means to the replica: 0 = the no-op of a new term, 1 = effects of evaluated commands,
 * 2 = a change of membership.
 */
export type EntryKind = 0 | 1 | 2;

/** One Raft log entry (paper section 5.3). `index` counts from 1; `payload` is at most 512 KiB. */
export interface LogEntry {
  readonly index: number;
  readonly term: number;
  readonly kind: EntryKind;
  readonly payload: Buffer;
}

/** Term and vote (paper figure 2, "persistent state"). `vote` is the replicaId voted for, 0 = none. */
export interface HardState {
  readonly term: number;
  readonly vote: number;
}

/** What one replica wants durable. Applied in order: hardState, then reset, then entries. */
export interface JournalWrite {
  readonly regionId: number;
  readonly replicaId: number;
  readonly hardState?: HardState | undefined;
  /** Drop the whole log and restart it behind this position (after a snapshot install). */
  readonly reset?: { readonly index: number; readonly term: number } | undefined;
  /** Consecutive. An append at index i removes every entry >= i written before it. */
  readonly entries?: readonly LogEntry[] | undefined;
}

/** What recovery found for one replica. */
export interface RecoveredLog {
  readonly regionId: number;
  readonly replicaId: number;
  readonly hardState: HardState;
  /** Position before the first kept entry: (0,0) for a log that was never cut. */
  readonly prevIndex: number;
  readonly prevTerm: number;
  /** Last index in the log; `prevIndex` when it is empty. */
  readonly lastIndex: number;
  readonly lastTerm: number;
}

/** Called once when the write and everything queued before it is durable. Never called after a failure. */
export type OnDurable = () => void;

/** Numbers for /metrics; counters since open. */
export interface JournalStatistics {
  readonly groupsTotal: number;
  readonly recordsTotal: number;
  readonly bytesTotal: number;
  readonly rollOversTotal: number;
  /** Bytes of journal files on disk now. */
  readonly fileBytes: number;
  readonly lastWriteSeconds: number;
}

/**
 * The shared journal of a store (one per data directory). The adapter class is in `journal.ts`:
 * `openJournal(disk, options): Promise<Journal>`.
 */
export interface Journal {
  /** Logs found at open, one per live replica, in regionId order. */
  readonly recovered: readonly RecoveredLog[];
  /**
   * The log of a region as it stands now, everything queued included (a replica that restarts while
   * the journal lives first waits for an empty `append` to be durable). Undefined when it has none.
   */
  logOf(regionId: number): RecoveredLog | undefined;
  /** Queues a write for the next group. Order of calls is LSN order. A write without content is a barrier. */
  append(write: JournalWrite, onDurable: OnDurable): void;
  /**
   * Starts the group write of everything queued, unless one is in flight (then the next one starts
   * by itself when it ends). Called once per turn.
   */
  flush(): void;
  /** A group write is in flight: what is appended now goes with the next one. */
  readonly isWriting: boolean;
  /** Called whenever a group has landed, after the callbacks of its writes. */
  onLanded: (() => void) | undefined;
  /** Entries [from, to], fewer when `maxBytes` is reached (always at least one). */
  read(regionId: number, from: number, to: number, maxBytes: number): Promise<LogEntry[]>;
  /** Entries <= index are no longer needed (below the synced marker): files may be cut. */
  compact(regionId: number, index: number, term: number): void;
  /** Removes a replica for good: synced tombstone first, then its files (`safety.md` 12). */
  tombstone(regionId: number, replicaId: number): Promise<void>;
  /** Bytes written since the oldest entry still kept: when it grows, a synced marker is due. */
  liveBytes(): number;
  /** True while space is low or a new file cannot be prepared: writers must be refused. */
  readonly full: boolean;
  statistics(): JournalStatistics;
  /** Waits for the group in flight, writes the idle mark, closes the files. */
  close(): Promise<void>;
}

export interface JournalOptions {
  /** Size a journal file is preallocated to. Default 64 MiB. */
  readonly fileBytes: number;
  /** Told once when the journal can go no further (write or sync failed): the process must end. */
  readonly onFatal: (error: Error) => void;
  /** Told when a new file cannot be prepared for lack of space, and when it can again. */
  readonly onFull: (full: boolean) => void;
  /** Asked by `full`: true while the disk has too little room to go on writing. Absent = never. */
  readonly isSpaceLow?: () => boolean;
}
