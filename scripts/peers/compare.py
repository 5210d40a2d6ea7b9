#!/usr/bin/env python3
"""Runs the same training steps here and in other frameworks, in turn, and compares them."""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from importlib import metadata
from pathlib import Path

from workloads import SEVERAL_PROCESSES, WORKLOADS, Programs, command

SAME = 5e-4  # how far values of f32 may be apart after a few steps
FALLEN = 0.9  # of a stored ratio


def progress(text):
    print(text, file=sys.stderr, flush=True)


def environment(workload, side, cores, folder):
    env = dict(os.environ, OMP_NUM_THREADS=str(1 if side in SEVERAL_PROCESSES else cores))
    env["TORCHINDUCTOR_CACHE_DIR"] = f"{folder}/inductor"
    if workload != "start" or side == "JAX cached":
        env.update(JAX_COMPILATION_CACHE_DIR=f"{folder}/jax", JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS="0")
    # The default threads of BLAS and of kernels for one kind of machine are the frameworks' own business.
    for name in ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE"):
        env.pop(name, None)
    return env


class Side:
    """A process that takes steps when it is asked to."""

    def __init__(self, arguments, cores, env, log):
        self.started = time.perf_counter()
        pinned = ["taskset", "-c", ",".join(map(str, range(cores))), *arguments]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": log}
        self.process = subprocess.Popen(pinned, text=True, env=env, **pipes)

    def line(self):
        for line in self.process.stdout:
            if line.startswith("{"):
                return json.loads(line)
        raise RuntimeError(f"it ended with status {self.process.wait()}")

    def steps(self, count):
        print(count, file=self.process.stdin, flush=True)
        return self.line()

    def close(self):
        self.process.stdin.close()
        for _ in self.process.stdout:
            pass
        return self.process.wait(timeout=60)


class Contest:
    """One workload on so many cores."""

    def __init__(self, name, cores, programs, folder, log):
        self.name, self.cores, self.workload = name, cores, WORKLOADS[name]
        self.programs, self.folder, self.log = programs, folder, log
        self.values = self.initial_values()
        self.found, self.asked, self.counts = {}, {}, {}

    def initial_values(self):
        """Ours makes them, and hands them over as a file."""
        file, workload = f"{self.folder}/{self.workload.model}-{self.workload.batch}.safetensors", self.workload
        arguments = [workload.model, "--batch", str(workload.batch), "--write", file, "--threads", "1"]
        subprocess.run([self.programs.alone, *arguments], check=True, stderr=self.log)
        return file

    def start(self, side, *more):
        arguments = command(side, self.workload, self.cores, self.values, self.programs)
        return Side([*arguments, *more], self.cores, environment(self.name, side, self.cores, self.folder), self.log)

    def take_part(self, side, rounds, seconds):
        """Starts a side; its first values, and how many steps make a round."""
        if side in SEVERAL_PROCESSES:
            once = self.start(side, "--steps", "1")
            first, _ = once.line(), once.line()
            once.close()
            self.counts[side] = self.workload.steps
        else:
            self.asked[side] = running = self.start(side)
            first = running.line()
            # Once to warm up, once to learn the pace.
            running.steps(1)
            self.counts[side] = max(2, min(2000, int(seconds * 1e3 / running.steps(1)["ms"][0])))
        self.found[side] = {"values": first["values"], "before_mb": first["before_mb"], "rounds": []}

    def round(self, side):
        count = self.counts[side]
        if side in self.asked:
            answer = self.asked[side].steps(count)
        else:
            once = self.start(side, "--steps", str(count))
            once.line()
            answer = once.line()
            once.close()
        found = self.found[side]
        found["rounds"].append(statistics.median(answer["ms"]))
        found["peak_mb"] = answer["peak_mb"]

    def run(self, rounds, seconds):
        for side in self.workload.sides:
            if side in self.programs.missing:
                continue
            try:
                self.take_part(side, rounds, seconds)
                progress(f"{self.name}, {self.cores} core(s): {side} is ready")
            except (RuntimeError, OSError) as error:
                progress(f"{self.name}, {self.cores} core(s): {side} does not run here: {error}")
        self.same_work()
        for number in range(rounds):
            for side in list(self.found):
                try:
                    self.round(side)
                except (RuntimeError, OSError) as error:
                    progress(f"{self.name}, {self.cores} core(s): {side} is out: {error}")
                    del self.found[side]
            progress(f"{self.name}, {self.cores} core(s): round {number + 1} of {rounds}")
        for side, running in self.asked.items():
            if side in self.found:
                running.close()
        for found in self.found.values():
            found["ms"] = statistics.median(found["rounds"])
        return {"sides": self.found}

    def run_starts(self, rounds):
        """From the start of a process to the end of its first step, each time anew."""
        for number in range(rounds):
            for side in self.workload.sides:
                running = self.start(side, "--checked", "1", "--steps", "0")
                first = running.line()
                took = (time.perf_counter() - running.started) * 1e3
                running.close()
                found = self.found.setdefault(side, {"values": first["values"], "rounds": []})
                found["rounds"].append(took)
            progress(f"{self.name}: round {number + 1} of {rounds}")
        self.same_work()
        for found in self.found.values():
            found["start_ms"] = statistics.median(found["rounds"])
        return {"sides": self.found}

    def same_work(self):
        ours = self.found["axisgrad"]["values"]
        for side, found in self.found.items():
            for a, b in zip(ours, found["values"], strict=True):
                if not abs(a - b) <= SAME * abs(a):
                    sys.exit(f"{self.name}: not the same work: axisgrad {ours}, {side} {found['values']}")


