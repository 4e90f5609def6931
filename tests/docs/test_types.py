"""The examples of the pages and docstrings, and the types of the public API, in mypy and pyright.

Both checkers read files that these tests write. The tests do not execute these files.
"""

import doctest
import inspect
import json
import os
import re
import subprocess
import sys

import pytest

import flashwasm as fw
from checkout import ROOT

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
# mypy refuses names that other files of the same run have, so every file gets one of its own.
NAMES = {page: "_".join(page.relative_to(ROOT).with_suffix("").parts) for page in PAGES}

# Each line that is ignored holds a mistake. Both checkers complain if they find none there.
MISTAKES = """\
import numpy as np
import flashwasm as fw
from flashwasm import qe

q = np.ones((2, 5, 8), np.float32)
fw.attention(q, q, q, causal="bottomright")  # type: ignore
fw.attention(q, q, q, return_lse="yes")  # type: ignore
fw.attention(q, q, q, is_causal=True)  # type: ignore
fw.attention_scores(q, q, stage="raws")  # type: ignore
fw.cosine_top_k(q[0], q[0], 1, metric="euclidean")  # type: ignore
fw.gelu(q, approximate="sigmoid")  # type: ignore
fw.Runtime(variant="avx2")  # type: ignore
fw.KVCache(2, 8, 10, dtype="float64")  # type: ignore
fw.FlatIndex(8, metric="euclidean")  # type: ignore
fw.FlatIndex(8, dtype="float16")  # type: ignore
fw.HNSWIndex(8, metric="euclidean")  # type: ignore
fw.ShardedIndex("ivf", 8)  # type: ignore
fw.ShardedIndex("flat", 8, metric="euclidean")  # type: ignore
fw.LoRAAdapter(8, 8, optimizer="rmsprop")  # type: ignore
fw.LoRAAdapter(8, 8).update_contrastive(q[0, 0], q[0, 0], q[0], metric="l2")  # type: ignore
qe.create_qe_flash_attention("similarity")  # type: ignore
qe.get_qe_flash_attention_config("similarity")  # type: ignore
qe.benchmark_workload("similarity")  # type: ignore
qe.FlashAttentionConfig(backend="cuda")  # type: ignore
qe.FlashAttentionConfig(strategy="fast")  # type: ignore
qe.get_wasm_simd_backend().benchmark_operation("conv2d")  # type: ignore
workload = qe.create_qe_flash_attention("code-embedding")
workload.generate_code_embedding(q[0], q[0], pooling="max")  # type: ignore
qe.SuiteIndex.build("tests", scorers=["words"])  # type: ignore
fw.atention  # type: ignore
qe.SuiteIndexes  # type: ignore
"""

# The type of each result, where it depends on an argument.
RESULTS = """\
from typing import Any

import numpy as np
import numpy.typing as npt
from typing_extensions import assert_type

import flashwasm as fw
from flashwasm import qe

Floats = npt.NDArray[np.float32]


def results(q: Floats, options: fw.AttentionOptions, asked: bool, path: str) -> None:
    assert_type(fw.attention(q, q, q), Floats)
    assert_type(fw.attention(q, q, q, timeout=1.0, **options), Floats)
    assert_type(fw.attention(q, q, q, return_lse=False), Floats)
    assert_type(fw.attention(q, q, q, return_lse=True), tuple[Floats, Floats])
    assert_type(fw.attention(q, q, q, return_lse=asked), Floats | tuple[Floats, Floats])
    assert_type(fw.attention_varlen(q, q, q, [0, 2]), Floats)
    assert_type(fw.attention_varlen(q, q, q, [0, 2], return_lse=True), tuple[Floats, Floats])
    cache = fw.KVCache(2, 8, 10)
    assert_type(cache.attention(q), Floats)
    assert_type(cache.attention(q, return_lse=True), tuple[Floats, Floats])
    assert_type(fw.layer_norm([[1.0, 2.0]]), Floats)
    assert_type(fw.cosine_top_k(q[0], q[0], 1), tuple[Floats, npt.NDArray[np.int64]])
    assert_type(fw.FlatIndex(8).get("a"), Floats)
    assert_type(fw.FlatIndex(8).search(q[0], 1), tuple[Floats, npt.NDArray[Any]])
    with fw.Runtime() as rt:
        assert_type(rt.empty((2, 3)), Floats)
        assert_type(rt.empty(3, np.int64), npt.NDArray[np.int64])
        assert_type(rt.zeros((2, 3)), Floats)
        assert_type(rt.zeros(3, np.int64), npt.NDArray[np.int64])
        assert_type(rt.asarray(q), Floats)
        assert_type(rt.asarray([1, 2], np.int32), npt.NDArray[np.int32])
    assert_type(fw.qe.SuiteIndex.load(path), qe.SuiteIndex)
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with every file to check: the examples of each page stand at the page's lines."""
    folder = tmp_path_factory.mktemp("types")
    for page, name in NAMES.items():
        if lines := examples(page.read_text("utf-8")):
            (folder / f"{name}.py").write_text("\n".join(lines) + "\n", "utf-8")
    for name in fw.__all__:
        found = doctest.DocTestParser().get_examples(inspect.getdoc(getattr(fw, name)) or "")
        if found:
            (folder / f"fw_{name}.py").write_text("".join(x.source for x in found), "utf-8")
    (folder / "mistakes.py").write_text(MISTAKES, "utf-8")
    (folder / "results.py").write_text(RESULTS, "utf-8")
    return folder


def examples(text):
    """Return the source of the examples in a page, each line where it stands in the page."""
    lines = []
    for block in re.finditer(r"^```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
        first = text[: block.start(1)].count("\n")
        for example in doctest.DocTestParser().get_examples(block[1]):
            lines += [""] * (first + example.lineno - len(lines))
            lines += example.source.splitlines()
    return lines


def test_pages_and_docstrings_have_examples(folder):
    """The two tests below hold nothing if the examples were not found."""
    found = {path.stem for path in folder.glob("*.py")}
    assert {"README", "docs_guide_attention", "docs_guide_workloads", "fw_softmax"} <= found
    assert "fw.attention" in (folder / "README.py").read_text("utf-8")


@pytest.mark.slow
def test_mypy_is_clean(folder):
    """mypy need not check again what `make lint` has just checked with the same strictness."""
    pytest.importorskip("mypy")
    options = ["--strict", "--config-file=", f"--cache-dir={ROOT / '.mypy_cache'}"]
    paths = {"MYPYPATH": str(ROOT / "src")}
    assert_clean([sys.executable, "-m", "mypy", *options, "."], folder, paths)


@pytest.mark.slow
def test_pyright_is_clean(folder):
    pytest.importorskip("pyright")
    settings = {
        "typeCheckingMode": "standard",
        "extraPaths": [str(ROOT / "src")],
        # An example is a session at a prompt, which shows the values of expressions.
        "reportUnusedExpression": "none",
        "reportUnnecessaryTypeIgnoreComment": "error",
    }
    (folder / "pyrightconfig.json").write_text(json.dumps(settings), "utf-8")
    # It would ask the network whether there is a newer release.
    quiet = {"PYRIGHT_PYTHON_IGNORE_WARNINGS": "1"}
    command = [sys.executable, "-m", "pyright", "--project", ".", "--pythonpath", sys.executable]
    assert_clean(command, folder, quiet)


def assert_clean(command, folder, variables):
    """Run a checker, and fail with what it printed unless it found nothing."""
    done = subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
