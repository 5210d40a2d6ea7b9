"""Random programs on axisgrad, judged by the reference. scripts/fuzz runs this."""

import argparse
import copy
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import generate
import shrink
import single
import well_formed

ROOT = Path(__file__).resolve().parents[2]
GOLDEN = ROOT / "tests" / "golden"
BATCH = 100
SLOWEST = 10  # seconds that a program may take, under all placements


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scripts/fuzz", add_help=False)
    parser.add_argument("--programs", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--shrink", type=Path)
    parser.add_argument("--self-test", action="store_true")
    return parser.parse_args()


def programs(seeds):
    """Of every three, two are programs of many ops and one is of a single op at the edges of its domain."""
    for seed in seeds:
        yield single.program(seed) if seed % 3 == 2 else generate.program(seed)


def self_test() -> int:
    seeds = range(2000)
    cases = list(programs(seeds))
    ops = well_formed.documented_ops((GOLDEN / "README.md").read_text())
    smaller = [candidate for case in cases[:50] for candidate in shrink.candidates(case)]
    faults = [
        f"{case['name']}: {fault}" for case in cases + smaller for fault in well_formed.faults(case, ops)
    ]
    if cases != list(programs(seeds)):
        faults.append("the same seed has made another program")
    broken = copy.deepcopy(cases[0])
    broken["fun"]["body"].append({"let": ["t"], "op": "no_such_op", "in": ["nothing"]})
    if len(well_formed.faults(broken, ops)) != 2:
        faults.append("a program that does not fit the format has not been noticed")
    for fault in faults:
        print(f"fuzz: {fault}")
    print(f"{len(cases)} programs and {len(smaller)} smaller ones, {len(faults)} faults")
    return 1 if faults else 0


def check_reference() -> None:
    """The reference has to find the answers of the golden cases before it may judge."""
    from expected import disagreement

    count, wrong = 0, []
    for file in sorted(GOLDEN.glob("*.json")):
        for case in json.loads(file.read_text()).get("cases", []):
            difference = disagreement(case)
            count += 1
            if difference:
                wrong.append(f"{case['name']}: {difference}")
    if wrong:
        sys.exit("\n".join(["fuzz: the reference is wrong about golden cases", *wrong]))
    print(f"the reference agrees with {count} golden cases", flush=True)


def judged(cases, discarded: Counter) -> list[dict]:
    """Those of the programs that are fit to be judged, with their expected answers."""
    import jax

    from expected import complete
    from values import Unsupported

    fit = []
    for case in cases:
        try:
            complete(case)
        except Unsupported as reason:
            discarded[str(reason)] += 1
        except (
            Exception
        ) as error:  # The program makes no sense, which is for the generator, or JAX has no rule.
            discarded[f"{type(error).__name__}: {str(error)[:70]!r}"] += 1
        else:
            fit.append({**case, "text": well_formed.text(case["fun"])})
    jax.clear_caches()
    return fit


def write(folder: Path, cases: list[dict]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    document = {"schema": "reduce-axes-golden/1", "set": "public", "family": "fuzz", "cases": cases}
    (folder / "programs.json").write_text(json.dumps(document))


def verdicts(output: str) -> dict[str, str]:
    """What the golden runner printed about cases that have not passed; it can be several lines."""
    blocks = re.split(r"^(?=  (?:failed |skipped) \S+: |\S+: \d+ passed, )", output, flags=re.M)
    found = (re.match(r"  (?:failed |skipped) (\S+): (.*)", block, re.S) for block in blocks)
    return {match[1]: match[2].strip() for match in found if match}


def golden(folder: Path, limit: float) -> tuple[str, int]:
    """What scripts/golden prints, and its status; whatever it has started ends with it."""
    command = [str(ROOT / "scripts" / "golden"), str(folder)]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    process = subprocess.Popen(command, text=True, start_new_session=True, **pipes)
    try:
        output, _ = process.communicate(timeout=limit)
    except BaseException:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        raise
    return output, process.returncode


def run(folder: Path, cases: list[dict]) -> dict[str, str]:
    """What the golden runner has against each of the cases that it does not pass.

    Where it does not come to a good end, halves of the cases are run until the one is found that it is about.
    """
    write(folder, cases)
    try:
        output, status = golden(folder, limit=60 + SLOWEST * len(cases))
    except subprocess.TimeoutExpired:
        crash = "the runner has not come to an end"
    else:
        if re.search(r"^\d+ passed, ", output, re.M):
            return verdicts(output)
        crash = f"the runner ended with status {status}"
    if len(cases) == 1:
        return {cases[0]["name"]: crash}
    half = len(cases) // 2
    return run(folder, cases[:half]) | run(folder, cases[half:])


# Whatever else it says are axisgrad's own words: it has refused the program.
DIFFERENT = re.compile(r"\S+: (.* instead of |other bits than |there is no such result)|the runner ", re.S)


class Tally:
    """What became of all programs, and where those are kept that axisgrad did not agree about."""

    def __init__(self, out: Path):
        self.out = out
        self.agreed, self.disagreed, self.refusals = 0, 0, Counter()

    def batch(self, seeds: range) -> None:
        discarded = Counter()
        cases = judged(programs(seeds), discarded)
        failures = run(self.out / "batch", cases) if cases else {}
        different = [name for name, why in failures.items() if DIFFERENT.match(why)]
        agreed, refused = len(cases) - len(failures), len(failures) - len(different)
        thrown = ", ".join(f"{count} {why}" for why, count in discarded.most_common())
        print(
            f"seeds {seeds.start}-{seeds.stop - 1}: {len(cases)} programs, {agreed} agreed, "
            f"{len(different)} disagreed, {refused} refused; thrown away: {thrown or 'none'}",
            flush=True,
        )
        self.agreed += agreed
        self.disagreed += len(different)
        for case in cases:
            if case["name"] in failures:
                self._keep(case, failures[case["name"]].splitlines()[0], case["name"] in different)

    def _keep(self, case: dict, why: str, different: bool) -> None:
        folder = self.out / ("disagreed" if different else "refused") / case["name"]
        write(folder, [case])
        if not different:
            self.refusals[why] += 1
            return
        print(f"  {case['name']}: {why}\n    again: scripts/golden {folder}", flush=True)


def kind(why: str) -> str:
    """Of a failure: a disagreement, or which refusal."""
    return "different" if DIFFERENT.match(why) else re.sub(r"`.*?`|\d+", "", why.splitlines()[0])


def shrink_one(folder: Path) -> int:
    """Writes the smallest program that fails in the same way as the one that is kept there."""
    (case,) = json.loads((folder / "programs.json").read_text())["cases"]
    scratch, place = folder / "batch", folder / "smallest"
    why = run(scratch, [case]).get(case["name"])
    if why is None:
        sys.exit(f"fuzz: {case['name']} passes")

    def failing(cases):
        for number, smaller in enumerate(cases):
            smaller["name"] = f"{case['name']}-{number}"
        fit = judged(cases, Counter())
        failures = run(scratch, fit) if fit else {}
        return [found for found in fit if kind(failures.get(found["name"], "passes")) == kind(why)]

    smallest = shrink.smallest(case, failing)
    write(place, [smallest])
    print("\n".join([*smallest["text"], f"called as {json.dumps(smallest['call'])}"]))
    print(*run(scratch, [smallest]).values(), f"again: scripts/golden {place}", sep="\n")
    shutil.rmtree(scratch)
    return 0


def main() -> int:
    options = arguments()
    if options.self_test:
        return self_test()
    if options.shrink:
        return shrink_one(options.shrink.resolve())
    check_reference()
    tally, started = Tally(options.out.resolve()), time.monotonic()
    end = options.seed + options.programs
    for start in range(options.seed, end, BATCH):
        tally.batch(range(start, min(start + BATCH, end)))
    shutil.rmtree(tally.out / "batch", ignore_errors=True)
    for why, count in tally.refusals.most_common():
        print(f"refused, {count}: {why}")
    print(f"{time.monotonic() - started:.0f} s")
    print(f"{tally.agreed} agreed, {tally.disagreed} disagreed, {tally.refusals.total()} refused")
    return 1 if tally.disagreed else 0


if __name__ == "__main__":
    sys.exit(main())
