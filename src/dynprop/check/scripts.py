"""Code that shows a counterexample when pasted, without dynprop wherever the law allows it."""

from __future__ import annotations

import json
import re
from typing import Any

import numpy as np

from dynprop.laws.registry import Case, Law

__all__ = ["reproduction"]

LIMIT = 400


def _literal(values: Any) -> str:
    return json.dumps(values)


def _array(library: str, values: Any, shape: Any, dtype: str) -> str:
    if values is None:
        return "None"
    empty = int(np.prod(shape)) == 0
    if library == "torch":
        made = f"torch.tensor({_literal(values)}, dtype=torch.{dtype})"
        return f"torch.zeros({tuple(shape)}, dtype=torch.{dtype})" if empty else made
    module = "jnp" if library == "jax" else "np"
    made = f"{module}.array({_literal(values)}, dtype='{dtype}')"
    return f"{module}.zeros({tuple(shape)}, dtype='{dtype}')" if empty else made


def _numbers(library: str, values: Any, dtype: str) -> str:
    """Write a matrix or a vector, real or complex, in the arrays of a library."""
    if not isinstance(values, dict):
        return _array(library, values, np.shape(values), dtype)
    real, imaginary = (
        _array(library, values[part], np.shape(values[part]), dtype) for part in ("real", "imag")
    )
    return f"{real} \\\n    + 1j * {imaginary}"


def _imports(library: str, dtype: str) -> list[str]:
    if library == "jax":
        x64 = ['jax.config.update("jax_enable_x64", True)'] if dtype == "float64" else []
        return ["import jax", *x64, "import jax.numpy as jnp"]
    return ["import torch"] if library == "torch" else ["import numpy as np"]


def reproduction(law: Law, subject: Any, case: Case, detail: dict[str, Any]) -> str:
    """Return a script that shows how the subject breaks the law on this case."""
    data = case.to_json()
    body = law.script.get(subject.framework, law.script.get("", ""))
    for key, value in detail.items():
        body = body.replace("{" + key + "}", str(value))
    # A case that raised has no detail to fill in: then the law itself is called.
    code = [line for line in body.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    ready = bool(code) and not re.search(r"\{\w+\}", body)
    if law.kind == "scan" and ready and np.prod(data["shape"]) <= LIMIT:
        shape = data["shape"]
        library, dtype = subject.framework, data["dtype"]
        arrays = [
            f"gates = {_array(library, data['gates'], shape, dtype)}",
            f"inputs = {_array(library, data['inputs'], shape, dtype)}",
            f"initial = {_array(library, data['initial'], (shape[0], shape[2]), dtype)}",
        ]
        return "\n".join([*_imports(library, dtype), *_target(subject), *arrays, body])
    if law.kind == "product" and ready and np.prod(data["shape"]) <= LIMIT:
        weights = _array(subject.framework, data["weights"], data["shape"], data["dtype"])
        lines = [*_imports(subject.framework, data["dtype"]), *_target(subject), f"weights = {weights}"]
        return "\n".join([*lines, body])
    if law.kind == "agreement" and ready and "depth" in data:
        names = ("depth", "width", "seed")
        numbers = f"{', '.join(names)} = {', '.join(str(data[name]) for name in names)}"
        return "\n".join([*_target(subject), numbers, body])
    if law.kind == "initializer" and ready:
        seed, fans = data["seed"], (data["fan_in"], data["fan_out"])
        torch = subject.framework == "torch"
        made = f"torch.Generator().manual_seed({seed})" if torch else f"np.random.default_rng({seed})"
        lines = [*_imports(subject.framework, "float64"), *_target(subject)]
        shown = body if torch else body.replace("import numpy as np\n", "")
        return "\n".join([*lines, f"shape, rng = {fans[::-1] if torch else fans}, {made}", shown])
    if law.kind in ("unroll", "closed-form", "agreement") and ready and np.size(data["h"]) <= LIMIT:
        # Laws of agreement show numpy, which every function of a namespace takes.
        library = "numpy" if law.kind == "agreement" else subject.framework
        dtype = data["dtype"]
        values = [f"W = {_numbers(library, data['W'], dtype)}", f"h0 = {_numbers(library, data['h'], dtype)}"]
        return "\n".join([*_imports(library, dtype), *_target(subject), *values, f"t = {data['t']}", body])
    if law.kind == "task" and ready:
        draw = "examine" if data.get("judging") else "sample"
        drawn = f"batch = f.{draw}({data['length']}, {data['count']}, np.random.default_rng({data['seed']}))"
        return "\n".join([*_imports("numpy", "float64"), *_target(subject), drawn, body])
    call = f"again({law.id!r}, subject, json.loads({json.dumps(data)!r}))"
    lines = ["import json", "from dynprop.check import again", *_target(subject, "subject"), f"print({call})"]
    if len(lines[-1]) > 20 * LIMIT:
        return "# the case is large: run  dynprop replay REPORT.json  on the report of this check"
    return "\n".join(lines)


def _target(subject: Any, name: str = "f") -> list[str]:
    """Return the lines that import the target under a name."""
    origin: str = getattr(subject, "origin", "") or ""
    place, _, attribute = origin.rpartition(":")
    if name == "subject":
        if not origin:
            return ["# subject = the object that was checked"]
        options = ", ".join(f"{k}={v!r}" for k, v in getattr(subject, "options", {}).items())
        return [
            "from dynprop.check import load_subject",
            f"subject = load_subject({origin!r}, {subject.kind!r}{', ' if options else ''}{options})",
        ]
    if place.endswith(".py"):
        folder, _, file = place.rpartition("/")
        if not file[:-3].isidentifier():
            head, *rest = attribute.split(".")
            parts = "".join(f".{part}" for part in rest)
            return ["import runpy", f"{name} = runpy.run_path({place!r})[{head!r}]{parts}"]
        lines = [f"import sys; sys.path.insert(0, {folder or '.'!r})"]
        place = file[:-3]
    else:
        lines = []
    if place:
        head, *rest = attribute.split(".")
        if not rest:
            alias = "" if head == name else f" as {name}"
            return [*lines, f"from {place} import {head}{alias}"]
        return [*lines, f"from {place} import {head}", f"{name} = {'.'.join([head, *rest])}"]
    return [f"# {name} = {subject.name}: the function that was checked"]