def judge(name, entry):
    """The goals of a workload, each with its ratio: the best of the others over ours."""
    goals = []
    for goal in WORKLOADS[name].goals:
        others = {side: entry["sides"][side].get(goal.figure) for side in goal.against if side in entry["sides"]}
        ours = entry["sides"].get(goal.side, {}).get(goal.figure)
        if not others or ours is None:
            continue
        best = min(others, key=others.get)
        ratio = others[best] / ours
        goals.append(
            dict(side=goal.side, figure=goal.figure, ours=ours, best=best, theirs=others[best])
            | dict(ratio=ratio, goal=goal.ratio, met=ratio >= goal.ratio)
        )
    return goals


def machine():
    model = next((l.split(":")[1].strip() for l in open("/proc/cpuinfo") if l.startswith("model name")), "")
    flags = next((l.split() for l in open("/proc/cpuinfo") if l.startswith("flags")), [])
    return f"{model or platform.processor()}, {os.cpu_count()} cores{', AVX-512' if 'avx512f' in flags else ''}"


def versions():
    found = {}
    for name in ("jax", "torch", "opacus", "mpi4py", "numpy"):
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            pass
    return found


def limits(log):
    """What one core reaches, and two."""
    found = {}
    for cores in (1, 2):
        pinned = ["taskset", "-c", ",".join(map(str, range(cores)))]
        env = dict(environment("limits", "", cores, ""), OPENBLAS_NUM_THREADS=str(cores))
        arguments = [*pinned, sys.executable, str(Path(__file__).parent / "limits.py")]
        found[cores] = json.loads(subprocess.run(arguments, env=env, stdout=subprocess.PIPE, stderr=log, check=True).stdout)
    return found


def measure(names, rounds, seconds, programs, folder, out):
    """Writes the figures to `out` as they come."""
    result = {"machine": machine(), "versions": versions(), "date": time.strftime("%Y-%m-%d"), "workloads": {}}
    with open(f"{folder}/log", "w") as log:
        result["limits"] = limits(log)
        places = [(cores, name) for cores in (1, 2) for name in names if cores in WORKLOADS[name].cores]
        for cores, name in places:
            contest = Contest(name, cores, programs, folder, log)
            entry = contest.run_starts(rounds) if name == "start" else contest.run(rounds, seconds)
            entry["goals"] = judge(name, entry)
            result["workloads"][f"{name}@{cores}"] = entry
            if out:
                Path(out).write_text(json.dumps(result, indent=1) + "\n")
    return result


UNITS = {"ms": "ms", "start_ms": "ms", "peak_mb": "MB"}


