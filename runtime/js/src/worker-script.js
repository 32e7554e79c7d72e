/**
 * The script of the package's worker: where it is, and why a browser could not run it.
 *
 * Bundlers that know the expression `new Worker(new URL("./worker.js", import.meta.url))` give the
 * script a file of its own. Others move this module away from its worker, or leave no address.
 *
 * The worker must not import this module, directly or not: Next's Turbopack then builds a worker
 * inside the worker, without end.
 */
import { EngineError } from "./errors.js";
import { faultOf } from "./script-fault.js";

/**
 * @typedef {{start: () => Worker, url: string | null}} Starter `url` is for the error message;
 *   null if it is not known
 */

/**
 * The worker of this package.
 *
 * @returns {Starter | null} null where a bundler left no address: an IIFE or a CommonJS bundle.
 */
export function packagedWorker() {
  if (!import.meta.url) return null;
  // Only for the error message, and as text: bundlers take a second `new URL` for a file to copy.
  // They may replace import.meta.url by the path of the source, which is not an address of the
  // page.
  const here = `${import.meta.url}`;
  return {
    start: () => new Worker(new URL("./worker.js", import.meta.url), { type: "module" }),
    url: here.startsWith("file:") ? null : here.replace(/[^/]*([?#].*)?$/, "worker.js"),
  };
}

/** The worker whose script is at `url`. */
export const workerAt = (url) => ({ start: () => new Worker(url, { type: "module" }), url });

const RECIPE = "see 'Bundlers' in the documentation, or pass {worker: false} to run on this thread";

/**
 * Why the worker stopped before it answered.
 *
 * @param {string | null} url of its script
 * @param {string | undefined} message of the browser's error event
 * @param {() => boolean} blocked whether the page's policy forbade the worker; browsers say so a
 *   moment after the error event
 * @returns {Promise<EngineError>}
 */
export async function whyNoWorker(url, message, blocked) {
  if (message) return new EngineError(`the worker stopped: ${message}`);
  const fault = url ? await faultOf(url) : await later("its address is unknown");
  if (blocked()) {
    return new EngineError(
      "the page's Content-Security-Policy forbids the worker: add worker-src 'self' to it, or " +
        "pass {worker: false} to run on this thread",
    );
  }
  const script = url ? `the worker's script ${url}` : "the worker's script";
  if (url?.includes("/.vite/")) {
    return new EngineError(
      `${script} cannot be loaded (${fault}), because Vite's dev server moved the package: add ` +
        'optimizeDeps: { exclude: ["rnvp-runtime"] } to vite.config.js',
    );
  }
  return new EngineError(`${script} cannot be loaded (${fault}): ${RECIPE}`);
}

const later = (value) => new Promise((resolve) => setTimeout(resolve, 50, value));
