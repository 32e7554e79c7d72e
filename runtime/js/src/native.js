/**
 * The engine over the small C library, compiled to WebAssembly (`native-wasm.js`, written by
 * `runtime/c/build_wasm.py`), on the calling thread. It opens `flow.bin`, which holds every graph:
 *
 *     const engine = new NativeEngine();
 *     const run = await engine.open(bytes, ["log_prob", "z"], { name: "flow.bin", graph: "density" });
 *
 * Every `open` makes an instance of the module, with a memory of its own:
 *
 *     the program and its stack | the flow | workspace | rows in and out
 *
 * The last part is as long as the largest call needed. The memory is freed with the function that
 * `open` returned.
 */
import { BundleError, ClosedError, EngineError, reasonOf } from "./errors.js";
import { NATIVE_WASM } from "./native-wasm.js";
import { checkWebAssembly } from "./webassembly.js";

const PAGE = 65536;
const ERROR_BYTES = 256; // of rnvp_error
const FLOAT64 = 2;
const GRADIENT = 1; // open for gradients too
const ROWS = 4096; // in one call of the library, so that memory stays bounded

/** The outputs of each graph, in the order of the C function's arguments. */
const OUTPUTS = {
  density: ["log_prob", "z"],
  inverse: ["x", "log_prob"],
  sampler: ["x", "log_prob"],
  gradient: ["log_prob", "grad_x", "grad_context"],
};

let compiled;

/** The module, compiled once for all engines. */
function compile() {
  compiled ??= wasm().then((bytes) => WebAssembly.compile(bytes));
  return compiled;
}

/** The module's bytes. */
async function wasm() {
  checkWebAssembly();
  const packed = Uint8Array.from(atob(NATIVE_WASM), (character) => character.charCodeAt(0));
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate-raw"));
  return new Response(stream).arrayBuffer();
}

export class NativeEngine {
  #closed = false;

  /** Compilation begins at once, so that it is done when the flow is there. */
  constructor() {
    compile().catch(() => {}); // each `open` reports it
  }

  /**
   * As `Engine.open`; `graph` is "density", "inverse", "sampler" or "gradient".
   *
   * @param {Uint8Array} bytes of flow.bin
   * @param {string[]} outputs
   * @param {{name: string, graph: keyof typeof OUTPUTS}} about
   */
  async open(bytes, outputs, { name, graph }) {
    let module;
    try {
      module = await compile();
    } catch (error) {
      compiled = undefined; // the next engine tries again
      if (error instanceof EngineError) throw error;
      throw new EngineError(`the native engine cannot start: ${reasonOf(error)}`);
    }
    const absent = outputs.filter((output) => !OUTPUTS[graph]?.includes(output));
    if (absent.length) throw new BundleError(`${graph} has no output ${absent.join(", ")}`);
    const flow = new OpenFlow(new WebAssembly.Instance(module, {}), bytes, name, graph);
    return async (feeds) => {
      if (this.#closed) throw new ClosedError("the flow was closed: load the bundle again");
      return flow.run(feeds, outputs);
    };
  }

  /** As `Engine.close`. */
  async close() {
    this.#closed = true;
  }
}

/** A flow in the memory of one instance. */
class OpenFlow {
  #library;
  #graph;
  #flow;
  #workspace;
  #free; // where rows may lie
  #widths;
  #Numbers;

  constructor({ exports }, bytes, name, graph) {
    this.#library = exports;
    this.#graph = graph;
    const how = graph === "gradient" ? GRADIENT : 0;
    const error = aligned(exports.__heap_base.value);
    const pointer = error + ERROR_BYTES; // where the library writes one size or address
    const file = pointer + 64;
    this.#reserve(file + bytes.length);
    new Uint8Array(exports.memory.buffer).set(bytes, file);
    const check = (status) => {
      if (status) throw new BundleError(`${name}: ${this.#text(error + 4)}`);
    };
    check(exports.rnvp_measure(file, bytes.length, how, pointer, error));
    const needed = this.#word(pointer);
    const flow = aligned(file + bytes.length);
    this.#reserve(flow + needed);
    check(exports.rnvp_build(file, bytes.length, how, flow, needed, pointer, error));
    this.#flow = flow;
    this.#workspace = aligned(flow + needed);
    this.#free = aligned(this.#workspace + exports.rnvp_workspace_size(flow));
    this.#Numbers = exports.rnvp_dtype(flow) === FLOAT64 ? Float64Array : Float32Array;
    const [dim, context] = [exports.rnvp_dim(flow), exports.rnvp_context_dim(flow)];
    this.#widths = { x: dim, z: dim, grad_x: dim, context, grad_context: context, log_prob: 1 };
  }

