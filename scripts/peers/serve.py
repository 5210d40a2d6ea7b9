"""What every side does: a few steps that are compared with the others', then as many as it is asked for."""

import argparse
import json
import sys
import time


def arguments():
    parser = argparse.ArgumentParser()
    parser.add_argument("way", help="how the work is done, such as jit or ddp")
    parser.add_argument("model", choices=["mlp", "small", "transformer", "cnn"])
    parser.add_argument("--kind", choices=["step", "per-example", "private"], default="step")
    parser.add_argument("--values", help="the initial model and the batch (safetensors)")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--checked", type=int, default=3)
    parser.add_argument("--steps", type=int, help="steps to time, instead of asking standard input")
    return parser.parse_args()


def memory(key):
    """Of this process, in MB."""
    for line in open("/proc/self/status"):
        if line.startswith(key):
            return int(line.split()[1]) * 1024 / 1e6


def requests(args):
    """How many steps to run next."""
    if args.steps is not None:
        return [args.steps] if args.steps else []
    return map(int, sys.stdin)


def serve(args, step, says=True):
    """`step(checked)` gives a value; its work is done when it returns, and a checked one draws no noise.

    It may return `(value, seconds)` where computing the value is not part of the work.
    """
    say = lambda **line: print(json.dumps(line), flush=True) if says else None
    before = memory("VmRSS")
    values = [timed(step, True)[0] for _ in range(args.checked)]
    say(values=values, before_mb=before)
    for count in requests(args):
        ms = [timed(step, False)[1] * 1e3 for _ in range(count)]
        say(ms=ms, peak_mb=memory("VmHWM"))


def timed(step, checked):
    start = time.perf_counter()
    result = step(checked)
    took = time.perf_counter() - start
    return result if isinstance(result, tuple) else (float(result), took)
