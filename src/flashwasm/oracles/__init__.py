"""Float64 oracles and error bounds, for checking results in tests and benchmarks.

`reference` computes every operation with NumPy in float64, in its most obvious form. `bounds`
derives from the operands the maximum error of a correct float32 result. Both import only NumPy and
the standard library, so a bug in the package cannot affect them.
"""
