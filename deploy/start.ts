// Chooses the adapters and starts a node: the composition root. The only file that names RocksDB
// and the real disk (NATS: join.ts); everything behind it sees ports. Signals, the ready line and
// exit codes are run.ts, not here.

import { startNode as startActors, type NodeOptions } from "../actors/node.ts";
import type { Log } from "../actors/observe/log.ts";
import type { JournalOpener } from "../actors/store/log.ts";
import { systemClock } from "../actors/system/clock.ts";
import { openNodeDisk } from "../storage/disk-node.ts";
import { openJournal } from "../storage/journal/journal.ts";
import type { Journal, JournalOptions } from "../storage/journal/types.ts";
import { createRocksOpener } from "../storage/rocks.ts";
import type { DataDirectory } from "./data-directory.ts";
import { joinOthers } from "./join.ts";
import type { NodeEvents, StartNode } from "./run.ts";
import { scheduleAsBatch } from "./scheduling.ts";
import type { Config } from "./setting.ts";
import { watchSpace } from "./space.ts";
import { version } from "./version.ts";

/**
 * Replies never wait for RocksDB, so its batches may be made larger at this price in memory: handing one
 * to the pool of threads costs the loop, and a region's position and counters go with each (1.09 times
 * the SETs of batches every 9 ms at 50 clients, 1.13 at 200; docs/benchmarks.md).
 */
const applyDelayMs = 50;
/**
 * Of one node alone, which takes 0.94 times the SETs in pipelines of 16 with 256 KiB, and of each of
 * several, which with 800 in flight take 1.12 times the SETs with 256 KiB and 1.05 times that with 512.
 */
const applyBytes = { alone: 64 * 1024, together: 512 * 1024 };

/**
 * Of several nodes each gathers commands so long while others are under way: 1.03 times the SETs at 50
 * clients and 1.09 at 200 (docs/benchmarks.md). A node alone pays for one log only, and does not wait.
 */
const waveMs = 2;

const mebi = 1024 * 1024;

/**
 * What stays free for those who cannot be refused: the next two journal files, and two memtables of
 * RocksDB that have to become tables.
 */
const reserveOf = (config: Config): number => 2 * config.journalFileBytes + 64 * mebi;

/** Starts the node of this data directory. */
export const startNode: StartNode = async (directory, events, log) => {
  const { config } = directory.resolved;
  const space = watchSpace(directory.layout.root, reserveOf(config), (isLow, freeBytes) => {
    const left = `${Math.floor(freeBytes / mebi)} MiB left`;
    if (isLow) log.error(`the disk is nearly full, ${left}: writes are refused`);
    else log.info(`there is room on the disk again, ${left}: writes go on`);
  });
  const isOneOfSeveral = config.nats.length > 0;
  if (config.scheduling === "batch" || (config.scheduling === "auto" && isOneOfSeveral)) {
    // Before the first threads of its own: they inherit it.
    const failure = await scheduleAsBatch();
    if (failure !== undefined) log.debug(`threads are scheduled as they were: ${failure}`);
  }
  const cluster = isOneOfSeveral ? await joinOthers(directory, log) : undefined;
  const close = async (): Promise<void> => cluster?.transport.close();
  try {
    const node = await startActors({
      ...optionsOf(directory, events, log, () => space.isLow),
      applyGather: {
        delayMs: applyDelayMs,
        maxBytes: cluster === undefined ? applyBytes.alone : applyBytes.together,
      },
      ...(cluster === undefined ? {} : { cluster, waveMs }),
    });
    return {
      respAddress: node.respAddress,
      httpAddress: node.httpAddress,
      stop: async () => {
        await node.stop();
        await close();
      },
    };
  } catch (error) {
    await close();
    throw error;
  }
};

function optionsOf(
  directory: DataDirectory,
  events: NodeEvents,
  log: Log,
  isSpaceLow: () => boolean,
): NodeOptions {
  const { config } = directory.resolved;
  return {
    nodeId: config.nodeId,
    version,
    regionCount: config.numRegions,
    hashTags: config.hashTags,
    resp: { host: config.bind, port: config.port },
    http: {
      host: config.httpBind === "" ? config.bind : config.httpBind,
      port: config.httpPort,
      ...(config.httpToken === "" ? {} : { token: config.httpToken }),
    },
    settings: redisSettings(config, directory.layout.root),
    recordCacheBytes: config.recordCacheBytes,
    drainMs: Math.max(1000, config.shutdownTimeoutMs - 4000),
    pureActors: config.pureActors,
    engine: createRocksOpener(directory.layout.engine, { cacheSize: config.blockCacheBytes }),
    journal: journalOpener(directory, {
      fileBytes: config.journalFileBytes,
      onFatal: (error) => events.onFatal(error),
      onFull: (isFull) => {
        if (isFull) log.error("no space left for the journal: writes are refused");
        else log.info("there is room for the journal again");
      },
      isSpaceLow,
    }),
    clock: systemClock,
    random: Math.random,
    schedule: setImmediate,
    log,
    onFatal: (error) => events.onFatal(error),
    onShutdown: () => events.onShutdown(),
  };
}

/** Opens the journal of a data directory; a former incarnation's is closed first. */
function journalOpener(directory: DataDirectory, options: JournalOptions): JournalOpener {
  let open: Journal | undefined;
  return {
    open: async () => {
      await open?.close();
      open = await openJournal(openNodeDisk(directory.layout.root), options);
      // The engine is opened before the log: now both exist, and nothing is acknowledged yet.
      directory.markInitialized();
      return open;
    },
  };
}

/** What CONFIG GET shows of the settings, by Redis' names. */
function redisSettings(config: Config, dir: string): Record<string, string> {
  return {
    bind: config.bind,
    port: String(config.port),
    dir,
    maxclients: String(config.maxClients),
    requirepass: config.requirepass,
    timeout: String(Math.ceil(config.idleTimeoutMs / 1000)),
  };
}
