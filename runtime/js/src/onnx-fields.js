/**
 * The fields of ONNX's messages that a bundle's graphs use, as in
 * `rnvp_runtime.bundle.onnx_structure`. The numbers are those of onnx.proto3. Others are refused.
 */
import { BYTES, FIXED32, FIXED64, StructureFault, VARINT, wireFields } from "./protobuf.js";

const once = (name, ...wires) => ({ name, wires, many: false });
const many = (name, ...wires) => ({ name, wires, many: true });

const TABLES = {
  ModelProto: {
    1: once("ir_version", VARINT),
    2: once("producer_name", BYTES),
    3: once("producer_version", BYTES),
    4: once("domain", BYTES),
    5: once("model_version", VARINT),
    6: once("doc_string", BYTES),
    7: once("graph", BYTES),
    8: many("opset_import", BYTES),
    14: many("metadata_props", BYTES),
  },
  OperatorSetIdProto: { 1: once("domain", BYTES), 2: once("version", VARINT) },
  StringStringEntryProto: { 1: once("key", BYTES), 2: once("value", BYTES) },
  GraphProto: {
    1: many("node", BYTES),
    2: once("name", BYTES),
    5: many("initializer", BYTES),
    10: once("doc_string", BYTES),
    11: many("input", BYTES),
    12: many("output", BYTES),
    13: many("value_info", BYTES),
    16: many("metadata_props", BYTES),
  },
  NodeProto: {
    1: many("input", BYTES),
    2: many("output", BYTES),
    3: once("name", BYTES),
    4: once("op_type", BYTES),
    5: many("attribute", BYTES),
    6: once("doc_string", BYTES),
    7: once("domain", BYTES),
    9: many("metadata_props", BYTES),
  },
  AttributeProto: {
    1: once("name", BYTES),
    2: once("f", FIXED32),
    3: once("i", VARINT),
    4: once("s", BYTES),
    5: once("t", BYTES),
    7: many("floats", FIXED32, BYTES),
    8: many("ints", VARINT, BYTES),
    9: many("strings", BYTES),
    13: once("doc_string", BYTES),
    20: once("type", VARINT),
  },
  TensorProto: {
    1: many("dims", VARINT, BYTES),
    2: once("data_type", VARINT),
    4: many("float_data", FIXED32, BYTES),
    5: many("int32_data", VARINT, BYTES),
    7: many("int64_data", VARINT, BYTES),
    8: once("name", BYTES),
    9: once("raw_data", BYTES),
    10: many("double_data", FIXED64, BYTES),
    11: many("uint64_data", VARINT, BYTES),
    12: once("doc_string", BYTES),
    14: once("data_location", VARINT),
    16: many("metadata_props", BYTES),
  },
  ValueInfoProto: {
    1: once("name", BYTES),
    2: once("type", BYTES),
    3: once("doc_string", BYTES),
    4: many("metadata_props", BYTES),
  },
  TypeProto: { 1: once("tensor_type", BYTES), 6: once("denotation", BYTES) },
  "TypeProto.Tensor": { 1: once("elem_type", VARINT), 2: once("shape", BYTES) },
  TensorShapeProto: { 1: many("dim", BYTES) },
  "TensorShapeProto.Dimension": {
    1: once("dim_value", VARINT),
    2: once("dim_param", BYTES),
    3: once("denotation", BYTES),
  },
};
const REFUSED = { // what the fields are that an attack would use
  "ModelProto 20": "training information",
  "ModelProto 25": "functions",
  "GraphProto 15": "sparse weights",
  "AttributeProto 6": "a subgraph",
  "AttributeProto 11": "subgraphs",
  "AttributeProto 22": "a sparse tensor",
  "AttributeProto 23": "sparse tensors",
  "TensorProto 6": "text in a tensor",
  "TensorProto 13": "a tensor whose numbers are in another file (external data)",
};

/**
 * The fields of a message by name: a list for those that may be repeated.
 *
 * @param {keyof typeof TABLES} kind
 * @param {Uint8Array} message
 * @returns {Record<string, any>}
 * @throws {StructureFault} A field is not in the table, has another wire type, or occurs twice. The
 *   last of two would count, or their parts would be joined, and readers differ in which.
 */
export function fieldsOf(kind, message) {
  const table = TABLES[kind];
  const found = {};
  for (const field of Object.values(table)) if (field.many) found[field.name] = [];
  for (const [number, wire, value] of wireFields(message)) {
    const field = table[number];
    if (!field) {
      const what = REFUSED[`${kind} ${number}`] ?? `field ${number} of ${kind}`;
      throw new StructureFault(`it holds ${what}, which no bundle needs`);
    }
    const { name } = field;
    if (!field.wires.includes(wire)) {
      throw new StructureFault(`${kind}.${name} has wire type ${wire}`);
    }
    if (field.many) found[name].push(value);
    else if (name in found) throw new StructureFault(`${kind}.${name} stands twice`);
    else found[name] = value;
  }
  return found;
}
