"""``python -m tests.engines`` measures which engines compute a bundle's ONNX files correctly."""
