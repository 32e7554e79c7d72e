/** Floats of the bundle's dtype: Float32Array for "float32" bundles, Float64Array for "float64". */
export type Float = Float32Array | Float64Array;

/** Numbers row by row. */
export class Matrix<F extends Float = Float32Array> {
  constructor(data: F, shape: readonly [number, number]);
  /** (n * width,), row by row. */
  readonly data: F;
  /** [n, width]. */
  readonly shape: readonly [n: number, width: number];
  /** Row i: (width,), a view. */
  row(i: number): F;
  /** All rows in turn, each a view. */
  rows(): Generator<F, void, undefined>;
  /** Column j: (n,), a copy. */
  column(j: number): F;
}

/**
 * Rows that a caller may pass: n rows of numbers, or numbers row by row with their shape (a
 * `Matrix` is one). NaN and infinity are numbers here: they pass through.
 */
export type Rows =
  | readonly (readonly number[] | Float)[]
  | { readonly data: ArrayLike<number>; readonly shape: readonly [n: number, width: number] };

/**
 * What holds a bundle: a URL; in Node a path or a `file:` URL; the `File`s that a person picked or
 * dropped (with `webkitRelativePath` where they come from a folder); or bytes by file name.
 */
export type Bundle =
  | string
  | URL
  | Iterable<File>
  | ReadonlyMap<string, Blob | ArrayBuffer | Uint8Array>
  | Readonly<Record<string, Blob | ArrayBuffer | Uint8Array>>;

export interface LoadOptions {
  /**
   * What computes. "native" is this package's own WebAssembly, for bundles that hold `flow.bin`: it
   * needs no onnxruntime, and takes no `ort` or `threads`. "onnxruntime" serves every bundle.
   *
   * Default: "native" where the bundle has it, else "onnxruntime". Only onnxruntime can use more
   * than one thread or an onnxruntime module that you imported, so they choose it.
   */
  engine?: "onnxruntime" | "native";
  /**
   * Where onnxruntime is, if it is needed. The URL of the folder that holds onnxruntime-web's `ort.wasm.min.mjs`,
   * `ort-wasm-simd-threaded.mjs` and `ort-wasm-simd-threaded.wasm`; or the URL of
   * `ort.wasm.min.mjs` itself, which may be called `.js` (then the second file must be too); or an
   * onnxruntime module that you imported, which runs on the calling thread.
   *
   * Default in a page: `onnxruntime-web/dist/` beside this package, where npm puts it. Default in
   * Node: the package onnxruntime-node, or without that onnxruntime-web.
   */
  ort?: string | URL | object;
  /**
   * Threads that onnxruntime splits one operator over; 1 by default, and more gain little, since
   * rows run in tiles. In a page more than 1 needs cross-origin isolation (two response headers,
   * COOP and COEP, that most static hosts do not send).
   */
  threads?: number;
  /**
   * Whether to compute in a worker, so that the page stays responsive; or the URL of the script
   * `rnvp-runtime/worker`, or a function that makes a `Worker` of it. Default: true on a page's
   * main thread; false in Node, in workers, with an onnxruntime module, and in bundles from which
   * the worker's address is missing (IIFE, CommonJS).
   */
  worker?: boolean | string | URL | (() => Worker);
  /**
   * What to fetch the bundle's files with, for headers or credentials:
   * `(url, init) => fetch(url, { ...init, credentials: "include" })`. It is called on the calling
   * thread; pass `init` on, since `init.cache` decides whether a cache may answer. onnxruntime's
   * own files are not fetched with it.
   */
  fetch?: (url: string, init: { cache: "default" | "no-cache" | "reload" }) => Promise<Response>;
  /**
   * The publisher's public key, a text in PEM on the curve P-256, P-384 or P-521. The bundle must
   * then be signed (`rnvp-export --sign`) with the private key that belongs to it: `model.sig` is
   * checked over the manifest, and each graph against the manifest when it is read. A folder, or
   * files that you pass, may hold no file that was not signed. Do not get the key from the same
   * place as the bundle. Default: signatures are not checked.
   */
  publicKey?: string;
}

