"""What random programs are built of: variables of known dtype and shape, and functions under construction."""

import math
import random
from dataclasses import dataclass

FLOATS = ("float64", "float32", "bfloat16")
COMPLEX = ("complex128", "complex64")
# The families of cases, which are judged each in its own way.
PROGRAMS, SINGLE_OPS, MATRICES = "random programs", "single ops", "awkward matrices"
LARGEST = 64  # elements of most values, so that a program runs in no time under every placement
DEEPEST = 2  # functions inside functions


class NoFit(Exception):
    """There is nothing in the scope that the statement could be made of; another one is tried."""


@dataclass(frozen=True, eq=False)
class Variable:
    name: str
    dtype: str
    shape: tuple[int, ...]

    @property
    def size(self) -> int:
        return math.prod(self.shape)

    @property
    def rank(self) -> int:
        return len(self.shape)


def broadcast(*shapes: tuple[int, ...]) -> tuple[int, ...]:
    """Numpy's rule."""
    rank = max(map(len, shapes))
    padded = [(1,) * (rank - len(shape)) + tuple(shape) for shape in shapes]
    result = []
    for sizes in zip(*padded):
        others = set(sizes) - {1}
        if len(others) > 1:
            raise NoFit
        result.append(others.pop() if others else 1)
    return tuple(result)


def replaced(shape: tuple[int, ...], dim: int, *sizes: int) -> tuple[int, ...]:
    """The shape with those sizes in the place of one dimension."""
    return shape[:dim] + sizes + shape[dim + 1 :]


def inserted(shape: tuple[int, ...], dim: int, size: int) -> tuple[int, ...]:
    return shape[:dim] + (size,) + shape[dim:]


class Source:
    """The random choices of one program, and its names."""

    def __init__(self, seed: str, halves: bool):
        self.rng = random.Random(seed)
        self.halves = halves
        self._names = 0

    def name(self, prefix: str) -> str:
        self._names += 1
        return f"{prefix}{self._names}"

    def entries(self, dtype: str, shape) -> list:
        """With `halves` few and round numbers, so that there are many ties, and sums of them are exact."""
        count = math.prod(shape)
        if dtype in COMPLEX:
            return [[round(self.rng.gauss(0, 1), 3) for _ in range(2)] for _ in range(count)]
        if dtype == "bool":
            return [self.rng.random() < 0.5 for _ in range(count)]
        if dtype not in FLOATS:
            low = 0 if dtype.startswith("u") else -4
            return [self.rng.randint(low, 6) for _ in range(count)]
        if self.halves:
            return [self.rng.choice([-2.0, -1.0, -0.5, 0.0, 0.0, 0.5, 1.0, 1.0, 2.0]) for _ in range(count)]
        spread = self.rng.choice([0.5, 1.0, 1.0, 2.0])
        entries = [round(self.rng.gauss(0, spread), 4) for _ in range(count)]
        return [round(entry * 16) / 16 for entry in entries] if dtype == "bfloat16" else entries

    def record(self, dtype: str, shape, named=()) -> dict:
        """An array; `named` are the axes in front of its shape."""
        shape = [axis["size"] for axis in named] + list(shape)
        names = {"named_axes": [axis["name"] for axis in named]}
        return {"dtype": dtype, "shape": shape, **names, "data": self.entries(dtype, shape)}


