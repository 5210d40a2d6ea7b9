"""Random statements about shapes and indices."""

import math

from scope import NoFit, Scope, Variable, inserted, replaced


def _transpose(scope: Scope, x: Variable) -> None:
    order = scope.rng.sample(range(x.rank), x.rank)
    scope.emit("transpose", [x], (x.dtype, [x.shape[dim] for dim in order]), perm=order)


def _expand_dims(scope: Scope, x: Variable) -> None:
    dim = scope.rng.randint(0, x.rank)
    scope.emit("expand_dims", [x], (x.dtype, inserted(x.shape, dim, 1)), axis=scope.signed(dim, x.rank + 1))


def _squeeze(scope: Scope, x: Variable) -> None:
    ones = [dim for dim, size in enumerate(x.shape) if size == 1]
    if not ones:
        raise NoFit
    dim = scope.rng.choice(ones)
    scope.emit("squeeze", [x], (x.dtype, replaced(x.shape, dim)), axis=scope.signed(dim, x.rank))


def _reshape(scope: Scope, x: Variable) -> None:
    if x.rank < 2:
        raise NoFit
    shape = (x.shape[0] * x.shape[1], *x.shape[2:])
    scope.emit("reshape", [x], (x.dtype, shape), shape=list(shape))


def _broadcast_to(scope: Scope, x: Variable) -> None:
    sizes = [3 if size == 1 and scope.chance(0.5) else size for size in x.shape]
    shape = [scope.rng.choice([1, 2]), *sizes]
    scope.emit("broadcast_to", [x], (x.dtype, shape), shape=shape)


def _flip(scope: Scope, x: Variable) -> None:
    scope.unary("flip", x, axes=scope.pick_dims(x))


def _roll(scope: Scope, x: Variable) -> None:
    scope.unary("roll", x, shift=scope.rng.randint(-5, 5), axis=scope.signed(scope.pick_dim(x), x.rank))


def _tile(scope: Scope, x: Variable) -> None:
    reps = [scope.rng.choice([1, 1, 2]) for _ in x.shape]
    scope.emit("tile", [x], (x.dtype, [rep * size for rep, size in zip(reps, x.shape)]), reps=reps)


def _triangle(scope: Scope, x: Variable) -> None:
    if x.rank < 2:
        raise NoFit
    scope.unary(scope.rng.choice(["tril", "triu"]), x, k=scope.rng.randint(-2, 2))


def _concat(scope: Scope, x: Variable) -> None:
    dim = scope.pick_dim(x)
    other = scope.shaped(replaced(x.shape, dim, scope.rng.randint(1, 3)))
    shape = replaced(x.shape, dim, x.shape[dim] + other.shape[dim])
    scope.emit("concat", [x, other], (x.dtype, shape), axis=scope.signed(dim, x.rank))


def _stack(scope: Scope, x: Variable) -> None:
    other, dim = scope.shaped(x.shape), scope.rng.randint(0, x.rank)
    shape = inserted(x.shape, dim, 2)
    scope.emit("stack", [x, other], (x.dtype, shape), axis=scope.signed(dim, x.rank + 1))


