"""The expected answers of a case, and whether a case is fit to be judged by them."""

import jax
import numpy as np

from interpret import Interpreter
from scope import MATRICES, PROGRAMS
from values import Axis, Unsupported, Value, bound, decode, encode
from well_formed import functions, leaves


class Precision:
    """`rtol` is that of the golden cases, wider for narrow types, whose errors programs of many ops add up;
    `nudge` is by how much operands are moved to see what rounding can do.
    """

    def __init__(self, rtol: float, nudge: float):
        self.rtol, self.nudge = rtol, nudge


PRECISIONS = {
    "double": Precision(1e-9, 1e-13),
    "single": Precision(2e-5, 2.4e-7),
    "half": Precision(4e-2, 8e-3),
}
SINGLE, HALF = {"float32", "complex64"}, {"bfloat16"}


class Computation:
    """A case as a function of all its arrays: the leaves of its arguments, its cotangents and its
    constants.
    """

    def __init__(self, case: dict):
        self.case = case
        self.axes = tuple(Axis(axis["name"], axis["size"]) for axis in case["axes"])
        self.leaves = [leaf for tree in case["args"] for leaf in leaves(tree)]
        self.cotangents = case["call"].get("cotangents") or []
        self.records = self.leaves + self.cotangents
        bound_arrays = [bound(record, self.axes) for record in self.records]
        self.constants = list(_constants(case["fun"]))
        self.arrays = [array for array, _ in bound_arrays] + [decode(record) for record in self.constants]
        self.varying = [varying for _, varying in bound_arrays]
        self.labels: list[tuple[str, frozenset[str]]] = []
        self._run = jax.jit(self._results)

    def run(self, arrays: list[np.ndarray]) -> list[np.ndarray]:
        return [np.asarray(result) for result in self._run(arrays)]

    def positions(self) -> list[int]:
        """Of the leaves of the arguments to differentiate."""
        spans, start = [], 0
        for tree in self.case["args"]:
            stop = start + len(leaves(tree))
            spans.append(range(start, stop))
            start = stop
        numbers = self.case["call"].get("argnums", 0)
        numbers = numbers if isinstance(numbers, list) else [numbers]
        return [leaf for number in numbers for leaf in spans[number]]

    def _results(self, arrays):
        records = [Value(array, varying) for array, varying in zip(arrays, self.varying)]
        args, cotangents = records[: len(self.leaves)], records[len(self.leaves) :]
        constants = {id(record): array for record, array in zip(self.constants, arrays[len(records) :])}
        results = self._evaluate(Interpreter(constants), args, cotangents)
        self.labels = [(label, value.varying) for label, value in results]
        return [value.array for _, value in results]

    def _evaluate(self, interpreter, args, cotangents) -> list[tuple[str, Value]]:
        fun, call, axes = self.case["fun"], self.case["call"], self.axes
        kind, positions = call["kind"], self.positions()
        names = [f"grad:{self.leaves[i]['name']}" for i in positions]
        reduce_axes, holomorphic = call.get("reduce_axes") or (), call.get("holomorphic", False)
        if kind == "eval":
            return _values(interpreter.call(fun, args, axes))
        if kind in ("grad", "value_and_grad"):
            value, gradients, aux = interpreter.gradient(fun, args, axes, positions, reduce_axes, holomorphic)
            value = [("value", value)] if kind == "value_and_grad" else []
            gradients = [pair for pair in zip(names, gradients) if pair[1] is not None]
            aux = [(f"aux:{name}", result) for name, result in zip(fun.get("aux") or (), aux)]
            return value + gradients + (aux if call.get("has_aux") else [])
        if kind == "vjp":
            results, gradients = interpreter.pull_back(fun, args, axes, positions, reduce_axes, cotangents)
            return _values(results) + list(zip(names, gradients))

        def function(*arrays):
            given = list(args)
            for i, array in zip(positions, arrays):
                given[i] = Value(array, frozenset())
            (result,) = interpreter.call(fun, given, axes)
            return result.array

        transform = {"hessian": jax.hessian, "jacrev": jax.jacrev, "jacfwd": jax.jacfwd}[kind]
        transform = transform(function, argnums=tuple(range(len(positions))), holomorphic=holomorphic)
        parts = jax.tree.leaves(transform(*(args[i].array for i in positions)))
        return [(f"jac:{i}", Value(part, frozenset())) for i, part in enumerate(parts)]


