"""`QEFlashAttention`: attention and search as five workloads need them, and benchmarks."""
