"""Programs of a single op, of every dtype, at the edges of its domain: zeros of both signs, ties, values
that overflow, and what is not finite. Rounding has nowhere to build up, so these are compared as they
are.
"""

import math

from scope import COMPLEX, FLOATS, MATRICES, SINGLE_OPS, NoFit, Scope, Source, Variable

INF, NAN = "inf", "nan"
FINITE = [0.0, -0.0, 1.0, -1.0, 0.5, -0.5, 2.0, -3.0, 1.5, 2.5, -2.5, 3.5, 20.0, -20.0]
EDGES = {
    "float64": [*FINITE, 1e300, -1e300, 1e17, 709.5, -745.0, 88.7, 1e-8, 1e-200, 36.0],
    "float32": [*FINITE, 1e30, 3e38, 88.0, -100.0, 1e-20, 17.0, -17.0],
    "bfloat16": [*FINITE, 3e38, 88.0, 256.0, 1e-30],
    "complex128": [0.0, 1.0, -1.0, 0.5, -2.0, 3.0, -0.7, 0.3],
    "complex64": [0.0, 1.0, -1.0, 0.5, -2.0, 3.0, -0.7, 0.3],
    "int32": [0, 1, -1, 2, 3, -5, 7, 2**31 - 1, -(2**31), 100, -100, 65536],
    "int64": [0, 1, -1, 2, 3, -5, 7, 2**53, -(2**53), 2**31, -(2**31) - 1, 100, 2**40],
    "uint8": [0, 1, 2, 3, 7, 255, 254, 128, 127, 100],
    "uint32": [0, 1, 2, 3, 7, 2**32 - 1, 2**31, 100],
    "uint64": [0, 1, 2, 3, 7, 2**53, 2**40, 100],
    "bool": [False, True],
}
DTYPES = ["float64"] * 3 + ["float32", "bfloat16"] * 2 + ["complex128"] * 2 + sorted(EDGES)
SHAPES = [(5,), (4,), (2, 3), (3, 2), (1, 4), (2, 1, 3), ()]
# The dtype and shape of a result that nothing but a conversion and a sum follows.
ANY = ("", ())

FUNCTIONS = {
    "float": """neg abs sign exp exp2 expm1 log log2 log1p sqrt rsqrt cbrt sin cos tan asin acos atan sinh
        cosh tanh asinh acosh atanh erf erfc erf_inv lgamma digamma sinc sigmoid softplus relu relu6 silu
        elu log_sigmoid square reciprocal floor ceil round isfinite gelu leaky_relu integer_pow""",
    "complex": """neg abs exp log log1p sqrt sin cos tan asin acos atan sinh cosh tanh asinh acosh atanh
        square reciprocal real imag conj angle isfinite integer_pow""",
    "int": "neg abs sign square integer_pow relu exp sqrt tanh log",
    "bool": "logical_not",
}
PAIRS = {
    "float": "add sub mul div maximum minimum atan2 rem logaddexp hypot pow xlogy lt le gt ge eq ne",
    "complex": "add sub mul div pow eq ne",
    "int": "add sub mul maximum minimum rem lt le gt ge eq ne",
    "bool": "logical_and logical_or maximum minimum eq ne",
}
REDUCTIONS = {
    "float": "sum mean prod max min any all logsumexp var std norm median argmax argmin",
    "complex": "sum mean prod",
    "int": "sum prod max min any all argmax argmin mean",
    "bool": "any all max min argmax",
}
RUNNING = {
    "float": "cumsum cumprod cummax cumlogsumexp softmax log_softmax sort argsort",
    "complex": "cumsum cumprod",
    "int": "cumsum cumprod cummax sort argsort",
    "bool": "sort argsort",
}


def program(seed: int) -> dict:
    """The program of that seed."""
    for attempt in range(100):
        try:
            return _Single(Source(f"single {seed} {attempt}", halves=False), f"single-{seed}").case()
        except NoFit:
            continue
    raise RuntimeError(f"no op fits the seed {seed}")


