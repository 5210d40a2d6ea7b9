"""The reference semantics: what a program of the golden format (tests/golden/README.md) computes, in dense
JAX.

The rules are those of the *sound* answers (`expected`): the objective of a gradient is the sum of the
output over the axes that it varies over, once over the others; an argument is one value per index along
every axis that is not in `reduce_axes`; and `psum` and "make varying" are each other's transpose.

Nothing here knows of a named axis when it differentiates. Each value is one array in which every bound axis
is a leading dimension; an op is vmapped over those that an operand varies over; a collective is array code
over its axis's dimension; and a gradient is JAX's own, of the summed objective, by arguments that have been
broadcast over the axes not listed. So there is no rule for a collective, a broadcast or `reduce_axes` that
could repeat a mistake of the runtime's.
"""

import os

os.environ["JAX_PLATFORMS"] = "cpu"
# Programs are small and each is run twice, so compiling is what costs. Every op rounds its result, as the
# runtime's do.
os.environ["XLA_FLAGS"] = (
    "--xla_backend_optimization_level=0 --xla_cpu_multi_thread_eigen=false --xla_allow_excess_precision=false"
)

import jax
import jax.numpy as jnp

from collectives import COLLECTIVES, collective
from ops import LOCAL
from values import Axes, Axis, Unsupported, Value, constant, decode, mapped, union, vary

jax.config.update("jax_enable_x64", True)


class Results(list):
    """The results of a function, and beside them its auxiliary ones."""

    def __init__(self, results: list[Value], aux: list[Value]):
        super().__init__(results)
        self.aux = aux


