/**
 * A bundle's graphs, run. An engine takes requests of plain data and typed arrays, so that it can
 * work on the caller's thread or in a worker (`remote.js`) and nobody sees the difference.
 *
 * Rows go through in tiles whose activations fit a processor's cache: that is what keeps memory
 * bounded, and is faster than one large run.
 */
import { BundleError, RnvpError, reasonOf } from "./errors.js";
import { checkOnnxruntime, onnxruntime } from "./onnxruntime.js";
import { read } from "./source.js";

/**
 * @typedef {object} Request
 * @property {"density" | "inverse" | "sampler"} graph
 * @property {number} rows n
 * @property {string} output name of the (n, dim) output: "z" or "x"
 * @property {Record<string, {data: Float, width: number, repeat: boolean}>} matrices by input's
 *   name; with `repeat`, one row stands for all
 * @property {{seed: bigint, start: bigint, temperature: number}} [draw] of the sampler
 *
 * @typedef {Float32Array | Float64Array} Float of the bundle's dtype
 * @typedef {{values: Float, logProb: Float}} Result (n * dim,) row by row, and (n,) in nats
 */

const BUDGET = 1 << 20; // bytes of activations, half of a common L2 cache
const FEWEST = 256;
const MOST = 8192;
const MULTIPLE = 64;

/** Rows whose activations fit the cache: `rnvp_runtime.tiles.rows_in_a_tile`. */
export function rowsInATile(widths, itemsize) {
  const widest = [...widths].sort((one, other) => other - one).slice(0, 2);
  const rowBytes =
    Math.max(
      1,
      widest.reduce((sum, width) => sum + width, 0),
    ) * itemsize;
  const rows = Math.floor(Math.floor(BUDGET / rowBytes) / MULTIPLE) * MULTIPLE;
  return Math.min(Math.max(rows, FEWEST), MOST);
}

export class Engine {
  #source;
  #manifest;
  #ort;
  #threads;
  #sessions = new Map();
  #Float;
  #tile;

  /**
   * Onnxruntime starts at once, so that it is ready when the manifest is.
   *
   * @param {import("./source.js").Source} source
   * @param {{ort?: string | object, threads: number}} options
   */
  constructor(source, options) {
    this.#source = source;
    this.#threads = options.threads;
    this.#ort = onnxruntime(options);
    this.#ort.catch(() => {}); // told by the first run
  }

  /** Once, before the first run. */
  open(manifest) {
    this.#manifest = manifest;
    this.#Float = manifest.dtype === "float64" ? Float64Array : Float32Array;
    this.#tile = rowsInATile(manifest.flow.widths, this.#Float.BYTES_PER_ELEMENT);
  }

  /**
   * @param {Request} request
   * @returns {Promise<Result>}
   * @throws {BundleError} The graph's file is missing or altered, or onnxruntime is too old.
   */
  async run({ graph, rows, output, matrices, draw }) {
    const { dim, dtype } = this.#manifest;
    const [session, { Tensor }] = await Promise.all([this.#session(graph), this.#ort]);
    const values = new this.#Float(rows * dim);
    const logProb = new this.#Float(rows);
    for (let low = 0; low < rows; low += this.#tile) {
      const count = Math.min(this.#tile, rows - low);
      const feeds = draw ? scalars(Tensor, dtype, draw, low, count) : {};
      for (const [name, matrix] of Object.entries(matrices)) {
        feeds[name] = new Tensor(dtype, rowsOf(matrix, low, count), [count, matrix.width]);
      }
      const results = await session.run(feeds);
      values.set(results[output].data, low * dim);
      logProb.set(results.log_prob.data, low);
    }
    return { values, logProb };
  }

  /** Free the graphs' memory. */
  async close() {
    const sessions = [...this.#sessions.values()];
    this.#sessions.clear();
    for (const session of sessions) await (await session.catch(() => null))?.release();
  }

  /** The session of `graph`, opened on first use; one that failed may be tried again. */
  #session(graph) {
    if (!this.#sessions.has(graph)) {
      const opening = this.#open(graph);
      opening.catch(() => this.#sessions.delete(graph));
      this.#sessions.set(graph, opening);
    }
    return this.#sessions.get(graph);
  }

  /** A session made from the very bytes whose hash was checked. */
  async #open(graph) {
    const file = this.#manifest.graphs[graph].files.onnx;
    const content = await read(this.#source, file);
    if (content === null) {
      throw new BundleError(`${this.#source.name} has no ${file}: copy the whole folder again`);
    }
    if ((await sha256(content)) !== this.#manifest.files[file].sha256) {
      throw new BundleError(
        `${this.#source.name}: ${file} is not the file that was exported (its sha256 differs): ` +
          "copy the whole folder again",
      );
    }
    const ort = await this.#ort;
    checkOnnxruntime(ort, this.#manifest.min_onnxruntime);
    try {
      return await ort.InferenceSession.create(content, {
        intraOpNumThreads: this.#threads,
        interOpNumThreads: 1,
        logSeverityLevel: 3, // errors are thrown; warnings are not the caller's to mend
      });
    } catch (error) {
      throw new BundleError(`onnxruntime cannot open ${file}: ${reasonOf(error)}`);
    }
  }
}

/** The sampler's scalar inputs for rows `low` ... `low + count - 1` of the request. */
function scalars(Tensor, dtype, { seed, start, temperature }, low, count) {
  const int64 = (value) => new Tensor("int64", BigInt64Array.of(value), []);
  const Float = dtype === "float64" ? Float64Array : Float32Array;
  return {
    seed: int64(seed),
    start: int64(start + BigInt(low)),
    count: int64(BigInt(count)),
    temperature: new Tensor(dtype, Float.of(temperature), []),
  };
}

function rowsOf({ data, width, repeat }, low, count) {
  if (!repeat) return data.subarray(low * width, (low + count) * width);
  const rows = new data.constructor(count * width);
  for (let i = 0; i < rows.length; i += width) rows.set(data, i);
  return rows;
}

async function sha256(content) {
  if (!globalThis.crypto?.subtle) {
    throw new RnvpError(
      "this page cannot check the bundle's hashes, since browsers offer crypto.subtle only to " +
        "https and localhost: serve it from there",
    );
  }
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", content));
  return Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
