/** A bundle as a flow. The arguments of its methods are checked here; `graphs.js` computes. */
import { InputError } from "./errors.js";
import { freshSeed, rowRange, signedSeed } from "./integers.js";
import { Matrix, matrixOf } from "./matrix.js";

export class Flow {
  #graphs;
  #Float;

  /** Made by `load`. */
  constructor(graphs) {
    const { manifest } = graphs;
    this.#graphs = graphs;
    this.#Float = manifest.dtype === "float64" ? Float64Array : Float32Array;
    this.dim = manifest.dim;
    this.contextDim = manifest.context_dim;
    this.columns = manifest.columns;
    this.contextColumns = manifest.context_columns;
  }

  get manifest() {
    return this.#graphs.manifest;
  }

  async logProb(x, { context } = {}) {
    return (await this.#map("density", "z", "x", x, context)).logProb;
  }

  async forward(x, { context } = {}) {
    const { values, logProb } = await this.#map("density", "z", "x", x, context);
    return { z: values, logProb };
  }

  async logProbAndGrad(x, { context } = {}) {
    const found = await this.#map("gradient", "grad_x", "x", x, context);
    const { values: gradX, logProb, gradContext } = found;
    return gradContext ? { logProb, gradX, gradContext } : { logProb, gradX };
  }

  async inverse(z, { context } = {}) {
    const { values, logProb } = await this.#map("inverse", "x", "z", z, context);
    return { x: values, logProb };
  }

  async sample(n, { seed, start = 0, temperature = 1, context } = {}) {
    const [rows, first] = rowRange(n, start);
    const draw = {
      seed: signedSeed(seed ?? freshSeed()),
      start: first,
      temperature: this.#temperature(temperature),
    };
    const given = { context: this.#context(context, rows, `${rows} samples`) };
    const { values, logProb } = await this.#run("sampler", "x", rows, given, draw);
    return { x: values, logProb };
  }

  close() {
    return this.#graphs.close();
  }

  #temperature(temperature) {
    const most = this.#Float === Float64Array ? Number.MAX_VALUE : 3.4028234663852886e38;
    if (!(typeof temperature === "number" && temperature >= 0 && temperature <= most)) {
      throw new InputError(`temperature is ${temperature}, expected a finite number, 0 or more`);
    }
    return temperature;
  }

  /** `output` of `graph` for the rows of `values`, the input called `name`. */
  async #map(graph, output, name, values, context) {
    const rows = matrixOf(values, name, this.columns, this.#Float);
    const [n] = rows.shape;
    const given = { [name]: rows, context: this.#context(context, n, `${name} has ${n}`) };
    return this.#run(graph, output, n, given);
  }

  /**
   * The rows of context: `rows` of them, or one that stands for all. null for an unconditional
   * flow.
   */
  #context(context, rows, whose) {
    const absent = context === undefined || context === null;
    if (!this.contextDim) {
      if (absent) return null;
      throw new InputError("context was given, but the flow takes none: leave it out");
    }
    if (absent) {
      throw new InputError(
        `the flow needs context, (n, ${this.contextDim}): ${this.contextColumns.join(", ")}`,
      );
    }
    const given = matrixOf(asRows(context), "context", this.contextColumns, this.#Float);
    if (given.shape[0] !== rows && given.shape[0] !== 1) {
      throw new InputError(
        `context has ${given.shape[0]} rows, ${whose}: pass one row, or one for each`,
      );
    }
    return given;
  }

  async #run(graph, output, rows, given, draw) {
    const matrices = {};
    for (const [name, matrix] of Object.entries(given)) {
      if (!matrix) continue;
      const [length, width] = matrix.shape;
      matrices[name] = { data: matrix.data, width, repeat: length !== rows };
    }
    const widths = { [output]: this.dim };
    if (graph === "gradient" && this.contextDim) widths.grad_context = this.contextDim;
    const { logProb, values } = await this.#graphs.run({ graph, rows, widths, matrices, draw });
    const [first, second] = Object.entries(values).map(
      ([name, data]) => new Matrix(data, [rows, widths[name]]),
    );
    return { values: first, logProb, gradContext: second };
  }
}

/** A context of one row, (c,), as rows: [context]. */
function asRows(context) {
  if (context?.data !== undefined && context.shape?.length === 1) {
    return { data: context.data, shape: [1, ...context.shape] };
  }
  const flat = Array.isArray(context)
    ? context.length > 0 && context.every((value) => typeof value === "number")
    : ArrayBuffer.isView(context) && !(context instanceof DataView);
  return flat ? [context] : context;
}