/**
 * Context of a conditional flow: (n, contextDim), one row for each row; or one row for all,
 * (contextDim,) or (1, contextDim).
 */
export type Context =
  | Rows
  | readonly number[]
  | Float
  | { readonly data: ArrayLike<number>; readonly shape: readonly [width: number] };

export interface Given {
  context?: Context;
}

export interface SampleOptions extends Given {
  /** -2**63 ... 2**64 - 1, negative ones by two's complement. Left out: fresh entropy. */
  seed?: number | bigint;
  /** The first row: `start + n` is at most 2**63 - 1. 0 by default. */
  start?: number | bigint;
  /** Scales the latents: 1, the default, samples the flow; 0 gives the image of the origin. */
  temperature?: number;
}

/**
 * A normalizing flow x <-> z with density p(x), loaded from a bundle. `F` is the array type of its
 * numbers: Float32Array; Float64Array for a bundle whose `manifest.dtype` is "float64".
 *
 * Methods may be called while others are running. Each rejects with
 * - `InputError` for numbers that do not fit the flow;
 * - `BundleError` if its graph is missing, altered or replaced, or is not what a bundle promises;
 * - `EngineError` if onnxruntime or the worker cannot start or has stopped: every later call
 *   rejects with the same error;
 * - `ClosedError` after `close`.
 */
export class Flow<F extends Float = Float32Array> {
  private constructor();
  /**
   * `manifest.json`, checked and frozen. It changes only if the bundle is found to be replaced
   * before anything was computed; columns and dtype stay the same.
   */
  readonly manifest: Manifest;
  /** d, columns of x and of z. */
  readonly dim: number;
  /** c, 0 for an unconditional flow. */
  readonly contextDim: number;
  /** d names. */
  readonly columns: readonly string[];
  /** c names. */
  readonly contextColumns: readonly string[];

  /** log p(x), or log p(x | context): (n,), in nats, of x in its own units. */
  logProb(x: Rows, options?: Given): Promise<F>;
  /** The latent z of x, (n, d), and log p(x), (n,), nats. */
  forward(x: Rows, options?: Given): Promise<{ z: Matrix<F>; logProb: F }>;
  /**
   * log p(x), (n,), nats, and its derivatives: by x, (n, d), nats per unit of each column; for a
   * conditional flow also by the context, (n, c). A bundle of an older rnvp-deploy lacks this graph.
   */
  logProbAndGrad(
    x: Rows,
    options?: Given,
  ): Promise<{ logProb: F; gradX: Matrix<F>; gradContext?: Matrix<F> }>;
  /** The x whose latent is z, (n, d), and log p(x), (n,), nats. */
  inverse(z: Rows, options?: Given): Promise<{ x: Matrix<F>; logProb: F }>;
  /**
   * Rows `start` ... `start + n - 1` of the stream of samples that `seed` names: x, (n, d), and
   * its log-density, (n,), nats.
   *
   * Sample i of a given seed is always the same row, on any machine and in any language:
   * `sample(10, {seed: 7})` ends in the rows of `sample(6, {seed: 7, start: 4})`. So a page may
   * draw a large sample in parts.
   */
  sample(n: number | bigint, options?: SampleOptions): Promise<{ x: Matrix<F>; logProb: F }>;
  /** Free the memory and end the worker. Calls under way and later ones are rejected. */
  close(): Promise<void>;
}

/**
 * Load a bundle. Only its manifest is read here; each graph is opened, its size and sha256
 * checked, when it is first used.
 *
 * `load<Float64Array>(…)` types the numbers of a float64 bundle.
 *
 * @throws {BundleError} It is not a bundle, or one that this runtime cannot read, or it was not
 *   signed with the key of `publicKey`.
 * @throws {InputError} The argument cannot hold a bundle, or an option is wrong.
 *
 * @example
 * const flow = await load("model.rnvp");
 * const { x, logProb } = await flow.sample(1000, { seed: 7 });
 */
