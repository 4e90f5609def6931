"""Hints for wrong calls: the equivalents of other libraries' argument names, and of constructors.

A hint that begins with a name and "=" is shown only by functions with an argument of that name. The
other hints are complete clauses.
"""

from __future__ import annotations

import inspect
from functools import wraps
from typing import TYPE_CHECKING, Any, TypeVar, cast

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

Function = TypeVar("Function", bound="Callable[..., Any]")

_CPU = "everything runs on the CPU"
_METRIC = 'metric="cosine", "dot" or "l2"'
_SAME_BITS = "results have the same bits in every run"
_THREADS = "the threads are those of the index's runtime: runtime=fw.Runtime(threads=n)"
_SANDBOX = "it always runs in the sandbox"
_LONGEST = "the longest sequence need not be given"

# PyTorch's scaled_dot_product_attention, flash-attn, JAX's dot_product_attention and others.
ATTENTION = {
    "is_causal": 'causal="top_left", or causal=True for as many keys as queries',
    "attn_mask": "mask=, where True makes a key visible, and floats are added to the scores",
    "attn_bias": "mask=, where floats are added to the scores",
    "bias": "mask=, where floats are added to the scores",
    "key_padding_mask": "mask=, where True makes a key visible",
    "dropout_p": "dropout=",
    "dropout_rate": "dropout=",
    "enable_gqa": "query heads may share a key head in any call",
    "num_heads": "the heads are an axis of q, k and v",
    "need_weights": "fw.attention_scores returns the weights",
    "return_attn_probs": "fw.attention_scores returns the weights",
    "return_residual": "return_lse=True",
    "return_softmax_lse": "return_lse=True",
    "deterministic": _SAME_BITS,
    "softmax_scale": "scale=",
    "sm_scale": "scale=",
    "scaling": "scale=",
    "window_size": "window=(left, right)",
    "local_window_size": "window=(left, right)",
    "sliding_window": "window=(n - 1, 0) for the last n keys",
    "logit_cap": "softcap=",
    "logits_soft_cap": "softcap=",
    "key_value_seq_lengths": "kv_lengths=",
    "cache_seqlens": "kv_lengths=",
    "seqused_k": "kv_lengths=",
    "cu_seqlens_q": "fw.attention_varlen accepts packed sequences",
    "cu_seqlens_k": "fw.attention_varlen accepts packed sequences",
    "max_seqlen_q": _LONGEST,
    "max_seqlen_k": _LONGEST,
    "s_aux": "sinks=",
    "backend": _SANDBOX,
}

# The caches of transformers and vLLM.
CACHE = {
    "num_heads": "heads=",
    "num_kv_heads": "heads=",
    "head_dim": "dim=",
    "max_cache_len": "capacity=",
    "max_length": "capacity=",
    "max_seq_len": "capacity=",
    "batch_size": "batch=",
    "max_batch_size": "batch=",
    "device": _CPU,
}

# hnswlib, usearch and faiss: the index itself, then its methods.
INDEX = {
    "space": _METRIC,
    "M": "m=",
    "connectivity": "m=",
    "d": "dim=",
    "ndim": "dim=",
    "max_elements": "an index grows as vectors are added",
    "efConstruction": "ef_construction=",
    "expansion_add": "ef_construction=",
    "ef": "the search accepts ef=",
    "ef_search": "the search accepts ef=",
    "expansion_search": "the search accepts ef=",
    "random_seed": "seed=",
    "num_threads": "runtime=fw.Runtime(threads=n)",
}
ADD = {
    "data": "vectors=",
    "labels": "ids=",
    "keys": "ids=",
    "num_threads": _THREADS,
    "replace_deleted": "the room of removed vectors is always reused",
}
SEARCH = {
    "n_neighbors": "k=",
    "top_k": "k=",
    "count": "k=",
    "limit": "k=",
    "data": "queries=",
    "ef_search": "ef=",
    "efSearch": "ef=",
    "num_threads": _THREADS,
    "threads": _THREADS,
}
TOP_K = {
    "space": _METRIC,
    "top_k": "k=",
    "n_neighbors": "k=",
    "largest": "the highest scores come first",
    "sorted": "the highest scores come first",
}

