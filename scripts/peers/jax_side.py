"""The steps in JAX: `jit`, two devices under `shard_map`, or two processes with mpi4py."""

import os
import time

from serve import arguments, serve

args = arguments()
flags = ["--xla_cpu_multi_thread_eigen=false"] if args.threads == 1 or args.way == "mpi" else []
if args.way == "shard_map":
    flags.append("--xla_force_host_platform_device_count=2")
os.environ["XLA_FLAGS"] = " ".join(flags)
os.environ["JAX_PLATFORMS"] = "cpu"

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, PartitionSpec as P
from safetensors.numpy import load_file

RATE, CLIP, NOISE = 1e-3, 1.0, 1.0


def linear(p, name, x):
    return x @ p[name + ".weight"] + p[name + ".bias"]


def layer_norm(p, name, x):
    x = x - x.mean(-1, keepdims=True)
    return x * jax.lax.rsqrt((x * x).mean(-1, keepdims=True) + 1e-5) * p[name + ".scale"] + p[name + ".bias"]


def mlp(p, x):
    count = sum(name.endswith("weight") for name in p)
    for i in range(count - 1):
        x = jax.nn.relu(linear(p, f"layers[{i}]", x))
    return linear(p, f"layers[{count - 1}]", x)


def block(p, name, x):
    rows = layer_norm(p, name + ".attention_norm", x)
    heads = lambda part: linear(p, f"{name}.attention.{part}", rows).reshape(*x.shape[:2], 4, -1)
    taken = jax.nn.dot_product_attention(heads("query"), heads("key"), heads("value"), is_causal=True)
    x = x + linear(p, name + ".attention.out", taken.reshape(x.shape))
    hidden = linear(p, name + ".hidden", layer_norm(p, name + ".hidden_norm", x))
    return x + linear(p, name + ".out", jax.nn.gelu(hidden))


def transformer(p, text):
    x = p["characters.table"][text] + p["places.table"]
    for i in range(4):
        x = block(p, f"blocks[{i}]", x)
    return linear(p, "out", layer_norm(p, "norm", x))


def cnn(p, x):
    for i in range(2):
        name = f"convolutions[{i}]"
        x = jax.lax.conv(x, p[name + ".kernel"], (1, 1), "VALID") + p[name + ".bias"][:, None, None]
        x = jax.nn.relu(x)
    x = jax.lax.reduce_window(x, -jnp.inf, jax.lax.max, (1, 1, 2, 2), (1, 1, 2, 2), "VALID")
    return linear(p, "out", jax.nn.relu(linear(p, "hidden", x.reshape(x.shape[0], -1))))


MODELS = {"mlp": mlp, "small": mlp, "transformer": transformer, "cnn": cnn}


def loss(p, x, y):
    logs = jax.nn.log_softmax(MODELS[args.model](p, x))
    return -jnp.take_along_axis(logs, y[..., None], -1).mean()


def loss_of_one(p, x, y):
    return loss(p, x[None], y[None])


def initial(p):
    """The state of the optimizer: AdamW for the transformer, none for the others."""
    if args.model != "transformer":
        return ()
    return jax.tree.map(jnp.zeros_like, p), jax.tree.map(jnp.zeros_like, p), jnp.zeros((), jnp.int32)


def update(p, state, gradient):
    if args.model != "transformer":
        return jax.tree.map(lambda p, g: p - RATE * g, p, gradient), ()
    mean, square, count = state
    count = count + 1
    mean = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, mean, gradient)
    square = jax.tree.map(lambda s, g: 0.999 * s + 0.001 * g * g, square, gradient)
    fix1, fix2 = 1 - 0.9**count, 1 - 0.999**count
    move = lambda p, m, s: p - 1e-3 * ((m / fix1) / (jnp.sqrt(s / fix2) + 1e-8) + 0.01 * p)
    return jax.tree.map(move, p, mean, square), (mean, square, count)


def step(p, state, x, y):
    value, gradient = jax.value_and_grad(loss)(p, x, y)
    return value, *update(p, state, gradient)


