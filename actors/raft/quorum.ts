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

/** The highest index that a majority of voters has durable; a voter not in `matched` has nothing. */
export function quorumIndex(
  voters: readonly number[],
  matched: ReadonlyMap<number, number>,
): number {
  // The one-voter group is every region of a single node: no sort on its hot path.
  if (voters.length === 1) return matched.get(voters[0] ?? 0) ?? 0;
  const indexes = voters.map((voter) => matched.get(voter) ?? 0).toSorted((a, b) => b - a);
  return indexes[majority(voters) - 1] ?? 0;
}
