/**
 * The structure of an ONNX file, checked before onnxruntime opens it, as
 * `rnvp_runtime.bundle.onnx_structure` checks it; a test compares the answers of both. Everything
 * that is not listed is refused: tensors in other files, subgraphs, functions, other domains.
 */
import { BundleError } from "./errors.js";
import { ELEMENTS, MAX_DIMENSIONS, checkTensor } from "./onnx-tensor.js";
import { fieldsOf } from "./onnx-fields.js";
import { OPERATORS } from "./operators.js";
import { StructureFault, signed } from "./protobuf.js";

const MAX_NODES = 100_000;
const MAX_NAME_LENGTH = 255;
const EMPTY = new Uint8Array();
const UTF8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
const BOOLEAN = new Set(["And", "GreaterOrEqual", "Less", "LessOrEqual", "Not", "Or"]);

/**
 * Check that an ONNX file is the graph that the manifest describes.
 *
 * @param {Uint8Array} content
 * @param {object} manifest
 * @param {string} graph
 * @throws {BundleError} It holds something that no bundle needs, or another graph.
 */
export function checkStructure(content, manifest, graph) {
  const described = manifest.graphs[graph];
  const file = described.files.onnx;
  let found;
  try {
    found = readStructure(content);
  } catch (error) {
    if (!(error instanceof StructureFault)) throw error;
    throw new BundleError(`${file} is refused: ${error.message}. Export the bundle again`);
  }
  const { metadata } = found;
  const said = (key, expected) => [`metadata ${key}`, metadata.get(key) ?? expected, expected];
  const pairs = [
    ["IR version", found.irVersion, manifest.ir_version],
    ["opset", found.opset, manifest.opset],
    said("rnvp.bundle", manifest.id),
    said("rnvp.graph", graph),
    said("rnvp.dim", `${manifest.dim}`),
    said("rnvp.context_dim", `${manifest.context_dim}`),
    said("rnvp.columns", listed(manifest.columns)),
    said("rnvp.context_columns", listed(manifest.context_columns)),
    ["inputs", inWords(found.inputs), inWords(described.inputs)],
    ["outputs", inWords(found.outputs), inWords(described.outputs)],
  ];
  for (const [what, has, expected] of pairs) {
    if (has !== expected) {
      throw new BundleError(
        `${file} has the ${what} ${shown(has)}, the manifest says ${shown(expected)}. ` +
          "Export the bundle again",
      );
    }
  }
}

/** A list of names as Python's json module writes it. */
const listed = (names) => `[${names.map((name) => JSON.stringify(name)).join(", ")}]`;

/** What a checked file says of itself. */
function readStructure(content) {
  const model = fieldsOf("ModelProto", content);
  const opsets = model.opset_import.map((entry) => fieldsOf("OperatorSetIdProto", entry));
  for (const opset of opsets) {
    const domain = textOf(opset.domain);
    if (!isOnnx(domain)) {
      throw new StructureFault(
        `it uses the operators of the domain ${quoted(domain)}, expected ONNX's own`,
      );
    }
  }
  if (opsets.length !== 1) {
    throw new StructureFault(`it names ${opsets.length} operator sets, expected 1`);
  }
  if (!model.graph) throw new StructureFault("it holds no graph");
  const graph = fieldsOf("GraphProto", model.graph);
  metadataOf(graph);
  const inputs = graph.input.map(valueOf);
  const outputs = graph.output.map(valueOf);
  for (const unread of graph.value_info) fieldsOf("ValueInfoProto", unread);
  const types = new Map(inputs.map(({ name, dtype }) => [name, dtype]));
  if (types.size !== inputs.length) throw new StructureFault("it has two inputs of one name");
  for (const tensor of graph.initializer) {
    const { name, dtype } = tensorOf(tensor);
    define(types, name, dtype);
  }
  checkNodes(graph.node, types);
  for (const { name } of outputs) {
    if (!types.has(name)) throw new StructureFault(`no node computes its output ${quoted(name)}`);
  }
  const irVersion = model.ir_version ?? 0;
  return { irVersion, opset: opsets[0].version ?? 0, inputs, outputs, metadata: metadataOf(model) };
}

/** Check each node, in order; `types` gains the dtype of each tensor, "" where it is not known. */
function checkNodes(nodes, types) {
  if (nodes.length > MAX_NODES) {
    throw new StructureFault(`it has ${nodes.length} nodes, expected at most ${MAX_NODES}`);
  }
  for (const message of nodes) {
    const node = fieldsOf("NodeProto", message);
    const operator = textOf(node.op_type);
    if (!isOnnx(textOf(node.domain))) {
      throw new StructureFault(
        `its operator ${quoted(operator)} is of another domain than ONNX's own`,
      );
    }
    if (!OPERATORS.has(operator)) {
      throw new StructureFault(`it uses the operator ${quoted(operator)}, which no bundle needs`);
    }
    metadataOf(node);
    const made = checkAttributes(operator, node.attribute);
    const given = namesOf(node.input);
    for (const name of given) {
      if (!types.has(name)) {
        throw new StructureFault(
          `a node ${operator} reads ${quoted(name)}, which nothing before it gives`,
        );
      }
    }
    const dtypes = given.map((name) => types.get(name));
    // Dividing whole numbers by 0 or by -1 can end the process.
    if (operator === "Div" && !dtypes.every((dtype) => dtype.startsWith("float"))) {
      throw new StructureFault("a node Div divides what may be whole numbers");
    }
    const result = resultOf(operator, made, dtypes);
    for (const name of namesOf(node.output)) define(types, name, result);
  }
}

