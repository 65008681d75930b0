"""The main job: from a log of decisions to a certified policy, or to a refusal that says why.

In: a ``Log``. Out: ``Improvement``: certificate, policy, and everything the report shows. This module orders the
stages; each of them can be used alone. Only the command line stands above it.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import numpy as np

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
    plan_gate,
)
from jumar.evaluate.change import summarise_change
from jumar.evaluate.estimators import MOST_CONFIDENCE
from jumar.evaluate.judging import Scored, run_gate, score_validation
from jumar.evaluate.reasons import explore
from jumar.evaluate.statement import certificate_of, refusal_before_gate
from jumar.files import check_free, replacing_folder
from jumar.learn import FitConfig, OneStep, OneStepConfig, fit_one_step
from jumar.learn.prepare import Prepared, prepare
from jumar.logs import Log, audit
from jumar.logs.split import PARTS, SPLIT_SALT
from jumar.policy import Policy, PolicyCard
from jumar.policy.artifact import FORMAT, pretty
from jumar.policy.candidates import Candidates, build_candidates
from jumar.policy.path import exploration_floor
from jumar.report import write as write_report
from jumar.version import VERSION

CERTIFICATE_FILE = "certificate.json"
RESULT_NAMES = (CERTIFICATE_FILE, "manifest.json", "metrics.jsonl", "policy", "report.html")
LEAST_FIT_ROWS = 40
PATH_ROWS, PATH_NUMBERS = 20_000, 10_000_000
DIVERGED = "The fit did not converge on this log; another --seed or fewer features may help."
EPOCHS = 60
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
        progress: told the stage and the share of it that is done.

    Raises:
        OptionError: an argument outside its range.
    """
    _check_options(confidence, seed, exploration, candidates, pessimism, members)
    clock = _Clock(progress)
    with clock.stage("audit"):
        findings = audit(log)
    fit_rows, gate_rows = log.rows_in("fit"), log.rows_in("gate")
    reasons = _hopeless(log, findings, confidence, fit_rows, gate_rows)
    if reasons:
        certificate = refusal_before_gate(log, findings, reasons, confidence)
        return Improvement(certificate, None, _summary(log, certificate, findings, clock))
    with clock.stage("features"):
        prepared = prepare(log, seed)
    with clock.stage("learn") as tell:
        learned = _learn(log, prepared, seed, members, tell)
    if not np.isfinite([learned.clone_result.loss, learned.value_result.loss]).all():
        certificate = refusal_before_gate(log, findings, [DIVERGED], confidence)
        return Improvement(certificate, None, _summary(log, certificate, findings, clock), metrics=_metrics(learned))
    with clock.stage("path"):
        minimum = exploration_floor(len(log.schema.actions), prepared.propensities, exploration)
        path = _candidates(learned, prepared, minimum, candidates, pessimism)
        scored = score_validation(log, path)
        plan = _plan(log, prepared, path, scored, confidence, seed)
        clone = _check_clone(log, scored, confidence)
    with clock.stage("gate") as tell:
        result = run_gate(log, path, plan, lambda rows: tell(rows / max(gate_rows, 1))).result()
    metrics = _metrics(learned)
    policy = None if result.released is None else _policy(log, prepared, path, result.released)
    certificate = certificate_of(log, plan, result, policy and policy.card.model_sha256)
    summary = _summary(log, certificate, findings, clock, result, clone)
    if result.released is not None and policy is not None:
        (pmf,) = policy.scorer().run(scored.blocks)
        change = summarise_change(policy.actions, scored.clone, pmf, scored.blocks, path.spec)
        summary = msgspec.structs.replace(summary, change=change)
    return Improvement(certificate, policy, summary, plan, metrics)


def _check_options(
    confidence: float, seed: int, exploration: float | None, candidates: int, pessimism: float, members: int
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


def _learn(log: Log, prepared: Prepared, seed: int, members: int, tell: Callable[[float], None]) -> OneStep:
    """Fit the clone and the ensemble, with batches that suit the number of rows."""
    batch = int(np.clip(2 ** round(np.log2(max(prepared.rows, 1) / 100)), 64, 2048))
    updates = int(np.clip(EPOCHS * prepared.rows / batch, 300, 3000))
    config = OneStepConfig(
        members=members,
        clone_fit=FitConfig(batch_rows=batch, updates=updates, learning_rate=4e-3, seed=seed),
        value_fit=FitConfig(batch_rows=batch, updates=updates, weight_decay=2.0, seed=seed),
        seed=seed,
    )
    moments = (prepared.reward_mean, prepared.reward_scale)
    return fit_one_step(
        prepared.spec,
        len(log.schema.actions),
        prepared.chunks,
        prepared.held_out,
        moments,
        config,
        lambda share, loss: tell(share),
    )


def _candidates(learned: OneStep, prepared: Prepared, minimum: float, count: int, pessimism: float) -> Candidates:
    """Points of the path, with temperatures chosen on some fit rows."""
    rows = next(iter(prepared.chunks.visit(np.random.default_rng(0))))
    most = min(PATH_ROWS, PATH_NUMBERS // learned.actions)
    some = {name: column[:most] for name, column in rows.items()}
    return build_candidates(learned, some, [minimum] * learned.actions, count, pessimism)


def _plan(log: Log, prepared: Prepared, path: Candidates, scored: Scored, confidence: float, seed: int) -> GatePlan:
    """Freeze candidates, order, bets and error probabilities."""
    least = min(prepared.least_propensity, float(scored.propensity.min()))
    return plan_gate(
        validation_d=scored.gain,
        validation_w=scored.weight,
        temperatures=path.temperatures,
        policy_sha256=path.hashes,
        confidence=confidence,
        rows_planned=log.rows_in("fit", "stop", "validate"),  # as many are expected; the gate's own count stays unseen
        supported=prepared.counts > 0,
        value_range=scored.value_range,
        propensity_floor=least,
        estimated_propensities=not log.schema.has_propensities,
        seed=seed,
        reward_low=log.schema.reward_low,
        reward_high=log.schema.reward_high,
        log_source=log.source,
        split={"salt": SPLIT_SALT, **{name: low for name, (low, _) in PARTS.items()}},
        schema_sha256=hashlib.sha256(msgspec.json.encode(log.schema)).hexdigest(),
        jumar_version=VERSION,
    )


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


def _policy(log: Log, prepared: Prepared, path: Candidates, k: int) -> Policy:
    """The released candidate as an artifact."""
    card = PolicyCard(
        format=FORMAT,
        actions=list(log.schema.actions),
        log_schema=log.schema,
        features=path.spec,
        temperature=path.temperatures[k],
        advantage_scale=path.scale,
        pessimism=path.pessimism,
        minimum=list(path.minimum),
        train_rows=prepared.rows,
        train_units_below=PARTS["gate"][0],
        model_sha256=path.hashes[k],
        jumar_version=VERSION,
    )
    return Policy(card, path.models[k])


def _metrics(learned: OneStep) -> list[dict[str, float | str]]:
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
            train_rows=log.rows_in("fit", "stop", "validate"),
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
