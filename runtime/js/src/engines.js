/** The engines that `load` may be asked for, by name; a worker has the same ones. */
import { NativeEngine } from "./native.js";
import { OnnxruntimeEngine } from "./onnxruntime.js";

export const ENGINES = { onnxruntime: OnnxruntimeEngine, native: NativeEngine };

/** The format of the files that each opens. */
export const FORMATS = { onnxruntime: "onnx", native: "native" };
