"""Exact attention: softmax(softcap(scale Q Kᵀ) + bias) V without ever holding the scores.

The public names are those of `flashwasm`, which imports each module when it is first asked for.
"""
