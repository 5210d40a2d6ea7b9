"""Random statements of products: contractions, convolution and pooling, linear algebra."""

import math

from scope import LARGEST, NoFit, Scope, Variable, broadcast


def contraction(scope: Scope) -> None:
    x = scope.pick(lambda variable: 0 < variable.rank <= 3 and variable.size <= 48)
    if scope.chance(0.4):
        _matmul(scope, x)
    else:
        _einsum(scope, x)


def _matmul(scope: Scope, x: Variable) -> None:
    inner = x.shape[-1]
    shapes = [(inner,), (inner, 2), (2, inner, 3)] if x.rank > 1 else [(inner,), (inner, 3), (2, inner, 2)]
    shape = scope.rng.choice(shapes)
    if len(shape) == x.rank == 3:
        shape = (scope.rng.choice([1, x.shape[0]]), inner, 2)
    y = scope.shaped(shape)
    rows = x.shape[-2:-1]
    columns = y.shape[-1:] if y.rank > 1 else ()
    result = broadcast(x.shape[:-2], y.shape[:-2]) + rows + columns
    if math.prod(result) > LARGEST:
        raise NoFit
    scope.emit("matmul", [x, y], (x.dtype, result))


def _einsum(scope: Scope, x: Variable) -> None:
    letters = "abc"[: x.rank]
    sizes = dict(zip(letters, x.shape)) | {"d": 2}
    if x.rank == 2 and x.shape[0] == x.shape[1] and scope.chance(0.2):
        letters = "aa"
        del sizes["b"]
    others = scope.rng.sample(sorted(sizes), scope.rng.randint(1, min(3, len(sizes))))
    y = scope.shaped([sizes[letter] for letter in others])
    seen = sorted({*letters, *others})
    returned = scope.rng.sample(seen, scope.rng.randint(0, len(seen)))
    shape = [sizes[letter] for letter in returned]
    if math.prod(shape) > LARGEST:
        raise NoFit
    spec = f"{letters},{''.join(others)}->{''.join(returned)}"
    scope.emit("einsum", [x, y], (x.dtype, shape), spec=spec)


def convolution(scope: Scope) -> None:
    rng = scope.rng
    dims = rng.choice([1, 1, 2])
    spatial, window = ([rng.randint(low, low + 2) for _ in range(dims)] for low in (2, 1))
    strides = [rng.randint(1, 3) for _ in range(dims)]
    if scope.chance(0.5) and not scope.is_complex:
        _pool(scope, spatial, window, strides)
    else:
        _conv(scope, spatial, window, strides)


