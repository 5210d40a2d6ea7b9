"""Random programs in the format of the golden cases, without their expected answers."""

import arrays
import elementwise
import nested
import products
from scope import PROGRAMS, NoFit, Scope, Source, Variable

SHAPES = [(), (1,), (2,), (3,), (4,), (2, 3), (3, 2), (2, 2), (1, 3), (3, 3), (2, 1), (1, 1), (2, 3, 2)]
EMPTY = [(0,), (2, 0), (0, 3)]
DTYPES = ["float64"] * 15 + ["complex128"] * 2 + ["float32"] * 3


def program(seed: int) -> dict:
    """The program of that seed: ops of every kind, one after another, and one call of it all."""
    for attempt in range(100):
        try:
            return _Program(Source(f"program {seed} {attempt}", halves=False), f"program-{seed}").case()
        except NoFit:
            continue
    raise RuntimeError(f"no program fits the seed {seed}")


class _Program:
    def __init__(self, source: Source, name: str):
        self.source, self.rng, self.name = source, source.rng, name
        source.halves = self.rng.random() < 0.2
        self.dtype = self.rng.choice(DTYPES)
        self.axes = self._axes()
        self.has_empty = self.rng.random() < 0.05
        self.params: list[Variable] = []
        self.args = [self._arg() for _ in range(self.rng.randint(1, 4))]
        self.scope = Scope(source, self.axes, self.params, self.dtype)

    def _axes(self) -> list[dict]:
        if self.rng.random() < 0.4:
            return []
        if self.rng.random() < 0.6:
            return [{"name": "b", "size": self.rng.randint(1, 5)}]
        return [{"name": name, "size": self.rng.randint(1, 3)} for name in ("b", "m")]

    def _some_axes(self) -> list[dict]:
        return [axis for axis in self.axes if self.rng.random() < 0.55]

    def _leaf(self) -> dict:
        shape = self.rng.choice(EMPTY if self.has_empty and self.rng.random() < 0.6 else SHAPES)
        variable = Variable(f"x{len(self.params)}", self.dtype, shape)
        self.params.append(variable)
        return {"leaf": {"name": variable.name, **self.source.record(self.dtype, shape, self._some_axes())}}

    def _arg(self) -> dict:
        kind = self.rng.random()
        if kind < 0.12:
            return {"tuple": [self._leaf(), self._leaf()]}
        if kind < 0.2:
            return {"dict": {"a": {"list": [self._leaf()]}, "b": self._leaf()}}
        return self._leaf()

    def case(self) -> dict:
        self.scope.grow(self.rng.randint(2, 8), self._statements())
        kinds = ["eval", "grad", "grad", "grad", "value_and_grad", "vjp", "vjp"]
        if not self.axes:
            kinds += ["hessian", "jacfwd", "jacrev"] * 2
        kind = self.rng.choice(kinds)
        if kind == "eval":
            fun, call = self._evaluation()
        elif kind in ("grad", "value_and_grad"):
            fun, call = self._gradient()
        elif kind == "vjp":
            fun, call = self._pullback()
        else:
            fun, call = self._jacobian(kind)
        call = {"kind": kind, **call}
        return {
            "name": self.name,
            "family": PROGRAMS,
            "axes": self.axes,
            "args": self.args,
            "fun": fun,
            "call": call,
        }

    def _statements(self) -> list[tuple]:
        statements = [
            (elementwise.function, 3),
            (elementwise.arithmetic, 4),
            (elementwise.reduction, 3),
            (elementwise.cumulative, 2),
            (elementwise.order, 1),
            (arrays.shape, 3),
            (arrays.indexing, 3),
            (products.contraction, 3),
            (products.convolution, 1.5),
            (products.linear_algebra, 2),
            (nested.derivative, 3),
            (nested.vectorised, 2),
            (nested.control, 2),
        ]
        if self.axes:
            statements.append((nested.collective, 6))
        if self.rng.random() < 0.7:
            # Most programs are mainly about one thing.
            statements.append((self.rng.choice(statements)[0], 12))
        return statements

    def _results(self, at_most: int) -> list[Variable]:
        found = [variable for variable in self.scope.variables if variable.dtype == self.dtype]
        return found[-self.rng.randint(1, at_most) :]

    def _returned(self, results: list[Variable]) -> dict:
        return self.scope.function(results if len(results) > 1 else results[0])

    def _argnums(self) -> list[int]:
        return self.rng.sample(range(len(self.args)), self.rng.randint(1, len(self.args)))

    def _evaluation(self):
        return self._returned(self._results(3)), {}

    def _gradient(self):
        aux = self.scope.variables[-2:] if self.rng.random() < 0.3 else []
        value, holomorphic = self.scope.scalar(), self.scope.is_complex and self.rng.random() < 0.4
        if self.scope.is_complex and not holomorphic:
            real = "float64" if self.dtype == "complex128" else "float32"
            value = self.scope.emit("real", [value], (real, ()))
        fun = {**self.scope.function(value), "aux": [variable.name for variable in aux]}
        argnums = [self.scope.signed(number, len(self.args)) for number in self._argnums()]
        one = len(argnums) == 1 and self.rng.random() < 0.5
        call = {"argnums": argnums[0] if one else argnums, "reduce_axes": self.scope.some_names()}
        return fun, {**call, "has_aux": bool(aux), "holomorphic": holomorphic}

    def _pullback(self):
        results = self._results(3)
        axes = [[], self._some_axes()]
        cotangents = [self.source.record(self.dtype, x.shape, self.rng.choice(axes)) for x in results]
        call = {"argnums": self._argnums(), "reduce_axes": self.scope.some_names(), "cotangents": cotangents}
        return self._returned(results), call

    def _jacobian(self, kind: str):
        result = self.scope.scalar() if kind == "hessian" else self.scope.pick(lambda x: x.size <= 12)
        call = {"argnums": self.rng.randrange(len(self.args))}
        if self.scope.is_complex:
            call["holomorphic"] = True
        return self._returned([result]), call
