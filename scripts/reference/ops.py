"""The local ops of the format: each takes its attributes and the positional arrays of one index of the
named axes.
"""

import jax
import jax.numpy as jnp
import jax.scipy as jsp
import numpy as np
from jax import lax


def _plain(function):
    """An op without attributes."""
    return lambda attrs, *arrays: function(*arrays)


def _along(attrs: dict) -> dict:
    """What a reduction goes over."""
    axes = attrs.get("axes", attrs.get("axis"))
    axes = tuple(axes) if isinstance(axes, list) else axes
    return {"axis": axes, "keepdims": attrs.get("keepdims", False)}


def _reduction(function):
    return lambda attrs, x: function(x, **_along(attrs))


def _cumulative(function):
    def run(attrs, x):
        return function(x, attrs["axis"] % x.ndim, reverse=attrs.get("reverse", False))

    return run


def _moment(function):
    return lambda attrs, x: function(x, ddof=attrs.get("ddof", 0), **_along(attrs))


def _norm(attrs, x):
    return jnp.sqrt(jnp.sum(jnp.real(x * jnp.conj(x)), **_along(attrs)))


def _convolution(attrs, x, kernel):
    return lax.conv_general_dilated(
        x,
        kernel,
        attrs["strides"],
        attrs["padding"],
        lhs_dilation=attrs.get("lhs_dilation"),
        rhs_dilation=attrs.get("rhs_dilation"),
        feature_group_count=attrs.get("groups", 1),
    )


def _windows(attrs, x, start, combine):
    window, strides = attrs["window"], attrs["strides"]
    padding = attrs.get("padding") or [[0, 0]] * len(window)
    outer = x.ndim - len(window)
    sizes = (1,) * outer + tuple(window), (1,) * outer + tuple(strides)
    pads = ((0, 0),) * outer + tuple(tuple(pad) for pad in padding)
    return lax.reduce_window(x, np.array(start, x.dtype)[()], combine, *sizes, pads)


def _max_pool(attrs, x):
    return _windows(attrs, x, -np.inf, lax.max)


def _avg_pool(attrs, x):
    return _windows(attrs, x, 0, lax.add) / np.prod(attrs["window"])


def _rows(ids, size):
    """Row numbers, counted from the end where negative; `size` where there is no such row."""
    ids = ids.astype(jnp.int64)
    ids = jnp.where(ids < 0, ids + size, ids)
    return jnp.where((ids < 0) | (ids >= size), size, ids)


def _scatter(how):
    def run(attrs, x, ids, updates):
        updates = jnp.broadcast_to(updates, ids.shape + x.shape[1:])
        return getattr(x.at[_rows(ids, x.shape[0])], how)(updates, mode="drop")

    return run


def _scatter_mul(attrs, x, ids, updates):
    # JAX differentiates its own only where all rows are different.
    updates = jnp.broadcast_to(updates, ids.shape + x.shape[1:]).reshape((ids.size, 1) + x.shape[1:])
    hit = _rows(ids, x.shape[0]).reshape(-1, 1) == jnp.arange(x.shape[0])
    hit = hit.reshape(hit.shape + (1,) * (x.ndim - 1))
    return x * jnp.prod(jnp.where(hit, updates, jnp.ones_like(updates)), axis=0, dtype=x.dtype)


def _triangular_solve(attrs, a, b):
    return jsp.linalg.solve_triangular(a, b, lower=attrs.get("lower", False), trans=attrs.get("trans", 0))


def _pairs(lists):
    """JAX wants what it keeps to be hashable."""
    return [tuple(item) for item in lists]


def _dtype(attrs, default):
    return jnp.dtype(attrs.get("dtype", default))


def _clip(attrs, x, low, high):
    return jnp.minimum(jnp.maximum(x, low), high)


_SAME_NAME = """abs sign exp exp2 expm1 log log2 log1p sqrt cbrt sin cos tan sinh cosh tanh square
reciprocal floor ceil round real imag conj angle logical_not isfinite sinc add maximum minimum logaddexp
hypot logical_and logical_or where diag trace matmul""".split()

_ACTIVATIONS = "sigmoid softplus relu relu6 silu elu log_sigmoid".split()

_OTHER_NAME = {
    "neg": lambda x: -x,
    "rsqrt": lax.rsqrt,
    "asin": jnp.arcsin,
    "acos": jnp.arccos,
    "atan": jnp.arctan,
    "asinh": jnp.arcsinh,
    "acosh": jnp.arccosh,
    "atanh": jnp.arctanh,
    "erf": jsp.special.erf,
    "erfc": jsp.special.erfc,
    "erf_inv": jsp.special.erfinv,
    "lgamma": jsp.special.gammaln,
    "digamma": jsp.special.digamma,
    "stop_gradient": lax.stop_gradient,
    "sub": jnp.subtract,
    "mul": jnp.multiply,
    "div": jnp.divide,
    "pow": lambda x, y: x**y,
    "atan2": jnp.arctan2,
    "rem": jnp.remainder,
    "xlogy": jsp.special.xlogy,
    "complex": lambda re, im: lax.complex(*jnp.broadcast_arrays(re, im)),
    "lt": jnp.less,
    "le": jnp.less_equal,
    "gt": jnp.greater,
    "ge": jnp.greater_equal,
    "eq": jnp.equal,
    "ne": jnp.not_equal,
    "index": lambda x, ids: x[ids],
    "cholesky": jnp.linalg.cholesky,
    "solve": jnp.linalg.solve,
    "inv": jnp.linalg.inv,
    "det": jnp.linalg.det,
    "slogdet": lambda x: tuple(jnp.linalg.slogdet(x)),
    "eigvalsh": jnp.linalg.eigvalsh,
    "svdvals": lambda x: jnp.linalg.svd(x, compute_uv=False, full_matrices=False),
    "expm": jsp.linalg.expm,
}