def private_step(p, state, x, y, key, noise):
    gradients = jax.vmap(jax.grad(loss_of_one), (None, 0, 0))(p, x, y)
    squares = sum(jnp.sum(g.reshape(len(x), -1) ** 2, 1) for g in gradients.values())
    factor = jnp.minimum(1.0, CLIP / jnp.sqrt(squares))
    keys = dict(zip(gradients, jax.random.split(key, len(gradients))))

    def noisy_mean(name, g):
        total = jnp.tensordot(factor, g, 1)
        return (total + noise * CLIP * jax.random.normal(keys[name], total.shape)) / len(x)

    return update(p, state, {name: noisy_mean(name, g) for name, g in gradients.items()})


values = load_file(args.values)
x, y = jnp.asarray(values.pop("x")), jnp.asarray(values.pop("y"))
p = {name: jnp.asarray(value) for name, value in values.items()}
state = initial(p)


def one_by_one():
    """The gradients of the step before are given back, to be written over."""
    each = jax.vmap(jax.grad(loss_of_one), (None, 0, 0))
    run = jax.jit(lambda p, x, y, _: each(p, x, y), donate_argnums=3, keep_unused=True)
    gradients = jax.jit(each)(p, x, y)

    def run_step(checked):
        nonlocal gradients
        start = time.perf_counter()
        gradients = jax.block_until_ready(run(p, x, y, gradients))
        took = time.perf_counter() - start
        return sum(float((g * g).sum()) for g in gradients.values()) if checked else 0.0, took

    return run_step


def private():
    run, value_of = jax.jit(private_step, donate_argnums=(0, 1)), jax.jit(loss)
    key = jax.random.key(0)

    def run_step(checked):
        global p, state
        nonlocal key
        value = float(value_of(p, x, y)) if checked else 0.0
        start = time.perf_counter()
        key, used = jax.random.split(key)
        p, state = jax.block_until_ready(run(p, state, x, y, used, 0.0 if checked else NOISE))
        return value, time.perf_counter() - start

    return run_step


def whole(run):
    def run_step(checked):
        global p, state
        value, p, state = run(p, state, x, y)
        value = float(value)
        jax.block_until_ready(p)
        return value

    return run_step


def on_two_devices():
    global x, y
    mesh = Mesh(jax.devices(), "batch")

    def each(p, state, x, y):
        # The parameters are the same on both devices, so their gradient is the sum of the two.
        value, gradient = jax.value_and_grad(lambda p: jax.lax.pmean(loss(p, x, y), "batch"))(p)
        return value, *update(p, state, gradient)

    specs = (P(), P(), P("batch"), P("batch"))
    place = lambda value, spec: jax.device_put(value, jax.sharding.NamedSharding(mesh, spec))
    x, y = place(x, P("batch")), place(y, P("batch"))
    globals().update(p=place(p, P()), state=place(state, P()))
    return whole(jax.jit(jax.shard_map(each, mesh=mesh, in_specs=specs, out_specs=P()), donate_argnums=(0, 1)))


def with_mpi():
    """Each process takes its half of the batch; all gradients and the loss travel in one message."""
    global x, y
    from jax.flatten_util import ravel_pytree
    from mpi4py import MPI

    ranks, rank = MPI.COMM_WORLD.size, MPI.COMM_WORLD.rank
    share = len(x) // ranks
    x, y = x[rank * share :][:share], y[rank * share :][:share]
    flat = lambda p, x, y: ravel_pytree(jax.value_and_grad(loss)(p, x, y))[0]
    flat, apart = jax.jit(flat), ravel_pytree((jnp.float32(0), p))[1]

    @jax.jit
    def finish(p, state, total):
        value, gradient = apart(total / ranks)
        return value, *update(p, state, gradient)

    def run(p, state, x, y):
        mine = np.asarray(flat(p, x, y))
        total = np.empty_like(mine)
        MPI.COMM_WORLD.Allreduce(mine, total)
        return finish(p, state, total)

    return whole(run), rank == 0


says = True
if args.way == "mpi":
    run_step, says = with_mpi()
elif args.way == "shard_map":
    run_step = on_two_devices()
elif args.kind == "per-example":
    run_step = one_by_one()
elif args.kind == "private":
    run_step = private()
else:
    run_step = whole(jax.jit(step, donate_argnums=(0, 1)))
serve(args, run_step, says)
