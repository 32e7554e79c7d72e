/**
 * `manifest.json`, read as strictly as Python reads it: `rnvp_runtime.bundle.manifest` defines the
 * format, this module follows it key by key. Unknown keys are ignored, so that a later writer may
 * add some.
 */
import { BundleError } from "./errors.js";

export const FORMAT = "rnvp-bundle";
export const VERSION = 1;
const GRAPHS = ["density", "inverse", "sampler"]; // of every bundle; newer ones add "gradient"

// The limits of rnvp_runtime.bundle.limits.
const MAX_COLUMNS = 65_536;
const MAX_FILES = 10_000;
const MAX_FILE_BYTES = 2 ** 30;
const MAX_NAME_LENGTH = 255;

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
const PRECISION = record({
  rows: whole,
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
  rows: whole,
  levels: list(number),
  log_prob: list(number),
  columns: list(COLUMN),
  context_columns: orNone(list(COLUMN)),
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
  precision: optional(PRECISION),
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
  expect(isWithin(dim, 1, MAX_COLUMNS), `dim should be 1 to ${MAX_COLUMNS}`);
  expect(isWithin(context_dim, 0, MAX_COLUMNS), `context_dim should be 0 to ${MAX_COLUMNS}`);
  expect(columns.length === dim, "columns should hold dim names");
  expect(context_columns.length === context_dim, "context_columns should hold context_dim names");
  expect(new Set(names).size === names.length, "columns and context_columns repeat a name");
  expect(["float32", "float64"].includes(manifest.dtype), "dtype should be float32 or float64");
  expect(
    /^\d{1,9}(\.\d{1,9}){0,3}$/.test(manifest.min_onnxruntime),
    "min_onnxruntime should be a version such as 1.18",
  );
  expect(isWithin(manifest.opset, 1, 999), "opset should be 1 to 999");
  expect(isWithin(manifest.ir_version, 1, 999), "ir_version should be 1 to 999");
  expect(
    manifest.flow.widths.every((width) => isWithin(width, 1, 2 ** 31 - 1)),
    "flow.widths should be 1 to 2**31 - 1",
  );
  checkFiles(files);
  const { reference } = manifest;
  if (reference) {
    const { levels, log_prob, rows } = reference;
    expect(reference.columns.length === dim, "reference.columns should hold dim columns");
    expect(
      [0, context_dim].includes(reference.context_columns.length),
      "reference.context_columns should hold context_dim columns or none",
    );
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
  manifest.parity.forEach((parity, i) => {
    expect(parity.tolerance >= 0, `parity[${i}].tolerance should be at least 0`);
    const width = { log_prob: 1, grad_context: context_dim }[parity.output] ?? dim;
    expect(
      parity.scale.length === width && parity.scale.every((unit) => unit > 0),
      `parity[${i}].scale should be ${width} numbers above 0`,
    );
  });
  return frozen(manifest);
}

function checkFiles(files) {
  const names = Object.keys(files);
  expect(names.length <= MAX_FILES, `files should hold at most ${MAX_FILES.toLocaleString("en")}`);
  const seen = new Map();
  for (const name of names) {
    const fault = faultOf(name);
    expect(!fault, `files holds '${name.slice(0, 80)}' ${fault}`);
    const key = folded(name);
    expect(
      !seen.has(key),
      `files holds '${name}' and '${seen.get(key)}' are one file where case or form does not count`,
    );
    seen.set(key, name);
    const { sha256, bytes } = files[name];
    expect(/^[0-9a-f]{64}$/.test(sha256), `files.${name}.sha256 should be 64 hexadecimal digits`);
    expect(
      isWithin(bytes, 0, MAX_FILE_BYTES),
      `files.${name}.bytes should be 0 to ${MAX_FILE_BYTES.toLocaleString("en")}`,
    );
  }
}

/** What is wrong with the name of a file, as `rnvp_runtime.bundle.file_names` says it. */
function faultOf(name) {
  if ([...name].length > MAX_NAME_LENGTH) return `is longer than ${MAX_NAME_LENGTH} characters`;
  if (name.startsWith("/") || /[\u0000-\u001f\u007f<>:"|?*\\]/.test(name)) {
    return "is not inside the bundle, or holds a character that some systems forbid";
  }
  const parts = name.split("/");
  if (parts.some((part) => ["", ".", ".."].includes(part))) return "is not inside the bundle";
  const device = /^(con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³])(\..*)?$/i;
  if (parts.some((part) => /[. ]$/.test(part) || device.test(part))) {
    return "cannot be a file's name on Windows";
  }
  return folded(name) === "manifest.json" ? "is the manifest itself" : undefined;
}

const folded = (name) => name.normalize("NFKD").toLowerCase().normalize("NFC");
const isWithin = (value, low, high) => low <= value && value <= high;

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
