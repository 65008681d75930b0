"""The main job: from a log of decisions to a certified policy, or to a refusal that says why.

In: a ``Log``. Out: ``Improvement``: certificate, policy, and everything the report shows. This module orders the
stages; each of them can be used alone. Only the command line stands above it.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from jumar.attempt import (
    TRAIN,
    Counting,
    EvidenceChoice,
    aim_of,
    frontier_on,
    judged_on,
    not_along_timelines,
    plan_of,
)
from jumar.errors import OptionError
from jumar.evaluate import (
    Certificate,
    CloneCheck,
    Finding,
    GatePlan,
    GateResult,
    LogSummary,
    RunSummary,
    check_clone,
)
from jumar.evaluate.asked import Asked, claims_on, several_words
from jumar.evaluate.change import summarise_change
from jumar.evaluate.contestants import Contestants, contestants
from jumar.evaluate.estimators.estimator import MOST_CONFIDENCE
from jumar.evaluate.judging import Scored, run_gate, score_validation
from jumar.evaluate.reasons import explore
from jumar.evaluate.statement import certificate_of, refusal_before_gate
from jumar.files import check_free, replacing_folder
from jumar.fitting import (
    AHEAD,
    LEARNERS,
    Learner,
    candidates_of,
    learn,
    outcome_column,
    policy_at,
    priced_rows,
    ranking_by,
)
from jumar.learn.learned import Learned
from jumar.learn.prepare import Prepared, prepare
from jumar.logs import Log, Timeline, asked_timeline, audit
from jumar.policy import Policy, load_policy
from jumar.policy.artifact import pretty
from jumar.policy.candidates import Candidates
from jumar.policy.path import exploration_floor
from jumar.report import write as write_report

CERTIFICATE_FILE = "certificate.json"
RESULT_NAMES = (CERTIFICATE_FILE, "manifest.json", "metrics.jsonl", "policy", "report.html")
LEAST_FIT_ROWS = 40
DIVERGED = "The fit did not converge on this log; another --seed or fewer features may help."
Progress = Callable[[str, float], None]


@dataclass(frozen=True)
class Improvement:
    """The outcome of ``improve``.

    Attributes:
        certificate: the verdict and its figures.
        policy: what may be released; None when refused.
        summary: everything the report shows.
        plan: what was frozen before the first gate row; None when the job ended before the gate.
        metrics: losses on the way, one record per look.
    """

    certificate: Certificate
    policy: Policy | None
    summary: RunSummary
    plan: GatePlan | None = None
    metrics: list[dict[str, float | str]] = field(default_factory=list)

    def save(self, out: str | os.PathLike[str]) -> Path:
        """Write the result folder as a whole: certificate, manifest, policy, report, metrics.

        Raises:
            OutputError: the place cannot be written, or holds something that is not a result.
        """
        check_free(out, RESULT_NAMES)
        with replacing_folder(out) as folder:
            if self.policy is not None:
                self.policy.save(folder / "policy")
            if self.plan is not None:
                (folder / "manifest.json").write_bytes(self.plan.to_json())
            lines = [msgspec.json.encode(record) + b"\n" for record in self.metrics]
            (folder / "metrics.jsonl").write_bytes(b"".join(lines))
            write_report(self.summary, folder / "report.html")
            (folder / CERTIFICATE_FILE).write_bytes(pretty(self.certificate))
        return Path(out)


@dataclass
class _Clock:
    """Seconds by stage, and whom to tell how far the job is."""

    told: Progress | None
    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def stage(self, name: str) -> Iterator[Callable[[float], None]]:
        """Time a stage; yields a function to report its share done."""
        start = time.perf_counter()
        told = self.told or (lambda stage, share: None)

        def tell(share: float) -> None:
            told(name, share)

        tell(0.0)
        yield tell
        tell(1.0)
        self.seconds[name] = time.perf_counter() - start


def improve(
    log: Log,
    *,
    confidence: float = 0.999,
    seed: int = 0,
    exploration: float | None = None,
    candidates: int = 10,
    pessimism: float = 1.0,
    members: int = 5,
    margin: float = 0.0,
    gain: float = 0.0,
    guardrail: Sequence[str] = (),
    reduce: Sequence[str] = (),
    budget: str | None = None,
    evidence: EvidenceChoice = "auto",
    candidate: Sequence[Policy | str | os.PathLike[str]] = (),
    learner: Learner = "one-step",
    baseline: str | None = None,
    discount: float | None = None,
    per: str | float | None = None,
    gap: str | float | None = None,
    progress: Progress | None = None,
) -> Improvement:
    """Learn a better policy from a log and certify that it is not worse than what produced the log.

    Args:
        log: from ``read_log``.
        confidence: of the certificate, such as 0.99 or 0.999. More confidence means less change.
        seed: of the fit. The split never depends on it.
        exploration: the share of decisions that the policy spreads evenly over the actions, wherever production gives
            an action that much chance itself, so that tomorrow's log can teach something; by default a tenth.
        candidates: how many points of the path are put to the gate.
        pessimism: standard deviations of the ensemble that are taken off an advantage.
        members: size of the ensemble.
        margin: share of production's value that may be lost, such as 0.01; by default nothing.
        gain: share of production's value that must be gained, at least; not together with a margin.
        guardrail: metrics of the log that must not get worse: ``complaints:lower``, ``minutes:higher:margin=0.02``.
        reduce: costs that must fall: ``send=0.2`` for at least 20% fewer of that action, ``send:1,email:0.3=0.2`` for
            several with their costs, or a metric of the log.
        budget: greatest average cost per decision: ``send=0.4``.
        evidence: what counts as one piece of evidence: "decision", "unit", or what the audit says.
        candidate: further policies, or their folders, that are put to the gate beside the path.
        learner: "one-step" tilts by the value of production, "direct" is trained on what the gate tests; with a
            discount also the learners that docs/sequences.md compares.
        discount: γ in [0, 1): what follows a decision counts too, each step less. Learned and certified is then what
            the reward adds up to for a unit. By default each decision counts by its own reward.
        per: what γ is meant for: "decision", or a time such as "day", so that what comes Δt later counts γ^(Δt/day).
        gap: silence after which an episode of a unit has ended, such as "7d"; by default none ends one.
        baseline: a metric of the log, such as taps, by whose predicted value the report's frontier also sorts.
        progress: told the stage and the share of it that is done.

    Raises:
        OptionError: an argument outside its range.
        PolicyError: a further candidate cannot be judged on this log.
    """
    _check_options(confidence, seed, exploration, candidates, pessimism, members, learner)
    asked = Asked(margin, gain, several_words(guardrail), several_words(reduce), budget)
    timeline = _timeline(discount, per, gap, learner)
    claims = claims_on(log, asked)
    outcome = outcome_column(log, baseline)
    others = [(_name_of(one), one if isinstance(one, Policy) else load_policy(one)) for one in candidate]
    clock = _Clock(progress)
    with clock.stage("audit"):
        findings = audit(log, ahead=timeline is not None)
        counting, horizon, claims = judged_on(log, findings, evidence, asked, timeline)
    gate_rows = log.rows_in("gate")
    reasons = _hopeless(log, findings, confidence, log.rows_in("fit"), gate_rows)
    reasons += [] if reasons or horizon is None else not_along_timelines(findings, horizon.counts)
    if reasons:
        certificate = refusal_before_gate(log, claims, findings, reasons, confidence)
        return Improvement(certificate, None, _summary(log, certificate, findings, clock))
    with clock.stage("features"):
        prepared = prepare(log, seed, outcome=outcome, timeline=timeline)
    minimum = exploration_floor(len(log.schema.actions), prepared.propensities, exploration)
    alpha = 1.0 - confidence
    with clock.stage("learn") as tell:
        cap, most = (horizon.cap, counting.most_per_unit) if horizon else (0.0, None)
        learned = learn(log, prepared, seed, members, learner, alpha, counting.pieces, minimum, tell, cap, most)
    if not np.isfinite([learned.clone_result.loss, learned.value_result.loss]).all():
        certificate = refusal_before_gate(log, claims, findings, [DIVERGED], confidence)
        return Improvement(certificate, None, _summary(log, certificate, findings, clock), metrics=_metrics(learned))
    with clock.stage("path"):
        aim = aim_of(claims, prepared.counts, counting.pieces, priced_rows(log))
        path = candidates_of(log, learned, prepared, minimum, candidates, pessimism, aim, near=timeline is not None)
        field, scored = _field(log, path, others, counting, timeline)
        ranking = ranking_by(prepared, scored.blocks, len(log.schema.actions), baseline, seed)
        plan = plan_of(log, prepared, field, scored, claims, counting, confidence, seed, horizon)
        clone = _check_clone(log, scored, confidence)
    with clock.stage("gate") as tell:
        result = run_gate(log, field, plan, lambda rows: tell(rows / max(gate_rows, 1))).result()
    notes = [*([counting.note] if counting.note else []), *(horizon.sentences if horizon else [])]
    policy = None if result.released is None else _policy(log, prepared, field, result.released, timeline)
    certificate = certificate_of(log, plan, result, policy, notes)
    summary = _summary(log, certificate, findings, clock, result, clone)
    changes: dict[str, Any] = {}
    if timeline is None:  # cost against the value of the decision itself, which is not what a discount is about
        changes["frontier"] = frontier_on(log, claims, scored, path, plan, result.released, ranking)
    if result.released is not None and policy is not None:
        pmf = scored.pmf[:, result.released].astype(np.float64)
        changes["change"] = summarise_change(log.schema.actions, scored.clone, pmf, scored.blocks, path.spec)
    return Improvement(certificate, policy, msgspec.structs.replace(summary, **changes), plan, _metrics(learned))


def _timeline(
    discount: float | None, per: str | float | None, gap: str | float | None, learner: str
) -> Timeline | None:
    """The timeline that is asked for; None where every decision counts by itself."""
    asked = asked_timeline(discount, per, gap)
    if asked is None and learner in AHEAD:
        raise OptionError(
            "This learner looks at what follows a decision, which takes a discount",
            example=learner,
            remedy="Add for example --discount 0.95.",
        )
    return asked


def _name_of(policy: Policy | str | os.PathLike[str]) -> str:
    """What to call a policy from elsewhere."""
    return policy.name if isinstance(policy, Policy) else os.path.basename(os.path.abspath(policy))


def _field(
    log: Log,
    path: Candidates,
    others: Sequence[tuple[str, Policy]],
    counting: Counting,
    timeline: Timeline | None,
) -> tuple[Contestants, Scored]:
    """All candidates in order of their deviation from the clone, scored on validation rows."""
    field = contestants(log, path, others)
    scored = score_validation(log, field, counting.most_per_unit, timeline)
    if not others:
        return field, scored
    moved = 0.5 * np.abs(scored.pmf - scored.clone[:, None, :]).sum(axis=2).mean(axis=0)
    order = np.argsort(moved, kind="stable")
    return field.sorted_by(moved), replace(scored, pmf=scored.pmf[:, order], taken=scored.taken[:, order])


def _check_options(
    confidence: float,
    seed: int,
    exploration: float | None,
    candidates: int,
    pessimism: float,
    members: int,
    learner: str,
) -> None:
    """Refuse what no run could mean."""
    if not 0.5 <= confidence <= MOST_CONFIDENCE:
        raise OptionError(
            "The confidence must be at least 0.5, and below 1 by at least a billionth",
            example=confidence,
            remedy="Try --confidence 0.999.",
        )
    if exploration is not None and not 0 <= exploration <= 0.5:
        raise OptionError(
            "The exploration is a share between 0 and 0.5",
            example=exploration,
            remedy="Try --exploration 0.1.",
        )
    if seed < 0:
        raise OptionError("A seed is a whole number from 0 on", example=seed, remedy="Try --seed 0.")
    if not 1 <= candidates <= 10:
        raise OptionError("There may be 1 to 10 candidates", example=candidates, remedy="Leave it at 10.")
    if learner not in LEARNERS:
        raise OptionError("There is no such learner", example=learner, remedy=f"Choose one of {', '.join(LEARNERS)}.")
    if not 0 <= pessimism <= 10 or not 1 <= members <= 32:
        raise OptionError(
            "The pessimism lies between 0 and 10 and the ensemble holds 1 to 32 members",
            example=(pessimism, members),
            remedy="Leave them at 1 and 5.",
        )


def _hopeless(log: Log, findings: list[Finding], confidence: float, fit_rows: int, gate_rows: int) -> list[str]:
    """Reasons not to begin: findings that block, and too few rows to fit or judge anything."""
    blocked = {finding.name: finding.sentence for finding in findings if finding.verdict == "blocked"}
    if "exploration" in blocked:  # whatever else looks wrong with certain propensities follows from that
        advice = explore(1.0 - confidence, len(log.schema.actions), *log.reward_moments)
        return [blocked["exploration"], advice]
    if "calibration" in blocked:  # wrong propensities also look like shared randomness and like leakage
        blocked = {name: said for name, said in blocked.items() if name not in ("shared randomness", "action leakage")}
    reasons = list(blocked.values())
    if min(fit_rows, gate_rows) < LEAST_FIT_ROWS or log.rows_in("validate") < 5 or log.rows_in("stop") < 2:
        reasons.append(
            f"The log holds {log.rows:,} decisions of {log.units:,} units: too few to learn from one part and judge "
            f"on another. Some thousands are the least that any gain could be certified from."
        )
    return reasons


def _check_clone(log: Log, scored: Scored, confidence: float) -> CloneCheck:
    """Hold the clone against production on validation rows."""
    return check_clone(
        pmf=scored.clone,
        action=scored.action,
        propensity=scored.propensity if log.schema.has_propensities else None,
        reward=scored.reward,
        unit=scored.unit if log.schema.roles.unit else None,
        confidence=confidence,
        reward_low=log.schema.reward_low,
        reward_high=log.schema.reward_high,
    )


def _policy(log: Log, prepared: Prepared, field: Contestants, k: int, timeline: Timeline | None) -> Policy:
    """The released candidate as an artifact."""
    other = field.policy(k)
    if other is not None:
        return other
    return policy_at(log, prepared, field.path, field.order[k], timeline)


def _metrics(learned: Learned) -> list[dict[str, float | str]]:
    """Held-out losses on the way."""
    parts = (("clone", learned.clone_result), ("value", learned.value_result))
    return [
        {"part": name, "look": look, "held_out_loss": loss}
        for name, result in parts
        for look, loss in enumerate(result.history)
    ]


def _summary(
    log: Log,
    certificate: Certificate,
    findings: list[Finding],
    clock: _Clock,
    result: GateResult | None = None,
    clone: CloneCheck | None = None,
) -> RunSummary:
    """All that the report shows; what changed for whom is added once a policy is released."""
    return RunSummary(
        certificate=certificate,
        log=LogSummary(
            source=log.source,
            rows=log.rows,
            units=log.units,
            train_rows=log.rows_in(*TRAIN),
            gate_rows=log.rows_in("gate"),
            actions=[str(action) for action in log.schema.actions],
            features=[feature.name for feature in log.schema.features],
            notes=list(log.notes),
        ),
        walk=result.walk if result else [],
        clone=clone,
        change=None,
        log_findings=findings,
        seconds=clock.seconds,
    )
