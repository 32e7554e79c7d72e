/**
 * The interface between this package and an engine. An engine opens a graph once and runs it many
 * times:
 *
 *     const engine = new Engines({ formats: ["native", "onnx"], threads: 1 });
 *     const about = { name: "flow.bin", format: "native", graph: "density" };
 *     const run = await engine.open(bytes, ["log_prob", "z"], about);
 *     const { log_prob, z } = await run({ x: { dtype: "float32", data, shape: [n, 2] } });
 *     await engine.close();
 *
 * `native.js` runs `flow.bin` with the small library of this package, and `onnxruntime.js` runs
 * graphs with onnxruntime. `engines.js` chooses between them by the format of the file, on the
 * calling thread; `remote.js` sends the same calls to `engines.js` in a worker.
 *
 * An engine trusts its input. `bundle.js` checks the bytes of a graph before they are opened, and
 * `graphs.js` checks every output of every run.
 *
 * @typedef {object} Tensor
 * @property {string} dtype "float32", "float64" or "int64"
 * @property {Float32Array | Float64Array | BigInt64Array} data row by row
 * @property {readonly number[]} shape `[]` is a scalar
 *
 * @typedef {(feeds: Record<string, Tensor>) => Promise<Record<string, Tensor>>} Run
 *
 * @typedef {object} About what an engine may say of a graph, or must check before it opens it
 * @property {string} name the graph's file, for errors
 * @property {"native" | "onnx"} format of that file
 * @property {"density" | "inverse" | "sampler" | "gradient"} graph which graph of the file to open
 * @property {string} [minOnnxruntime] the oldest onnxruntime that can run it
 *
 * @typedef {object} Engine
 * @property {string[]} formats of the files that it opens, the preferred one first: keys of the
 *   manifest's `graphs.*.files`
 * @property {number} ahead how many runs to start before the first has ended. More than 1 where
 *   sending a run to the engine takes time in which the engine could compute
 * @property {(bytes: Uint8Array, outputs: string[], about: About) => Promise<Run>} open The engine
 *   owns `bytes` from then on. Rejects with a `BundleError` if the engine refuses the graph, with
 *   an `EngineError` if the engine cannot start.
 * @property {() => Promise<void>} close Ends the runs under way and frees the memory.
 */
import { InputError } from "./errors.js";
import { IN_NODE, IN_PAGE, builtin } from "./environment.js";
import { Engines, formatsOf, isModule } from "./engines.js";
import { RemoteEngine } from "./remote.js";
import { packagedWorker, workerAt } from "./worker-script.js";

/**
 * Start the engine that `options` of `load` ask for. A failure to start is reported by `open`.
 *
 * @param {{engine?: "onnxruntime" | "native", ort?: string | URL | object, threads: number,
 *   worker?: boolean | string | URL | (() => Worker)}} options
 * @returns {Engine}
 * @throws {InputError} The options contradict each other.
 */
export function startEngine({ engine, ort, threads, worker }) {
  const formats = formatsOf({ engine, ort, threads });
  const settings = { formats, ort: isModule(ort) ? ort : absolute(ort), threads };
  const start = starterOf(worker, ort);
  return start ? new RemoteEngine(start, settings) : new Engines(settings);
}

/** What starts the worker; null to work on the calling thread. */
function starterOf(worker, ort) {
  if (worker === undefined) return IN_PAGE && !isModule(ort) ? packagedWorker() : null;
  if (worker === false) return null;
  if (isModule(ort)) {
    throw new InputError(
      "ort is a module, which cannot be sent to a worker: pass its folder's URL, or worker: false",
    );
  }
  if (typeof worker === "function") return { start: worker, url: null };
  if (typeof worker === "string" || worker instanceof URL) return workerAt(absolute(worker));
  if (worker !== true) {
    throw new InputError(
      `worker is ${typeof worker}, expected true, false, a URL or a function that makes a Worker`,
    );
  }
  const packaged = packagedWorker();
  if (packaged) return packaged;
  throw new InputError(
    "worker is true, but a bundler removed the worker script's address: pass {worker: its URL}, " +
      "or worker: false to run on this thread",
  );
}

/** A URL that does not depend on the script that uses it. */
function absolute(url) {
  if (url instanceof URL) return url.href;
  if (typeof url !== "string") return url;
  if (IN_NODE) return /^[a-z][a-z0-9+.-]+:/i.test(url) ? url : pathToURL(url);
  return new URL(url, globalThis.document?.baseURI ?? globalThis.location?.href).href;
}

const pathToURL = (path) => builtin("node:url").pathToFileURL(path).href;
