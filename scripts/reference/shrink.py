"""Smaller programs than one that fails, down to one of which no part can be left out."""

import copy

from well_formed import functions


def size(case: dict) -> int:
    return len(case["args"]) + sum(len(fun["body"]) for fun in functions(case["fun"]))


def candidates(case: dict):
    """Copies in which one statement is passed by, its result being an operand instead, or one argument is
    left out. They need not make sense: shapes may no longer fit.
    """
    for place, fun in enumerate(functions(case["fun"])):
        for line, statement in enumerate(fun["body"]):
            for operand in {name: None for name in statement["in"] if isinstance(name, str)}:
                smaller = copy.deepcopy(case)
                _pass_by(functions(smaller["fun"])[place], line, operand)
                yield smaller
    for position in range(len(case["args"])):
        smaller = copy.deepcopy(case)
        if _leave_out(smaller, position):
            yield smaller


def smallest(case: dict, failing) -> dict:
    """`failing` says which of several cases fail as this one does."""
    while True:
        found = failing(list(candidates(case)))
        if not found:
            return case
        case = min(found, key=size)


def _pass_by(fun: dict, line: int, operand: str) -> None:
    results = fun["body"].pop(line)["let"]

    def renamed(name):
        return operand if isinstance(name, str) and name in results else name

    for statement in fun["body"]:
        statement["in"] = [renamed(name) for name in statement["in"]]
    fun["ret"] = (
        renamed(fun["ret"]) if isinstance(fun["ret"], str) else [renamed(name) for name in fun["ret"]]
    )
    fun["aux"] = [renamed(name) for name in fun.get("aux") or []]
    _drop_unused(fun)


def _drop_unused(fun: dict) -> None:
    used = {*fun["aux"], *([fun["ret"]] if isinstance(fun["ret"], str) else fun["ret"])}
    for statement in reversed(list(fun["body"])):
        if used.isdisjoint(statement["let"]):
            fun["body"].remove(statement)
        else:
            used.update(name for name in statement["in"] if isinstance(name, str))


def _leave_out(case: dict, position: int) -> bool:
    """Whether the argument is one leaf, not used and not differentiated; then it is gone."""
    fun, call, count = case["fun"], case["call"], len(case["args"])
    numbers = call.get("argnums", [])
    numbers = [number % count for number in (numbers if isinstance(numbers, list) else [numbers])]
    name = case["args"][position].get("leaf", {}).get("name")
    used = {operand for statement in fun["body"] for operand in statement["in"] if isinstance(operand, str)}
    used.update([fun["ret"]] if isinstance(fun["ret"], str) else fun["ret"], fun["aux"])
    if name is None or name in used or position in numbers:
        return False
    del case["args"][position]
    fun["params"].remove(name)
    if numbers:
        call["argnums"] = [number - (number > position) for number in numbers]
    return True