class Scope:
    """A function under construction. `dtype` is that of most of its values."""

    def __init__(self, source: Source, axes: list[dict], params: list[Variable], dtype: str, depth: int = 0):
        self.source, self.rng = source, source.rng
        self.axes, self.dtype, self.depth = axes, dtype, depth
        self.params, self.variables = list(params), list(params)
        self.body: list[dict] = []

    @property
    def is_complex(self) -> bool:
        return self.dtype in COMPLEX

    @property
    def named_axes(self) -> list[dict]:
        """Those that a collective can be over: not the axes of a map without a name."""
        return [axis for axis in self.axes if axis["name"]]

    def some_names(self, at_least: int = 0) -> list[str]:
        names = [axis["name"] for axis in self.named_axes]
        return self.rng.sample(names, self.rng.randint(at_least, len(names)))

    def chance(self, probability: float) -> bool:
        return self.rng.random() < probability

    # Statements

    def emit(self, op: str, operands, *results: tuple[str, tuple], **attrs):
        """Adds a statement; attributes that are None are left out."""
        made = [Variable(self.source.name("t"), dtype, tuple(shape)) for dtype, shape in results]
        names = [operand.name if isinstance(operand, Variable) else operand for operand in operands]
        statement = {"let": [variable.name for variable in made], "op": op, "in": names}
        attrs = {name: value for name, value in attrs.items() if value is not None}
        if attrs:
            statement["attrs"] = attrs
        self.body.append(statement)
        self.variables += made
        return made[0] if len(made) == 1 else made

    def unary(self, op: str, x: Variable, **attrs) -> Variable:
        return self.emit(op, [x], (x.dtype, x.shape), **attrs)

    def binary(self, op: str, x: Variable, y) -> Variable:
        """`y` is a variable or a number."""
        if not isinstance(y, Variable):
            return self.emit(op, [x, {"lit": y}], (x.dtype, x.shape))
        return self.emit(op, [x, y], (x.dtype, broadcast(x.shape, y.shape)))

    def constant(self, shape, dtype: str | None = None, entries: list | None = None) -> Variable:
        dtype = dtype or self.dtype
        entries = self.source.entries(dtype, shape) if entries is None else entries
        value = {"dtype": dtype, "shape": list(shape), "data": entries}
        return self.emit("const", [], (dtype, shape), value=value)

    def convert(self, x: Variable, dtype: str) -> Variable:
        return x if x.dtype == dtype else self.emit("convert", [x], (dtype, x.shape), dtype=dtype)

    def sum(self, x: Variable) -> Variable:
        return self.emit("sum", [x], (x.dtype, ())) if x.shape else x

    # Operands

    def pick(self, fits=lambda variable: True, dtype: str | None = None) -> Variable:
        """Late variables are likelier, so that programs grow deep."""
        dtype = dtype or self.dtype
        found = [variable for variable in self.variables if variable.dtype == dtype and fits(variable)]
        if not found:
            raise NoFit
        if self.chance(0.6):
            return found[max(0, len(found) - 1 - int(self.rng.expovariate(0.8)))]
        return self.rng.choice(found)

    def pick_filled(self, largest: int = LARGEST) -> Variable:
        """One with dimensions, none of them 0."""
        return self.pick(lambda variable: variable.rank and 0 < variable.size <= largest)

    def pick_pair(self) -> tuple[Variable, Variable]:
        """Two that can be broadcast to one shape."""
        x = self.pick()

        def fits(variable):
            try:
                return math.prod(broadcast(x.shape, variable.shape)) <= LARGEST
            except NoFit:
                return False

        if self.chance(0.8):
            y = self.pick(fits)
        else:
            shape = [self.rng.choice([1, size]) for size in x.shape]
            y = self.shaped(shape[self.rng.randint(0, len(shape)) :])
        return (x, y) if self.chance(0.5) else (y, x)

    def pick_dim(self, x: Variable) -> int:
        if not x.rank:
            raise NoFit
        return self.rng.randrange(x.rank)

    def pick_dims(self, x: Variable) -> list[int]:
        if not x.rank:
            raise NoFit
        return self.rng.sample(range(x.rank), self.rng.randint(1, x.rank))

    def signed(self, dim: int, rank: int) -> int:
        """A dimension, at times counted from the end."""
        return dim - rank if self.chance(0.4) else dim

    def shaped(self, shape) -> Variable:
        """A variable of exactly that shape: one that is there, or one made of another."""
        shape = tuple(shape)
        found = [x for x in self.variables if x.dtype == self.dtype and x.shape == shape]
        if found and self.chance(0.7):
            return found[-1] if self.chance(0.5) else self.rng.choice(found)
        return self._reshaped(self.pick(), shape)

    def _reshaped(self, x: Variable, shape: tuple[int, ...]) -> Variable:
        if x.shape == shape:
            return x
        if self.chance(0.7):
            try:
                if broadcast(x.shape, shape) == shape:
                    return self.emit("broadcast_to", [x], (x.dtype, shape), shape=list(shape))
            except NoFit:
                pass
        count = math.prod(shape)
        if x.size >= count and x.size and self.chance(0.8):
            if x.size > count:
                flat = self.emit("reshape", [x], (x.dtype, (x.size,)), shape=[x.size])
                x = self.emit("slice", [flat], (x.dtype, (count,)), start=[0], limit=[count])
            return self.emit("reshape", [x], (x.dtype, shape), shape=list(shape))
        mixed = self.binary("mul" if self.chance(0.5) else "add", self.constant(shape), self.sum(x))
        return mixed if self.is_complex else self.unary("tanh", mixed)

    def ids(self, shape, low: int, high: int) -> Variable:
        """Integers from `low` up to `high`, at times other ones at every index of an axis."""
        if high <= low:
            raise NoFit
        count = math.prod(shape)
        if self.named_axes and self.chance(0.4):
            name = self.rng.choice(self.named_axes)["name"]
            index = self.emit("axis_index", [], ("int32", ()), axis_name=name)
            start = self.constant(shape, "int32", [self.rng.randint(0, 6) for _ in range(count)])
            wrapped = self.binary("rem", self.binary("add", start, index), high - low)
            return self.binary("add", wrapped, low)
        entries = [self.rng.randrange(low, high) for _ in range(count)]
        return self.constant(shape, self.rng.choice(["int32", "int64"]), entries)

    def distinct_ids(self, count: int, size: int) -> Variable:
        if size < count:
            raise NoFit
        return self.constant((count,), "int32", self.rng.sample(range(size), count))

    # Functions

    def inner(self, shapes_of: list[Variable], axes: list[dict] | None = None) -> "Scope":
        """A function whose parameters are like these."""
        if self.depth >= DEEPEST:
            raise NoFit
        params = [Variable(self.source.name("p"), like.dtype, like.shape) for like in shapes_of]
        return Scope(self.source, self.axes if axes is None else axes, params, self.dtype, self.depth + 1)

    def function(self, returned) -> dict:
        names = returned.name if isinstance(returned, Variable) else [variable.name for variable in returned]
        return {"params": [param.name for param in self.params], "body": self.body, "ret": names, "aux": []}

    def scalar(self) -> Variable:
        """A real number that the last variables have a share in, or for a complex scope its complex
        counterpart.
        """
        found = [variable for variable in self.variables if variable.dtype == self.dtype]
        if not found:
            raise NoFit
        total = None
        for variable in found[-3:]:
            if variable is not found[-1] and self.chance(0.3):
                continue
            weighted = self._weighted(variable)
            term = self.sum(weighted)
            total = term if total is None else self.binary("add", total, term)
        return total

    def _weighted(self, x: Variable) -> Variable:
        if self.chance(0.6):
            return self.binary("mul", x, self.constant(x.shape))
        return self.unary("sin", x) if self.chance(0.5) and not self.is_complex else self.binary("mul", x, x)

    def grow(self, count: int, statements: list[tuple]) -> None:
        """Adds `count` statements, if they can be found, by generators with weights."""
        generators, weights = zip(*statements)
        for _ in range(12 * count):
            if count == 0:
                return
            (generator,) = self.rng.choices(generators, weights)
            body, variables = len(self.body), len(self.variables)
            try:
                generator(self)
                count -= 1
            except NoFit:
                del self.body[body:], self.variables[variables:]
