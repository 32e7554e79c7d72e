"""Which engines compute a bundle's ONNX files rightly: ``python -m tests.engines`` measures it."""
