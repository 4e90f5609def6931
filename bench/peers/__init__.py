"""Other libraries on the same cases: NumPy, PyTorch, ONNX Runtime, and WebAssembly ones in Node."""
