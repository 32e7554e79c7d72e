/** Protobuf, the encoding of ONNX files, as `rnvp_runtime.bundle.protobuf` reads it. */

export const VARINT = 0;
export const FIXED64 = 1;
export const BYTES = 2;
export const FIXED32 = 5;

/** A file is not what it should be; the text is the rest of a sentence about it. */
export class StructureFault extends Error {}

/**
 * [field number, wire type, value] of each field of `message`, in order: a number for a varint,
 * else a view of the bytes.
 *
 * @param {Uint8Array} message
 * @returns {Generator<[number, number, number | Uint8Array]>}
 * @throws {StructureFault} It is cut short, or is not a message.
 */
export function* wireFields(message) {
  for (let at = 0; at < message.length; ) {
    let tag;
    [tag, at] = varintAt(message, at);
    const number = Math.floor(tag / 8);
    const wire = tag % 8;
    if (!(number >= 1 && number < 2 ** 29)) {
      throw new StructureFault(`field number ${number} at byte ${at}`);
    }
    let size;
    if (wire === VARINT || wire === BYTES) {
      [size, at] = varintAt(message, at);
      if (wire === VARINT) {
        yield [number, wire, size];
        continue;
      }
    } else if (wire === FIXED32 || wire === FIXED64) {
      size = wire === FIXED32 ? 4 : 8;
    } else {
      throw new StructureFault(`wire type ${wire} at byte ${at}`);
    }
    if (at + size > message.length) throw new StructureFault("it is cut short");
    yield [number, wire, message.subarray(at, at + size)];
    at += size;
  }
}

/**
 * The numbers of a repeated field of varints, packed or not.
 *
 * @param {number | Uint8Array} value
 * @returns {Generator<number>}
 */
export function* varints(value) {
  if (typeof value === "number") {
    yield value;
    return;
  }
  for (let at = 0; at < value.length; ) {
    let number;
    [number, at] = varintAt(value, at);
    yield number;
  }
}

/** A varint as the signed 64-bit number that it encodes; beyond 2**53 it is rounded. */
export const signed = (number) => (number < 2 ** 63 ? number : number - 2 ** 64);

/** [value, position after it]: 7 bits a byte, lowest first, modulo 2**64. */
function varintAt(message, at) {
  let value = 0;
  for (let i = 0; i < 10; i += 1) {
    if (at >= message.length) throw new StructureFault("it is cut short");
    const byte = message[at];
    at += 1;
    // Of the tenth byte only the lowest bit fits 64 bits.
    value += (i < 9 ? byte & 0x7f : byte & 1) * 2 ** (7 * i);
    if (byte < 0x80) return [value, at];
  }
  throw new StructureFault(`a number at byte ${at} has no end`);
}
