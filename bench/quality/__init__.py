"""How well the quality-engineering workloads find what they should, beside baselines."""