def _places(sizes: list[int], window: list[int], strides: list[int]) -> list[int]:
    if any(size < width for size, width in zip(sizes, window)):
        raise NoFit
    return [(size - width) // stride + 1 for size, width, stride in zip(sizes, window, strides)]


def _conv(scope: Scope, spatial: list[int], window: list[int], strides: list[int]) -> None:
    rng, dims = scope.rng, len(spatial)
    groups, batch = rng.choice([1, 1, 2]), rng.randint(1, 2)
    channels, features = groups * rng.randint(1, 2), groups * rng.randint(1, 2)
    input_dilation = [rng.choice([1, 1, 2, 3]) for _ in range(dims)]
    kernel_dilation = [rng.choice([1, 1, 2]) for _ in range(dims)]
    padding = [[rng.randint(-1, 2), rng.randint(-1, 3)] for _ in range(dims)]
    dilated = [(size - 1) * step + 1 for size, step in zip(spatial, input_dilation)]
    padded = [size + sum(pad) for size, pad in zip(dilated, padding)]
    places = _places(
        padded, [(width - 1) * step + 1 for width, step in zip(window, kernel_dilation)], strides
    )
    x = scope.shaped([batch, channels, *spatial])
    kernel = scope.shaped([features, channels // groups, *window])
    scope.emit(
        "conv",
        [x, kernel],
        (x.dtype, [batch, features, *places]),
        strides=strides,
        padding=padding,
        lhs_dilation=input_dilation,
        rhs_dilation=kernel_dilation,
        groups=groups,
    )


def _pool(scope: Scope, spatial: list[int], window: list[int], strides: list[int]) -> None:
    # A window of nothing but padding has no maximum.
    padding = [[scope.rng.randint(0, min(2, width - 1)) for _ in range(2)] for width in window]
    places = _places([size + sum(pad) for size, pad in zip(spatial, padding)], window, strides)
    outer = [2, 2][: scope.rng.randint(0, 2)]
    x = scope.shaped([*outer, *spatial])
    op = scope.rng.choice(["max_pool", "avg_pool"])
    scope.emit(op, [x], (x.dtype, [*outer, *places]), window=window, strides=strides, padding=padding)


def linear_algebra(scope: Scope) -> None:
    if scope.dtype == "bfloat16":
        raise NoFit
    size, batch = scope.rng.randint(1, 3), scope.rng.choice([(), (), (2,)])
    solvers = [_solve, _solve, _triangular_solve, _inverse, _determinant, _power, _expm]
    if not scope.is_complex:
        solvers += [_cholesky, _eigenvalues, _singular_values]
    scope.rng.choice(solvers)(scope, size, batch)


def _near(scope: Scope, batch, rows: int, columns: int, diagonal: list[float], reach: float) -> Variable:
    """A matrix within `reach` of a diagonal one, so that it is neither singular nor are two of its values
    equal.
    """
    free = scope.shaped((*batch, rows, columns))
    bounded = scope.binary("mul", free if scope.is_complex else scope.unary("tanh", free), reach)
    entries = [diagonal[i] if i == j else 0.0 for i in range(rows) for j in range(columns)]
    if scope.is_complex:
        entries = [[entry, 0.0] for entry in entries]
    return scope.binary("add", bounded, scope.constant((rows, columns), entries=entries))


def _regular(scope: Scope, size: int, batch) -> Variable:
    return _near(
        scope, batch, size, size, [4.0 + i for i in range(size)], reach=0.3 if scope.is_complex else 1.0
    )


def _right_side(scope: Scope, size: int, batch) -> Variable:
    return scope.shaped((size,) if scope.chance(0.4) and not batch else (*batch, size, 2))


def _solve(scope: Scope, size: int, batch) -> None:
    a, b = _regular(scope, size, batch), _right_side(scope, size, batch)
    scope.emit("solve", [a, b], (a.dtype, b.shape))


def _triangular_solve(scope: Scope, size: int, batch) -> None:
    a, b = _regular(scope, size, batch), _right_side(scope, size, batch)
    attrs = {"lower": scope.chance(0.5), "trans": scope.rng.choice([0, 1])}
    scope.emit("triangular_solve", [a, b], (a.dtype, b.shape), **attrs)


def _inverse(scope: Scope, size: int, batch) -> None:
    scope.unary("inv", _regular(scope, size, batch))


def _determinant(scope: Scope, size: int, batch) -> None:
    a = _regular(scope, size, batch)
    if scope.is_complex or scope.chance(0.5):
        scope.emit("det", [a], (a.dtype, batch))
    else:
        scope.emit("slogdet", [a], (a.dtype, batch), (a.dtype, batch))


def _power(scope: Scope, size: int, batch) -> None:
    scope.unary(
        "matrix_power", scope.binary("mul", _regular(scope, size, batch), 0.4), n=scope.rng.randint(-3, 4)
    )


def _expm(scope: Scope, size: int, batch) -> None:
    if scope.is_complex:
        raise NoFit
    scope.unary("expm", scope.binary("mul", scope.shaped((*batch, size, size)), scope.rng.choice([0.3, 1.0])))


def _cholesky(scope: Scope, size: int, batch) -> None:
    x = scope.shaped((*batch, size, size))
    square = scope.emit("einsum", [x, x], (x.dtype, x.shape), spec="zij,zkj->zik" if batch else "ij,kj->ik")
    eye = scope.emit("eye", [], (x.dtype, (size, size)), n=size, dtype=x.dtype)
    positive = scope.binary("add", square, eye)
    if scope.chance(0.5):
        skewed = scope.binary("mul", scope.unary("tanh", scope.shaped(x.shape)), 0.05)
        positive = scope.binary("add", positive, skewed)
    scope.unary("cholesky", positive)


def _eigenvalues(scope: Scope, size: int, batch) -> None:
    x = _near(scope, batch, size, size, [2.0 * i + 1 for i in range(size)], reach=0.4)
    scope.emit("eigvalsh", [x], (x.dtype, (*batch, size)))


def _singular_values(scope: Scope, size: int, batch) -> None:
    rows = scope.rng.randint(1, 3)
    count = min(rows, size)
    x = _near(scope, batch, rows, size, [2.0 * i + 1 for i in range(count)], reach=0.3)
    scope.emit("svdvals", [x], (x.dtype, (*batch, count)))
