/**
 * The errors of this package. Each message says what was found, what was expected and what to do.
 * Python's `rnvp_runtime.errors` has the same classes, and mostly the same messages.
 */

/** The root of the others: an error that the caller can correct. */
export class RnvpError extends Error {
  name = "RnvpError";
}

/** A bundle is missing, incomplete, altered, or newer than this runtime. */
export class BundleError extends RnvpError {
  name = "BundleError";
}

/** Numbers or arrays that do not fit the flow. */
export class InputError extends RnvpError {
  name = "InputError";
}

/** The engine, or the worker that it runs in, cannot start or has stopped. */
export class EngineError extends RnvpError {
  name = "EngineError";
}

/** A method was called after `close`, or was still running at that time. */
export class ClosedError extends RnvpError {
  name = "ClosedError";
}

const CLASSES = {
  RnvpError,
  BundleError,
  InputError,
  EngineError,
  ClosedError,
  RangeError,
  TypeError,
};

/** An error as plain data, which can be sent from a worker. */
export const flattened = (error) => ({ name: error?.name, message: error?.message ?? `${error}` });

/** The error that `flattened` turned into `{name, message}`. */
export function revived({ name, message }) {
  return new (Object.hasOwn(CLASSES, name) ? CLASSES[name] : Error)(message);
}

/** The text of an error, on one line. */
export const reasonOf = (error) => `${error?.message ?? error}`.split(/\s+/).join(" ").trim();
