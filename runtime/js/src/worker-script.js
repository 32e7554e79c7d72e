/**
 * The script of the package's worker: where it is, and why a browser could not run it.
 *
 * Bundlers that know the expression `new Worker(new URL("./worker.js", import.meta.url))` give the
 * script a file of its own. Others move this module away from its worker, or leave no address.
 */
import { EngineError, reasonOf } from "./errors.js";

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
  // webpack replaces import.meta.url outside `new URL` by the source's path: that is not an address
  // of the page, so it is not reported.
  const here = `${import.meta.url}`;
  return {
    start: () => new Worker(new URL("./worker.js", import.meta.url), { type: "module" }),
    url: here.startsWith("file:") ? null : new URL("worker.js", here).href,
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

/** What is wrong with the script at `url`: its status, or the MIME type that it is served as. */
export async function faultOf(url) {
  let response;
  try {
    response = await fetch(url);
  } catch (error) {
    return reasonOf(error);
  }
  if (!response.ok) return `the server answers ${response.status}`;
  const type = response.headers.get("content-type")?.split(";")[0].trim() || "no MIME type";
  return /^(text|application)\/(x-)?(java|ecma)script$/i.test(type)
    ? "it, or a script that it imports, fails to start"
    : `it is served as ${type}, expected text/javascript`;
}
