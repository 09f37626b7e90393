// What most cases of forwarding begin with, and how they look at what a client heard: a world whose
// regions are led and known to be, and replies as plain values.

import { ErrorReply } from "../../../../resp/reply.ts";
import type { Reply } from "../../../../resp/reply.ts";
import { World } from "./world.ts";

/** Region 1 (keys "a…") is led by n1, region 2 by n2. */
export function led(seed = 1): World {
  const world = new World(seed);
  world.elect(world.groups[0]!, "n1");
  world.elect(world.groups[1]!, "n2");
  for (const group of world.groups) world.spread(group);
  return world;
}

/** An error as its text. */
export const text = (reply: Reply | undefined): Reply | undefined =>
  reply instanceof ErrorReply ? reply.message : reply;
