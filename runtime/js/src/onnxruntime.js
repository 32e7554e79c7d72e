/** The engine over onnxruntime-web (WebAssembly) or onnxruntime-node, on the calling thread. */
import { BundleError, ClosedError, EngineError, reasonOf } from "./errors.js";
import { onnxruntimeModule } from "./onnxruntime-module.js";

export class OnnxruntimeEngine {
  #module;
  #threads;
  #sessions = [];
  #running = new Set();
  #closed = false;

  /**
   * The module is imported at once, so that it is ready when the bundle is.
   *
   * @param {{ort?: string | object, threads: number}} settings
   */
  constructor(settings) {
    this.#threads = settings.threads;
    this.#module = onnxruntimeModule(settings);
    this.#module.catch(() => {}); // each `open` reports it
  }

  /** As `Engine.open`. */
  async open(bytes, outputs, { name, minOnnxruntime }) {
    const ort = await this.#module;
    if (minOnnxruntime) checkVersion(ort, minOnnxruntime);
    let session;
    try {
      session = await ort.InferenceSession.create(bytes, {
        intraOpNumThreads: this.#threads,
        interOpNumThreads: 1,
        logSeverityLevel: 3, // errors are thrown; a caller can do nothing about warnings
      });
    } catch (error) {
      throw new BundleError(`onnxruntime cannot open ${name}: ${reasonOf(error)}`);
    }
    if (this.#closed) {
      session.release();
      throw closed();
    }
    this.#sessions.push(session);
    const absent = outputs.filter((output) => !session.outputNames.includes(output));
    if (absent.length) throw new BundleError(`${name} has no output ${absent.join(", ")}`);
    return (feeds) => {
      if (this.#closed) return Promise.reject(closed());
      return this.#tracked(run(ort, session, feeds, outputs, name));
    };
  }

  /** As `Engine.close`. A session must not be released while it runs. */
  async close() {
    this.#closed = true;
    await Promise.allSettled(this.#running);
    for (const session of this.#sessions.splice(0)) await session.release();
  }

  #tracked(running) {
    this.#running.add(running);
    const done = () => this.#running.delete(running);
    running.then(done, done);
    return running;
  }
}

const closed = () => new ClosedError("the flow was closed: load the bundle again");

async function run(ort, session, feeds, outputs, name) {
  const tensors = Object.entries(feeds).map(([input, { dtype, data, shape }]) => [
    input,
    new ort.Tensor(dtype, data, shape),
  ]);
  let found;
  try {
    found = await session.run(Object.fromEntries(tensors), outputs);
  } catch (error) {
    throw new EngineError(`onnxruntime fails to run ${name}: ${reasonOf(error)}`);
  }
  return Object.fromEntries(
    outputs.map((output) => {
      const { type, data, dims } = found[output];
      return [output, { dtype: type, data, shape: [...dims] }];
    }),
  );
}

/**
 * Refuse an onnxruntime older than `least`.
 *
 * @throws {BundleError} Says which was found and which is needed.
 */
function checkVersion({ env }, least) {
  const [kind, found] =
    Object.entries(env.versions ?? {}).find(([name]) => name !== "common") ?? [];
  if (found && older(numbers(found), numbers(least))) {
    throw new BundleError(
      `onnxruntime-${kind} ${found} is too old, this bundle needs ${least}: ` +
        `npm install onnxruntime-${kind}@latest`,
    );
  }
}

const numbers = (version) => (/^\d+(\.\d+)*/.exec(version)?.[0] ?? "").split(".").map(Number);

function older(one, other) {
  const i = other.findIndex((part, at) => part !== (one[at] ?? 0));
  return i >= 0 && (one[i] ?? 0) < other[i];
}
