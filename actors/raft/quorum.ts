// The arithmetic of majorities: pure functions over sets of voters (paper sections 5.2 and 5.3).

/** How many of `voters` make a majority. */
export function majority(voters: readonly number[]): number {
  return Math.floor(voters.length / 2) + 1;
}

/** True when the granted ones among `voters` are a majority. Others (learners, strangers) never count. */
export function hasMajority(voters: readonly number[], granted: ReadonlySet<number>): boolean {
  let count = 0;
  for (const voter of voters) if (granted.has(voter)) count++;
  return count >= majority(voters);
}

/**
 * The highest number that a majority of voters has reached: an index that is durable, an instant or
 * a round that is acknowledged. `reached` says how far one voter is.
 */
export function quorumValue(voters: readonly number[], reached: (voter: number) => number): number {
  const [a = 0, b = 0, c = 0] = voters;
  // The sizes of nearly every group, without a sort on their hot path.
  if (voters.length === 1) return reached(a);
  if (voters.length === 3) return middle(reached(a), reached(b), reached(c));
  const values = voters.map(reached).toSorted((x, y) => y - x);
  return values[majority(voters) - 1] ?? 0;
}

function middle(x: number, y: number, z: number): number {
  return Math.max(Math.min(x, y), Math.min(Math.max(x, y), z));
}
