/**
 * Draw samples and evaluate densities of an exported R-NVP flow, in a page or in Node.
 *
 *     const flow = await load("model.rnvp");
 *     const { x, logProb } = await flow.sample(1000, { seed: 7 });
 *
 * `index.d.ts` documents every name.
 */
import { Engine } from "./engine.js";
import { IN_PAGE } from "./environment.js";
import { BundleError, InputError } from "./errors.js";
import { Flow } from "./flow.js";
import { parseManifest } from "./manifest.js";
import { RemoteEngine } from "./remote.js";
import { read, sourceOf } from "./source.js";

export { BundleError, InputError, RnvpError } from "./errors.js";
export { Flow } from "./flow.js";
export { Matrix } from "./matrix.js";

export async function load(bundle, options = {}) {
  const { threads = 1, worker = IN_PAGE && !isModule(options.ort) } = options;
  if (!(Number.isInteger(threads) && threads >= 1)) {
    throw new InputError(`threads is ${threads}, expected at least 1`);
  }
  const source = sourceOf(bundle);
  const engine = new (worker ? RemoteEngine : Engine)(source, {
    ort: absolute(options.ort),
    threads,
  });
  try {
    const manifest = await manifestOf(source);
    engine.open(manifest);
    return new Flow(engine, manifest);
  } catch (error) {
    engine.close();
    throw error;
  }
}

const isModule = (ort) => typeof ort === "object" && !(ort instanceof URL);

/** A URL as a worker can follow it, or the module given instead. */
function absolute(ort) {
  if (ort instanceof URL) return ort.href;
  return typeof ort === "string" && IN_PAGE ? new URL(ort, document.baseURI).href : ort;
}

async function manifestOf(source) {
  const content = await read(source, "manifest.json");
  if (content === null) {
    throw new BundleError(`${source.name} has no manifest.json, so it is not a bundle`);
  }
  let text;
  try {
    text = new TextDecoder("utf-8", { fatal: true }).decode(content);
  } catch {
    throw new BundleError(
      `${source.name}: manifest.json is not UTF-8 text; export the bundle again`,
    );
  }
  try {
    return parseManifest(text);
  } catch (error) {
    if (error instanceof BundleError) error.message = `${source.name}: ${error.message}`;
    throw error;
  }
}
