"""Float64 oracles and error bounds, which tests and benchmarks hold results to.

`reference` computes every operation with NumPy in float64, in its most obvious form. `bounds`
derives from the operands how far a correct float32 result may be from that. Both import NumPy and
the standard library only, so a fault in the package cannot hide in them.
"""
