"""Collectives of the format, as plain array code over the leading dimension of their axis."""

import jax.numpy as jnp
from jax import lax

from values import Axes, Value, position, vary


def collective(op: str, attrs: dict, operands: list[Value], axes: Axes) -> Value:
    if op == "axis_index":
        return _axis_index(attrs["axis_name"], axes)
    if op in _REDUCTIONS:
        return _reduced(op, operands[0], attrs["axes"], axes)
    dim = position(axes, attrs["axis_name"])
    operand = vary(operands[0], axes, [attrs["axis_name"]])
    members = jnp.moveaxis(operand.array, dim, 0)
    result = _EXCHANGES[op](attrs, members, len(axes) - 1)
    return Value(jnp.moveaxis(result, 0, dim), operand.varying)


def _axis_index(name: str, axes: Axes) -> Value:
    dim = position(axes, name)
    shape = [1] * len(axes)
    shape[dim] = axes[dim].size
    return Value(jnp.arange(axes[dim].size, dtype=jnp.int32).reshape(shape), frozenset([name]))


def _sum(array, dims):
    return jnp.sum(array, axis=dims, keepdims=True, dtype=array.dtype)


def _mean(array, dims):
    return jnp.mean(array, axis=dims, keepdims=True)


def _max(array, dims):
    return lax.stop_gradient(jnp.max(array, axis=dims, keepdims=True))


_REDUCTIONS = {"psum": _sum, "pmean": _mean, "pmax": _max}


def _reduced(op: str, operand: Value, names: list[str], axes: Axes) -> Value:
    operand = vary(operand, axes, names)
    dims = tuple(position(axes, name) for name in names)
    return Value(_REDUCTIONS[op](operand.array, dims), operand.varying.difference(names))


# In what follows `members` has the axis in front, then `outer` dimensions of other axes, then the
# positional ones.


def _local(members, outer: int, dim: int, extra: int = 0) -> int:
    """Where a positional dimension of one member (or of a result with `extra` more of them) is."""
    return outer + dim % (members.ndim - 1 - outer + extra)


def _ppermute(attrs, members, outer):
    result = jnp.zeros_like(members)
    for source, destination in attrs["perm"]:
        result = result.at[destination].set(members[source])
    return result


def _all_gather(attrs, members, outer):
    tiled = attrs.get("tiled", False)
    dim = _local(members, outer, attrs.get("axis", 0), extra=0 if tiled else 1)
    whole = jnp.concatenate(list(members), axis=dim) if tiled else jnp.stack(list(members), axis=dim)
    return jnp.broadcast_to(whole, members.shape[:1] + whole.shape)


def _parts(array, count: int, dim: int, tiled: bool) -> list:
    """One part for each member: a slice, or with `tiled` a chunk."""
    parts = jnp.split(array, count, axis=dim)
    return parts if tiled else [jnp.squeeze(part, dim) for part in parts]


def _psum_scatter(attrs, members, outer):
    dim = _local(members, outer, attrs.get("dim", 0))
    total = jnp.sum(members, axis=0, dtype=members.dtype)
    return jnp.stack(_parts(total, len(members), dim, attrs.get("tiled", False)))


def _all_to_all(attrs, members, outer):
    tiled = attrs.get("tiled", False)
    split, concat = (_local(members, outer, attrs[name]) for name in ("split", "concat"))
    sent = [_parts(member, len(members), split, tiled) for member in members]
    join = jnp.concatenate if tiled else jnp.stack
    return jnp.stack([join(received, axis=concat) for received in zip(*sent)])


_EXCHANGES = {
    "ppermute": _ppermute,
    "all_gather": _all_gather,
    "psum_scatter": _psum_scatter,
    "all_to_all": _all_to_all,
}

COLLECTIVES = {"axis_index", *_REDUCTIONS, *_EXCHANGES}
