"""Random statements over named axes, and statements that call functions: derivatives, maps, loops and
conditions.
"""

import arrays
import elementwise
import products
from scope import NoFit, Scope, Variable, inserted, replaced


def collective(scope: Scope) -> None:
    if not scope.named_axes:
        raise NoFit
    axis = scope.rng.choice(scope.named_axes)
    kinds = [_reduction, _reduction, _reduction, _permutation, _gather, _scatter, _exchange, _index]
    scope.rng.choice(kinds)(scope, axis["name"], axis["size"])


def _reduction(scope: Scope, name: str, size: int) -> None:
    op = scope.rng.choice(["psum", "psum", "pmean", "pmax"])
    x = scope.pick()
    if op == "pmax":
        if scope.is_complex:
            raise NoFit
        x = scope.unary("stop_gradient", x)
    scope.unary(op, x, axes=scope.some_names(at_least=1))


def _permutation(scope: Scope, name: str, size: int) -> None:
    sources = scope.rng.sample(range(size), scope.rng.randint(1, size))
    destinations = scope.rng.sample(range(size), len(sources))
    pairs = [list(pair) for pair in zip(sources, destinations)]
    scope.unary("ppermute", scope.pick(), axis_name=name, perm=pairs)


def _gather(scope: Scope, name: str, size: int) -> None:
    tiled = scope.chance(0.5)
    x = scope.pick(lambda variable: variable.size * size <= 60 and (variable.rank or not tiled))
    dim = scope.rng.randrange(x.rank + (0 if tiled else 1))
    shape = replaced(x.shape, dim, x.shape[dim] * size) if tiled else inserted(x.shape, dim, size)
    scope.emit("all_gather", [x], (x.dtype, shape), axis_name=name, axis=dim, tiled=tiled)


def _divided(scope: Scope, size: int, tiled: bool) -> tuple[Variable, int]:
    """An operand, and its dimension of which every index of the axis gets a part."""
    shape = tuple(scope.rng.randint(1, 3) for _ in range(scope.rng.randint(0, 2)))
    dim = scope.rng.randint(0, len(shape))
    return scope.shaped(inserted(shape, dim, size * scope.rng.randint(1, 2) if tiled else size)), dim


