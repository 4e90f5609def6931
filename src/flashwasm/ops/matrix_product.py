"""The matrix product: `matmul`."""

from __future__ import annotations

import math
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from flashwasm.array_room import new_array
from flashwasm.backends.choice import SMALL, SMALL_COPIED, may_leave, other_backend
from flashwasm.errors import ShapeError
from flashwasm.host.workers import check_status
from flashwasm.kernel_table import MATMUL
from flashwasm.ops import elsewhere
from flashwasm.runtime.deadline import checker, deadline
from flashwasm.runtime.default_runtime import checked_runtime
from flashwasm.runtime.kernel_calls import resident_result, run_at_once
from flashwasm.runtime.launch import Launch
from flashwasm.runtime.splitting import axis_to_split, copied_to, halves_of, in_halves
from flashwasm.runtime.tasks import counted_products, product_tiles
from flashwasm.runtime.work_limits import FEWEST_PRODUCTS, LONGEST_CHAIN, MOST_PRODUCTS
from flashwasm.summaries import number_of
from flashwasm.validation import broadcast, checked_out, floats, shaped

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import ArrayLike, NDArray

    from flashwasm.backends.registry import BackendName
    from flashwasm.runtime.runtime import Runtime
    from flashwasm.runtime.splitting import Halves

    Array = NDArray[Any]
    _Call = tuple[int, ...]


def matmul(
    a: ArrayLike,
    b: ArrayLike,
    *,
    bias: ArrayLike | None = None,
    out: NDArray[np.float32] | None = None,
    runtime: Runtime | None = None,
    timeout: float | None = None,
    backend: BackendName | None = None,
) -> NDArray[np.float32]:
    """Multiply matrices, with NumPy's rules for axes and broadcasting.

    Parameters
    ----------
    a : array_like of float, shape (..., m, k) or (k,)
        Left operand.
    b : array_like of float, shape (..., k, n) or (k,)
        Right operand. A transposed view of an array in linear memory is not copied.
    bias : array_like of float, shape (n,), optional
        Vector that is added to every row of the product.
    out : numpy.ndarray of float32, optional
        Array of the result's shape to write to. None means a new array.
    runtime : Runtime, optional
        Runtime to use. None means the default runtime.
    timeout : float, optional
        Maximum duration of the call in seconds. None means the runtime's timeout.
    backend : {"wasm-simd", "native", "gpu", "hybrid"}, optional
        Backend to use. None means the runtime's backend.

    Returns
    -------
    numpy.ndarray of float32, shape (..., m, n)
        The product. Each element is a sum over k, added in ascending order; in the relaxed variant,
        each multiply-add rounds once. The bits of an element therefore depend only on its row of
        ``a`` and its column of ``b``. Backends other than the sandbox add in a different order.

    Raises
    ------
    ShapeError, DTypeError, OutOfMemoryError, DeadlineExceeded, Cancelled, ClosedError,
    CapabilityError

    Examples
    --------
    >>> import numpy as np
    >>> import flashwasm as fw
    >>> fw.matmul(np.array([[1, 2]], np.float32), np.array([[3], [4]], np.float32)).tolist()
    [[11.0]]
    """
    rt = checked_runtime(runtime)
    other = None
    leaves = backend is not None or rt.other_backend is not None
    if leaves and may_leave(rt, backend, (a, b), SMALL, SMALL_COPIED):
        same = {"bias": bias, "runtime": rt, "timeout": timeout}
        other = other_backend(rt, backend, "matmul", (a, b, bias), matmul, (a, b), same)
    if timeout is None and other is None:
        result = _multiply_at_once(rt, a, b, bias, out)
        if result is not None:
            return result
    left, right = floats(a, "a", at_least=1), floats(b, "b", at_least=1)
    rows_wanted, columns_wanted = left.ndim > 1, right.ndim > 1
    left = left if rows_wanted else left[None, :]
    right = right if columns_wanted else right[:, None]
    (m, k), n = left.shape[-2:], right.shape[-1]
    if right.shape[-2] != k:
        message = (
            f"b: expected {number_of(k, 'rows')}, the number of columns of a, got shapes "
            f"a {np.shape(a)} and b {np.shape(b)}"
        )
        raise ShapeError(message)
    batch = broadcast({"a": left.shape[:-2], "b": right.shape[:-2]}, "leading axes")
    added = None if bias is None else shaped(bias, "bias", (n,), "columns of b")
    shape = batch + ((m,) if rows_wanted else ()) + ((n,) if columns_wanted else ())
    checked_out(out, shape)
    if other is not None:
        return elsewhere.multiply(other, rt, (left, right, added), shape, out, timeout)
    target = out
    if target is not None:
        target = target if columns_wanted else target[..., None]
        target = target if rows_wanted else target[..., None, :]
    until = deadline(rt, timeout)
    result = in_halves(
        _Product(left, right, (*batch, m, n), target),
        partial(_multiply, rt, until, added),
        partial(_halves, checker(rt, until)),
    )
    return result.reshape(shape) if out is None else out


class _OneCall(NamedTuple):
    """The facts of a product by one call that follow from the shapes of its operands."""

    shape: tuple[int, int]
    # True if there is so much to do that several threads would share it.
    shared: bool
    # Arguments of the kernel after the addresses.
    rest: tuple[int, ...]