  /** Named inputs to the outputs asked for, a number of rows at a time. */
  run(feeds, outputs) {
    const draws = this.#graph === "sampler";
    const rows = draws ? Number(feeds.count.data[0]) : (feeds.x ?? feeds.z).shape[0];
    const results = Object.fromEntries(
      outputs.map((output) => [output, new this.#Numbers(rows * this.#widths[output])]),
    );
    for (let low = 0; low < rows; low += ROWS) {
      this.#block(feeds, results, low, Math.min(ROWS, rows - low));
    }
    const dtype = this.#Numbers === Float64Array ? "float64" : "float32";
    return Object.fromEntries(
      Object.entries(results).map(([output, data]) => {
        const shape = output === "log_prob" ? [rows] : [rows, this.#widths[output]];
        return [output, { dtype, data, shape }];
      }),
    );
  }

  #block(feeds, results, low, count) {
    const at = {}; // where each input and output lies
    let free = this.#free;
    const inputs = ["x", "z", "context"].filter((name) => feeds[name] && this.#widths[name]);
    for (const name of inputs) free = this.#place(at, `given ${name}`, name, free, count);
    for (const name of Object.keys(results)) free = this.#place(at, name, name, free, count);
    this.#reserve(free);
    for (const name of inputs) {
      const width = this.#widths[name];
      const values = feeds[name].data.subarray(low * width, (low + count) * width);
      this.#numbers(at[`given ${name}`], values.length).set(values);
    }
    const given = (name) => at[`given ${name}`] ?? 0;
    const written = OUTPUTS[this.#graph].map((name) => at[name] ?? 0);
    const status = this.#call(feeds, low, count, given, written);
    if (status) throw new EngineError(`the native engine refused the arguments (status ${status})`);
    for (const [name, whole] of Object.entries(results)) {
      const width = this.#widths[name];
      whole.set(this.#numbers(at[name], count * width), low * width);
    }
  }

  #place(at, key, name, free, count) {
    at[key] = free;
    return aligned(free + count * this.#widths[name] * this.#Numbers.BYTES_PER_ELEMENT);
  }

  #call(feeds, low, count, given, written) {
    const { rnvp_forward, rnvp_inverse, rnvp_sample, rnvp_gradient } = this.#library;
    const [flow, workspace, context] = [this.#flow, this.#workspace, given("context")];
    if (this.#graph === "sampler") {
      const start = feeds.start.data[0] + BigInt(low);
      const seed = BigInt.asUintN(64, feeds.seed.data[0]);
      const heat = feeds.temperature.data[0];
      return rnvp_sample(flow, workspace, seed, start, count, heat, context, ...written);
    }
    const run = { density: rnvp_forward, inverse: rnvp_inverse, gradient: rnvp_gradient };
    const rows = given("x") || given("z");
    return run[this.#graph](flow, workspace, count, rows, context, ...written);
  }

  #reserve(end) {
    const { memory } = this.#library;
    const missing = end - memory.buffer.byteLength;
    if (missing > 0) memory.grow(Math.ceil(missing / PAGE));
  }

  /** A view that lasts until the memory grows. */
  #numbers(at, length) {
    return new this.#Numbers(this.#library.memory.buffer, at, length);
  }

  #word(at) {
    return new DataView(this.#library.memory.buffer).getUint32(at, true);
  }

  #text(at) {
    const bytes = new Uint8Array(this.#library.memory.buffer, at, ERROR_BYTES - 4);
    return new TextDecoder().decode(bytes.subarray(0, bytes.indexOf(0)));
  }
}

const aligned = (address) => Math.ceil(address / 64) * 64;
