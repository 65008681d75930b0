"""The sums of a gate as JSON, exactly, and back into a gate of the same plan.

In: a ``Gate`` or any object like it. Out: a tree of plain values. Only ``challenger`` imports this module.

Nothing is named here: whatever a gate sums up is found by walking over its attributes. A state is poured into a gate
that was newly made from the plan, value by value, and is refused where the two differ in shape, in bets, or in the
plan. So an old state never meets a newer gate unnoticed, and no class is ever chosen by what a file says.
"""

from __future__ import annotations

import math
from typing import Any

import msgspec
import numpy as np

from jumar.evaluate.capital import Capital, GateError
from jumar.evaluate.gate import Gate
from jumar.evaluate.plan import GatePlan
from jumar.release.documents import ReleaseError

_NAMED = {"inf": math.inf, "-inf": -math.inf, "nan": math.nan}


def gate_to_json(gate: Gate) -> dict[str, Any]:
    """The gate's sums, with the hash of its plan."""
    return {"plan_sha256": gate.plan.sha256(), "sums": _out(gate)}


def gate_from_json(tree: dict[str, Any], plan: GatePlan) -> Gate:
    """The gate that was saved.

    Args:
        tree: from ``gate_to_json``.
        plan: that the gate followed.

    Raises:
        ReleaseError: the state belongs to another plan, or to another version of the gate.
    """
    gate = Gate(plan, tree.get("sums", {}).get("actions"))
    if tree.get("plan_sha256") != plan.sha256():
        raise _other("the plan's hash differs")
    _into(gate, tree["sums"], "gate")
    return gate


def _out(value: Any) -> Any:
    """A value as plain ones; records are left out, because the plan that is hashed holds them."""
    if isinstance(value, np.ndarray):
        plain = value.ravel().tolist()
        return {"dtype": value.dtype.str, "shape": list(value.shape), "values": [_number(one) for one in plain]}
    if isinstance(value, np.generic):
        return _out(value.item())
    if isinstance(value, Capital):
        return msgspec.json.decode(value.to_json())
    if value is None or isinstance(value, bool | int | float | str):
        return _number(value)
    if isinstance(value, list | tuple):
        return [_out(one) for one in value]
    if isinstance(value, dict):
        return {str(key): _out(one) for key, one in value.items()}
    if isinstance(value, msgspec.Struct) or callable(value):
        return None
    return {name: _out(one) for name, one in _parts(value).items()}


def _into(target: Any, saved: Any, where: str) -> Any:
    """``saved`` in the form of ``target``, whose objects are changed in place."""
    if isinstance(target, np.ndarray):
        return _array(target, saved, where)
    if isinstance(target, np.generic):
        return type(target)(_scalar(target.item(), saved, where))
    if isinstance(target, Capital):
        return _capital(target, saved, where)
    if target is None or isinstance(target, bool | int | float | str):
        return _scalar(target, saved, where)
    if isinstance(target, list | tuple):
        if not isinstance(saved, list) or len(saved) != len(target):
            raise _other(f"{where} has another length")
        pairs = zip(target, saved, strict=True)
        return type(target)(_into(one, other, f"{where}[{place}]") for place, (one, other) in enumerate(pairs))
    if isinstance(target, msgspec.Struct) or callable(target):
        return target
    return _object(target, saved, where)


def _object(target: Any, saved: Any, where: str) -> Any:
    """A dictionary, or an object with attributes."""
    parts = target if isinstance(target, dict) else _parts(target)
    if not isinstance(saved, dict) or set(saved) != {str(key) for key in parts}:
        raise _other(f"{where} has other parts")
    new = {key: _into(one, saved[str(key)], f"{where}.{key}") for key, one in parts.items()}
    if isinstance(target, dict):
        return new
    for name, one in new.items():
        if one is not parts[name]:
            object.__setattr__(target, name, one)  # frozen ones too: the target is nobody else's
    return target


def _scalar(target: Any, saved: Any, where: str) -> Any:
    """A number of the target's type; words, and what is None, must be the same."""
    if target is None or isinstance(target, str):
        if saved != target:
            raise _other(f"{where} differs")
        return target
    number = _NAMED.get(saved, saved) if isinstance(saved, str) else saved
    if type(number) is not type(target):
        raise _other(f"{where} is no {type(target).__name__}")
    return number


def _capital(target: Capital, saved: Any, where: str) -> Capital:
    """The capital of the saved sums, which must have the bets of this one."""
    try:
        return target + Capital.from_json(msgspec.json.encode(saved))
    except GateError as error:
        raise _other(f"{where}: {error.what}") from error


def _array(target: np.ndarray, saved: Any, where: str) -> np.ndarray:
    if not isinstance(saved, dict) or saved.get("dtype") != target.dtype.str or saved.get("shape") != [*target.shape]:
        raise _other(f"{where} has another shape")
    values = [_NAMED.get(one, one) if isinstance(one, str) else one for one in saved["values"]]
    return np.array(values, dtype=target.dtype).reshape(target.shape)


def _parts(value: Any) -> dict[str, Any]:
    """Attributes by name; a class without a dictionary cannot be walked over, and is a defect of ours."""
    return dict(vars(value))


def _number(value: Any) -> Any:
    """Itself, or a name where JSON has none."""
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def _other(why: str) -> ReleaseError:
    return ReleaseError(
        f"The state was not saved by this version of the gate, or was changed ({why})",
        remedy="Use the version of Jumar that wrote it, or close this challenger and open another.",
    )
