"""What may be believed of a policy: estimates, audits, the gate and its certificate.

In: logged rows and the probabilities that policies give the logged actions. Out: records. Everything above
the learners imports these names; below it, ``capital`` is the statistics and ``gate`` the verdict. ``estimators`` and
``planning`` are rooms of their own.
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

from jumar.evaluate.capital import Bets, Capital, GateError, default_bets
from jumar.evaluate.certificate import (
    Certificate,
    ChangeSummary,
    ClaimResult,
    CloneCheck,
    Deviation,
    Finding,
    Frontier,
    LogSummary,
    RunSummary,
    Segment,
    WalkPoint,
)
from jumar.evaluate.claims import Claim
from jumar.evaluate.clone_check import check_clone
from jumar.evaluate.estimators.estimator import (
    Estimate,
    Estimator,
    PairedGain,
    dm,
    dr,
    dros,
    ips,
    mips,
    paired_gain,
    sndr,
    snips,
    switch_dr,
)
from jumar.evaluate.estimators.least_squares import mrdr
from jumar.evaluate.estimators.table import estimator_table, marginal_weights
from jumar.evaluate.gate import CandidatePlan, Gate, GatePlan, GateResult, plan_gate
from jumar.evaluate.planning.rows import (
    detectable_gain,
    exploration_second_moment,
    rows_needed,
    rows_to_explore,
)
from jumar.evaluate.star import Star
from jumar.evaluate.wagers import Trial, Wager

if TYPE_CHECKING:
    from jumar.evaluate.policies import Evaluation

__all__ = [
    "Bets",
    "CandidatePlan",
    "Capital",
    "Certificate",
    "ChangeSummary",
    "Claim",
    "ClaimResult",
    "CloneCheck",
    "Deviation",
    "Estimate",
    "Estimator",
    "Finding",
    "Frontier",
    "Gate",
    "GateError",
    "GatePlan",
    "GateResult",
    "LogSummary",
    "PairedGain",
    "RunSummary",
    "Segment",
    "Star",
    "Trial",
    "Wager",
    "WalkPoint",
    "check_clone",
    "default_bets",
    "detectable_gain",
    "dm",
    "dr",
    "dros",
    "estimator_table",
    "exploration_second_moment",
    "ips",
    "marginal_weights",
    "mips",
    "mrdr",
    "paired_gain",
    "plan_gate",
    "rows_needed",
    "rows_to_explore",
    "sndr",
    "snips",
    "switch_dr",
]


class _CallablePackage(ModuleType):
    """``jumar.evaluate(policy, log)`` and ``from jumar.evaluate import Capital`` are both what a user expects."""

    def __call__(self, *args: Any, **kwargs: Any) -> Evaluation:
        from jumar.evaluate.policies import evaluate

        return evaluate(*args, **kwargs)


sys.modules[__name__].__class__ = _CallablePackage