class Interpreter:
    """Runs functions; constants come from outside, so that they too can be traced and nudged."""

    def __init__(self, constants: dict[int, jax.Array] | None = None):
        self.constants = constants or {}

    def call(self, fun: dict, args: list[Value], axes: Axes) -> Results:
        if len(fun["params"]) != len(args):
            raise ValueError("as many arguments as parameters")
        names = dict(zip(fun["params"], args))
        for statement in fun["body"]:
            results = self._execute(statement, self._operands(statement, names, axes), axes)
            names.update(zip(statement["let"], results, strict=True))
        returned = fun["ret"] if isinstance(fun["ret"], list) else [fun["ret"]]
        return Results([names[name] for name in returned], [names[name] for name in fun.get("aux") or ()])

    def _operands(self, statement: dict, names: dict, axes: Axes) -> list[Value]:
        """A number takes the dtype of the last tensor beside it, where the mask of `where` does not count."""
        given = [names[operand] if isinstance(operand, str) else operand for operand in statement["in"]]
        beside = given[1:] if statement["op"] == "where" else given
        dtypes = [operand.array.dtype for operand in beside if isinstance(operand, Value)]
        dtype = dtypes[-1] if dtypes else jnp.float64

        def value(operand):
            if isinstance(operand, Value):
                return operand
            if "lit" in operand:
                return constant(jnp.asarray(float(operand["lit"])).astype(dtype), axes)
            return constant(operand["bool"], axes)

        return [value(operand) for operand in given]

    def _execute(self, statement: dict, operands: list[Value], axes: Axes) -> list[Value]:
        op, attrs = statement["op"], statement.get("attrs") or {}
        if op in LOCAL:
            return mapped(lambda *arrays: LOCAL[op](attrs, *arrays), operands, axes)
        if op == "const":
            record = attrs["value"]
            array = self.constants.get(id(record))
            return [constant(decode(record) if array is None else array, axes)]
        if op == "axis_size":
            return [constant(dict(axes)[attrs["axis_name"]], axes)]
        if op in COLLECTIVES:
            return [collective(op, attrs, operands, axes)]
        if op in _TRANSFORMS:
            return _TRANSFORMS[op](self, attrs, operands, axes)
        raise Unsupported(f"no op {op}")

    def gradient(
        self,
        fun: dict,
        args: list[Value],
        axes: Axes,
        positions: list[int],
        reduce_axes=(),
        holomorphic=False,
    ) -> tuple[Value, list[Value | None], list[Value]]:
        """The value, the gradient by each of the arguments (None for an integer), the auxiliary results."""
        args = _per_index(args, axes, positions, reduce_axes)
        inexact = [i for i in positions if jnp.issubdtype(args[i].array.dtype, jnp.inexact)]
        varying = {}

        def objective(arrays):
            given = list(args)
            for i, array in zip(inexact, arrays):
                given[i] = Value(array, args[i].varying)
            results = self.call(fun, given, axes)
            (result,) = results
            varying["result"], varying["aux"] = result.varying, [value.varying for value in results.aux]
            return jnp.sum(result.array), (result.array, [value.array for value in results.aux])

        differentiate = jax.grad(objective, has_aux=True, holomorphic=holomorphic)
        arrays, (result, aux) = differentiate([args[i].array for i in inexact])
        gradients = {i: Value(array, args[i].varying) for i, array in zip(inexact, arrays)}
        aux = [Value(array, names) for array, names in zip(aux, varying["aux"])]
        return Value(result, varying["result"]), [gradients.get(i) for i in positions], aux

    def pull_back(
        self, fun, args, axes, positions, reduce_axes, cotangents
    ) -> tuple[list[Value], list[Value]]:
        """The results, and what `cotangents` (arrays with their varying axes) are pulled back to."""
        args = _per_index(args, axes, positions, reduce_axes)
        varying = []

        def function(arrays):
            given = list(args)
            for i, array in zip(positions, arrays):
                given[i] = Value(array, args[i].varying)
            results = self.call(fun, given, axes)
            varying[:] = [result.varying for result in results]
            return [result.array for result in results]

        arrays, transpose = jax.vjp(function, [args[i].array for i in positions])
        seeds = []
        for (cotangent, names), array, result in zip(cotangents, arrays, varying, strict=True):
            if not names <= result:
                raise Unsupported("a cotangent varies where its result does not")
            seeds.append(jnp.broadcast_to(cotangent, array.shape).astype(array.dtype))
        (gradients,) = transpose(seeds)
        results = [Value(array, names) for array, names in zip(arrays, varying)]
        return results, [Value(array, args[i].varying) for i, array in zip(positions, gradients)]

    def _value_and_grad(self, attrs, operands, axes):
        positions = [i % len(operands) for i in attrs["argnums"]]
        reduce_axes = attrs.get("reduce_axes") or ()
        value, gradients, _ = self.gradient(attrs["fn"], operands, axes, positions, reduce_axes)
        return [value, *gradients]

    def _grad(self, attrs, operands, axes):
        return self._value_and_grad(attrs, operands, axes)[1:]

    def _call(self, attrs, operands, axes):
        return self.call(attrs["fn"], operands, axes)

    def _jvp(self, attrs, operands, axes):
        count = attrs["n_diff"]
        args, tangents = operands[:-count], operands[-count:]
        moving = [vary(arg, axes, tangent.varying) for arg, tangent in zip(args, tangents)]
        tangents = [vary(tangent, axes, arg.varying) for arg, tangent in zip(moving, tangents)]
        varying = []

        def function(*arrays):
            given = [Value(array, arg.varying) for array, arg in zip(arrays, moving)]
            results = self.call(attrs["fn"], given + args[count:], axes)
            varying[:] = [result.varying for result in results]
            return [result.array for result in results]

        arrays = [[value.array for value in values] for values in (moving, tangents)]
        primals, tangents = jax.jvp(function, *arrays)
        return [Value(array, names) for half in (primals, tangents) for array, names in zip(half, varying)]

    def _vmap(self, attrs, operands, axes):
        depth = len(axes)
        name = attrs.get("axis_name") or f"vmap {depth}"
        size, args = None, []
        for operand, dim in zip(operands, attrs["in_axes"]):
            if dim is None:
                args.append(Value(jnp.expand_dims(operand.array, depth), operand.varying))
                continue
            dim = depth + dim % (operand.array.ndim - depth)
            size = operand.array.shape[dim]
            args.append(Value(jnp.moveaxis(operand.array, dim, depth), operand.varying | {name}))
        inner = (*axes, Axis(name, size))
        results = []
        for result in self.call(attrs["fn"], args, inner):
            if attrs.get("out_axes", 0) is None:
                if name in result.varying:
                    raise Unsupported("a result that varies over a mapped axis without a place for it")
                results.append(Value(jnp.squeeze(result.array, depth), result.varying))
                continue
            result = vary(result, inner, [name])
            dim = depth + attrs.get("out_axes", 0) % (result.array.ndim - depth)
            results.append(Value(jnp.moveaxis(result.array, depth, dim), result.varying - {name}))
        return results

    def _scan(self, attrs, operands, axes):
        count, depth = attrs["n_xs"], len(axes)
        carry, sequences, constants = operands[0], operands[1 : 1 + count], operands[1 + count :]
        length = sequences[0].array.shape[depth]
        rows = [None] * length
        for i in range(length)[:: -1 if attrs.get("reverse") else 1]:
            row = [Value(jnp.take(xs.array, i, axis=depth), xs.varying) for xs in sequences]
            carry, *rows[i] = self.call(attrs["fn"], [carry, *row, *constants], axes)
        return [carry, *(_stacked(column, axes) for column in zip(*rows))]

    def _fori(self, attrs, operands, axes):
        state, *constants = operands
        for i in range(attrs["n"]):
            (state,) = self.call(attrs["fn"], [constant(jnp.int32(i), axes), state, *constants], axes)
        return [state]

    def _cond(self, attrs, operands, axes):
        predicate, *args = operands
        branches = [self.call(attrs[name], args, axes) for name in ("then", "else")]
        return [mapped(jnp.where, [predicate, *results], axes)[0] for results in zip(*branches, strict=True)]


_TRANSFORMS = {
    "grad": Interpreter._grad,
    "value_and_grad": Interpreter._value_and_grad,
    "checkpoint": Interpreter._call,
    "jit": Interpreter._call,
    "jvp": Interpreter._jvp,
    "vmap": Interpreter._vmap,
    "scan": Interpreter._scan,
    "fori": Interpreter._fori,
    "cond": Interpreter._cond,
}


def _per_index(args: list[Value], axes: Axes, positions: list[int], reduce_axes) -> list[Value]:
    """The arguments, those to differentiate as one value per index of every axis that is not listed."""
    others = [axis.name for axis in axes if axis.name not in reduce_axes]
    return [vary(arg, axes, others) if i in positions else arg for i, arg in enumerate(args)]


def _stacked(column: tuple[Value, ...], axes: Axes) -> Value:
    varying = union(column)
    return Value(jnp.stack([vary(value, axes, varying).array for value in column], len(axes)), varying)
