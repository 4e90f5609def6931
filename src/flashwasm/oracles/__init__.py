"""Float64 oracles and error bounds, with which tests and benchmarks compare results.

`reference` computes every operation with NumPy in float64, in its most obvious form. `bounds`
derives from the operands how far a correct float32 result may be from the oracle's. Both import
only NumPy and the standard library, so a mistake in the package cannot affect them.
"""