export function load<F extends Float = Float32Array>(
  bundle: Bundle,
  options?: LoadOptions,
): Promise<Flow<F>>;

/** The root of the others; its message says what was found, what was expected and what to do. */
export class RnvpError extends Error {}
/** A bundle is missing, incomplete, altered, or newer than this runtime. */
export class BundleError extends RnvpError {}
/** Numbers or arrays that do not fit the flow. */
export class InputError extends RnvpError {}
/** The engine, or the worker that it runs in, cannot start or has stopped. */
export class EngineError extends RnvpError {}
/** A method was called after `close`, or was still running at that time. */
export class ClosedError extends RnvpError {}

/** One input or output of a graph; a symbolic axis is its name, `[]` is a scalar. */
export interface TensorSpec {
  readonly name: string;
  readonly dtype: string;
  readonly shape: readonly (number | string)[];
}

/** One graph of the bundle; `files` is format ("onnx", "torchscript", "pt2", "native") -> file name. */
export interface Graph {
  readonly inputs: readonly TensorSpec[];
  readonly outputs: readonly TensorSpec[];
  readonly nodes: number;
  readonly files: Readonly<Record<string, string>>;
}

/** Absolute errors over the probe rows, in the parity's unit and divided by its scale. */
export interface Spread {
  readonly median: number;
  readonly p99: number;
  readonly worst: number;
}

/** The error of one output of one exported graph against eager float64, beside eager's own. */
export interface Parity {
  readonly graph: string;
  readonly output: string;
  readonly format: string;
  /** "nats", or the data's. */
  readonly unit: string;
  /** Unit of each column; one number for log_prob. */
  readonly scale: readonly number[];
  readonly eager: Spread;
  readonly exported: Spread;
  readonly ratio: Spread;
  /** Element (i, j) may differ from a test vector by tolerance * scale[j]. */
  readonly tolerance: number;
  readonly passed: boolean;
}

/**
 * Rows to compare new rows with, in a few numbers: the share `levels[i]` of them has at most the
 * log-density `log_prob[i]`.
 */
export interface Reference {
  /** "held-out rows" of the training, or "samples" of the flow. */
  readonly source: string;
  readonly rows: number;
  readonly levels: readonly number[];
  readonly log_prob: readonly number[];
  /** Quantiles 0.001, 0.5 and 0.999 and the standard deviation of each column of x. */
  readonly columns: readonly ColumnReference[];
  /** The same of each context column; empty where they are not known. */
  readonly context_columns: readonly ColumnReference[];
}

export interface ColumnReference {
  readonly low: number;
  readonly median: number;
  readonly high: number;
  readonly deviation: number;
}

/** `manifest.json`, version 1, with its own names. */
export interface Manifest {
  readonly format: "rnvp-bundle";
  readonly version: 1;
  readonly id: string;
  readonly dim: number;
  readonly context_dim: number;
  readonly columns: readonly string[];
  readonly context_columns: readonly string[];
  readonly dtype: "float32" | "float64";
  readonly opset: number;
  readonly ir_version: number;
  readonly min_onnxruntime: string;
  readonly flow: {
    readonly description: string;
    readonly couplings: number;
    readonly parameters: number;
    readonly widths: readonly number[];
  };
  readonly graphs: Readonly<Record<"density" | "inverse" | "sampler", Graph>> & {
    /** Missing in bundles of an older rnvp-deploy. */
    readonly gradient?: Graph;
  };
  readonly parity: readonly Parity[];
  readonly files: Readonly<Record<string, { readonly sha256: string; readonly bytes: number }>>;
  readonly versions: Readonly<Record<string, string>>;
  readonly checkpoint: { readonly sha256: string | null };
  /** The reference rows of the flow; null in older bundles and where nothing is known. */
  readonly reference: Reference | null;
  /** Why no graph has the format "native"; null where it has, and in older bundles. */
  readonly native_refusal: string | null;
}
