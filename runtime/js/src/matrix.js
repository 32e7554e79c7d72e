/** Rows of numbers: what the flow returns, and the forms in which a caller may pass them. */
import { InputError } from "./errors.js";

/** Numbers row by row: `data` of length n * width, `shape` [n, width]. */
export class Matrix {
  constructor(data, shape) {
    this.data = data;
    this.shape = shape;
  }

  /** Row i, a view of (width,). */
  row(i) {
    const [, width] = this.shape;
    return this.data.subarray(i * width, (i + 1) * width);
  }

  /** All rows in turn, each a view. */
  *rows() {
    for (let i = 0; i < this.shape[0]; i++) yield this.row(i);
  }

  /** Column j, a copy of (n,). */
  column(j) {
    const [n, width] = this.shape;
    return new this.data.constructor(n).map((_, i) => this.data[i * width + j]);
  }
}

/**
 * `values` as a Matrix of `Float`; data of that type already are not copied.
 *
 * @param {unknown} values a Matrix or any {data, shape: [n, width]}, or an array of n rows
 * @param {string} name what the caller calls it, for errors
 * @param {readonly string[]} columns
 * @param {Float32ArrayConstructor | Float64ArrayConstructor} Float
 * @throws {InputError} Another shape, or something that is not a number.
 */
export function matrixOf(values, name, columns, Float) {
  if (values?.data !== undefined && values.shape !== undefined) {
    return fromData(values, name, columns, Float);
  }
  if (ArrayBuffer.isView(values) || !Array.isArray(values)) {
    throw new InputError(
      `${name} is ${described(values)}, expected an array of rows or {data, shape: [n, ` +
        `${columns.length}]}: pass a single row as [row]`,
    );
  }
  const width = columns.length;
  const data = new Float(values.length * width);
  values.forEach((row, i) => {
    if (typeof row === "number") {
      throw new InputError(
        `${name} has shape (${values.length},), expected (n, ${width}): pass [${name}] for a ` +
          "single row",
      );
    }
    if (row?.length !== width) {
      throw new InputError(
        `${name}[${i}] has ${row?.length ?? "no"} numbers, expected ${width}: pass columns in the ` +
          `order of flow.columns, ${width} in all`,
      );
    }
    for (let j = 0; j < width; j++) {
      if (typeof row[j] !== "number") {
        throw new InputError(`${name}[${i}][${j}] is ${described(row[j])}, expected a number`);
      }
      data[i * width + j] = row[j];
    }
  });
  return new Matrix(data, [values.length, width]);
}

function fromData({ data, shape }, name, columns, Float) {
  const width = columns.length;
  if (shape.length !== 2 || shape[1] !== width || shape[0] * shape[1] !== data.length) {
    throw new InputError(
      `${name} has shape (${Array.from(shape).join(", ")}) and ${data.length} numbers, expected ` +
        `(n, ${width}): pass columns in the order of flow.columns, ${width} in all`,
    );
  }
  if (data instanceof Float) return new Matrix(data, [...shape]);
  if (!ArrayBuffer.isView(data)) {
    const at = data.findIndex((value) => typeof value !== "number");
    if (at >= 0)
      throw new InputError(`${name}.data[${at}] is ${described(data[at])}, expected a number`);
  } else if (data instanceof BigInt64Array || data instanceof BigUint64Array) {
    throw new InputError(`${name}.data holds BigInts, expected numbers`);
  }
  return new Matrix(new Float(data), [...shape]);
}

function described(value) {
  if (value === null || value === undefined) return `${value}`;
  if (ArrayBuffer.isView(value)) return `${value.constructor.name} (${value.length},)`;
  return typeof value === "string" ? `text '${value.slice(0, 20)}'` : `a ${typeof value}`;
}
