"""The steps in PyTorch: plain, compiled, channels last, `torch.func`, Opacus, its ghost clipping, or DDP."""

import os
import re
import time

from serve import arguments, serve

args = arguments()

import torch
from safetensors.torch import load_file
from torch import nn
from torch.nn import functional as F

RATE, CLIP, NOISE = 1e-3, 1.0, 1.0


class Mlp(nn.Module):
    def __init__(self, *sizes):
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in zip(sizes, sizes[1:]))

    def forward(self, x):
        for layer in self.layers[:-1]:
            x = F.relu(layer(x))
        return self.layers[-1](x)


class Attention(nn.Module):
    def __init__(self):
        super().__init__()
        self.query, self.key, self.value, self.out = (nn.Linear(128, 128) for _ in range(4))

    def forward(self, x):
        heads = lambda part: part(x).unflatten(-1, (4, -1)).transpose(-3, -2)
        taken = F.scaled_dot_product_attention(
            heads(self.query), heads(self.key), heads(self.value), is_causal=True
        )
        return self.out(taken.transpose(-3, -2).flatten(-2))


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.attention_norm, self.attention = nn.LayerNorm(128), Attention()
        self.hidden_norm, self.hidden, self.out = nn.LayerNorm(128), nn.Linear(128, 512), nn.Linear(512, 128)

    def forward(self, x):
        x = x + self.attention(self.attention_norm(x))
        return x + self.out(F.gelu(self.hidden(self.hidden_norm(x)), approximate="tanh"))


class Transformer(nn.Module):
    def __init__(self):
        super().__init__()
        self.characters, self.places = nn.Embedding(96, 128), nn.Embedding(128, 128)
        self.blocks = nn.ModuleList(Block() for _ in range(4))
        self.norm, self.out = nn.LayerNorm(128), nn.Linear(128, 96)

    def forward(self, text):
        x = self.characters(text) + self.places(torch.arange(128).repeat(len(text), 1))
        for block in self.blocks:
            x = block(x)
        return self.out(self.norm(x)).transpose(-1, -2)


class Cnn(nn.Module):
    def __init__(self):
        super().__init__()
        self.convolutions = nn.ModuleList([nn.Conv2d(1, 32, 3), nn.Conv2d(32, 64, 3)])
        self.hidden, self.out = nn.Linear(64 * 12 * 12, 128), nn.Linear(128, 10)

    def forward(self, x):
        for layer in self.convolutions:
            x = F.relu(layer(x))
        return self.out(F.relu(self.hidden(F.max_pool2d(x, 2).flatten(1))))


MODELS = {
    "mlp": lambda: Mlp(784, 512, 512, 10),
    "small": lambda: Mlp(64, 128, 10),
    "transformer": Transformer,
    "cnn": Cnn,
}
NAMES = {nn.LayerNorm: "scale", nn.Embedding: "table", nn.Conv2d: "kernel", nn.Linear: "weight"}


def load():
    """The model and its batch, with the values that all sides start from."""
    values, model = load_file(args.values), MODELS[args.model]()
    with torch.no_grad():
        for name, module in model.named_modules():
            path = re.sub(r"\.(\d+)", r"[\1]", name)
            for leaf, parameter in module.named_parameters(recurse=False):
                value = values[f"{path}.{leaf if leaf == 'bias' else NAMES[type(module)]}"]
                if isinstance(module, nn.Linear) and leaf == "weight":
                    value = value.T
                parameter.copy_(value)
    return model, values["x"], values["y"].long()


def optimizer_of(model):
    if args.model == "transformer":
        return torch.optim.AdamW(model.parameters(), 1e-3, weight_decay=0.01, fused=True)
    return torch.optim.SGD(model.parameters(), RATE, foreach=True)


def whole(model, x, y):
    optimizer = optimizer_of(model)

    def run_step(checked):
        optimizer.zero_grad(set_to_none=True)
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        return loss.item()

    return run_step


def clocked(work, model, x, y):
    """The loss is computed before the work and not part of it."""

    def run_step(checked):
        found = 0.0
        if checked:
            with torch.no_grad():
                found = F.cross_entropy(model(x), y).item()
        start = time.perf_counter()
        work(0.0 if checked else NOISE)
        return found, time.perf_counter() - start

    return run_step


def func_gradients(model, x, y):
    parameters = dict(model.named_parameters())

    def loss(parameters, x, y):
        return F.cross_entropy(torch.func.functional_call(model, parameters, (x[None],)), y[None])

    each = torch.func.vmap(torch.func.grad(loss), (None, 0, 0))
    detached = lambda: {name: p.detach() for name, p in parameters.items()}
    return lambda: each(detached(), x, y)


