"""The only package that imports wasmtime: engine, modules, memory, instances and workers."""
