/**
 * The onnxruntime package: found and set up when an engine starts, so that a page or a program
 * that only imports this package loads nothing.
 */
import { IN_NODE } from "./environment.js";
import { EngineError, reasonOf } from "./errors.js";
import { faultOf } from "./script-fault.js";
import { checkWebAssembly } from "./webassembly.js";

/**
 * @param {{ort?: string | object, threads: number}} settings `ort`: a module; or the URL of the
 *   folder of onnxruntime-web's files, or of the file `ort.wasm.min.mjs`, which may be called .js
 * @returns {Promise<object>} the module
 * @throws {EngineError} It is missing or cannot start; the message says what to install or to set.
 */
export async function onnxruntimeModule({ ort, threads }) {
  if (ort !== undefined && typeof ort !== "string") return ort;
  const module = IN_NODE && !ort ? await installed(threads) : await served(ort, threads);
  module.env.logLevel = "error";
  return module;
}

/** onnxruntime-node, or where that is not installed, the WebAssembly build. */
async function installed(threads) {
  // onnxruntime 1.29 and newer sends telemetry unless this is set before it is imported.
  process.env.ORT_DISABLE_TELEMETRY ??= "1";
  for (const name of ["onnxruntime-node", "onnxruntime-web"]) {
    try {
      const module = await imported(name);
      if (name === "onnxruntime-web") module.env.wasm.numThreads = threads;
      return module;
    } catch (error) {
      if (!["ERR_MODULE_NOT_FOUND", "MODULE_NOT_FOUND"].includes(error?.code)) {
        throw new EngineError(`${name} does not start: ${reasonOf(error)}`);
      }
    }
  }
  throw new EngineError("onnxruntime-node is not installed: npm install onnxruntime-node");
}

/** The WebAssembly build from a URL: the wasm kernels, and nothing for GPUs. */
async function served(ort, threads) {
  checkWebAssembly();
  const { module: url, mjs, wasm } = wasmBuild(ort ?? besideThisPackage());
  let module;
  try {
    module = await imported(url);
  } catch (error) {
    const fault = await whyNotImported(url, error);
    const advice = fault.includes("served as")
      ? "correct the server's MIME types, or serve the two .mjs files under names that end in .js " +
        "and pass {ort: the URL of ort.wasm.min.js}"
      : "npm install onnxruntime-web, serve its dist folder, and pass {ort: the folder's URL}";
    throw new EngineError(`onnxruntime-web cannot be loaded from ${url} (${fault}): ${advice}`);
  }
  const found = module.InferenceSession ? module : module.default;
  if (!found?.InferenceSession) {
    throw new EngineError(
      `${url} is not onnxruntime-web's ES module: copy ort.wasm.min.mjs there, not ort.wasm.min.js`,
    );
  }
  found.env.wasm.wasmPaths = { mjs, wasm };
  found.env.wasm.numThreads = threads;
  // The wasm is fetched and compiled when a first session is asked for. Asking for an empty one
  // makes that happen while the bundle is still arriving.
  found.InferenceSession.create(new Uint8Array()).catch(() => {});
  return found;
}

/** The addresses of the three files of the WebAssembly build. */
function wasmBuild(ort) {
  const { 1: file, 2: suffix } = /([^/?#]+\.(m?js))(?:[?#].*)?$/.exec(ort) ?? [];
  const base = file ? ort : ort.replace(/\/?(\?.*)?$/, "/$1");
  const search = /\?[^#]*/.exec(ort)?.[0] ?? "";
  const at = (name) => new URL(name + search, base).href;
  return {
    module: file ? ort : at("ort.wasm.min.mjs"),
    mjs: at(`ort-wasm-simd-threaded.${suffix ?? "mjs"}`),
    wasm: at("ort-wasm-simd-threaded.wasm"),
  };
}

/**
 * onnxruntime-web's folder beside this package, as npm lays packages out. It is computed when it is
 * needed, and as text: bundlers take `new URL("…", import.meta.url)` for a file to copy, also when
 * its parts are variables.
 */
function besideThisPackage() {
  const here = import.meta.url;
  if (here && (IN_NODE || !here.startsWith("file:"))) {
    const [packages] = here.split(/[?#]/)[0].match(/^.*\/(?=([^/]+\/){2}[^/]*$)/) ?? [];
    if (packages) return `${packages}onnxruntime-web/dist/`;
  }
  throw new EngineError(
    "onnxruntime-web's files cannot be found from inside a bundle: serve its dist folder, and " +
      "pass {ort: the folder's URL}",
  );
}

/** An import that bundlers leave as it is. */
const imported = (name) =>
  import(/* @vite-ignore */ /* webpackIgnore: true */ /* turbopackIgnore: true */ name);

async function whyNotImported(url, error) {
  const fault = /^https?:/.test(url) ? await faultOf(url) : "";
  return fault && !fault.startsWith("it,") ? fault : reasonOf(error);
}
