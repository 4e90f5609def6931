"""The cases of web/page/golden.json, computed in Python.

web/page/golden_cases.js computes the same cases in a browser.
"""

import hashlib
import json
import re

import numpy as np

import flashwasm as fw
from checkout import ROOT

GOLDEN = ROOT / "web" / "page" / "golden.json"
VARIANTS = ("relaxed", "simd128", "scalar")


def read():
    """Return the cases and the digests."""
    return json.loads(GOLDEN.read_text("utf-8"))


def numbers(shape, seed):
    """Return numbers in [-2, 2) that every language computes exactly."""
    n = np.arange(int(np.prod(shape)), dtype=np.uint32) + np.uint32(seed << 20)
    mixed = (n ^ (n >> np.uint32(7))) * np.uint32(2654435761)
    values = (mixed >> np.uint32(8)).astype(np.float32) * np.float32(2**-22) - 2
    return values.reshape(shape)


def array_of(described):
    """Return the array that a case describes; a boolean array is true for numbers below 1."""
    values = numbers(described["shape"], described["seed"])
    return values < 1 if described.get("boolean") else values


def options_of(case):
    """Return the options of a case by their names in Python."""
    return {
        re.sub("[A-Z]", lambda letter: "_" + letter[0].lower(), name): (
            array_of(value) if isinstance(value, dict) else value
        )
        for name, value in case["options"].items()
    }


def results_of(case, runtime):
    """Return the resulting arrays of a case. Row numbers have 32 bits, as in a browser."""
    operands = {name: array_of(described) for name, described in case["arrays"].items()}
    options = options_of(case)
    if case["operation"] == "attention":
        return fw.attention(**operands, **options, return_lse=True, runtime=runtime)
    if case["operation"] == "matmul":
        return (fw.matmul(**operands, **options, runtime=runtime),)
    if case["operation"] == "topK":
        scores, indices = fw.cosine_top_k(**operands, **options, runtime=runtime)
    else:
        k, vectors = options.pop("k"), operands["vectors"]
        index = fw.FlatIndex(vectors.shape[1], **options, runtime=runtime)
        index.add(vectors)
        scores, indices = index.search(operands["queries"], k)
    return scores, indices.astype("<i4")


def digest_of(case, runtime):
    """Return the SHA-256 of the results of a case."""
    return hashlib.sha256(b"".join(x.tobytes() for x in results_of(case, runtime))).hexdigest()


def digests(variant):
    """Return the digests of all cases, by name."""
    with fw.Runtime(threads=1, variant=variant) as runtime:
        return {case["name"]: digest_of(case, runtime) for case in read()["cases"]}
