/**
 * The graphs of a bundle, run on any number of rows. Each is opened on first use. Rows go through
 * the engine in tiles, and every output of every run is checked before it is used.
 */
import { BundleError, ClosedError } from "./errors.js";
import { rowsInATile } from "./tiles.js";

/** The most rows in a tile of the gradient graph, which keeps the activations of every layer. */
const GRADIENT_ROWS = 256;

/**
 * @typedef {object} Request
 * @property {"density" | "inverse" | "sampler" | "gradient"} graph
 * @property {number} rows n
 * @property {Record<string, number>} widths name -> width of each output beside log_prob
 * @property {Record<string, {data: Float, width: number, repeat: boolean}>} matrices by input's
 *   name; with `repeat`, one row stands for all
 * @property {{seed: bigint, start: bigint, temperature: number}} [draw] of the sampler
 *
 * @typedef {Float32Array | Float64Array} Float of the bundle's dtype
 * @typedef {{values: Record<string, Float>, logProb: Float}} Result name -> (n * width,) row by row,
 *   and (n,) in nats
 */

export class Graphs {
  #bundle;
  #engine;
  #opened = new Map(); // name -> promise of {run, file, tile}
  #closing = null;

  /**
   * @param {import("./bundle.js").Bundle} bundle
   * @param {import("./engine.js").Engine} engine
   */
  constructor(bundle, engine) {
    this.#bundle = bundle;
    this.#engine = engine;
  }

  get manifest() {
    return this.#bundle.manifest;
  }

  /**
   * @param {Request} request
   * @returns {Promise<Result>}
   * @throws {BundleError} The graph's file is missing or altered, the engine refuses it, or its
   *   outputs are not what a bundle promises.
   * @throws {EngineError} The engine or its worker cannot start, or has stopped.
   * @throws {ClosedError} `close` was called.
   */
  async run({ graph, rows, widths, matrices, draw }) {
    this.#checkOpen();
    const { run, file, tile } = await this.#graph(graph, Object.keys(widths));
    const { dtype } = this.manifest;
    const Float = dtype === "float64" ? Float64Array : Float32Array;
    const values = {};
    for (const [name, width] of Object.entries(widths)) values[name] = new Float(rows * width);
    const logProb = new Float(rows);
    const start = (low) => {
      const count = Math.min(tile, rows - low);
      const feeds = draw ? scalars(dtype, draw, low, count) : {};
      for (const [name, matrix] of Object.entries(matrices)) {
        const data = rowsOf(matrix, low, count);
        feeds[name] = { dtype, data, shape: [count, matrix.width] };
      }
      const running = run(feeds);
      running.catch(() => {}); // it is awaited below, unless an earlier tile has failed
      return { low, count, running };
    };
    const started = [];
    for (let low = 0; low < rows || started.length; ) {
      this.#checkOpen();
      while (low < rows && started.length < this.#engine.ahead) {
        started.push(start(low));
        low += tile;
      }
      const { low: at, count, running } = started.shift();
      const found = await running;
      const checked = (name, shape) => outputOf(found, name, dtype, shape, file);
      for (const [name, width] of Object.entries(widths)) {
        values[name].set(checked(name, [count, width]), at * width);
      }
      logProb.set(checked("log_prob", [count]), at);
    }
    this.#checkOpen();
    return { values, logProb };
  }

  /** Free the memory. Runs under way and later ones are rejected. */
  close() {
    this.#closing ??= this.#engine.close();
    return this.#closing;
  }

  #checkOpen() {
    if (this.#closing) throw new ClosedError("the flow was closed: load the bundle again");
  }

  /** The graph called `name`. One that failed to open is tried again by the next call. */
  #graph(name, outputs) {
    if (!this.#opened.has(name)) {
      const opening = this.#open(name, outputs);
      opening.catch(() => this.#opened.delete(name));
      this.#opened.set(name, opening);
    }
    return this.#opened.get(name);
  }

  async #open(name, outputs) {
    const { run, file, manifest } = await this.#openAs(this.#engine.formats, name, outputs);
    const { flow, dtype } = manifest;
    const tile = rowsInATile(flow.widths, dtype === "float64" ? 8 : 4);
    return { run, file, tile: name === "gradient" ? Math.min(tile, GRADIENT_ROWS) : tile };
  }

  /** Open the first of `formats` that the bundle holds; a file of a later version is passed over. */
  async #openAs(formats, name, outputs) {
    const { file, format, bytes, manifest } = await this.#bundle.graph(name, formats);
    const others = formats.slice(formats.indexOf(format) + 1);
    const about = { name: file, format, graph: name, minOnnxruntime: manifest.min_onnxruntime };
    try {
      return { run: await this.#engine.open(bytes, ["log_prob", ...outputs], about), file, manifest };
    } catch (error) {
      if (error instanceof BundleError && others.length) return this.#openAs(others, name, outputs);
      throw error;
    }
  }
}

/**
 * The data of the output `name`.
 *
 * @throws {BundleError} It has another dtype, another shape, or not that many numbers.
 */
function outputOf(found, name, dtype, shape, file) {
  const tensor = found[name];
  const right =
    tensor?.dtype === dtype &&
    `${tensor.shape}` === `${shape}` &&
    tensor.data.length === shape.reduce((product, size) => product * size, 1);
  if (right) return tensor.data;
  const told = tensor ? `${tensor.dtype} ${tuple(tensor.shape)}` : "nothing";
  throw new BundleError(
    `${file} returns ${name} as ${told}, expected ${dtype} ${tuple(shape)}: export the bundle again`,
  );
}

const tuple = (shape) => (shape.length === 1 ? `(${shape[0]},)` : `(${shape.join(", ")})`);

/** The sampler's scalar inputs for rows `low` ... `low + count - 1` of the request. */
function scalars(dtype, { seed, start, temperature }, low, count) {
  const int64 = (value) => ({ dtype: "int64", data: BigInt64Array.of(value), shape: [] });
  const Float = dtype === "float64" ? Float64Array : Float32Array;
  return {
    seed: int64(seed),
    start: int64(start + BigInt(low)),
    count: int64(BigInt(count)),
    temperature: { dtype, data: Float.of(temperature), shape: [] },
  };
}

function rowsOf({ data, width, repeat }, low, count) {
  if (!repeat) return data.subarray(low * width, (low + count) * width);
  const rows = new data.constructor(count * width);
  for (let i = 0; i < rows.length; i += width) rows.set(data, i);
  return rows;
}
