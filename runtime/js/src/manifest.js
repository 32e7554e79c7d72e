/**
 * `manifest.json`, read as strictly as Python reads it: `rnvp_runtime.bundle.manifest` defines the
 * format, this module follows it key by key, and a test compares both with `manifest.schema.json`.
 * Unknown keys are ignored, so that a later writer may add some.
 */
import { BundleError } from "./errors.js";
import { findFault } from "./file-names.js";
import { parseJson } from "./strict-json.js";

export const FORMAT = "rnvp-bundle";
export const VERSION = 1;
const GRAPHS = ["density", "inverse", "sampler"]; // of every bundle; newer ones add "gradient"
const MAX_INTEGER = Number.MAX_SAFE_INTEGER;

// The limits of rnvp_runtime.bundle.limits.
const MAX_COLUMNS = 65_536;
const MAX_FILES = 10_000;
const MAX_FILE_BYTES = 2 ** 30;

// A decoder takes (value, where) and gives the value back, or throws naming `where`.
const text = a("text", (v) => typeof v === "string");
const whole = a("a whole number", Number.isInteger);
const count = within(0, MAX_INTEGER);
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
  nodes: count,
  files: checked(table(text), (v) => Object.hasOwn(v, "onnx"), "an object with onnx"),
});
const SPREAD = record({ median: number, p99: number, worst: number });
const PARITY = record({
  graph: text,
  output: text,
  format: text,
  unit: text,
  scale: list(checked(number, (v) => v > 0, "above 0")),
  eager: SPREAD,
  exported: SPREAD,
  ratio: SPREAD,
  tolerance: checked(number, (v) => v >= 0, "at least 0"),
  passed: flag,
});
const PRECISION = record({
  rows: count,
  non_finite: number,
  non_finite_columns: list(text),
  distinct: number,
  log_prob: SPREAD,
  x: SPREAD,
  round_trip: SPREAD,
  sensitivity: a("a number or null", (v) => v === null || typeof v === "number"),
  accepted: flag,
  faults: list(text),
});
const COLUMN = record({ low: number, median: number, high: number, deviation: number });
const REFERENCE = record({
  source: text,
  rows: within(1, MAX_INTEGER),
  levels: checked(list(number), (v) => v.length >= 2, "a list of 2 or more"),
  log_prob: list(number),
  columns: list(COLUMN),
  context_columns: orNone(list(COLUMN)),
});
const FILE = record({
  sha256: matching(/^[0-9a-f]{64}$/, "64 hexadecimal digits"),
  bytes: within(0, MAX_FILE_BYTES),
});
const MANIFEST = record({
  id: matching(/^[0-9a-f]{16}$/, "16 hexadecimal digits"),
  dim: within(1, MAX_COLUMNS),
  context_dim: within(0, MAX_COLUMNS),
  columns: list(text),
  context_columns: list(text),
  dtype: matching(/^(float32|float64)$/, "float32 or float64"),
  opset: within(1, 999),
  ir_version: within(1, 999),
  min_onnxruntime: matching(/^[0-9]{1,9}(\.[0-9]{1,9}){0,3}$/, "a version such as 1.18"),
  flow: record({
    description: text,
    couplings: count,
    parameters: count,
    widths: list(within(1, 2 ** 31 - 1)),
  }),
  graphs: checked(
    table(GRAPH),
    (v) => GRAPHS.every((name) => Object.hasOwn(v, name)),
    `an object with ${GRAPHS.join(", ")}`,
  ),
  parity: list(PARITY),
  files: checked(
    table(FILE),
    (v) => Object.keys(v).length <= MAX_FILES,
    `at most ${MAX_FILES.toLocaleString("en")} files`,
  ),
  versions: table(text),
  checkpoint: record({ sha256: a("text or null", (v) => v === null || typeof v === "string") }),
  precision: optional(PRECISION),
  reference: optional(REFERENCE),
  native_refusal: optional(text),
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
    found = parseJson(json);
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
  const { columns, context_columns, dim, context_dim, graphs, files, reference } = manifest;
  const names = [...columns, ...context_columns];
  expect(columns.length === dim, "columns should hold dim names");
  expect(context_columns.length === context_dim, "context_columns should hold context_dim names");
  expect(new Set(names).size === names.length, "columns and context_columns repeat a name");
  if (reference) checkReference(reference, manifest);
  const fault = findFault(Object.keys(files));
  expect(!fault, fault);
  for (const [name, graph] of Object.entries(graphs)) checkGraph(name, graph, manifest);
  manifest.parity.forEach(({ output, scale }, i) => {
    const width = output === "log_prob" ? 1 : output === "grad_context" ? context_dim : dim;
    expect(scale.length === width, `parity[${i}].scale should be ${width} numbers`);
  });
  return frozen(manifest);
}

function checkReference({ columns, context_columns, levels, log_prob }, { dim, context_dim }) {
  expect(columns.length === dim, "reference.columns should hold dim columns");
  expect(
    [0, context_dim].includes(context_columns.length),
    "reference.context_columns should hold context_dim columns or none",
  );
  expect(
    levels.length === log_prob.length,
    "reference.levels and reference.log_prob should be equally long",
  );
  expect(
    levels[0] === 0 && levels.at(-1) === 1 && increases(levels),
    "reference.levels should increase from 0 to 1",
  );
  expect(increases(log_prob), "reference.log_prob should increase");
}

function checkGraph(name, graph, manifest) {
  for (const file of Object.values(graph.files)) {
    expect(
      Object.hasOwn(manifest.files, file),
      `graphs.${name} names '${file.slice(0, 80)}', which files lacks`,
    );
  }
  const expected = signature(name, manifest);
  if (!expected) return; // of a later version
  for (const kind of ["inputs", "outputs"]) {
    expect(
      graph[kind].length === expected[kind].length &&
        graph[kind].every((spec, i) => isTensor(spec, expected[kind][i])),
      `graphs.${name}.${kind} should be ${inWords(expected[kind])}, found ${inWords(graph[kind])}`,
    );
  }
}

/** The inputs and outputs of a graph, its row axis called "n"; undefined for an unknown graph. */
function signature(graph, { dim, context_dim, dtype }) {
  const tensor = (name, ...shape) => ({ name, dtype, shape });
  const given = context_dim ? [tensor("context", "n", context_dim)] : [];
  const [x, z, log_prob] = [tensor("x", "n", dim), tensor("z", "n", dim), tensor("log_prob", "n")];
  const scalars = ["seed", "start", "count"].map((name) => ({ name, dtype: "int64", shape: [] }));
  const by_context = given.map(({ shape }) => tensor("grad_context", ...shape));
  const known = new Map([
    ["density", { inputs: [x, ...given], outputs: [log_prob, z] }],
    ["inverse", { inputs: [z, ...given], outputs: [x, log_prob] }],
    ["sampler", { inputs: [...scalars, tensor("temperature"), ...given], outputs: [x, log_prob] }],
    [
      "gradient",
      { inputs: [x, ...given], outputs: [log_prob, tensor("grad_x", "n", dim), ...by_context] },
    ],
  ]);
  return known.get(graph);
}

/** Whether `found` is `expected`; the name of the row axis does not matter. */
function isTensor(found, expected) {
  const axes = typeof found.shape[0] === "string" ? ["n", ...found.shape.slice(1)] : found.shape;
  return (
    found.name === expected.name &&
    found.dtype === expected.dtype &&
    axes.length === expected.shape.length &&
    axes.every((size, i) => size === expected.shape[i])
  );
}

const inWords = (specs) =>
  specs
    .slice(0, 8)
    .map(({ name, dtype, shape }) => `${name} ${dtype} (${shape.join(", ")})`.slice(0, 80))
    .join(", ");

function expect(condition, complaint) {
  if (!condition) throw new BundleError(`${complaint}; export the bundle again`);
}

const increases = (values) => values.every((value, i) => i === 0 || values[i - 1] <= value);

function a(words, test) {
  return (value, where) => {
    if (!test(value)) throw mistyped(where, words, value);
    return value;
  };
}

/** `decoder`, and then a rule on what it gives. */
function checked(decoder, rule, words) {
  return (value, where) => {
    const found = decoder(value, where);
    if (rule(found)) return found;
    throw new BundleError(
      `${where} should be ${words}, found ${shown(value)}; export the bundle again`,
    );
  };
}

function within(low, high) {
  const decoder = a("a whole number", Number.isInteger);
  return checked(decoder, (v) => low <= v && v <= high, `${low} to ${high}`);
}

function matching(pattern, words) {
  return checked(a("text", (v) => typeof v === "string"), (v) => pattern.test(v), words);
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

/** `items`; a record may lack the key, which means none. */
function orNone(items) {
  const decoder = (value, where) => (value === undefined ? [] : items(value, where));
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
