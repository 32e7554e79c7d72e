/** A bundle as a flow: what its methods take is checked here, what they do is the engine's. */
import { InputError } from "./errors.js";
import { freshSeed, rowRange, signedSeed } from "./integers.js";
import { Matrix, matrixOf } from "./matrix.js";

export class Flow {
  #engine;
  #Float;

  /** Made by `load`. */
  constructor(engine, manifest) {
    this.#engine = engine;
    this.#Float = manifest.dtype === "float64" ? Float64Array : Float32Array;
    this.manifest = manifest;
    this.dim = manifest.dim;
    this.contextDim = manifest.context_dim;
    this.columns = manifest.columns;
    this.contextColumns = manifest.context_columns;
  }

  async logProb(x, { context } = {}) {
    return (await this.#map("density", "z", "x", x, context)).logProb;
  }

  async forward(x, { context } = {}) {
    const { values, logProb } = await this.#map("density", "z", "x", x, context);
    return { z: values, logProb };
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
    const given = this.#context(isRow(context) ? [context] : context);
    if (given && given.shape[0] !== rows && given.shape[0] !== 1) {
      throw new InputError(
        `context has ${given.shape[0]} rows: pass one, or one for each of ${rows}`,
      );
    }
    const repeat = given?.shape[0] !== rows;
    const { values, logProb } = await this.#run(
      "sampler",
      "x",
      rows,
      { context: given },
      { draw, repeat },
    );
    return { x: values, logProb };
  }

  close() {
    return this.#engine.close();
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
    const given = this.#context(context);
    if (given && given.shape[0] !== rows.shape[0]) {
      throw new InputError(
        `context has ${given.shape[0]} rows, ${name} ${rows.shape[0]}: pass one for each row`,
      );
    }
    return this.#run(graph, output, rows.shape[0], { [name]: rows, context: given });
  }

  /** The rows of context; null for an unconditional flow. */
  #context(context) {
    if (!this.contextDim) {
      if (context === undefined || context === null) return null;
      throw new InputError("context was given, but the flow takes none: leave it out");
    }
    if (context === undefined || context === null) {
      throw new InputError(
        `the flow needs context, (n, ${this.contextDim}): ${this.contextColumns.join(", ")}`,
      );
    }
    return matrixOf(context, "context", this.contextColumns, this.#Float);
  }

  async #run(graph, output, rows, given, { draw, repeat = false } = {}) {
    const matrices = {};
    for (const [name, matrix] of Object.entries(given)) {
      if (matrix) matrices[name] = { data: matrix.data, width: matrix.shape[1], repeat };
    }
    const { values, logProb } = await this.#engine.run({ graph, rows, output, matrices, draw });
    return { values: new Matrix(values, [rows, this.dim]), logProb };
  }
}

const isRow = (context) =>
  (Array.isArray(context) && context.length > 0 && context.every((v) => typeof v === "number")) ||
  (ArrayBuffer.isView(context) && !(context instanceof DataView));
