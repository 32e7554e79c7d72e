/**
 * The engines of this package, and which of them opens a graph.
 *
 *     const engines = new Engines({ formats: formatsOf({ threads: 1 }), threads: 1 });
 *
 * An engine opens files of one format, so a list of formats, the preferred one first, says which
 * engines may serve a flow. `graphs.js` takes the first one that the bundle holds.
 */
import { ClosedError, InputError } from "./errors.js";
import { NativeEngine } from "./native.js";
import { OnnxruntimeEngine } from "./onnxruntime.js";

/** By format: a key of the manifest's `graphs.*.files`. */
const ENGINES = { native: NativeEngine, onnx: OnnxruntimeEngine };

/** By the name that `load` takes. */
const FORMATS = { native: ["native"], onnxruntime: ["onnx"] };

/**
 * The formats to look for in a bundle, the preferred one first.
 *
 * Without a name the native engine serves every bundle that it can, and onnxruntime the others.
 * Only onnxruntime can use several threads or an onnxruntime module, so they choose it.
 *
 * @param {{engine?: string, ort?: unknown, threads: number}} options of `load`
 * @throws {InputError} There is no such engine, or it cannot use the other options.
 */
export function formatsOf({ engine, ort, threads }) {
  if (engine === undefined) {
    return threads > 1 || isModule(ort) ? FORMATS.onnxruntime : Object.keys(ENGINES);
  }
  if (!Object.hasOwn(FORMATS, engine)) {
    const names = Object.keys(FORMATS).join(", ");
    throw new InputError(`there is no engine ${JSON.stringify(engine)}: choose from ${names}`);
  }
  if (engine === "native" && (ort !== undefined || threads !== 1)) {
    throw new InputError("the engine native takes neither ort nor threads: leave them out");
  }
  return FORMATS[engine];
}

/** Whether `ort` is an onnxruntime module, and not its address. */
export const isModule = (ort) =>
  ort !== null && ["object", "function"].includes(typeof ort) && !(ort instanceof URL);

/** The engines of `formats` as one `Engine`, on the calling thread. */
export class Engines {
  ahead = 1;
  formats;
  #settings;
  #started = new Map(); // format -> engine
  #closed = false;

  /**
   * The preferred engine starts at once, so that it is ready when the bundle is.
   *
   * @param {{formats: string[], ort?: string | object, threads: number}} settings
   */
  constructor(settings) {
    this.formats = settings.formats;
    this.#settings = settings;
    this.#engine(this.formats[0]);
  }

  /** As `Engine.open`. */
  async open(bytes, outputs, about) {
    if (this.#closed) throw new ClosedError("the flow was closed: load the bundle again");
    return this.#engine(about.format).open(bytes, outputs, about);
  }

  /** As `Engine.close`. */
  async close() {
    this.#closed = true;
    await Promise.all([...this.#started.values()].map((engine) => engine.close()));
  }

  #engine(format) {
    if (!this.#started.has(format)) {
      this.#started.set(format, new ENGINES[format](this.#settings));
    }
    return this.#started.get(format);
  }
}
