"""What may be believed of a policy: estimates, audits, the gate and its certificate.

In: logged rows and the probabilities that policies give the logged actions. Out: records. Everything above
the learners imports these names; below it, ``capital`` is the statistics and ``gate`` the verdict.
"""

from jumar.evaluate.capital import Bets, Capital, GateError, default_bets
from jumar.evaluate.certificate import (
    Certificate,
    ChangeSummary,
    CloneCheck,
    Deviation,
    Finding,
    LogSummary,
    RunSummary,
    Segment,
    WalkPoint,
)
from jumar.evaluate.clone_check import check_clone
from jumar.evaluate.estimators import Estimate, Estimator, PairedGain, dm, dr, ips, paired_gain, snips
from jumar.evaluate.gate import CandidatePlan, Gate, GatePlan, GateResult, plan_gate
from jumar.evaluate.planner import (
    detectable_gain,
    exploration_second_moment,
    rows_needed,
    rows_to_explore,
)

__all__ = [
    "Bets",
    "CandidatePlan",
    "Capital",
    "Certificate",
    "ChangeSummary",
    "CloneCheck",
    "Deviation",
    "Estimate",
    "Estimator",
    "Finding",
    "Gate",
    "GateError",
    "GatePlan",
    "GateResult",
    "LogSummary",
    "PairedGain",
    "RunSummary",
    "Segment",
    "WalkPoint",
    "check_clone",
    "default_bets",
    "detectable_gain",
    "dm",
    "dr",
    "exploration_second_moment",
    "ips",
    "paired_gain",
    "plan_gate",
    "rows_needed",
    "rows_to_explore",
    "snips",
]
