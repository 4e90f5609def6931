"""The five workloads of `QEFlashAttention`, a file each, with their settings and benchmarks."""
