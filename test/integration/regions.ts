// Names that land in a chosen region: one hash tag for each of the 16 regions a cluster is born with.
// For tests that want every region under load; it asks no node.

import { createPositions } from "../../storage/position.ts";

export const regionCount = 16;

/** `regionTags[r - 1]` is a hash tag, braces included, whose keys live in region r. */
export const regionTags: readonly string[] = findTags();

function findTags(): string[] {
  const positions = createPositions(regionCount, true);
  const regions = positions.initialRegions();
  const tags: string[] = [];
  for (let index = 0; Object.keys(tags).length < regionCount; index++) {
    const tag = `{t${index}}`;
    const position = positions.positionOf(Buffer.from(tag));
    const region = regions.findIndex((each) => position <= each.toPosition);
    tags[region] ??= tag;
  }
  return tags;
}