class _Single:
    def __init__(self, source: Source, name: str):
        self.source, self.rng, self.name = source, source.rng, name
        self.dtype = self.rng.choice(DTYPES)
        kinds = [(COMPLEX, "complex"), (FLOATS, "float"), (("bool",), "bool")]
        self.kind = next((kind for dtypes, kind in kinds if self.dtype in dtypes), "int")
        one, two = {"name": "b", "size": 3}, [{"name": "b", "size": 2}, {"name": "m", "size": 2}]
        self.axes = self.rng.choice([[], [one], two])
        self.differentiated = self.kind in ("float", "complex") and self.rng.random() < 0.6
        self.scope = Scope(source, self.axes, [], self.dtype)
        self.args: list[dict] = []
        self.family = SINGLE_OPS

    def case(self) -> dict:
        matrices = self.kind in ("float", "complex") and self.dtype != "bfloat16"
        kinds = [self._function] * 3 + [self._pair] * 2 + [self._choice, self._reduction, self._running]
        kinds += [self._conversion, self._rows, self._layout, self._product]
        kinds += [self._collective] * bool(self.axes) + [self._matrix] * matrices
        result = self.rng.choice(kinds)()
        call = {"kind": "eval"}
        if self.differentiated:
            result = self._objective(result)
            inexact = FLOATS + COMPLEX
            argnums = [i for i, arg in enumerate(self.args) if arg["leaf"]["dtype"] in inexact]
            call = {"kind": "grad", "argnums": argnums, "reduce_axes": self.scope.some_names()}
        fun = self.scope.function(result)
        return {
            "name": self.name,
            "family": self.family,
            "axes": self.axes,
            "args": self.args,
            "fun": fun,
            "call": call,
        }

    def _arg(self, shape, dtype: str | None = None, plain: bool = False) -> Variable:
        """With `plain`, of numbers that no sum or product of a few makes overflow or cancel."""
        dtype = dtype or self.dtype
        named = [axis for axis in self.axes if self.rng.random() < 0.5]
        leaf = {"name": f"x{len(self.args)}", **self.source.record(dtype, shape, named)}
        if not plain:
            leaf["data"] = [self._entry(dtype) for _ in leaf["data"]]
        self.args.append({"leaf": leaf})
        variable = Variable(leaf["name"], dtype, tuple(shape))
        self.scope.params.append(variable)
        self.scope.variables.append(variable)
        return variable

    def _entry(self, dtype: str):
        # At what is not finite, derivatives are as they happen to be written.
        beyond = [INF, f"-{INF}", NAN] if dtype in FLOATS and not self.differentiated else []
        if dtype in COMPLEX:
            return [self.rng.choice(EDGES[dtype]) for _ in range(2)]
        return self.rng.choice(EDGES[dtype] + beyond)

    def _objective(self, result: Variable) -> Variable:
        """A sum of all elements, which a gradient can be taken of."""
        scope, wide = self.scope, "complex128" if self.kind == "complex" else "float64"
        terms = scope.emit("convert", [result], (wide, ()), dtype=wide)
        total = scope.emit("sum", [terms], (wide, ()))
        if wide == "float64":
            return total
        parts = [scope.emit(part, [total], ("float64", ())) for part in ("real", "imag")]
        return scope.binary("add", parts[0], scope.binary("mul", parts[1], 0.5))

    def _shape(self, least_rank: int = 0) -> tuple[int, ...]:
        return self.rng.choice([shape for shape in SHAPES if len(shape) >= least_rank])

    def _function(self) -> Variable:
        op = self.rng.choice(FUNCTIONS[self.kind].split())
        if op == "sinc" or op == "acosh" and self.kind == "complex":
            # JAX has few digits of the one derivative close to 0, and the other's sign wrong left of 0.
            self.differentiated = False
        least = -3 if self.kind in ("float", "complex") else 0
        attrs = {"gelu": {"approximate": self.rng.random() < 0.5}, "leaky_relu": {"alpha": 0.1}}
        attrs["integer_pow"] = {"n": self.rng.randint(least, 4)}
        return self.scope.emit(op, [self._arg(self._shape())], ANY, **attrs.get(op, {}))

    def _pair(self) -> Variable:
        shape = self._shape()
        op = self.rng.choice(PAIRS[self.kind].split())
        other = self.rng.choice([shape, shape, shape[1:], (1,) * len(shape)])
        # JAX may multiply by the reciprocal, and that of the largest bfloat16 is 0 to it.
        x, y = self._arg(shape), self._arg(other, plain=op == "div" and self.dtype == "bfloat16")
        if op == "rem" and self.kind == "int":
            # By 0 there is no remainder, and no value for it that everybody has.
            y = self.scope.binary("maximum", y, 1)
        return self.scope.emit(op, [x, y], ANY)

    def _choice(self) -> Variable:
        shape, scope = self._shape(), self.scope
        x, y = self._arg(shape), self._arg(shape)
        if self.kind in ("complex", "bool") or self.rng.random() < 0.5:
            return scope.emit("where", [self._arg(shape, "bool"), x, y], ANY)
        return scope.emit("clip", [x, y, self._arg(shape)], ANY)

    def _reduction(self) -> Variable:
        x = self._arg(self._shape(1), plain=self.rng.random() < 0.5)
        op = self.rng.choice(REDUCTIONS[self.kind].split())
        if self.dtype == "uint8" and op in ("sum", "prod", "mean"):
            # The format has no bytes, and so no dtype that they are summed in.
            raise NoFit
        if op in ("argmax", "argmin"):
            return self.scope.emit(op, [x], ANY, axis=self.rng.choice([None, -1, 0]))
        keepdims = self.rng.choice([None, True])
        return self.scope.emit(op, [x], ANY, axes=self.scope.pick_dims(x), keepdims=keepdims)

    def _running(self) -> Variable:
        op = self.rng.choice(RUNNING[self.kind].split())
        x = self._arg(self._shape(1), plain=op.startswith("cum") and op != "cummax")
        reverse = self.rng.random() < 0.5 if op.startswith("cum") else None
        if op == "sort" and self.kind != "bool" and self.rng.random() < 0.3:
            values = self.scope.emit("top_k", [x], ANY, ("int32", ()), k=self.rng.randint(1, x.shape[-1]))
            return values[0 if self.differentiated else self.rng.randint(0, 1)]
        return self.scope.emit(op, [x], ANY, axis=self.scope.pick_dim(x), reverse=reverse)

    def _conversion(self) -> Variable:
        # Numbers that the other dtype has: of the rest each processor makes what it likes.
        x, to = self._arg(self._shape(), plain=True), self.rng.choice(sorted(EDGES))
        if to.startswith("u") and not self.dtype.startswith("u"):
            raise NoFit
        if self.kind == "complex" and to not in COMPLEX:
            x = self.scope.emit("real", [x], ANY)
        return self.scope.emit("convert", [x], (to, ()), dtype=to)

    def _rows(self) -> Variable:
        ops = (
            "index take take_along_axis segment_sum scatter_add scatter_set scatter_mul dynamic_slice one_hot"
        )
        op = self.rng.choice(ops.split() if self.kind != "bool" else ["take", "take_along_axis"])
        # The runner makes `index` of a difference, in which what is not finite is lost.
        x, scope = self._arg(self._shape(1), plain=op == "index"), self.scope
        size, ids_type = x.shape[0], self.rng.choice(["int32", "int64", "uint8", "uint32"])

        def ids(shape, low, high):
            low = max(low, 0) if ids_type.startswith("u") else low
            return scope.constant(
                shape, ids_type, [self.rng.randrange(low, high) for _ in range(math.prod(shape))]
            )

        if op == "index":
            return scope.emit(op, [x, ids((3,), -size, size)], ANY)
        if op == "take":
            mode, beyond = self.rng.choice(["fill", "clip", "wrap"]), 3
            if mode == "fill" and self.kind != "float":
                beyond = 0
            low = 0 if mode == "fill" else -size - beyond
            return scope.emit(op, [x, ids((3,), low, size + beyond)], ANY, axis=0, mode=mode)
        if op == "take_along_axis":
            return scope.emit(op, [x, ids(x.shape, -size, size)], ANY, axis=0)
        if op == "segment_sum":
            return scope.emit(op, [x, ids((size,), 0, 3)], ANY, n=3)
        if op == "dynamic_slice":
            starts = [scope.constant((), "int32", [self.rng.randint(-9, 9)]) for _ in x.shape]
            return scope.emit(
                op, [x, *starts], ANY, sizes=[self.rng.randint(1, length) for length in x.shape]
            )
        if op == "one_hot":
            self.differentiated = False
            return scope.emit(op, [ids((3,), -1, 6)], ANY, n=4, dtype="float32")
        where = scope.distinct_ids(2, size) if op == "scatter_set" else ids((3,), -size - 1, size + 2)
        return scope.emit(op, [x, where, self._arg(where.shape + x.shape[1:])], ANY)

    def _layout(self) -> Variable:
        x, scope = self._arg(self._shape(1)), self.scope
        other = self._arg(x.shape)
        attrs = {
            "flip": {"axes": scope.pick_dims(x)},
            "roll": {"shift": self.rng.randint(-7, 7), "axis": scope.pick_dim(x)},
            "tile": {"reps": [2] * x.rank},
            "pad": {"config": [[self.rng.randint(0, 2) for _ in range(3)] for _ in x.shape], "value": 1},
            "concat": {"axis": -1},
            "stack": {"axis": -1},
            "triu": {"k": self.rng.randint(-1, 1)},
        }
        op = self.rng.choice(sorted(attrs))
        if op == "triu" and x.rank < 2:
            raise NoFit
        operands = [x, other] if op in ("concat", "stack") else [x]
        return scope.emit(op, operands, ANY, **attrs[op])

    def _product(self) -> Variable:
        if self.kind == "bool":
            raise NoFit
        x = self._arg(self._shape(1), plain=True)
        if self.rng.random() < 0.5:
            return self.scope.emit("matmul", [x, self._arg((x.shape[-1], 2), plain=True)], ANY)
        return self.scope.emit("einsum", [x, self._arg(x.shape, plain=True)], ANY, spec="...i,...i->...")

    def _collective(self) -> Variable:
        if self.kind == "bool":
            raise NoFit
        axis, scope = self.rng.choice(self.axes), self.scope
        name, size = axis["name"], axis["size"]
        op = self.rng.choice("psum pmean pmax ppermute all_gather psum_scatter all_to_all".split())
        x = self._arg((size, 2), plain=op in ("psum", "pmean", "psum_scatter"))
        if op in ("psum", "pmean", "pmax"):
            if self.kind == "int" and op == "pmean" or self.kind == "complex" and op == "pmax":
                raise NoFit
            x = scope.unary("stop_gradient", x) if op == "pmax" else x
            return scope.emit(op, [x], ANY, axes=scope.some_names(at_least=1))
        attrs = {
            "ppermute": {"perm": [[0, size - 1]]},
            "all_gather": {"axis": 0, "tiled": False},
            "psum_scatter": {"dim": 0, "tiled": self.rng.random() < 0.5},
            "all_to_all": {"split": 0, "concat": 1, "tiled": self.rng.random() < 0.5},
        }
        return scope.emit(op, [x], ANY, axis_name=name, **attrs[op])

    def _matrix(self) -> Variable:
        """A decomposition of a matrix that is singular, badly scaled or otherwise awkward; values alone."""
        self.differentiated, self.family = False, MATRICES
        rows = columns = self.rng.choice([1, 2, 2, 3, 3, 4, 5, 8, 12])
        op = self.rng.choice(
            "svdvals svdvals eigvalsh eigvalsh solve inv det slogdet cholesky matrix_power".split()
        )
        if op == "svdvals":
            columns = self.rng.choice([1, 2, 3, 4, rows, rows])
        entry = _AWKWARD[self.rng.choice(sorted(_AWKWARD))](self.rng)
        cells = [[entry(i, j) for j in range(columns)] for i in range(rows)]
        if op == "eigvalsh":
            cells = [[cells[max(i, j)][min(i, j)] for j in range(columns)] for i in range(rows)]
        elif op in ("solve", "inv", "det", "slogdet", "matrix_power", "cholesky"):
            self._make_regular(cells)
        elif self.rng.random() < 0.3:
            cells[-1] = list(cells[0])
        x = self._arg((rows, columns), plain=True)
        flat = [cell for row in cells for cell in row]
        flat = [[cell, 0.0] for cell in flat] if self.kind == "complex" else flat
        leaf = self.args[0]["leaf"]
        leaf["data"] = flat * (len(leaf["data"]) // len(flat))
        if op == "slogdet":
            return self.scope.emit(op, [x], ANY, ANY)[self.rng.randint(0, 1)]
        if op == "solve":
            return self.scope.emit(op, [x, self._arg((rows, 2), plain=True)], ANY)
        return self.scope.emit(op, [x], ANY, n=self.rng.randint(-2, 3) if op == "matrix_power" else None)

    def _make_regular(self, cells: list[list[float]]) -> None:
        """Adds so much to the diagonal that the matrix is far from a singular one; symmetric and positive
        too.
        """
        largest = max(abs(cell) for row in cells for cell in row) or 1.0
        for i, row in enumerate(cells):
            for j in range(i):
                row[j] = cells[j][i]
            row[i] += 2.0 * largest * len(cells)


def _scaled(rng):
    scale = 10.0 ** rng.choice([-15, -8, 8, 15])
    return lambda i, j: rng.gauss(0, 1) * scale


_AWKWARD = {
    "normal": lambda rng: lambda i, j: rng.gauss(0, 1),
    "integers": lambda rng: lambda i, j: float(rng.randint(-3, 3)),
    "graded": lambda rng: lambda i, j: rng.gauss(0, 1) * 10.0 ** -min(i, j),
    "scaled": _scaled,
    "sparse": lambda rng: lambda i, j: rng.gauss(0, 1) if rng.random() < 0.4 else 0.0,
    "identity": lambda rng: lambda i, j: float(i == j),
    "zero": lambda rng: lambda i, j: 0.0,
    "triangular": lambda rng: lambda i, j: rng.gauss(0, 1) if j >= i else 0.0,
    "ones": lambda rng: lambda i, j: 1.0,
}
