"""ONNX node semantics expressed by the operations under test.

`run(operations, node, inputs)` calls functions by their names in the package. The oracles have the
same names, so this adapter runs both on ONNX's data. If the operations have no parameter for an
attribute of ONNX, such as a window without causality, the adapter converts it to a mask.
"""

import numpy as np
import onnx


def run(operations, node, inputs):
    """Return the node's outputs by name, without those that the operations do not return."""
    attributes = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
    attributes = {k: v.decode() if isinstance(v, bytes) else v for k, v in attributes.items()}
    inputs = [inputs[name] if name else None for name in node.input]
    outputs = NODES[node.op_type](operations, *inputs, **attributes)
    return dict(zip(node.output, outputs, strict=False))


def layer_normalization(ops, x, scale, bias=None, axis=-1, epsilon=1e-5, **_):
    return (ops.layer_norm(x, scale, bias, epsilon, axis=axis),)


def rms_normalization(ops, x, scale, axis=-1, epsilon=1e-5, **_):
    return (ops.rms_norm(x, scale, epsilon, axis=axis),)


def softmax(ops, x, axis=-1):
    return (ops.softmax(x, axis),)


def matmul(ops, a, b):
    return (ops.matmul(a, b),)


def gather(ops, data, indices, axis=0):
    """Gather slices along `axis`. In the result, the axes of the indices replace it."""
    rows = ops.embedding(indices, np.moveaxis(data, axis, 0))
    taken = range(indices.ndim)
    return (np.moveaxis(rows, taken, [axis % data.ndim + i for i in taken]),)


def gelu(ops, x, approximate="none"):
    return (ops.gelu(x, approximate),)


def rotary_embedding(
    ops, x, cos, sin, position_ids=None, interleaved=0, num_heads=0, rotary_embedding_dim=0
):
    y = ops.rotary_embedding(
        x,
        cos,
        sin,
        position_ids=position_ids,
        interleaved=bool(interleaved),
        num_heads=num_heads or None,
        rotary_dim=rotary_embedding_dim or None,
    )
    return (y,)


def split_heads(x, heads):
    return x if x.ndim == 4 else x.reshape(*x.shape[:2], heads, -1).transpose(0, 2, 1, 3)


def attention_mask(mask, keys, visible):
    """Return the mask, extended to all keys, with the keys that are not visible masked out."""
    if mask is None:
        return visible
    hidden = False if mask.dtype == bool else -np.inf
    missing = [(0, 0)] * (mask.ndim - 1) + [(0, keys - mask.shape[-1])]
    mask = np.pad(mask, missing, constant_values=hidden)
    return mask if visible is None else np.where(visible, mask, mask.dtype.type(hidden))


def attention(
    ops,
    q,
    k,
    v,
    mask=None,
    past_key=None,
    past_value=None,
    nonpad_kv_seqlen=None,
    *,
    is_causal=0,
    scale=None,
    q_num_heads=None,
    kv_num_heads=None,
    softcap=0.0,
    left_window_size=-1,
    right_window_size=-1,
    qk_matmul_output_mode=0,
    **_,
):
    """Return the output, the present keys and values, and the scores of the requested stage."""
    packed = q.ndim == 3
    q, k, v = (
        split_heads(q, q_num_heads),
        split_heads(k, kv_num_heads),
        split_heads(v, kv_num_heads),
    )
    if past_key is not None:
        k, v = np.concatenate([past_key, k], axis=2), np.concatenate([past_value, v], axis=2)
    queries, keys = q.shape[2], k.shape[2]
    offset, window = 0 if past_key is None else past_key.shape[2], None
    if nonpad_kv_seqlen is not None:
        offset = nonpad_kv_seqlen - queries
    sides = left_window_size, right_window_size
    if is_causal:
        window = None if max(sides) < 0 else sides
    elif max(sides) >= 0:
        # ONNX's window is around the causal diagonal even if attention is not causal. The
        # operations' window is then around the main diagonal, so ONNX's is converted to a mask.
        ahead = np.arange(keys) - np.arange(queries)[:, None] - np.reshape(offset, (-1, 1, 1, 1))
        inside = (sides[0] < 0) | (-ahead <= sides[0])
        inside &= (sides[1] < 0) | (ahead <= sides[1])
        mask = inside if mask is None else attention_mask(mask, keys, inside)
    options = {
        "causal": offset if is_causal else False,
        "mask": attention_mask(mask, keys, None),
        "scale": scale,
        "softcap": softcap,
        "window": window,
        "kv_lengths": nonpad_kv_seqlen,
    }
    out = ops.attention(q, k, v, **options)
    if packed:
        out = out.transpose(0, 2, 1, 3).reshape(out.shape[0], queries, -1)
    stage = ("raw", "softcap", "bias", "softmax")[qk_matmul_output_mode]
    return out, k, v, ops.attention_scores(q, k, stage=stage, **options)


NODES = {
    "Attention": attention,
    "Gather": gather,
    "Gelu": gelu,
    "LayerNormalization": layer_normalization,
    "MatMul": matmul,
    "RMSNormalization": rms_normalization,
    "RotaryEmbedding": rotary_embedding,
    "Softmax": softmax,
}
