"""Whether a program fits the format, as far as that can be seen without running it; and a program as
readable lines.
"""

import json
import re

INNER = {"grad": ("fn",), "value_and_grad": ("fn",), "jvp": ("fn",), "vmap": ("fn",), "checkpoint": ("fn",)}
INNER |= {"jit": ("fn",), "scan": ("fn",), "fori": ("fn",), "cond": ("then", "else")}


def documented_ops(format_text: str) -> set[str]:
    """The words of the section on operators: no op is spelt otherwise than one of them."""
    return set(re.findall(r"\w+", format_text.partition("\n## Operators\n")[2].partition("\n## ")[0]))


def functions(fun: dict) -> list[dict]:
    """A function and all those inside it, in an order that a copy of it shares."""
    found = [fun]
    for outer in found:
        for statement in outer["body"]:
            found += [statement["attrs"][name] for name in INNER.get(statement["op"], ())]
    return found


def faults(case: dict, ops: set[str]) -> list[str]:
    """What is wrong with a program."""
    found = []
    try:
        json.dumps(case, allow_nan=False)
    except ValueError as error:
        found.append(str(error))
    records = [leaf for tree in case["args"] for leaf in leaves(tree)]
    if case["fun"]["params"] != [leaf["name"] for leaf in records]:
        found.append("the parameters are not the leaves of the arguments")
    for record in records + case["call"].get("cotangents", []):
        found += _record_faults(record)
    axes = {axis["name"] for axis in case["axes"]}
    return found + _function_faults(case["fun"], ops, axes)


def leaves(tree: dict) -> list[dict]:
    """The array records of a TREE, in order."""
    if "leaf" in tree:
        return [tree["leaf"]]
    if "dict" in tree:
        return [leaf for key in sorted(tree["dict"]) for leaf in leaves(tree["dict"][key])]
    return [leaf for item in tree.get("tuple") or tree.get("list") or [] for leaf in leaves(item)]


def _record_faults(record: dict) -> list[str]:
    count = 1
    for size in record["shape"]:
        count *= size
    return (
        [] if count == len(record["data"]) else [f"{len(record['data'])} entries of shape {record['shape']}"]
    )


def _function_faults(fun: dict, ops: set[str], axes: set[str]) -> list[str]:
    found, names = [], set(fun["params"])
    for statement in fun["body"]:
        op, attrs = statement["op"], statement.get("attrs", {})
        if op not in ops:
            found.append(f"{op} is not in the format")
        unknown = [
            operand for operand in statement["in"] if isinstance(operand, str) and operand not in names
        ]
        found += [f"{op} takes {name}, which is not there" for name in unknown]
        bound = attrs.get("axes", []) if op in ("psum", "pmean", "pmax") else [attrs.get("axis_name")]
        if op != "vmap":
            found += [
                f"{op} is over {name}, which is not bound" for name in bound if name and name not in axes
            ]
        if op == "const":
            found += _record_faults(attrs["value"])
        inner = axes | {attrs["axis_name"]} if op == "vmap" and "axis_name" in attrs else axes
        for name in INNER.get(op, ()):
            found += _function_faults(attrs[name], ops, inner)
        found += [f"{name} is there twice" for name in names.intersection(statement["let"])]
        names.update(statement["let"])
    returned = fun["ret"] if isinstance(fun["ret"], list) else [fun["ret"]]
    missing = [name for name in returned + fun.get("aux", []) if name not in names]
    return found + [f"{name} is returned and not there" for name in missing]


def text(fun: dict, indent: str = "") -> list[str]:
    """The lines of a function."""
    lines = []
    for statement in fun["body"]:
        attrs, inner = statement.get("attrs", {}), INNER.get(statement["op"], ())
        shown = [f"{name}={json.dumps(value)}" for name, value in attrs.items() if name not in inner]
        operands = [
            operand if isinstance(operand, str) else json.dumps(operand) for operand in statement["in"]
        ]
        call = "; ".join(part for part in (", ".join(operands), ", ".join(shown)) if part)
        lines.append(f"{indent}{', '.join(statement['let'])} = {statement['op']}({call})")
        for name in inner:
            lines.append(f"{indent}  where {name}({', '.join(attrs[name]['params'])}):")
            lines += text(attrs[name], indent + "    ")
    return [*lines, f"{indent}return {json.dumps(fun['ret'])}"]