def _slice(scope: Scope, x: Variable) -> None:
    starts, limits = [], []
    strides = [scope.rng.randint(1, 3) for _ in x.shape]
    for size in x.shape:
        start = scope.rng.randint(0, size)
        limit = scope.rng.randint(start, size)
        if start == limit and scope.chance(0.8):
            start, limit = 0, size
        starts.append(start)
        limits.append(limit)
    shape = [-(-(limit - start) // stride) for start, limit, stride in zip(starts, limits, strides)]
    scope.emit("slice", [x], (x.dtype, shape), start=starts, limit=limits, strides=strides)


def _pad(scope: Scope, x: Variable) -> None:
    config, shape = [], []
    for size in x.shape:
        low, high, interior = (
            scope.rng.randint(-1, 2),
            scope.rng.randint(-1, 2),
            scope.rng.choice([0, 0, 1, 2]),
        )
        dilated = size + max(size - 1, 0) * interior
        if dilated < max(-low, 0) + max(-high, 0) or dilated + low + high == 0:
            raise NoFit
        config.append([low, high, interior])
        shape.append(dilated + low + high)
    if math.prod(shape) > 150:
        raise NoFit
    scope.emit("pad", [x], (x.dtype, shape), config=config, value=scope.rng.choice([0, 0.5, -1.5]))


def _iota(scope: Scope, x: Variable) -> None:
    places = scope.emit("iota", [], (x.dtype, x.shape[-1:]), n=x.shape[-1], dtype=x.dtype)
    scope.binary(scope.rng.choice(["mul", "add"]), x, scope.unary("sin", places))


def _diagonal(scope: Scope, x: Variable) -> None:
    if x.rank == 1:
        scope.emit("diag", [x], (x.dtype, x.shape * 2))
    elif x.rank == 2 and scope.chance(0.5):
        scope.emit("diag", [x], (x.dtype, (min(x.shape),)))
    elif x.rank == 2:
        scope.emit("trace", [x], (x.dtype, ()))
    else:
        raise NoFit


_SHAPE = [
    _transpose,
    _expand_dims,
    _squeeze,
    _reshape,
    _broadcast_to,
    _flip,
    _roll,
    _tile,
    _triangle,
    _concat,
]
_SHAPE += [_stack, _slice, _pad, _diagonal, _iota]


def shape(scope: Scope) -> None:
    x = scope.pick(lambda variable: variable.rank and variable.size <= 48)
    scope.rng.choice(_SHAPE)(scope, x)


def _index(scope: Scope, x: Variable, ids_shape: tuple[int, ...]) -> None:
    ids = scope.ids(ids_shape, -x.shape[0], x.shape[0])
    scope.emit("index", [x, ids], (x.dtype, ids_shape + x.shape[1:]))


def _take(scope: Scope, x: Variable, ids_shape: tuple[int, ...]) -> None:
    dim = scope.pick_dim(x)
    mode, size = scope.rng.choice(["fill", "clip", "wrap"]), x.shape[dim]
    # What is not there is not a number in the one mode, and another row in the others.
    ids = scope.ids(ids_shape, 0, size) if mode == "fill" else scope.ids(ids_shape, -2 * size, 2 * size)
    result = replaced(x.shape, dim, *ids_shape)
    scope.emit("take", [x, ids], (x.dtype, result), axis=scope.signed(dim, x.rank), mode=mode)


def _take_along_axis(scope: Scope, x: Variable, _) -> None:
    dim = scope.pick_dim(x)
    ids = scope.ids(replaced(x.shape, dim, scope.rng.randint(1, 3)), -x.shape[dim], x.shape[dim])
    scope.emit("take_along_axis", [x, ids], (x.dtype, ids.shape), axis=dim)


def _scatter(scope: Scope, x: Variable, ids_shape: tuple[int, ...]) -> None:
    op, size = scope.rng.choice(["scatter_add", "scatter_add", "scatter_set", "scatter_mul"]), x.shape[0]
    # Which of several updates of one row is the last is nobody's promise.
    ids = scope.distinct_ids(2, size) if op == "scatter_set" else scope.ids(ids_shape, -size, size + 1)
    updates = scope.shaped(ids.shape + x.shape[1:])
    scope.emit(op, [x, ids, updates], (x.dtype, x.shape))


def _segment_sum(scope: Scope, x: Variable, _) -> None:
    count = scope.rng.randint(1, 3)
    ids = scope.ids((x.shape[0],), 0, count)
    scope.emit("segment_sum", [x, ids], (x.dtype, replaced(x.shape, 0, count)), n=count)


def _dynamic_slice(scope: Scope, x: Variable, _) -> None:
    sizes = [scope.rng.randint(1, size) for size in x.shape]
    starts = [scope.convert(scope.ids((), -2, size + 2), "int32") for size in x.shape]
    scope.emit("dynamic_slice", [x, *starts], (x.dtype, sizes), sizes=sizes)


_INDEXING = [_index, _take, _take, _take_along_axis, _scatter, _scatter, _segment_sum, _dynamic_slice]


def indexing(scope: Scope) -> None:
    x = scope.pick_filled(largest=40)
    scope.rng.choice(_INDEXING)(scope, x, scope.rng.choice([(), (2,), (3,), (2, 2)]))
