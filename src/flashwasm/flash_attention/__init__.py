"""Exact attention, softmax(softcap(scale Q Kᵀ) + bias) V, without storing the matrix of scores.

`flashwasm` exports the public names, and imports each module when one of its names is first used.
"""
