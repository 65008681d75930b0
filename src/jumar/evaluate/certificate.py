"""The documents of a verdict: what was measured, what may be claimed, and why not.

In: numbers. Out: frozen records that become ``certificate.json`` and feed the report.
Everything that judges fills these records; everything that shows reads them.
"""

from __future__ import annotations

from typing import Literal

from jumar.logs import Timeline
from jumar.records import Finding, Record

__all__ = [
    "Certificate",
    "ChangeSummary",
    "ClaimResult",
    "CloneCheck",
    "Deviation",
    "Finding",
    "Frontier",
    "FrontierPoint",
    "LogSummary",
    "Record",
    "RunSummary",
    "Segment",
    "WalkPoint",
]


class Deviation(Record, frozen=True, kw_only=True):
    """How far a policy is from production, measured on logged rows through w = π(a|x)/μ(a|x).

    Attributes:
        kl: E_μ[w·log w], the divergence KL(π‖μ) in nats per decision.
        changed: E_μ[(1 − w)⁺], the total variation distance: the share of decisions that come out
            differently.
        ess: (Σw)²/Σw², the effective sample size in rows; in units, where evidence is by unit, and with a discount of
            the products of weights that their rewards are weighed by.
        max_weight: the largest w seen.
    """

    kl: float
    changed: float
    ess: float
    max_weight: float


class WalkPoint(Record, frozen=True, kw_only=True):
    """One candidate, as measured on gate rows.

    ``estimate`` and ``lower_bound`` are average gains per decision in units of the reward;
    ``validation_gain`` was measured on TRAIN rows that fitted nothing; ``validation_z``, of the weakest claim, chose
    the order of tests. ``temperature`` is None for a policy that is not on the path, ``name`` says what it is then;
    ``price`` is what a unit of cost was held to be worth, in units of the reward; ``not_shown`` names the claims that
    this candidate did not pass.
    """

    temperature: float | None
    deviation: Deviation
    validation_gain: float
    validation_z: float
    test_order: int
    estimate: float
    lower_bound: float
    log_capital: float
    verdict: Literal["passed", "failed", "not tested"]
    released: bool
    name: str = ""
    price: float = 0.0
    not_shown: list[str] = []


class ClaimResult(Record, frozen=True, kw_only=True):
    """One claim, tested at the full confidence, in the metric's own units.

    Attributes:
        kind: "value" (the reward), "metric" (another logged column), "spend" or "budget" (costs of actions); with a
            discount "return" and "deviation".
        metric, better, margin, most: see ``claims.Claim``.
        required: whether the verdict needs it; the paired gain is measured in any case.
        claim: in plain words.
        production: production's average of the metric, or of its cost, per decision; its return per unit.
        change: the policy's average less production's, as estimated.
        estimate: by how much the claim is exceeded, as estimated; negative where it looks false.
        lower_bound: the least by which it is exceeded, at the policy's share of the error probability.
        log_capital: in nats; the claim passes at log(1/α).
        verdict: "passed" or "failed".
        robust: a doubly-robust variable was used.
    """

    kind: Literal["value", "metric", "spend", "budget", "return", "metric_return", "deviation"]
    metric: str
    better: Literal["higher", "lower"]
    margin: float
    most: float | None
    required: bool
    claim: str
    production: float
    change: float
    estimate: float
    lower_bound: float
    log_capital: float
    verdict: Literal["passed", "failed"]
    robust: bool = False


class CloneCheck(Record, frozen=True, kw_only=True):
    """Is the clone statistically the same as production? Measured on rows that fitted nothing.

    Attributes:
        equivalent: every check below passed at ``confidence``.
        log_loss: mean −log π₀(a|x) in nats; ``entropy``: mean −log μ(a|x), None without propensities.
        agreement: share of rows where the clone's most likely action is the one taken;
            ``expected_agreement``: the same as the propensities (or the clone itself) predict it.
        calibration: mean |π₀(a|x) − μ(a|x)| over the logged actions, None without propensities.
        value_difference, value_lower, value_upper: paired V(π₀) − V(μ), in units of the reward.
        sentence: the answer in plain words: "equivalent to production: yes, within ±0.1%".
    """

    equivalent: bool
    confidence: float
    rows: int
    log_loss: float
    entropy: float | None
    agreement: float
    expected_agreement: float
    calibration: float | None
    value_difference: float
    value_lower: float
    value_upper: float
    tolerance: float
    sentence: str


