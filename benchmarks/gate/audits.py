"""Table 5, the audits of weights: do they see propensities that are wrong by a tenth, and are they quiet otherwise?

In: the number of runs. Out: how often each direction alarms on logs of 4 million rows with ε = 0.3. An audit adds up
over rows, so the audit of a log is put together from those of its outcomes, by the public sum of audits. The negative
controls are a rule that looks whether the mean weight lies within 2% of 1, and the audit without the bets that are
guided by expected rewards, on propensities that are wrong in opposite ways where rewards are high and where they are
low.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from gate.core import Floats
from jumar.evaluate.plan import plan_gate
from jumar.evaluate.weights import WeightAudit

ROWS, OFF, EXPLORED = 4_000_000, 0.1, 0.15
DIGITS = 32  # counts are written in this base
NAMES = ("clean", "a tenth too small", "a tenth too large", "too small where rewards are high, too large elsewhere")
MISPLACED = 3
VALUES = (0.9, 0.1)  # what the model expects in the two halves of the contexts


@dataclass(frozen=True)
class Alarms:
    """Logs with an alarm.

    Attributes:
        name: how propensities were misstated.
        runs: logs.
        large, small: alarms that weights are too large, too small.
        within: logs whose mean weight lies within 2% of 1, which the simple rule lets pass.
        unguided: alarms of either kind with the guided bets turned off, on misplaced propensities.
    """

    name: str
    runs: int
    large: int
    small: int
    within: int
    unguided: int


class _Pieces:
    """The audit of one outcome's row, many times over."""

    def __init__(self, one: WeightAudit) -> None:
        self.powers: list[list[WeightAudit | None]] = []
        unit = one
        for _ in range(5):
            multiples: list[WeightAudit | None] = [None, unit]
            while len(multiples) < DIGITS:
                last = multiples[-1]
                assert last is not None
                multiples.append(last + unit)
            last = multiples[-1]
            assert last is not None
            self.powers.append(multiples)
            unit = last + unit

    def add_to(self, total: WeightAudit, count: int) -> WeightAudit:
        """``total`` with so many more rows."""
        for multiples in self.powers:
            count, digit = divmod(count, DIGITS)
            piece = multiples[digit]
            if piece is not None:
                total = total + piece
        return total


def _misstated(which: int) -> Floats:
    """[contexts] logged probability of the explored action, as a multiple of the true one."""
    if which == MISPLACED:  # on average over the log E[w] is 1 all the same
        return np.array([1.0 - OFF, 1.0 / (2.0 - 1.0 / (1.0 - OFF))])
    return np.full(2, (1.0, 1.0 - OFF, 1.0 + OFF)[which])


def rows_of(which: int) -> dict[str, Floats]:
    """The four outcomes (context × action): w of a policy that always takes the explored action, and the rest."""
    explored = EXPLORED * np.repeat(_misstated(which), 2)
    action = np.tile([0, 1], 2)
    # Only the explored action's probability is misstated: the favourite's own average tells nothing.
    propensity = np.where(action == 1, explored, 1.0 - EXPLORED)
    return {
        "chance": 0.5 * np.where(action == 1, EXPLORED, 1.0 - EXPLORED),
        "w": (action / propensity)[:, None],
        "propensity": propensity,
        "action": action,
        "value": np.repeat(VALUES, 2),
    }


def empty_audit(which: int) -> WeightAudit:
    """An audit whose plan was laid out on rows like those of the log."""
    rows = rows_of(which)
    some = np.repeat(np.arange(4), np.maximum(1, np.round(4_000 * rows["chance"]).astype(int)))
    w = rows["w"][some]
    plan = plan_gate(
        validation_d=(w - 1.0) * 0.5,
        validation_w=w,
        temperatures=[1.0],
        policy_sha256=[""],
        rows_planned=ROWS,
        supported=[True, True],
        confidence=0.999,
        propensity_floor=float(rows["propensity"].min()),
    )
    return WeightAudit(plan)


def add(audit: WeightAudit, which: int, index: np.ndarray, *, guided: bool = True) -> WeightAudit:
    """The audit with rows of these outcomes."""
    rows = {name: column[index] for name, column in rows_of(which).items()}
    value = rows["value"] if guided else None
    d = (rows["w"] - 1.0) * 0.5
    audit.update(rows["w"], d, rows["propensity"], rows["action"].astype(np.int64), np.zeros_like(rows["w"]), value)
    return audit


def run(which: int, runs: int) -> Alarms:
    """One way of misstating."""
    rng, chance = np.random.default_rng([8, which]), rows_of(which)["chance"]
    pieces = {
        guided: [_Pieces(add(empty_audit(which), which, np.array([outcome]), guided=guided)) for outcome in range(4)]
        for guided in (True, False)[: 2 if which == MISPLACED else 1]
    }
    large = small = within = unguided = 0
    for _ in range(runs):
        counts = rng.multinomial(ROWS, chance)
        seen = {}
        for guided, parts in pieces.items():
            audit = empty_audit(which)
            for part, count in zip(parts, counts.tolist(), strict=True):
                audit = part.add_to(audit, count)
            seen[guided] = {one.name: one.verdict != "ok" for one in audit.findings()}
        large += seen[True]["weights too large"]
        small += seen[True]["weights too small"]
        unguided += which == MISPLACED and any(seen[False][name] for name in ("weights too large", "weights too small"))
        within += abs(float(counts @ rows_of(which)["w"][:, 0]) / ROWS - 1.0) <= 0.02
    return Alarms(NAMES[which], runs, large, small, within, unguided)


def difference(which: int, rows: int = 50_000) -> float:
    """The largest difference between the audit put together and the same rows fed in random order, in nats."""
    rng = np.random.default_rng([9, which])
    counts = rng.multinomial(rows, rows_of(which)["chance"])
    together = empty_audit(which)
    for outcome, count in enumerate(counts.tolist()):
        together = _Pieces(add(empty_audit(which), which, np.array([outcome]))).add_to(together, count)
    fed = add(empty_audit(which), which, rng.permutation(np.repeat(np.arange(4), counts)))
    assert together.rows == fed.rows == rows
    apart = [np.abs(together.action_log_capital() - fed.action_log_capital()).max()]
    for a, b in zip([together.too_much, together.too_little, *together.guided],
                    [fed.too_much, fed.too_little, *fed.guided], strict=True):  # fmt: skip
        apart.append(np.abs(a.log_value - b.log_value).max())
    return float(max(apart))


def tasks(runs: int) -> list[tuple[int, int]]:
    """All ways of misstating."""
    return [(which, runs) for which in range(len(NAMES))]
