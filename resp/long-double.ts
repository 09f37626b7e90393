// The 80-bit long double of x86, in exact integers: INCRBYFLOAT's arithmetic. Redis reads with
// strtold, adds, and prints "%.17Lf" without trailing zeros (util.c, ld2string); doing the same to
// the bit is the only way to give the same digits. Nothing here knows keys or replies.

/** mantissa * 2^exponent with |mantissa| < 2^64; infinities apart. */
export type LongDouble =
  | { readonly mantissa: bigint; readonly exponent: number }
  | { readonly infinite: 1 | -1 };

const mantissaBits = 64;
/** Exponents of the type: 2^16384 overflows; below 2^-16445 nothing is left. */
const overflowBit = 16_384;
const smallestExponent = -16_445;
/** Longest text Redis reads (MAX_LONG_DOUBLE_CHARS). */
const longestText = 5 * 1024 - 1;
const fractionDigits = 17;
/** Decimal exponents beyond this over- or underflow whatever the digits are. */
const largestDecimalExponent = 20_000;

const decimalForm = /^([+-]?)(\d*)(?:\.(\d*))?(?:[eE]([+-]?\d+))?$/;
const hexForm = /^([+-]?)0[xX]([\da-fA-F]*)(?:\.([\da-fA-F]*))?(?:[pP]([+-]?\d+))?$/;
const infiniteForm = /^([+-]?)inf(?:inity)?$/i;

function bitLength(value: bigint): number {
  return value === 0n ? 0 : value.toString(16).length * 4 - leadingZeros(value);
}

function leadingZeros(value: bigint): number {
  const top = Number.parseInt(value.toString(16).slice(0, 1), 16);
  return Math.clz32(top) - 28;
}

/** numerator / denominator * 2^exponent to the nearest long double, ties to even. Both positive. */
function nearest(
  numerator: bigint,
  denominator: bigint,
  exponent: number,
  negative: boolean,
): LongDouble {
  if (numerator === 0n) return { mantissa: 0n, exponent: 0 };
  // Two bits more than needed in the quotient, and a sticky bit for the rest.
  let shift = mantissaBits + 2 - (bitLength(numerator) - bitLength(denominator));
  const lowest = smallestExponent - exponent;
  if (-shift < lowest - 2) shift = 2 - lowest;
  const scaled = shift >= 0 ? numerator << BigInt(shift) : numerator;
  const divisor = shift >= 0 ? denominator : denominator << BigInt(-shift);
  const quotient = scaled / divisor;
  const sticky = scaled % divisor === 0n ? 0n : 1n;
  let exact = (quotient << 1n) | sticky;
  let power = exponent - shift - 1;
  const excess = Math.max(bitLength(exact) - mantissaBits, smallestExponent - power);
  if (excess > 0) {
    exact = roundedShift(exact, excess);
    power += excess;
  }
  if (bitLength(exact) + power > overflowBit) return { infinite: negative ? -1 : 1 };
  return { mantissa: negative ? -exact : exact, exponent: power };
}

/** value / 2^bits, ties to even. */
function roundedShift(value: bigint, bits: number): bigint {
  const half = 1n << BigInt(bits - 1);
  const low = value & ((1n << BigInt(bits)) - 1n);
  const high = value >> BigInt(bits);
  return low > half || (low === half && (high & 1n) === 1n) ? high + 1n : high;
}

/** The long double a text means, as strtold without leading spaces; undefined = not a number. */
export function parseLongDouble(text: string): LongDouble | undefined {
  if (text.length === 0 || text.length > longestText) return undefined;
  const infinite = infiniteForm.exec(text);
  if (infinite !== null) return { infinite: infinite[1] === "-" ? -1 : 1 };
  const hex = hexForm.exec(text);
  const match = hex ?? decimalForm.exec(text);
  if (match === null) return undefined;
  const [, sign, whole = "", fraction = "", power = "0"] = match;
  if (whole.length + fraction.length === 0) return undefined;
  const digits = BigInt((hex === null ? "" : "0x") + whole + fraction);
  const negative = sign === "-";
  if (digits === 0n) return { mantissa: 0n, exponent: 0 };
  const exponent = Number(power) - fraction.length * (hex === null ? 1 : 4);
  if (Math.abs(exponent) > largestDecimalExponent + longestText) return undefined;
  const scale = 10n ** BigInt(Math.abs(exponent));
  const value =
    hex !== null
      ? nearest(digits, 1n, exponent, negative)
      : exponent >= 0
        ? nearest(digits * scale, 1n, 0, negative)
        : nearest(digits, scale, 0, negative);
  // strtold reports ERANGE for what is too large, and for what becomes zero.
  return "infinite" in value || value.mantissa === 0n ? undefined : value;
}

/** a + b, rounded; undefined when the sum is infinite or not a number. */
export function addLongDoubles(a: LongDouble, b: LongDouble): LongDouble | undefined {
  if ("infinite" in a || "infinite" in b) return undefined;
  const exponent = Math.min(a.exponent, b.exponent);
  const sum =
    (a.mantissa << BigInt(a.exponent - exponent)) + (b.mantissa << BigInt(b.exponent - exponent));
  const negative = sum < 0n;
  const value = nearest(negative ? -sum : sum, 1n, exponent, negative);
  return "infinite" in value ? undefined : value;
}

/** "%.17Lf" without trailing zeros; never "-0". The value must be finite. */
export function formatLongDouble(value: LongDouble): string {
  if ("infinite" in value) return value.infinite > 0 ? "inf" : "-inf";
  const negative = value.mantissa < 0n;
  const magnitude = negative ? -value.mantissa : value.mantissa;
  const scaled = magnitude * 10n ** BigInt(fractionDigits);
  const { exponent } = value;
  const fixed =
    exponent >= 0 ? scaled << BigInt(exponent) : roundedShift(scaled << 1n, 1 - exponent);
  const digits = fixed.toString().padStart(fractionDigits + 1, "0");
  const whole = digits.slice(0, -fractionDigits);
  const fraction = digits.slice(-fractionDigits).replace(/0+$/, "");
  const text = fraction === "" ? whole : `${whole}.${fraction}`;
  return negative && text !== "0" ? `-${text}` : text;
}