def _scatter(scope: Scope, name: str, size: int) -> None:
    tiled = scope.chance(0.5)
    x, dim = _divided(scope, size, tiled)
    shape = replaced(x.shape, dim, x.shape[dim] // size) if tiled else replaced(x.shape, dim)
    scope.emit("psum_scatter", [x], (x.dtype, shape), axis_name=name, dim=dim, tiled=tiled)


def _exchange(scope: Scope, name: str, size: int) -> None:
    tiled = scope.chance(0.5)
    x, split = _divided(scope, size, tiled)
    concat = scope.rng.randrange(x.rank)
    if tiled:
        part = replaced(x.shape, split, x.shape[split] // size)
        shape = replaced(part, concat, part[concat] * size)
    else:
        shape = inserted(replaced(x.shape, split), concat, size)
    scope.emit("all_to_all", [x], (x.dtype, shape), axis_name=name, split=split, concat=concat, tiled=tiled)


def _index(scope: Scope, name: str, size: int) -> None:
    if scope.chance(0.2):
        x, count = scope.pick(), scope.emit("axis_size", [], ("int64", ()), axis_name=name)
        scope.emit("mul", [x, count], (x.dtype, x.shape))
        return
    index = scope.convert(scope.emit("axis_index", [], ("int32", ()), axis_name=name), scope.dtype)
    scope.binary(scope.rng.choice(["mul", "add"]), scope.pick(), scope.unary("sin", index))


def _args(scope: Scope, at_most: int = 3) -> list[Variable]:
    found = [variable for variable in scope.variables if variable.dtype == scope.dtype]
    if not found:
        raise NoFit
    return scope.rng.sample(found, min(len(found), scope.rng.randint(1, at_most)))


def inner_statements(scope: Scope) -> list[tuple]:
    """What functions inside functions are made of, with weights."""
    statements = [
        (elementwise.function, 3),
        (elementwise.arithmetic, 4),
        (elementwise.reduction, 2),
        (elementwise.cumulative, 1),
        (arrays.shape, 2),
        (arrays.indexing, 1),
        (products.contraction, 2),
    ]
    if scope.named_axes:
        statements.append((collective, 5))
    return [*statements, (derivative, 1.5), (vectorised, 1), (control, 1)]


def _grown(scope: Scope, at_most: int, at_least: int = 1) -> Scope:
    scope.grow(scope.rng.randint(at_least, at_most), inner_statements(scope))
    return scope


def derivative(scope: Scope) -> None:
    kind = scope.rng.choice([_gradient, _gradient, _gradient, _jvp, _called])
    args = _args(scope)
    kind(scope, args, _grown(scope.inner(args), at_most=4))


def _gradient(scope: Scope, args: list[Variable], function: Scope) -> None:
    if scope.is_complex:
        raise NoFit
    op, value = scope.rng.choice(["grad", "value_and_grad"]), function.scalar()
    argnums = scope.rng.sample(range(len(args)), scope.rng.randint(1, len(args)))
    results = [(args[i].dtype, args[i].shape) for i in argnums]
    if op == "value_and_grad":
        results.insert(0, (value.dtype, value.shape))
    fun = function.function(value)
    scope.emit(op, args, *results, fn=fun, argnums=argnums, reduce_axes=scope.some_names())


def _jvp(scope: Scope, args: list[Variable], function: Scope) -> None:
    result, count = function.pick(), scope.rng.randint(1, len(args))
    tangents = [scope.shaped(arg.shape) for arg in args[:count]]
    results = [(result.dtype, result.shape)] * 2
    scope.emit("jvp", args + tangents, *results, fn=function.function(result), n_diff=count)


def _called(scope: Scope, args: list[Variable], function: Scope) -> None:
    found = [variable for variable in function.variables if variable.dtype == scope.dtype]
    returned = found[-scope.rng.randint(1, 2) :]
    results = [(variable.dtype, variable.shape) for variable in returned]
    scope.emit(scope.rng.choice(["checkpoint", "jit"]), args, *results, fn=function.function(returned))


def vectorised(scope: Scope) -> None:
    args, in_axes, rows, size = _args(scope), [], [], None
    for arg in args:
        dims = [dim for dim, length in enumerate(arg.shape) if length and length == (size or length)]
        if not dims or (size is not None and scope.chance(0.2)):
            in_axes.append(None)
            rows.append(arg)
            continue
        dim = scope.rng.choice(dims)
        size = arg.shape[dim]
        in_axes.append(scope.signed(dim, arg.rank))
        rows.append(Variable(arg.name, arg.dtype, replaced(arg.shape, dim)))
    if size is None:
        raise NoFit
    name = scope.source.name("axis") if scope.chance(0.7) else None
    axis = {"name": name or "", "size": size}
    function = _grown(scope.inner(rows, [*scope.axes, axis]), at_most=4)
    result = function.pick()
    out_axes = scope.rng.choice([0, 0, -1, None] if name else [0, -1])
    if out_axes is None:
        result = function.unary("psum", result, axes=[name])
    dim = result.rank if out_axes == -1 else 0
    shape = result.shape if out_axes is None else inserted(result.shape, dim, size)
    scope.emit(
        "vmap", args, (result.dtype, shape), fn=function.function(result), in_axes=in_axes, axis_name=name
    )
    # Here None says that the result does not vary.
    scope.body[-1]["attrs"]["out_axes"] = out_axes


def control(scope: Scope) -> None:
    scope.rng.choice([_scan, _fori, _cond])(scope)


def _bounded(scope: Scope, shape) -> Variable:
    """What a loop carries from step to step."""
    carried = scope.shaped(shape)
    return scope.binary("mul", carried, 0.5) if scope.is_complex else scope.unary("tanh", carried)


def _scan(scope: Scope) -> None:
    carry, *constants = _args(scope, at_most=2)
    rows = scope.pick(lambda variable: variable.rank and 0 < variable.shape[0] <= 4)
    row = Variable(rows.name, rows.dtype, rows.shape[1:])
    function = _grown(scope.inner([carry, row, *constants]), at_most=3)
    result, next_carry = function.pick(), _bounded(function, carry.shape)
    fun = function.function([next_carry, result])
    results = [(carry.dtype, carry.shape), (result.dtype, (rows.shape[0], *result.shape))]
    scope.emit("scan", [carry, rows, *constants], *results, fn=fun, n_xs=1, reverse=scope.chance(0.5))


def _fori(scope: Scope) -> None:
    state, *constants = args = _args(scope, at_most=2)
    function = _grown(scope.inner([Variable("", "int32", ()), *args]), at_most=3)
    fun = function.function(_bounded(function, state.shape))
    scope.emit("fori", args, (state.dtype, state.shape), fn=fun, n=scope.rng.randint(0, 3))


def _cond(scope: Scope) -> None:
    if scope.is_complex:
        raise NoFit
    args, bound = _args(scope), scope.rng.choice([0.1, 0.6, -0.3])
    predicate = scope.emit("lt", [scope.sum(scope.pick()), {"lit": bound}], ("bool", ()))
    branches = {}
    for name, at_least in (("then", 1), ("else", 0)):
        branch = _grown(scope.inner(args), at_most=3, at_least=at_least)
        branches[name] = branch.function(branch.shaped(args[0].shape))
    scope.emit("cond", [predicate, *args], (args[0].dtype, args[0].shape), **branches)