def table(result):
    """In Markdown."""
    text = [f"{result['machine']}; " + ", ".join(f"{k} {v}" for k, v in result["versions"].items()), ""]
    for cores, limit in result.get("limits", {}).items():
        speeds = f"product of 1024³ {limit['gflops']:.0f} GFLOP/s, copy {limit['copy_gbs']:.1f} GB/s"
        text += [f"{cores} core(s): {speeds}, in cache {limit['copy_in_cache_gbs']:.0f} GB/s", ""]
    text += ["| workload | cores | ours | best of others | ratio | goal | met |", "|---|---|---|---|---|---|---|"]
    for key, entry in result["workloads"].items():
        name, cores = key.split("@")
        for goal in entry["goals"]:
            unit, side = UNITS[goal["figure"]], goal["side"].removeprefix("axisgrad").strip()
            what = WORKLOADS[name].title + (", peak memory" if unit == "MB" else "") + (f", {side}" if side else "")
            ours, theirs = f"{goal['ours']:.3g} {unit}", f"{goal['best']} {goal['theirs']:.3g} {unit}"
            met = "yes" if goal["met"] else "no"
            text.append(f"| {what} | {cores} | {ours} | {theirs} | {goal['ratio']:.2f} | {goal['goal']} | {met} |")
    text += ["", "| workload | cores | side | median of each round | peak memory |", "|---|---|---|---|---|"]
    for key, entry in result["workloads"].items():
        name, cores = key.split("@")
        for side, found in entry["sides"].items():
            rounds = ", ".join(f"{ms:.3g}" for ms in found["rounds"])
            peak = f"{found['peak_mb']:.0f} MB" if "peak_mb" in found else ""
            text.append(f"| {WORKLOADS[name].title} | {cores} | {side} | {rounds} ms | {peak} |")
    return "\n".join(text)


def ratios(result):
    return {
        f"{workload}: {goal['side']}, {goal['figure']}, goal {goal['goal']}": goal["ratio"]
        for workload, entry in result["workloads"].items()
        for goal in entry["goals"]
    }


def fallen(stored, result):
    """The ratios that are more than 10 % below the stored ones, in words."""
    old, new = ratios(stored), ratios(result)
    return [
        f"{name}: {old[name]:.2f} stored, {new[name]:.2f} now"
        for name in old
        if name in new and new[name] < FALLEN * old[name]
    ]


def self_test():
    """A run is checked against made-up ones: the same, a little better, and much better."""

    def made_up(ratio):
        return {"workloads": {"mlp@1": {"goals": [dict(side="axisgrad", figure="ms", best="JAX", goal=1.3, ratio=ratio)]}}}

    now = made_up(1.5)
    assert fallen(now, now) == []
    assert fallen(made_up(1.6), now) == []
    assert fallen(made_up(1.0), now) == []
    assert len(fallen(made_up(1.7), now)) == 1
    print("3 runs are let pass, and one that fell by more than 10 % is not")


def arguments():
    names = "\n".join(f"  {name:22}{workload.title}" for name, workload in WORKLOADS.items())
    parser = argparse.ArgumentParser(
        prog="scripts/bench --peers",
        description=__doc__,
        epilog=f"workloads:\n{names}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("names", nargs="*", metavar="WORKLOAD", help="which to run [default: all]")
    parser.add_argument("--rounds", type=int, default=5, help="how often each side has its turn [5]")
    parser.add_argument("--seconds", type=float, default=1.0, help="how long a turn is, or two steps [1]")
    parser.add_argument("--out", metavar="FILE", help="write all figures to this file (JSON)")
    parser.add_argument("--check", metavar="FILE", help="fail where a ratio is 10 %% below that in this file")
    parser.add_argument("--show", metavar="FILE", help="only print the tables of a stored run")
    parser.add_argument("--self-test", action="store_true", help="test --check on made-up runs")
    parser.add_argument("--ours", help=argparse.SUPPRESS)
    parser.add_argument("--ours-mpi", default="", help=argparse.SUPPRESS)
    parser.add_argument("--folder", help=argparse.SUPPRESS)
    args = parser.parse_args()
    for name in args.names:
        if name not in WORKLOADS:
            parser.error(f"there is no workload {name}; see --help")
    return args


def main():
    args = arguments()
    if args.self_test:
        return self_test()
    if args.show:
        return print(table(json.load(open(args.show))))
    stored = json.load(open(args.check)) if args.check else None
    if stored and stored["machine"] != machine():
        sys.exit(f"{args.check} was measured on another machine: {stored['machine']}")
    names = args.names or [name for name in WORKLOADS if not stored or any(k.startswith(f"{name}@") for k in stored["workloads"])]
    programs = Programs(args.ours, args.ours_mpi, set() if args.ours_mpi else {"axisgrad ranks", "JAX + mpi4py"})
    Path(args.folder).mkdir(parents=True, exist_ok=True)
    result = measure(names, args.rounds, args.seconds, programs, args.folder, args.out)
    print(table(result))
    if stored and (words := fallen(stored, result)):
        sys.exit("fallen by more than 10 %:\n" + "\n".join(words))


if __name__ == "__main__":
    main()