LOCAL = {
    **{name: _plain(getattr(jnp, name)) for name in _SAME_NAME},
    **{name: _plain(getattr(jax.nn, name)) for name in _ACTIVATIONS},
    **{name: _plain(function) for name, function in _OTHER_NAME.items()},
    **{name: _reduction(getattr(jnp, name)) for name in "sum mean prod max min any all median".split()},
    **{name: _moment(getattr(jnp, name)) for name in ("var", "std")},
    "logsumexp": _reduction(jsp.special.logsumexp),
    "norm": _norm,
    **{name: _cumulative(getattr(lax, name)) for name in "cumsum cumprod cummax cumlogsumexp".split()},
    "integer_pow": lambda attrs, x: lax.integer_pow(x, attrs["n"]),
    "leaky_relu": lambda attrs, x: jax.nn.leaky_relu(x, attrs["alpha"]),
    "gelu": lambda attrs, x: jax.nn.gelu(x, approximate=attrs["approximate"]),
    "convert": lambda attrs, x: x.astype(jnp.dtype(attrs["dtype"])),
    "clip": _clip,
    "iota": lambda attrs: jnp.arange(attrs["n"], dtype=_dtype(attrs, "int64")),
    "eye": lambda attrs: jnp.eye(attrs["n"], dtype=_dtype(attrs, "float64")),
    "one_hot": lambda attrs, ids: jax.nn.one_hot(ids, attrs["n"], dtype=_dtype(attrs, "float64")),
    "reshape": lambda attrs, x: jnp.reshape(x, attrs["shape"]),
    "transpose": lambda attrs, x: jnp.transpose(x, attrs.get("perm")),
    "broadcast_to": lambda attrs, x: jnp.broadcast_to(x, attrs["shape"]),
    "expand_dims": lambda attrs, x: jnp.expand_dims(x, attrs["axis"]),
    "squeeze": lambda attrs, x: jnp.squeeze(x, attrs.get("axis")),
    "concat": lambda attrs, *parts: jnp.concatenate(parts, attrs["axis"]),
    "stack": lambda attrs, *parts: jnp.stack(parts, attrs.get("axis", 0)),
    "slice": lambda attrs, x: lax.slice(x, attrs["start"], attrs["limit"], attrs.get("strides")),
    "dynamic_slice": lambda attrs, x, *starts: lax.dynamic_slice(x, starts, attrs["sizes"]),
    "pad": lambda attrs, x: lax.pad(x, jnp.asarray(attrs.get("value", 0), x.dtype), _pairs(attrs["config"])),
    "flip": lambda attrs, x: jnp.flip(x, tuple(attrs["axes"])),
    "roll": lambda attrs, x: jnp.roll(x, attrs["shift"], attrs["axis"]),
    "tile": lambda attrs, x: jnp.tile(x, attrs["reps"]),
    "tril": lambda attrs, x: jnp.tril(x, attrs.get("k", 0)),
    "triu": lambda attrs, x: jnp.triu(x, attrs.get("k", 0)),
    "argmax": lambda attrs, x: jnp.argmax(x, attrs.get("axis")),
    "argmin": lambda attrs, x: jnp.argmin(x, attrs.get("axis")),
    "sort": lambda attrs, x: jnp.sort(x, attrs.get("axis", -1)),
    "argsort": lambda attrs, x: jnp.argsort(x, attrs.get("axis", -1)),
    "top_k": lambda attrs, x: tuple(lax.top_k(x, attrs["k"])),
    "softmax": lambda attrs, x: jax.nn.softmax(x, attrs.get("axis", -1)),
    "log_softmax": lambda attrs, x: jax.nn.log_softmax(x, attrs.get("axis", -1)),
    "einsum": lambda attrs, *arrays: jnp.einsum(attrs["spec"], *arrays),
    "conv": _convolution,
    "max_pool": _max_pool,
    "avg_pool": _avg_pool,
    "take": lambda attrs, x, ids: jnp.take(x, ids, axis=attrs.get("axis", 0), mode=attrs.get("mode", "fill")),
    "take_along_axis": lambda attrs, x, ids: jnp.take_along_axis(x, ids, attrs["axis"]),
    "scatter_add": _scatter("add"),
    "scatter_set": _scatter("set"),
    "scatter_mul": _scatter_mul,
    "segment_sum": lambda attrs, rows, ids: jax.ops.segment_sum(rows, ids, attrs["n"]),
    "triangular_solve": _triangular_solve,
    "matrix_power": lambda attrs, x: jnp.linalg.matrix_power(x, attrs["n"]),
}
