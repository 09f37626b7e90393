// Where a key lives: Erlang's `phash2` over its bytes (or its hash tag) and the 32-bit position
// made of it, so that each initial region is one contiguous range and a midpoint split doubles the
// modulus. Stands between routing and the key layout; it does not know which node has a region.

/** One more than the largest position. */
const positionCount = 2 ** 32;
const golden = 0x9e3779b9 | 0;
/** (13 * golden) mod 2^32: Erlang's seed for a top-level binary, also the hash of the empty one. */
const binarySeed = 0x08d12e65;
const openBrace = 0x7b;
const closeBrace = 0x7d;

/** Four bytes as a little-endian int32. */
function word(bytes: Uint8Array, p: number): number {
  const low = (bytes[p] as number) | ((bytes[p + 1] as number) << 8);
  return low | ((bytes[p + 2] as number) << 16) | ((bytes[p + 3] as number) << 24);
}

/**
 * The full unsigned 32-bit `erlang:phash2` hash of `bytes[start, end)` as a binary: Bob Jenkins'
 * lookup2 (Dr. Dobb's, 1997) as OTP's portable hash uses it. Every variable stays an int32.
 */
export function phash2Binary(bytes: Uint8Array, start = 0, end: number = bytes.length): number {
  const length = end - start;
  if (length === 0) return binarySeed;
  let a = golden;
  let b = golden;
  let c = binarySeed;
  let p = start;
  for (let groups = (length / 12) | 0; groups > 0; groups--, p += 12) {
    a = (a + word(bytes, p)) | 0;
    b = (b + word(bytes, p + 4)) | 0;
    c = (c + word(bytes, p + 8)) | 0;
    a = (a - b - c) ^ (c >>> 13);
    b = (b - c - a) ^ (a << 8);
    c = (c - a - b) ^ (b >>> 13);
    a = (a - b - c) ^ (c >>> 12);
    b = (b - c - a) ^ (a << 16);
    c = (c - a - b) ^ (b >>> 5);
    a = (a - b - c) ^ (c >>> 3);
    b = (b - c - a) ^ (a << 10);
    c = (c - a - b) ^ (b >>> 15);
  }
  c = (c + length) | 0;
  // Left-over bytes: 0-3 go to a, 4-7 to b, 8-10 to c one byte up (its low byte is the length's).
  for (let i = 0; p < end; i++, p++) {
    const byte = bytes[p] as number;
    if (i < 4) a = (a + (byte << (i << 3))) | 0;
    else if (i < 8) b = (b + (byte << ((i - 4) << 3))) | 0;
    else c = (c + (byte << ((i - 7) << 3))) | 0;
  }
  a = (a - b - c) ^ (c >>> 13);
  b = (b - c - a) ^ (a << 8);
  c = (c - a - b) ^ (b >>> 13);
  a = (a - b - c) ^ (c >>> 12);
  b = (b - c - a) ^ (a << 16);
  c = (c - a - b) ^ (b >>> 5);
  a = (a - b - c) ^ (c >>> 3);
  b = (b - c - a) ^ (a << 10);
  c = (c - a - b) ^ (b >>> 15);
  return c >>> 0;
}

/**
 * `erlang:phash2(Binary)` (27 bits) without a range, `erlang:phash2(Binary, Range)` with one.
 * Throws RangeError unless `range` is an integer in 1..2^32.
 */
export function phash2(bytes: Uint8Array, range?: number): number {
  const hash = phash2Binary(bytes);
  if (range === undefined) return hash & 0x7ffffff;
  if (!Number.isInteger(range) || range < 1 || range > positionCount) {
    throw new RangeError(`phash2 range must be an integer in 1..2^32, not ${range}`);
  }
  return hash % range;
}

/** The 32 bits of `x` in reverse order (bit 0 becomes bit 31), unsigned. */
export function bitReverse32(x: number): number {
  let r = ((x >>> 1) & 0x55555555) | ((x & 0x55555555) << 1);
  r = ((r >>> 2) & 0x33333333) | ((r & 0x33333333) << 2);
  r = ((r >>> 4) & 0x0f0f0f0f) | ((r & 0x0f0f0f0f) << 4);
  r = ((r >>> 8) & 0x00ff00ff) | ((r & 0x00ff00ff) << 8);
  return ((r >>> 16) | (r << 16)) >>> 0;
}

/** A region as bootstrapped; both ends of its range are inclusive. */
export interface InitialRegion {
  /** 1..regionCount; region i holds exactly the keys with `phash2(key, regionCount) + 1 == i`. */
  readonly regionId: number;
  readonly fromPosition: number;
  readonly toPosition: number;
}

/** The key placement of one cluster; fixed at bootstrap for ever. */
export interface Positions {
  /** The position (u32) of a key; with hash tags on, that of the text in its first `{...}`. */
  positionOf(key: Uint8Array): number;
  /** The position (u32) that belongs to a full 32-bit hash. */
  positionOfHash(hash: number): number;
  /** The regions at bootstrap, ascending, covering 0..2^32-1 without a gap. */
  initialRegions(): InitialRegion[];
}

/**
 * The placement for `regionCount` initial regions (1..65536; RangeError otherwise).
 * `hashTags` turns the rule of Redis Cluster (specification, "Hash tags") on.
 */
export function createPositions(regionCount: number, hashTags: boolean): Positions {
  if (!Number.isInteger(regionCount) || regionCount < 1 || regionCount > 65536) {
    throw new RangeError(`the number of regions must be in 1..65536, not ${regionCount}`);
  }
  const modulus = regionCount >>> 0;
  const width = Math.floor(positionCount / modulus);
  const usedBits = Math.floor(Math.log2(width));
  const shift = 32 - usedBits;
  const positionOfHash = (hash: number): number => {
    const quotient = ((hash >>> 0) / modulus) >>> 0;
    const residue = (hash - Math.imul(quotient, modulus)) >>> 0;
    return residue * width + (bitReverse32(quotient) >>> shift);
  };
  const positionOf = (key: Uint8Array): number => {
    const open = hashTags ? key.indexOf(openBrace) : -1;
    if (open < 0) return positionOfHash(phash2Binary(key));
    const close = key.indexOf(closeBrace, open + 1);
    if (close <= open + 1) return positionOfHash(phash2Binary(key));
    return positionOfHash(phash2Binary(key, open + 1, close));
  };
  const initialRegions = (): InitialRegion[] =>
    Array.from({ length: modulus }, (_, index) => ({
      regionId: index + 1,
      fromPosition: index * width,
      toPosition: index === modulus - 1 ? positionCount - 1 : (index + 1) * width - 1,
    }));
  return { positionOf, positionOfHash, initialRegions };
}
