/**
 * The operators of ONNX that a bundle's graphs may use: those of
 * `rnvp_runtime.bundle.onnx_structure.OPERATORS`, to which a test holds this list.
 */
export const OPERATORS = new Set([
  "Abs", "Add", "And", "Atan", "BitShift", "BitwiseAnd", "BitwiseXor", "Cast", "Clip",
  "Concat", "Constant", "Cos", "Div", "Elu", "Equal", "Erf", "Exp", "Expand", "Floor",
  "Gather", "Gemm", "Greater", "GreaterOrEqual", "HardSigmoid", "HardSwish", "Identity",
  "LeakyRelu", "Less", "LessOrEqual", "Log", "MatMul", "Max", "Min", "Mul", "Neg", "Not",
  "Or", "Pow", "Range", "Reciprocal", "ReduceMean", "ReduceSum", "ReduceSumSquare", "Relu",
  "Reshape", "Selu", "Shape", "Sigmoid", "Sign", "Sin", "Slice", "Softplus", "Split", "Sqrt",
  "Squeeze", "Sub", "Sum", "Tanh", "Transpose", "Unsqueeze", "Where",
]);