/** The dtype that a node gives. */
function resultOf(operator, made, dtypes) {
  if (operator === "Cast") return made;
  if (operator === "Shape") return "int64";
  if (BOOLEAN.has(operator)) return "bool";
  return dtypes.at(operator === "Where" ? -1 : 0) ?? "";
}

/** Check the attributes of a node; returns the dtype that they say it gives, or "". */
function checkAttributes(operator, attributes) {
  let dtype = "";
  const names = new Set();
  for (const message of attributes) {
    const attribute = fieldsOf("AttributeProto", message);
    const name = textOf(attribute.name);
    if (names.has(name)) {
      throw new StructureFault(`a node ${operator} has two attributes ${quoted(name)}`);
    }
    names.add(name);
    for (const part of [attribute.f ?? EMPTY, ...attribute.floats]) {
      if (!areFinite(part)) {
        throw new StructureFault(
          `a node ${operator} has an attribute ${quoted(name)} that is not finite`,
        );
      }
    }
    if (attribute.t) {
      throw new StructureFault(`a node ${operator} has a tensor for an attribute ${quoted(name)}`);
    }
    if (operator === "Cast" && name === "to") dtype = elementOf(attribute.i);
  }
  return dtype;
}

function areFinite(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  for (let at = 0; at + 4 <= bytes.length; at += 4) {
    if (!Number.isFinite(view.getFloat32(at, true))) return false;
  }
  return bytes.length % 4 === 0;
}

/** Name and dtype of a tensor with finite numbers. */
function tensorOf(message) {
  const tensor = fieldsOf("TensorProto", message);
  const name = textOf(tensor.name);
  if (tensor.data_location) {
    throw new StructureFault(`the numbers of ${quoted(name)} are in another file (external data)`);
  }
  if (!name) throw new StructureFault("a weight has no name");
  let checked;
  try {
    checked = checkTensor(tensor);
  } catch (error) {
    if (!(error instanceof StructureFault)) throw error;
    throw new StructureFault(`the weight ${quoted(name)} is not a tensor: ${error.message}`);
  }
  if (!checked.finite) {
    throw new StructureFault(`the weight ${quoted(name)} holds NaN or infinity`);
  }
  return { name, dtype: checked.dtype };
}

/** Name, dtype and shape of an input or output. */
function valueOf(message) {
  const value = fieldsOf("ValueInfoProto", message);
  const name = textOf(value.name);
  const kind = fieldsOf("TypeProto", value.type ?? EMPTY);
  const tensor = fieldsOf("TypeProto.Tensor", kind.tensor_type ?? EMPTY);
  const dtype = elementOf(tensor.elem_type);
  if (!name || !dtype || !tensor.shape) {
    throw new StructureFault(
      `its input or output ${quoted(name)} has no name, no number type or no shape`,
    );
  }
  const { dim } = fieldsOf("TensorShapeProto", tensor.shape);
  if (dim.length > MAX_DIMENSIONS) {
    throw new StructureFault(`${quoted(name)} has more than ${MAX_DIMENSIONS} dimensions`);
  }
  return { name, dtype, shape: dim.map(dimensionOf) };
}

function dimensionOf(message) {
  const dimension = fieldsOf("TensorShapeProto.Dimension", message);
  if (dimension.dim_param !== undefined) return textOf(dimension.dim_param);
  return signed(dimension.dim_value ?? 0);
}

const elementOf = (type) => ELEMENTS.get(type)?.[0] ?? "";
const isOnnx = (domain) => domain === "" || domain === "ai.onnx";

function define(types, name, dtype) {
  if (types.has(name)) throw new StructureFault(`two tensors are called ${quoted(name)}`);
  types.set(name, dtype);
}

function metadataOf(message) {
  const entries = message.metadata_props.map((entry) => fieldsOf("StringStringEntryProto", entry));
  return new Map(entries.map(({ key, value }) => [textOf(key), textOf(value, Infinity)]));
}

/** The names of tensors; those left out are "" in a file. */
const namesOf = (values) => values.map((value) => textOf(value)).filter((name) => name);

function textOf(value = EMPTY, most = MAX_NAME_LENGTH) {
  if (value.length > most) {
    throw new StructureFault(`a name is longer than ${most} characters`);
  }
  try {
    return UTF8.decode(value);
  } catch {
    throw new StructureFault("a name is not UTF-8 text");
  }
}

const inWords = (values) =>
  values
    .map(({ name, dtype, shape }) => `${quoted(name)} ${dtype} ${JSON.stringify(shape)}`)
    .join(", ");
const shown = (value) => `${value}`.slice(0, 400);

/** Text in quotes, its control and other unusual characters as escapes. */
function quoted(text) {
  const escaped = (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`;
  return JSON.stringify(text).replace(/[^\x20-\x7e]/g, escaped);
}
