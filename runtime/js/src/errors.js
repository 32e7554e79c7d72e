/**
 * What can go wrong, each with a sentence that says what was found and what to do; the same
 * classes, and mostly the same sentences, as in Python's `rnvp_runtime.errors`.
 */

/** A mistake that a person can mend; the root of the others. */
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

const CLASSES = { RnvpError, BundleError, InputError, RangeError, TypeError };

/** An error as plain data, to cross from a worker. */
export const flattened = (error) => ({ name: error?.name, message: error?.message ?? `${error}` });

/** The error that `flattened` made `{name, message}` of. */
export function revived({ name, message }) {
  return new (Object.hasOwn(CLASSES, name) ? CLASSES[name] : Error)(message);
}

/** An error's text on one line. */
export const reasonOf = (error) => `${error?.message ?? error}`.split(/\s+/).join(" ").trim();
