/**
 * The operators of ONNX that a bundle's graphs may use: those of
 * `rnvp_runtime.bundle.onnx_structure.OPERATORS`. A test compares the two lists.
 */
export const OPERATORS = new Set([
  "Abs", "Add", "And", "Atan", "BitShift", "BitwiseAnd", "BitwiseXor", "Cast", "Clip", "Concat",
  "Cos", "Div", "Erf", "Exp", "Expand", "Floor", "Gather", "Gemm", "GreaterOrEqual", "Less",
  "LessOrEqual", "Log", "MatMul", "Max", "Min", "Mul", "Neg", "Not", "Or", "Pow", "Range",
  "ReduceMean", "ReduceSum", "Relu", "Reshape", "Shape", "Sigmoid", "Sign", "Sin", "Slice",
  "Split", "Sqrt", "Squeeze", "Sub", "Sum", "Tanh", "Transpose", "Unsqueeze", "Where",
]);
