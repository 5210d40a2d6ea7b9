"""What is compared: the workloads, who takes part in each, and the goals, as ratios to the best of others."""

import sys
from dataclasses import dataclass, field
from pathlib import Path

HERE = Path(__file__).parent


@dataclass
class Goal:
    """`side` is to be at least `ratio` times as good as each of `against`."""

    ratio: float
    against: tuple
    side: str = "axisgrad"
    figure: str = "ms"


@dataclass
class Workload:
    title: str
    model: str
    batch: int
    sides: tuple
    goals: tuple
    kind: str = "step"
    cores: tuple = (1, 2)
    steps: int = 20  # a round of those that cannot be asked


TORCH = ("PyTorch", "PyTorch compiled")
WORKERS = ("JAX shard_map", "JAX + mpi4py", "PyTorch DDP")
EACH = ("JAX vmap(grad)", "torch.func", "Opacus")
PRIVATE = (*EACH, "Opacus ghost")
FAST = Goal(0.95, ("axisgrad fast",))


def step(title, model, batch, others, against, ratio):
    goals = (Goal(ratio, against), FAST)
    return Workload(title, model, batch, ("axisgrad", "axisgrad fast", *others), goals)


def workers(title, model, batch, ratio, steps):
    goals = tuple(Goal(ratio, WORKERS, side) for side in ("axisgrad", "axisgrad ranks"))
    sides = ("axisgrad", "axisgrad ranks", *WORKERS)
    return Workload(title, model, batch, sides, goals, cores=(2,), steps=steps)


def private(title, model, batch, *goals):
    memory = Goal(4, PRIVATE, figure="peak_mb")
    return Workload(title, model, batch, ("axisgrad", *PRIVATE), (*goals, memory), "private")


def per_example(title, model, batch):
    return Workload(title, model, batch, ("axisgrad", *EACH), (Goal(3, EACH),), "per-example")


WORKLOADS = {
    "mlp": step("MLP, batch 256", "mlp", 256, ("JAX", *TORCH), ("JAX", *TORCH), 1.3),
    "small": step("small MLP, batch 64", "small", 64, ("JAX", *TORCH), ("JAX",), 3),
    "transformer": step("transformer, batch 16", "transformer", 16, ("JAX", *TORCH), TORCH, 2),
    "cnn": step(
        "CNN, batch 64",
        "cnn",
        64,
        ("JAX", *TORCH, "PyTorch channels last"),
        (*TORCH, "PyTorch channels last"),
        1.5,
    ),
    "workers-mlp": workers("two workers: MLP", "mlp", 256, 1.7, 100),
    "workers-small": workers("two workers: small MLP", "small", 64, 5, 1500),
    "workers-transformer": workers("two workers: transformer", "transformer", 16, 2, 8),
    "each-mlp": per_example("per-example gradients: MLP, batch 64", "mlp", 64),
    "each-transformer": per_example("per-example gradients: transformer, batch 16", "transformer", 16),
    "private-mlp": private(
        "DP-SGD: MLP, batch 64", "mlp", 64, Goal(20, ("Opacus",)), Goal(2, ("Opacus ghost",))
    ),
    "private-transformer": private("DP-SGD: transformer, batch 16", "transformer", 16, Goal(2, PRIVATE)),
    "start": Workload(
        "process start to the first step: small MLP",
        "small",
        64,
        ("axisgrad", "JAX", "JAX cached", "PyTorch"),
        (Goal(20, ("JAX", "PyTorch"), figure="start_ms"),),
        cores=(1,),
    ),
}

# Their processes find one another, and are given the number of steps beforehand.
SEVERAL_PROCESSES = ("axisgrad ranks", "JAX + mpi4py", "PyTorch DDP")


@dataclass
class Programs:
    """Our benchmark, built without MPI and with it (or not at all)."""

    alone: str
    with_mpi: str = ""
    missing: set = field(default_factory=set)


def command(side, workload, cores, values, programs):
    """What runs one side of a workload."""
    ours = [workload.model, "--kind", workload.kind, "--batch", str(workload.batch)]
    others = [workload.model, "--kind", workload.kind, "--values", values, "--threads", str(cores)]
    python = lambda file, way: [sys.executable, str(HERE / file), way, *others]
    ranks = [str(HERE.parent / "mpirun"), "-n", "2", "--bin"]
    return {
        "axisgrad": lambda: [programs.alone, *ours, "--threads", str(cores)],
        "axisgrad fast": lambda: [programs.alone, *ours, "--threads", str(cores), "--reduction", "fast"],
        "axisgrad ranks": lambda: [*ranks, programs.with_mpi, "--", *ours, "--threads", "1"],
        "JAX": lambda: python("jax_side.py", "jit"),
        "JAX cached": lambda: python("jax_side.py", "jit"),
        "JAX vmap(grad)": lambda: python("jax_side.py", "jit"),
        "JAX shard_map": lambda: python("jax_side.py", "shard_map"),
        "JAX + mpi4py": lambda: [*ranks, sys.executable, "--", *python("jax_side.py", "mpi")[1:]],
        "PyTorch": lambda: python("torch_side.py", "eager"),
        "PyTorch compiled": lambda: python("torch_side.py", "compiled"),
        "PyTorch channels last": lambda: python("torch_side.py", "channels_last"),
        "PyTorch DDP": lambda: python("torch_side.py", "ddp"),
        "torch.func": lambda: python("torch_side.py", "func"),
        "Opacus": lambda: python("torch_side.py", "opacus"),
        "Opacus ghost": lambda: python("torch_side.py", "ghost"),
    }[side]()
