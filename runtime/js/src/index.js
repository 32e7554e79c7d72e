/**
 * Draw samples and evaluate densities of an exported R-NVP flow, in a page or in Node.
 *
 *     const flow = await load("model.rnvp");
 *     const { x, logProb } = await flow.sample(1000, { seed: 7 });
 *
 * `index.d.ts` documents every name.
 */
import { Bundle } from "./bundle.js";
import { startEngine } from "./engine.js";
import { InputError } from "./errors.js";
import { Flow } from "./flow.js";
import { Graphs } from "./graphs.js";
import { publicKeyOf } from "./signature.js";
import { sourceOf } from "./source.js";

export { BundleError, ClosedError, EngineError, InputError, RnvpError } from "./errors.js";
export { Flow } from "./flow.js";
export { Matrix } from "./matrix.js";

export async function load(bundle, options = {}) {
  const { threads = 1, worker, ort, fetch, engine, publicKey } = options;
  if (!(Number.isInteger(threads) && threads >= 1)) {
    throw new InputError(`threads is ${threads}, expected at least 1`);
  }
  if (fetch !== undefined && typeof fetch !== "function") {
    throw new InputError(`fetch is ${typeof fetch}, expected a function such as window.fetch`);
  }
  const source = sourceOf(bundle, fetch);
  const started = startEngine({ engine, ort, threads, worker }); // while the manifest arrives
  try {
    const key = publicKey === undefined ? undefined : await publicKeyOf(publicKey);
    return new Flow(new Graphs(await Bundle.read(source, key), started));
  } catch (error) {
    started.close();
    throw error;
  }
}
