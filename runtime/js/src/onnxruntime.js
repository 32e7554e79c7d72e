/** onnxruntime itself: found, set up, and old enough to refuse. */
import { IN_NODE } from "./environment.js";
import { BundleError, RnvpError, reasonOf } from "./errors.js";

/** Beside this package, as npm lays packages out and as the page of `rnvp-export --web` does. */
const BESIDE = new URL("../../onnxruntime-web/dist/", import.meta.url);

/**
 * The onnxruntime to run on, set up.
 *
 * @param {{ort?: string | object, threads?: number}} options as of `load`
 * @throws {RnvpError} It is not there: says what to install.
 */
export async function onnxruntime({ ort, threads = 1 }) {
  if (typeof ort === "object") return ort;
  const module =
    IN_NODE && !ort ? await installed(threads) : await served(ort ?? BESIDE.href, threads);
  module.env.logLevel = "error";
  return module;
}

/** onnxruntime-node, or where that is not installed, the WebAssembly build. */
async function installed(threads) {
  for (const name of ["onnxruntime-node", "onnxruntime-web"]) {
    try {
      const module = await import(/* @vite-ignore */ /* webpackIgnore: true */ name);
      if (name === "onnxruntime-web") module.env.wasm.numThreads = threads;
      return module;
    } catch (error) {
      if (error.code !== "ERR_MODULE_NOT_FOUND") {
        throw new RnvpError(`${name} does not start: ${reasonOf(error)}`);
      }
    }
  }
  throw new RnvpError("onnxruntime-node is not installed: npm install onnxruntime-node");
}

/** The WebAssembly build from the folder at `url`: the wasm kernels, and nothing for GPUs. */
async function served(url, threads) {
  const folder = url.endsWith("/") ? url : `${url}/`;
  try {
    const module = await import(
      /* @vite-ignore */ /* webpackIgnore: true */ `${folder}ort.wasm.min.mjs`
    );
    module.env.wasm.wasmPaths = folder;
    module.env.wasm.numThreads = threads;
    // The wasm is fetched and compiled when a first session is asked for: ask for one of nothing,
    // so that this happens while the bundle is still arriving.
    module.InferenceSession.create(new Uint8Array()).catch(() => {});
    return module;
  } catch (error) {
    throw new RnvpError(
      `onnxruntime-web cannot be loaded from ${folder} (${reasonOf(error)}): npm install ` +
        "onnxruntime-web, serve its dist folder, and pass {ort: the folder's URL}",
    );
  }
}

/**
 * Refuse an onnxruntime older than `least`.
 *
 * @throws {BundleError} Says which was found and which is needed.
 */
export function checkOnnxruntime({ env }, least) {
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
