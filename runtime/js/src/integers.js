/** 64-bit seeds and rows, from Number or BigInt, with the meaning that Python gives them. */
import { InputError } from "./errors.js";

const TWO_63 = 2n ** 63n;

/**
 * `value` as a BigInt.
 *
 * @throws {InputError} It is not a whole number, or a Number too large to be sure of its digits.
 */
export function whole(value, name) {
  if (typeof value === "bigint") return value;
  if (Number.isSafeInteger(value)) return BigInt(value);
  if (Number.isInteger(value)) {
    throw new InputError(
      `${name} ${value} is past 2**53, where Numbers lose digits: pass a BigInt such as 7n`,
    );
  }
  throw new InputError(`${name} is ${value}, expected a whole number, as Number or BigInt`);
}

/**
 * `seed` as the int64 with the same 64 bits: negative ones by two's complement.
 *
 * @throws {InputError} It is not within -2**63 ... 2**64 - 1.
 */
export function signedSeed(seed) {
  const value = whole(seed, "seed");
  if (value < -TWO_63 || value >= 2n * TWO_63) {
    throw new InputError(`seed ${value} does not fit 64 bits: give one from -2**63 to 2**64 - 1`);
  }
  return BigInt.asIntN(64, value);
}

/** A seed from the system's entropy, 0 ... 2**63 - 1. */
export const freshSeed = () => crypto.getRandomValues(new BigUint64Array(1))[0] >> 1n;

/**
 * n as a Number and start as a BigInt.
 *
 * @throws {InputError} One is negative, or start + n is past 2**63 - 1.
 */
export function rowRange(n, start) {
  const [count, first] = [whole(n, "n"), whole(start, "start")];
  if (count < 0n || first < 0n || first + count >= TWO_63) {
    throw new InputError(
      `n is ${count} and start ${first}: both are at least 0, their sum at most 2**63 - 1`,
    );
  }
  return [Number(count), first];
}