# sentence-transformers: the encoder, then its method.
ENCODER = {
    "model_name_or_path": "model=",
    "device": _CPU,
    "trust_remote_code": "no code of a model runs",
    "cache_folder": "`flashwasm models path` prints where a model is kept",
}
ENCODE = {
    "sentences": "texts=",
    "batch_size": "batch_tokens=, a number of tokens in place of texts",
    "show_progress_bar": "progress=True",
    "normalize_embeddings": "each vector has length 1",
    "max_seq_length": "max_length=",
    "convert_to_numpy": "results are NumPy arrays",
    "convert_to_tensor": "results are NumPy arrays",
    "device": _CPU,
}

# PyTorch, JAX and ONNX.
NORM = {
    "normalized_shape": "axis=, the first of the axes to normalise, as a number",
    "dim": "axis=",
    "gamma": "weight=",
    "scale": "weight=",
    "beta": "bias=",
    "epsilon": "eps=",
    "variance_epsilon": "eps=",
    "backend": _SANDBOX,
}

# PEFT and PyTorch.
ADAPTER = {
    "r": "rank=",
    "lora_alpha": "alpha=",
    "lr": "learning_rate=",
    "in_features": "in_dim=",
    "out_features": "out_dim=",
}
RUNTIME = {
    "num_threads": "threads=",
    "n_threads": "threads=",
    "memory_limit": "max_memory=",
    "device": _CPU,
}


def unexpected(function: Callable[..., Any], name: str, peers: Mapping[str, str]) -> TypeError:
    """Return the error for an argument that a function does not accept, with a hint if known.

    Parameters
    ----------
    function : callable
        The function.
    name : str
        Name of the argument.
    peers : mapping of str to str
        Hints by the names that other libraries use.
    """
    message = f"{function.__qualname__}() got an unexpected keyword argument {name!r}"
    advice = peers.get(name, "")
    own, equals, _ = advice.partition("=")
    if equals and own.isidentifier():
        taken = inspect.signature(function).parameters
        advice = f"here it is {advice}" if own in taken else ""
    return TypeError(f"{message}; {advice}" if advice else message)


def _naming_the_class(
    error: Exception, function: Callable[..., Any], arguments: Sequence[Any]
) -> Exception:
    """Return the error of a wrong call that names the object's class, not a base of the class."""
    base, _, method = function.__qualname__.rpartition(".")
    wrong, own = f"{base}.{method}() ", type(arguments[0]).__name__ if arguments else base
    if not base or own == base or not str(error).startswith(wrong):
        return error
    return TypeError(str(error).replace(wrong, f"{own}.{method}() ", 1))


def made_by(*methods: str) -> Callable[[Function], Function]:
    """Name the class's methods that create an object in the error of a wrong call of ``__init__``.

    Parameters
    ----------
    methods : str
        Names of the methods that users call instead of the class.
    """

    def decorate(init: Function) -> Function:
        """Return an ``__init__`` that calls this one, with the same signature and docstring."""

        @wraps(init)
        def call(self: Any, *arguments: Any, **options: Any) -> None:
            """Call ``__init__``. The wrapper costs time only if the call fails."""
            try:
                init(self, *arguments, **options)
            except TypeError:
                name = type(self).__name__
                try:
                    inspect.signature(init).bind(self, *arguments, **options)
                except TypeError as error:
                    advice = " or ".join(f"{name}.{method}" for method in methods)
                    raise TypeError(f"{name}: {error}; call {advice} instead") from None
                raise

        return cast("Function", call)

    return decorate


def knows_peers(peers: Mapping[str, str]) -> Callable[[Function], Function]:
    """Add a hint to a function's error for an argument name that another library uses.

    Parameters
    ----------
    peers : mapping of str to str
        Hints by the names that other libraries use.
    """

    def decorate(function: Function) -> Function:
        """Return a function that calls this function, with the same signature and docstring."""

        @wraps(function)
        def call(*arguments: Any, **options: Any) -> Any:
            """Call the function. The wrapper costs time only if the call fails."""
            try:
                return function(*arguments, **options)
            except TypeError as error:
                taken = inspect.signature(function).parameters
                wrong: Exception = error
                for name in options:
                    if name in peers and name not in taken:
                        wrong = unexpected(function, name, peers)
                        break
                wrong = _naming_the_class(wrong, function, arguments)
                if wrong is error:
                    raise
                raise wrong from None

        return cast("Function", call)

    return decorate
