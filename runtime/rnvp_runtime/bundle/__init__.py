"""Reading a bundle, the folder ``model.rnvp/``: its manifest, its files and its test vectors.

manifest        ``manifest.json`` as a value; the definition of the bundle format
graph_file      the bytes of one graph, checked against the manifest
pruning         an ONNX graph reduced to the nodes that the requested outputs need
verification    whether a bundle is complete and gives the right numbers on this machine
tensor_proto, protobuf    the encodings of test vectors and ONNX files, without onnx
"""