@lru_cache(maxsize=256)
def _one_call(left: tuple[int, ...], right: tuple[int, ...]) -> _OneCall | None:
    """Return the call for contiguous operands of these shapes; None if one call is not enough."""
    if len(left) != 2 or len(right) != 2 or left[1] != right[0]:
        return None
    (m, k), n = left, right[1]
    if counted_products(m, n, k) > MOST_PRODUCTS:
        return None
    return _OneCall((m, n), m * n * k > FEWEST_PRODUCTS, (m, n, k, k, 1, n, 1, n))


def _multiply_at_once(rt: Runtime, a: Any, b: Any, bias: Any, out: Array | None) -> Array | None:
    """Multiply small resident matrices with one call, without a launch.

    Return None without computing anything unless all arrays are whole resident arrays (not views).
    """
    operands = (a, b, bias) if out is None else (a, b, bias, out)
    offsets = rt.arena.whole_arrays(operands)
    if offsets is None or rt.timeout is not None or a is None or b is None:
        return None
    call = _one_call(a.shape, b.shape)
    if call is None or (call.shared and rt.threads > 1):
        return None
    if bias is not None and bias.shape != call.shape[1:]:
        return None
    result = resident_result(rt, offsets, out, call.shape)
    if result is not None:
        status = run_at_once(rt, MATMUL, (*offsets, *call.rest))
        if status:
            check_status(MATMUL, status)
    return result


class _Product(NamedTuple):
    """Checked operands of two or more axes, the shape of their product, and the output array."""

    left: Array
    right: Array
    shape: tuple[int, ...]
    # None means a new array.
    out: Array | None


def _halves(
    between: Callable[[], None],
    product: _Product,
) -> Halves[_Product, Array] | None:
    """Split along the batch or, if that is a single matrix, between two rows."""
    left, right, shape, out = product
    axis = axis_to_split(shape[:-1])
    if axis is None:
        return None
    # The parts go to a new array, because `out` may overlap an operand that a later part still
    # reads.
    result = new_array(shape)
    from_end, parts = axis - len(shape), []
    for index in halves_of(shape, axis):
        x = _along(left, from_end, index[-1])
        # All rows of the result share the right operand.
        y = right if from_end == -2 else _along(right, from_end, index[-1])
        parts.append(_Product(x, y, result[index].shape, result[index]))
    return parts, lambda _: copied_to(out, result, between)


def _along(x: Array, axis: int, part: slice) -> Array:
    """Return a part along an axis, counted from the end; all of ``x`` if it broadcasts there."""
    if x.ndim < -axis or x.shape[axis] == 1:
        return x
    return x[(slice(None),) * (x.ndim + axis) + (part,)]


def _multiply(rt: Runtime, timeout: float | None, bias: Array | None, product: _Product) -> Array:
    """Multiply checked operands."""
    left, right, shape, out = product
    *batch, m, n = shape
    k = left.shape[-1]
    if right.ndim == 2 and left.ndim > 2 and left.flags.c_contiguous:
        # All matrices of the batch share the right operand, so they form one matrix of more rows.
        m = left.size // k if k else m * math.prod(batch)
        left, batch = left.reshape(m, k), []
    launch = Launch(rt, timeout)
    with launch.lock, launch:
        a, a_strides = launch.place_strided(left)
        b, b_strides = launch.place_strided(right)
        add = 0 if bias is None else launch.place(bias)
        c = launch.place_result(shape, out)
        strides = (*a_strides[-2:], *b_strides[-2:], n)
        tiles = product_tiles(m, n, k, max(1, 2 * rt.threads // max(1, math.prod(batch))))

        def calls(x: int, y: int, added: int, z: int, rows: int, columns: int) -> Iterator[_Call]:
            """Yield the calls of a tile. A long sum continues in the next call, which adds to c."""
            step = LONGEST_CHAIN if k > LONGEST_CHAIN else max(k, 1)
            for i in range(0, max(k, 1), step):
                x_at, y_at = x + 4 * i * a_strides[-1], y + 4 * i * b_strides[-2]
                yield (x_at, y_at, z if i else added, z, rows, columns, min(step, k - i), *strides)

        def tasks() -> Iterator[Iterator[_Call]]:
            """Yield the tasks, one for each tile of each matrix."""
            for at, index in enumerate(np.ndindex(*batch)):
                a_at = a + 4 * _offset(index, left.shape, a_strides)
                b_at = b + 4 * _offset(index, right.shape, b_strides)
                c_at = c + 4 * at * m * n
                for i, rows, j, columns in tiles:
                    x, y = a_at + 4 * i * a_strides[-2], b_at + 4 * j * b_strides[-1]
                    z = c_at + 4 * (i * n + j)
                    yield calls(x, y, add and add + 4 * j, z, rows, columns)

        launch.run_tasks(MATMUL, tasks())
        return launch.finish()


def _offset(index: tuple[int, ...], shape: tuple[int, ...], strides: tuple[int, ...]) -> int:
    """Return the offset, in elements, of an operand's matrix at an index of the batch.

    The operand is broadcast along missing axes and along axes of length one.
    """
    axes = len(shape) - 2
    own = index[len(index) - axes :] if axes else ()
    return sum(
        i * stride
        for i, size, stride in zip(own, shape[:-2], strides[:-2], strict=True)
        if size > 1
    )