def complete(case: dict) -> None:
    """Adds the expected answers and a tolerance to a case.

    Raises Unsupported for one that could differ without anybody's fault. A program of many ops has to be
    finite everywhere, and its answers must not move when the operands are nudged by a few units in the last
    place, as rounding might move them. Equal operands are nudged alike, so that ties in the data remain,
    and those that rounding makes or breaks are thrown away. A single op is judged at the edges of its
    domain too; but a derivative that is not a number there is as it happens to be written.
    """
    computation = Computation(case)
    results = computation.run(computation.arrays)
    precision = PRECISIONS[_narrowest(case, results)]
    scale = _scale(case["family"], results)
    tolerance = {"rtol": precision.rtol, "atol": precision.rtol * scale}
    if case["family"] == PROGRAMS:
        if not all(np.isfinite(_wide(result)).all() for result in results):
            raise Unsupported("not finite")
        nudged = computation.run([_nudge(array, precision.nudge) for array in computation.arrays])
        for result, moved in zip(results, nudged):
            if not near(moved, result, tolerance["rtol"] / 4, tolerance["atol"] / 4):
                raise Unsupported("at the mercy of rounding")
    elif case["call"]["kind"] != "eval" and any(np.isnan(_wide(result)).any() for result in results):
        raise Unsupported("a derivative is not a number")
    labelled = zip(computation.labels, results)
    case["expected"] = [_record(label, varying, x, computation.axes) for (label, varying), x in labelled]
    case["tol"] = tolerance


def _scale(family: str, results: list[np.ndarray]) -> float:
    """How large the terms may have been that an answer is the sum of: errors are of their size."""
    finite = (np.abs(_wide(result)[np.isfinite(_wide(result))]) for result in results)
    largest = max((magnitudes.max(initial=0.0) for magnitudes in finite), default=0.0)
    if family == MATRICES:
        return largest
    return float(np.clip(largest, 0.1, 1e3)) if family == PROGRAMS else 1.0


def disagreement(case: dict) -> str | None:
    """The first answer of a case that already has some in which the reference differs."""
    computation = Computation(case)
    results = computation.run(computation.arrays)
    ours = {label: result for (label, _), result in zip(computation.labels, results)}
    tolerance = case["tol"]
    for record in case["expected"]:
        label = record["of"]
        if record["dtype"] == "float0":
            continue
        if label not in ours:
            return f"{label} is missing"
        if str(ours[label].dtype) != record["dtype"]:
            return f"{label} is of dtype {ours[label].dtype}"
        theirs, _ = bound(record, computation.axes)
        if not near(*np.broadcast_arrays(ours[label], theirs), tolerance["rtol"], tolerance["atol"]):
            return f"{label} differs"
    return None


def near(ours: np.ndarray, theirs: np.ndarray, rtol: float, atol: float) -> bool:
    if not np.issubdtype(theirs.dtype, np.inexact) and str(theirs.dtype) != "bfloat16":
        return np.array_equal(ours, theirs)
    return np.allclose(_wide(ours), _wide(theirs), rtol=rtol, atol=atol, equal_nan=True)


def _wide(array: np.ndarray) -> np.ndarray:
    return array.astype(np.complex128)


def _nudge(array: np.ndarray, by: float) -> np.ndarray:
    if np.issubdtype(array.dtype, np.complexfloating):
        return (_nudge(array.real, by) + 1j * _nudge(array.imag, by)).astype(array.dtype)
    if not np.issubdtype(array.dtype, np.floating) and str(array.dtype) != "bfloat16":
        return array
    wide = array.astype(np.float64)
    with np.errstate(invalid="ignore", over="ignore"):
        return (wide * (1 + by * np.cos(1e3 * np.abs(wide)))).astype(array.dtype)


def _narrowest(case: dict, results: list[np.ndarray]) -> str:
    dtypes = {str(result.dtype) for result in results} | set(_dtypes(case["fun"]))
    dtypes |= {leaf["dtype"] for tree in case["args"] for leaf in leaves(tree)}
    return "half" if dtypes & HALF else "single" if dtypes & SINGLE else "double"


def _values(results: list[Value]) -> list[tuple[str, Value]]:
    if len(results) == 1:
        return [("value", results[0])]
    return [(f"value:{i}", result) for i, result in enumerate(results)]


def _record(label: str, varying: frozenset[str], result: np.ndarray, axes) -> dict:
    local = result[tuple(slice(None) if axis.name in varying else 0 for axis in axes)]
    names = [axis.name for axis in axes if axis.name in varying]
    shape = list(local.shape)
    return {
        "of": label,
        "named_axes": names,
        "dtype": str(local.dtype),
        "shape": shape,
        "data": encode(local),
    }


def _statements(fun: dict):
    """Of a function and of those inside it."""
    return (statement for inner in functions(fun) for statement in inner["body"])


def _constants(fun: dict):
    return (statement["attrs"]["value"] for statement in _statements(fun) if statement["op"] == "const")


def _dtypes(fun: dict):
    yield from ((statement.get("attrs") or {}).get("dtype") for statement in _statements(fun))
    yield from (record["dtype"] for record in _constants(fun))