class Certificate(Record, frozen=True, kw_only=True):
    """What may be claimed about the policy beside it. See ``docs/statistics.md``.

    Gains and values are in units of the reward, per decision; with a discount, per unit: discounted rewards of its
    first decisions, of which no more than ``return_cap`` counts. Relative figures are fractions of ``production_value``
    (None where that is not positive). ``claims`` holds all that was tested, the paired gain first, ``guardrails`` those
    of them on other metrics. ``evidence`` says what counted as one piece of evidence, ``pieces`` how many there were,
    ``boosted`` that most of the capital was bet by the booster. ``policy_sha256`` and ``card_sha256`` are hashes of the
    ``policy.onnx`` and the ``policy.json`` that it speaks of; certificates of early versions name only the first.
    """

    verdict: Literal["certified", "refused", "conditional"]
    confidence: float
    metric: str
    claim: str
    estimate: float | None
    lower_bound: float | None
    relative_estimate: float | None
    relative_lower_bound: float | None
    production_value: float
    rows: int
    units: int
    temperature: float | None
    deviation: Deviation | None
    gamma: float | None = None
    evidence: Literal["decision", "unit"] = "decision"
    pieces: int = 0
    boosted: bool = False
    timeline: Timeline | None = None
    return_cap: float | None = None
    claims: list[ClaimResult] = []
    guardrails: list[ClaimResult] = []
    audits: list[Finding] = []
    reasons: list[str] = []
    assumptions: list[str] = []
    rows_needed: int | None = None
    reward_low: float = 0.0
    reward_high: float = 1.0
    manifest_sha256: str = ""
    policy_sha256: str | None = None
    card_sha256: str | None = None
    jumar_version: str = ""


class Segment(Record, frozen=True, kw_only=True):
    """A slice of the decisions (one feature, one bin) and how much the new policy changes it."""

    feature: str
    label: str
    share: float
    changed: float
    rates_before: list[float]
    rates_after: list[float]


class ChangeSummary(Record, frozen=True, kw_only=True):
    """What changed for whom, on rows that fitted nothing."""

    actions: list[str]
    rates_before: list[float]
    rates_after: list[float]
    changed: float
    segments: list[Segment]


class LogSummary(Record, frozen=True, kw_only=True):
    """What the log holds, for the head of the report."""

    source: str
    rows: int
    units: int
    train_rows: int
    gate_rows: int
    actions: list[str]
    features: list[str]
    notes: list[str]


class FrontierPoint(Record, frozen=True, kw_only=True):
    """A policy's average cost per decision, and its value with one standard error, in units of the reward."""

    name: str
    cost: float
    value: float
    error: float
    threshold: float | None = None


class Frontier(Record, frozen=True, kw_only=True):
    """Cost against value: what deciding by the gap between values brings at every threshold, beside other rules.

    Attributes:
        cost: whose cost it is.
        points: by falling threshold on the gain that an action must bring per unit of its cost.
        baselines: other rankings at every cost, by name, in the order of their points.
        marks: single policies: production, the chosen one.
        rows: TRAIN rows that fitted nothing and that all of it was estimated on.
    """

    cost: str
    points: list[FrontierPoint]
    baselines: list[FrontierPoint]
    marks: list[FrontierPoint]
    rows: int


class RunSummary(Record, frozen=True, kw_only=True):
    """Everything the report shows. ``walk`` is ordered from least to most deviation."""

    certificate: Certificate
    log: LogSummary
    walk: list[WalkPoint]
    clone: CloneCheck | None
    change: ChangeSummary | None
    log_findings: list[Finding]
    seconds: dict[str, float]
    frontier: Frontier | None = None
