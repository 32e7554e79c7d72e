/**
 * `manifest.json`, read as strictly as Python reads it: `rnvp_runtime.manifest` defines the
 * format, this module follows it key by key. Unknown keys are ignored, so that a later writer may
 * add some.
 */
import { BundleError } from "./errors.js";

export const FORMAT = "rnvp-bundle";
export const VERSION = 1;
const GRAPHS = ["density", "inverse", "sampler"]; // of every bundle; newer ones add "gradient"

// A decoder takes (value, where) and gives the value back, or throws naming `where`.
const text = a("text", (v) => typeof v === "string");
const whole = a("a whole number", Number.isInteger);
const number = a("a number", (v) => typeof v === "number");
const flag = a("true or false", (v) => typeof v === "boolean");

const TENSOR = record({
  name: text,
  dtype: text,
  shape: list(a("a whole number or text", (v) => Number.isInteger(v) || typeof v === "string")),
});
const GRAPH = record({
  inputs: list(TENSOR),
  outputs: list(TENSOR),
  nodes: whole,
  files: table(text),
});
const SPREAD = record({ median: number, p99: number, worst: number });
const PARITY = record({
  graph: text,
  output: text,
  format: text,
  unit: text,
  scale: list(number),
  eager: SPREAD,
  exported: SPREAD,
  ratio: SPREAD,
  tolerance: number,
  passed: flag,
});
const COLUMN = record({ low: number, median: number, high: number, deviation: number });
const REFERENCE = record({
  source: text,
  rows: whole,
  levels: list(number),
  log_prob: list(number),
  columns: list(COLUMN),
});
const MANIFEST = record({
  id: text,
  dim: whole,
  context_dim: whole,
  columns: list(text),
  context_columns: list(text),
  dtype: text,
  opset: whole,
  ir_version: whole,
  min_onnxruntime: text,
  flow: record({ description: text, couplings: whole, parameters: whole, widths: list(whole) }),
  graphs: table(GRAPH),
  parity: list(PARITY),
  files: table(record({ sha256: text, bytes: whole })),
  versions: table(text),
  checkpoint: record({ sha256: a("text or null", (v) => v === null || typeof v === "string") }),
  reference: optional(REFERENCE),
});

/**
 * The manifest that `json` spells, frozen.
 *
 * @param {string} json
 * @throws {BundleError} Not JSON, of another format, of a newer version, lacks or mistypes a key,
 *   or holds values that contradict each other.
 */
export function parseManifest(json) {
  let found;
  try {
    found = JSON.parse(json);
  } catch (error) {
    throw new BundleError(`not JSON (${error.message}); export the bundle again`);
  }
  if (found?.format !== FORMAT) {
    throw new BundleError(`not a manifest: its format is not '${FORMAT}'`);
  }
  const { version } = found;
  if (Number.isInteger(version) && version > VERSION) {
    throw new BundleError(
      `format version ${version} is newer than this runtime, which reads ${VERSION}: ` +
        "npm install rnvp-runtime@latest",
    );
  }
  if (version !== VERSION) {
    throw new BundleError(`version should be ${VERSION}, found ${shown(version)}`);
  }
  return consistent({ format: FORMAT, version, ...MANIFEST(found, "") });
}

/** `manifest`, frozen, if its values do not contradict each other. */
function consistent(manifest) {
  const { columns, context_columns, dim, context_dim, graphs, files } = manifest;
  const names = [...columns, ...context_columns];
  expect(/^[0-9a-f]{16}$/.test(manifest.id), "id should be 16 hexadecimal digits");
  expect(dim >= 1, "dim should be at least 1");
  expect(context_dim >= 0, "context_dim should be at least 0");
  expect(columns.length === dim, "columns should hold dim names");
  expect(context_columns.length === context_dim, "context_columns should hold context_dim names");
  expect(new Set(names).size === names.length, "columns and context_columns repeat a name");
  expect(["float32", "float64"].includes(manifest.dtype), "dtype should be float32 or float64");
  expect(
    /^\d+(\.\d+)*$/.test(manifest.min_onnxruntime),
    "min_onnxruntime should be a version such as 1.18",
  );
  const { reference } = manifest;
  if (reference) {
    const { levels, log_prob, rows } = reference;
    expect(reference.columns.length === dim, "reference.columns should hold dim columns");
    expect(rows >= 1, "reference.rows should be at least 1");
    expect(
      levels.length >= 2 && levels.length === log_prob.length,
      "reference.levels and reference.log_prob should be equally long",
    );
    expect(
      levels[0] === 0 && levels.at(-1) === 1 && increases(levels),
      "reference.levels should increase from 0 to 1",
    );
    expect(increases(log_prob), "reference.log_prob should increase");
  }
  for (const name of GRAPHS) expect(Object.hasOwn(graphs, name), `graphs.${name} is missing`);
  for (const [name, graph] of Object.entries(graphs)) {
    expect(Object.hasOwn(graph.files, "onnx"), `graphs.${name}.files.onnx is missing`);
    for (const file of Object.values(graph.files)) {
      expect(Object.hasOwn(files, file), `graphs.${name} names '${file}', which files lacks`);
    }
  }
  for (const file of Object.keys(files)) {
    expect(staysInside(file), `files holds '${file}', which is not inside the bundle`);
  }
  return frozen(manifest);
}

function expect(condition, complaint) {
  if (!condition) throw new BundleError(`${complaint}; export the bundle again`);
}

const increases = (values) => values.every((value, i) => i === 0 || values[i - 1] <= value);

function staysInside(file) {
  const parts = file.split("/");
  return !/[\\:\0]/.test(file) && parts.every((part) => !["", ".", ".."].includes(part));
}

function a(words, test) {
  return (value, where) => {
    if (!test(value)) throw mistyped(where, words, value);
    return value;
  };
}

function list(item) {
  return (value, where) => {
    if (!Array.isArray(value)) throw mistyped(where, "a list", value);
    return value.map((v, i) => item(v, `${where}[${i}]`));
  };
}

function table(item) {
  return (value, where) => {
    if (!isObject(value)) throw mistyped(where, "an object", value);
    return Object.fromEntries(
      Object.entries(value).map(([key, v]) => [key, item(v, inside(where, key))]),
    );
  };
}

/** `item`, or null; a record may lack the key. */
function optional(item) {
  const decoder = (value, where) => (value ?? null) === null ? null : item(value, where);
  return Object.assign(decoder, { optional: true });
}

function record(decoders) {
  return (value, where) => {
    if (!isObject(value)) throw mistyped(where, "an object", value);
    for (const [key, { optional }] of Object.entries(decoders)) {
      if (!optional && !Object.hasOwn(value, key)) throw new BundleError(`${inside(where, key)} is missing`);
    }
    return Object.fromEntries(
      Object.entries(decoders).map(([key, item]) => [key, item(value[key], inside(where, key))]),
    );
  };
}

const isObject = (value) => typeof value === "object" && value !== null && !Array.isArray(value);
const inside = (where, key) => (where ? `${where}.${key}` : key);
const mistyped = (where, words, value) =>
  new BundleError(`${where || "the whole"} should be ${words}, found ${shown(value)}`);

function shown(value) {
  const json = JSON.stringify(value) ?? "nothing";
  return json.length <= 40 ? json : `${json.slice(0, 37)}...`;
}

function frozen(value) {
  if (typeof value === "object" && value !== null) Object.values(value).forEach(frozen);
  return Object.freeze(value);
}
