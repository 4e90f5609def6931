"""The only package that imports wasmtime: its engine, modules, memory, instances and workers."""
