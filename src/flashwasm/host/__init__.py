"""The only importer of wasmtime: engine, modules, shared memory, instances, calls and workers."""