def func(model, x, y):
    """`torch.func`: one gradient for each example; clipped and averaged in a private step."""
    gradients_of, optimizer = func_gradients(model, x, y), optimizer_of(model)
    if args.kind == "per-example":
        return with_squares(lambda: list(gradients_of().values()))

    def work(noise):
        gradients = gradients_of()
        squares = sum(g.flatten(1).square().sum(1) for g in gradients.values())
        factor = (CLIP / squares.sqrt()).clamp(max=1.0)
        for name, p in model.named_parameters():
            total = torch.tensordot(factor, gradients[name], 1)
            p.grad = (total + torch.randn_like(p) * (noise * CLIP)) / len(x)
        optimizer.step()

    return clocked(work, model, x, y)


def with_squares(gradients_of):
    """Keeps the gradients of one step until the next has begun."""
    held = []

    def run_step(checked):
        held.clear()
        start = time.perf_counter()
        held.extend(gradients_of())
        took = time.perf_counter() - start
        return sum(g.square().sum().item() for g in held) if checked else 0.0, took

    return run_step


def opacus(model, x, y):
    from opacus.grad_sample import GradSampleModule
    from opacus.optimizers import DPOptimizer

    module = GradSampleModule(model, loss_reduction="mean")
    if args.kind == "per-example":

        def gradients_of():
            module.zero_grad(set_to_none=True)
            F.cross_entropy(module(x), y).backward()
            return [p.grad_sample for p in module.parameters()]

        return with_squares(gradients_of)
    optimizer = DPOptimizer(
        optimizer_of(model), noise_multiplier=0.0, max_grad_norm=CLIP, expected_batch_size=len(x)
    )

    def work(noise):
        optimizer.noise_multiplier = noise
        optimizer.zero_grad()
        F.cross_entropy(module(x), y).backward()
        optimizer.step()

    return clocked(work, model, x, y)


class LossOfEach(nn.Module):
    """Ghost clipping asks for one number for each example."""

    reduction = "mean"

    def forward(self, logits, y):
        return F.cross_entropy(logits, y, reduction="none").reshape(len(y), -1).mean(1)


def ghost(model, x, y):
    from opacus.grad_sample import GradSampleModuleFastGradientClipping
    from opacus.optimizers import DPOptimizerFastGradientClipping
    from opacus.utils.fast_gradient_clipping_utils import DPLossFastGradientClipping

    module = GradSampleModuleFastGradientClipping(
        model, max_grad_norm=CLIP, use_ghost_clipping=True, loss_reduction="mean"
    )
    optimizer = DPOptimizerFastGradientClipping(
        optimizer_of(model), noise_multiplier=0.0, max_grad_norm=CLIP, expected_batch_size=len(x)
    )
    criterion = DPLossFastGradientClipping(module, optimizer, LossOfEach(), loss_reduction="mean")

    def work(noise):
        optimizer.noise_multiplier = noise
        optimizer.zero_grad()
        criterion(module(x), y).backward()
        optimizer.step()

    return clocked(work, model, x, y)


def channels_last(model, x, y):
    return whole(model.to(memory_format=torch.channels_last), x.contiguous(memory_format=torch.channels_last), y)


def compiled(model, x, y):
    return whole(torch.compile(model), x, y)


def ddp(rank, args, port):
    """One of two processes, each with its half of the batch."""
    os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port))
    torch.set_num_threads(1)
    torch.distributed.init_process_group("gloo", rank=rank, world_size=2)
    model, x, y = load()
    share = len(x) // 2
    x, y = x[rank * share :][:share], y[rank * share :][:share]
    run_step = whole(nn.parallel.DistributedDataParallel(model, gradient_as_bucket_view=True), x, y)

    def both(checked):
        loss = run_step(checked)
        if not checked:
            return loss
        # Of the whole batch; only the first steps are compared.
        loss = torch.tensor(loss)
        torch.distributed.all_reduce(loss)
        return loss.item() / 2

    serve(args, both, says=rank == 0)
    torch.distributed.destroy_process_group()


WAYS = {
    "eager": whole,
    "compiled": compiled,
    "channels_last": channels_last,
    "func": func,
    "opacus": opacus,
    "ghost": ghost,
}

if __name__ == "__main__":
    torch.set_num_threads(args.threads)
    if args.way == "ddp":
        import socket

        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        torch.multiprocessing.spawn(ddp, (args, port), nprocs=2)
    else:
        serve(args, WAYS[args.way](*load()))
