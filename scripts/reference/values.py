"""Values of the reference: dense arrays in which every bound axis has a leading dimension of its own.

Also the records of the format (tests/golden/README.md) as values, and back.
"""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np


class Unsupported(Exception):
    """What the reference cannot say: the program is no test of anything."""


class Axis(NamedTuple):
    name: str
    size: int


Axes = tuple[Axis, ...]  # the bound axes, outermost first


class Value(NamedTuple):
    """The leading dimension of an axis is its size if the value varies over it, otherwise 1."""

    array: jax.Array
    varying: frozenset[str]


def leading(axes: Axes, varying) -> tuple[int, ...]:
    return tuple(axis.size if axis.name in varying else 1 for axis in axes)


def position(axes: Axes, name: str) -> int:
    """The dimension of an axis; of two with the same name, the inner one is meant."""
    for dim, axis in reversed(list(enumerate(axes))):
        if axis.name == name:
            return dim
    raise Unsupported(f"no axis {name} is bound")


def union(values) -> frozenset[str]:
    return frozenset().union(*(value.varying for value in values))


def constant(array, axes: Axes) -> Value:
    array = jnp.asarray(array)
    return Value(array.reshape((1,) * len(axes) + array.shape), frozenset())


def vary(value: Value, axes: Axes, names) -> Value:
    """The same value, written out along these axes too."""
    if value.varying.issuperset(names):
        return value
    varying = value.varying.union(names)
    shape = leading(axes, varying) + value.array.shape[len(axes) :]
    return Value(jnp.broadcast_to(value.array, shape), varying)


def mapped(function, values: list[Value], axes: Axes) -> list[Value]:
    """A function of positional arrays, at every index of the axes that an operand varies over."""
    varying = union(values)
    arrays = []
    for value in values:
        index = tuple(slice(None) if axis.name in value.varying else 0 for axis in axes)
        arrays.append(value.array[index] if axes else value.array)
    for axis in reversed(axes):
        if axis.name in varying:
            function = jax.vmap(
                function, in_axes=[0 if axis.name in value.varying else None for value in values]
            )
    results = function(*arrays)
    missing = [dim for dim, axis in enumerate(axes) if axis.name not in varying]
    results = results if isinstance(results, (tuple, list)) else [results]
    return [Value(jnp.expand_dims(result, missing), varying) for result in results]


def decode(record: dict) -> np.ndarray:
    """The array of a record, its named axes in front as they stand there."""
    dtype = jnp.dtype(record["dtype"])
    entries = record["data"]
    if jnp.issubdtype(dtype, jnp.complexfloating):
        pairs = (entry if isinstance(entry, list) else [entry, 0.0] for entry in entries)
        entries = [complex(float(real), float(imag)) for real, imag in pairs]
    elif jnp.issubdtype(dtype, jnp.floating):
        entries = [float(entry) for entry in entries]
    wide = np.float64 if record["dtype"] == "bfloat16" else dtype
    return np.array(entries, dtype=wide).reshape(record["shape"]).astype(dtype)


def bound(record: dict, axes: Axes) -> tuple[np.ndarray, frozenset[str]]:
    """The array of a record with a leading dimension for every axis, and the axes that it varies over."""
    varying = frozenset(record.get("named_axes", ()))
    local = record["shape"][len(varying) :]
    return decode(record).reshape(leading(axes, varying) + tuple(local)), varying


def encode(array: np.ndarray) -> list:
    """The entries of an array as strict JSON."""
    flat = array.ravel()
    if flat.dtype == bool:
        return [bool(entry) for entry in flat]
    if np.issubdtype(flat.dtype, np.integer):
        return [int(entry) for entry in flat]
    if np.issubdtype(flat.dtype, np.complexfloating):
        return [[_number(entry.real), _number(entry.imag)] for entry in flat]
    return [_number(entry) for entry in flat.astype(np.float64)]


def _number(entry):
    entry = float(entry)
    if math.isnan(entry):
        return "nan"
    if math.isinf(entry):
        return "inf" if entry > 0 else "-inf"
    return entry
