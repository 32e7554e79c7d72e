/** Whether WebAssembly can run here. */
import { EngineError, reasonOf } from "./errors.js";

/**
 * Refuse where there is no WebAssembly, or where the page's policy forbids it: the errors that
 * engines throw there do not say so.
 *
 * @throws {EngineError} Says what to set.
 */
export function checkWebAssembly() {
  if (typeof WebAssembly !== "object") {
    throw new EngineError("this browser has no WebAssembly, which the flow needs");
  }
  try {
    new WebAssembly.Module(Uint8Array.of(0, 97, 115, 109, 1, 0, 0, 0));
  } catch (error) {
    throw new EngineError(
      `WebAssembly is forbidden here (${reasonOf(error)}): add 'wasm-unsafe-eval' to script-src ` +
        "of the Content-Security-Policy, of the page and of the worker's script",
    );
  }
}
