"""The table of libraries that search vectors."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from importlib.metadata import packages_distributions, version
from typing import TYPE_CHECKING, Any

from bench.node_process import package_version
from bench.search import libraries
from bench.search.elsewhere import Elsewhere, HnswlibWasm, SimSimd
from flashwasm.errors import CapabilityError

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from bench.search.libraries import Search
    from flashwasm.runtime.runtime import Runtime

    Array = NDArray[Any]


@dataclass(frozen=True)
class Peer:
    """Another library, or this package with one setting.

    Attributes
    ----------
    name : str
        Name in reports.
    build : callable
        Function of vectors and a runtime. It returns a function or an object that searches them.
    packages : tuple of str
        Packages that it needs; empty for this package and NumPy.
    in_node : bool
        True if the packages are those of Node.
    """

    name: str
    build: Callable[[Array, Runtime], Search | Elsewhere]
    packages: tuple[str, ...] = ()
    in_node: bool = False

    @property
    def absent(self) -> bool:
        """True if a package that it needs is not installed."""
        if not self.in_node:
            return any(importlib.util.find_spec(package) is None for package in self.packages)
        try:
            return not all(package_version(package) for package in self.packages)
        except CapabilityError:
            return True


_FLOAT32, _INT8, _NUMPY = "flashwasm float32", "flashwasm int8", "NumPy"
PEERS = {
    "FlatIndex": (
        Peer(_FLOAT32, libraries.flat("float32")),
        Peer(_INT8, libraries.flat("int8")),
        Peer(_NUMPY, libraries.numpy_product),
        Peer("faiss IndexFlatIP", libraries.faiss_flat, ("faiss",)),
        Peer("usearch exact", libraries.usearch_exact, ("usearch",)),
        Peer("simsimd", SimSimd, ("simsimd",)),
        Peer("PyTorch", libraries.torch_product, ("torch",)),
        Peer("ONNX Runtime", libraries.onnx_product, ("onnxruntime", "onnx")),
    ),
    "HNSWIndex": (
        Peer(_FLOAT32, libraries.graph("float32")),
        Peer(_INT8, libraries.graph("int8")),
        Peer(_NUMPY, libraries.numpy_product),
        Peer("faiss IndexHNSWFlat", libraries.faiss_graph, ("faiss",)),
        Peer("hnswlib", libraries.hnswlib_graph, ("hnswlib",)),
        Peer("usearch", libraries.usearch_graph, ("usearch",)),
        Peer("hnswlib-wasm", HnswlibWasm, ("hnswlib-wasm",), in_node=True),
    ),
}


def versions() -> dict[str, str]:
    """Return the versions of the Python packages that are installed, by the package's name."""
    names = {
        package
        for peers in PEERS.values()
        for peer in peers
        if not (peer.in_node or peer.absent)
        for package in peer.packages
    }
    # Distributions of faiss have other names than its module.
    known = packages_distributions()
    return {name: version(known.get(name, [name])[0]) for name in sorted(names)}
