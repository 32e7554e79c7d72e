/** The check of a `TensorProto`: its dtype, and that it holds as many finite numbers as it says. */
import { StructureFault, signed, varints } from "./protobuf.js";

export const MAX_DIMENSIONS = 8;

/** data_type -> [dtype, bytes of one number, field of the numbers where they are not raw] */
export const ELEMENTS = new Map([
  [1, ["float32", 4, "float_data"]],
  [6, ["int32", 4, "int32_data"]],
  [7, ["int64", 8, "int64_data"]],
  [9, ["bool", 1, "int32_data"]],
  [11, ["float64", 8, "double_data"]],
  [12, ["uint32", 4, "uint64_data"]],
  [13, ["uint64", 8, "uint64_data"]],
]);
const FIELDS = ["float_data", "int32_data", "int64_data", "double_data", "uint64_data"];

/**
 * The dtype of a tensor, and whether all its numbers are finite.
 *
 * @param {Record<string, any>} tensor the fields of a `TensorProto`, by name
 * @returns {{dtype: string, finite: boolean}}
 * @throws {StructureFault} It is not a tensor of numbers of a dtype that a bundle has.
 */
export function checkTensor(tensor) {
  const dims = dimensionsOf(tensor.dims);
  const type = ELEMENTS.get(tensor.data_type ?? 0);
  if (!type) throw new StructureFault(`data type ${tensor.data_type ?? 0}, which no bundle needs`);
  const [dtype, size, field] = type;
  const raw = tensor.raw_data;
  if (FIELDS.some((name) => (raw !== undefined || name !== field) && tensor[name].length)) {
    throw new StructureFault(`numbers in a field that ${dtype} does not use`);
  }
  const isFloat = dtype.startsWith("float");
  const parts = raw === undefined ? tensor[field] : [raw];
  const count =
    raw === undefined && !isFloat
      ? parts.reduce((total, part) => total + [...varints(part)].length, 0)
      : parts.reduce((total, part) => total + numbersIn(part, size), 0);
  if (Math.min(0, ...dims) < 0 || count !== dims.reduce((product, dim) => product * dim, 1)) {
    throw new StructureFault(`${count} numbers for shape (${dims.join(", ")})`);
  }
  return { dtype, finite: !isFloat || parts.every((part) => allFinite(part, size)) };
}

function dimensionsOf(parts) {
  const dims = [];
  for (const part of parts) {
    for (const dim of varints(part)) {
      if (dims.length === MAX_DIMENSIONS) {
        throw new StructureFault(`more than ${MAX_DIMENSIONS} dimensions`);
      }
      dims.push(signed(dim));
    }
  }
  return dims;
}

function numbersIn({ length }, size) {
  if (length % size) throw new StructureFault(`${length} bytes of numbers of ${size} bytes`);
  return length / size;
}

/** Whether every float of `size` bytes is finite; little-endian, as ONNX stores them. */
function allFinite(bytes, size) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const read = size === 4 ? "getFloat32" : "getFloat64";
  for (let at = 0; at < bytes.length; at += size) {
    if (!Number.isFinite(view[read](at, true))) return false;
  }
  return true;
}
