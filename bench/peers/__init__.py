"""Other libraries on the same cases: NumPy, PyTorch, ONNX Runtime, and libraries of Node."""
