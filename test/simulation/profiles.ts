// How rough it gets in the simulated cluster: every kind of fault there is, and profiles as tables of
// chances. What a fault does is in `faults.ts`.

import { goodNetwork, type NetworkConditions } from "./network.ts";

export const faultKinds = [
  "crash",
  "kill",
  "drain",
  "blackout",
  "pause",
  "usurp",
  "deaf",
  "deposed",
  "reborn",
  "split",
  "oneWay",
  "nonTransitive",
  "isolate",
  "disconnect",
  "serverDown",
  "drift",
  "wallStep",
  "ioError",
  "noSpace",
  "bitFlip",
  "stall",
  "transfer",
  "astray",
] as const;

export type FaultKind = (typeof faultKinds)[number];

/** How rough it gets. */
export interface Profile {
  readonly network: NetworkConditions;
  /** Mean time between two faults, ms; Infinity = none. */
  readonly everyMs: number;
  /** Chance of a power loss just while something is made durable in one step. */
  readonly ambush: number;
  /** Relative chances. */
  readonly weights: Readonly<Record<FaultKind, number>>;
}

const storm: Profile = {
  network: {
    loss: 0.03,
    duplicate: 0.03,
    reorder: 0.08,
    minMs: 0.1,
    maxMs: 2,
    slowMs: 60,
  },
  everyMs: 900,
  ambush: 0.03,
  weights: {
    crash: 10,
    kill: 3,
    drain: 3,
    blackout: 0.7,
    pause: 4,
    usurp: 4,
    deaf: 3,
    deposed: 2,
    reborn: 2,
    split: 4,
    oneWay: 3,
    nonTransitive: 3,
    isolate: 4,
    disconnect: 2,
    serverDown: 1,
    drift: 3,
    wallStep: 2,
    ioError: 2,
    noSpace: 1,
    bitFlip: 0.4,
    stall: 3,
    transfer: 5,
    astray: 0,
  },
};

export const none = Object.fromEntries(faultKinds.map((kind) => [kind, 0])) as Record<
  FaultKind,
  number
>;

export const profiles = {
  storm,
  /** A storm in which one node's wall clock is wrong for long, and no other's ever. */
  clocks: {
    ...storm,
    weights: { ...storm.weights, wallStep: 0, crash: 6, transfer: 12, astray: 12 },
  },
  /** A storm over nodes that gather as production's do: see `waits`. */
  waves: storm,
  quiet: {
    network: goodNetwork,
    everyMs: 30_000,
    ambush: 0,
    weights: { ...none, crash: 1, transfer: 2, pause: 1 },
  },
} satisfies Record<string, Profile>;

export type ProfileName = keyof typeof profiles;
