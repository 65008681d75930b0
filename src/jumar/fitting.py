"""Fitting what one attempt needs: the learner's networks, points of the path, and another outcome to sort by.

In: a ``Log``, prepared rows, what the user chose. Out: a fitted learner, ``Candidates``, artifacts, predictions.
The main job orders these steps.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Literal, get_args

import numpy as np

from jumar.errors import OptionError
from jumar.features import Blocks, FeatureSpec
from jumar.learn import FitConfig, OneStepConfig, fit_one_step, learners
from jumar.learn.data import Columns, concatenate, read_columns
from jumar.learn.direct import DirectConfig, fit_direct
from jumar.learn.direct_ahead import DirectAheadConfig, fit_direct_ahead
from jumar.learn.learned import Learned
from jumar.learn.loop import Batch, Chunks, Progress, part_of
from jumar.learn.outcome import fit_outcome
from jumar.learn.prepare import Prepared
from jumar.learn.transitions import look_ahead
from jumar.logs import Log, Timeline
from jumar.logs.split import PARTS
from jumar.policy.artifact import FORMAT, Policy, PolicyCard
from jumar.policy.candidates import Aim, Candidates, build_candidates
from jumar.version import VERSION

Learner = Literal["one-step", "direct", "cloning", "double-dqn", "qr-dqn", "cql", "iql", "bcq", "crr", "sac-n"]
LEARNERS: tuple[str, ...] = get_args(Learner)
AHEAD = tuple(name for name in learners.LEARNERS if name != "direct")  # what they do takes a discount
PATH_ROWS, PRICED_ROWS, PATH_NUMBERS = 20_000, 200_000, 10_000_000
EPOCHS = 60


def learn(
    log: Log,
    prepared: Prepared,
    seed: int,
    members: int,
    learner: Learner,
    alpha: float,
    pieces: int,
    minimum: float,
    tell: Callable[[float], None],
    cap: float = 0.0,
    most_per_unit: int | None = None,
) -> Learned:
    """Fit the clone and the ensemble, with batches that suit the number of rows; then, if asked, what the gate tests.

    Args:
        log: the log.
        prepared: its training rows.
        seed: of the fit.
        members: size of the ensemble.
        learner: which one.
        alpha: error probability of the gate, and ``pieces`` of evidence that it is expected to hold.
        minimum: exploration floor of every action.
        tell: told the share done.
        cap: with a discount the most that a unit counts, in rewards, and ``most_per_unit``: of its decisions.
    """
    pace = _pace(prepared)
    one_step = OneStepConfig(
        members=members,
        clone_fit=FitConfig(**pace, learning_rate=4e-3, seed=seed),
        value_fit=FitConfig(**pace, weight_decay=2.0, seed=seed),
        seed=seed,
    )
    moments = (prepared.reward_mean, prepared.reward_scale)
    rows = (prepared.spec, len(log.schema.actions), prepared.chunks, prepared.held_out, moments)

    def told(share: float, loss: float) -> None:
        del loss
        tell(share)

    if learner == "one-step":
        return fit_one_step(*rows, one_step, told)
    if learner in AHEAD:
        return _look_ahead(learner, rows, one_step, told)
    fit = FitConfig(**pace, learning_rate=1e-3, weight_decay=0.0, seed=seed)
    if "gamma" not in prepared.held_out:
        return fit_direct(*rows, DirectConfig(alpha, pieces, minimum, one_step, fit), told)
    base = fit_one_step(*rows, one_step, part_of(told, 0.0, 0.6))
    config = DirectAheadConfig(
        alpha=alpha,
        units_planned=pieces,
        minimum=minimum,
        cap=cap,
        most_per_unit=most_per_unit,
        fit=fit,
        seed=seed,
    )
    return fit_direct_ahead(*rows[:4], base, config, part_of(told, 0.6, 1.0))


def _look_ahead(
    learner: str,
    rows: tuple[FeatureSpec, int, Chunks, Batch, tuple[float, float]],
    one_step: OneStepConfig,
    progress: Progress,
) -> Learned:
    """Clone and production's values as ever, then a learner that bootstraps from next states."""
    spec, actions, chunks, held_out, _ = rows
    base = fit_one_step(*rows, one_step, part_of(progress, 0.0, 0.5))
    ahead = look_ahead(chunks, held_out)
    config = learners.CONFIGS[learner](members=one_step.members, seed=one_step.seed)
    config = replace(config, fit=replace(config.fit, seed=one_step.seed))
    return learners.LEARNERS[learner](spec, actions, chunks, ahead, base, config, part_of(progress, 0.5, 1.0))


def _pace(prepared: Prepared) -> dict[str, int]:
    """Batches and updates that suit the number of rows."""
    batch = int(np.clip(2 ** round(np.log2(max(prepared.rows, 1) / 100)), 64, 2048))
    return {"batch_rows": batch, "updates": int(np.clip(EPOCHS * prepared.rows / batch, 300, 3000))}


def candidates_of(
    log: Log,
    learned: Learned,
    prepared: Prepared,
    minimum: float,
    count: int,
    pessimism: float,
    aim: Aim | None,
    *,
    near: bool = False,
) -> Candidates:
    """Points of the path, with temperatures, and prices where something costs.

    Temperatures are chosen on some fit rows. Prices have to meet a cost on rows to come, and a fit leans further on its
    own rows than on others: they are chosen on the contexts of rows that fitted nothing. ``near``: most points lie near
    the clone, where products of weights along a timeline can still be judged.
    """
    rows = next(iter(prepared.chunks.visit(np.random.default_rng(0)))) if aim is None else unfitted(log, prepared)
    most = min(PATH_ROWS if aim is None else PRICED_ROWS, PATH_NUMBERS // learned.actions)
    some = {name: column[:most] for name, column in rows.items()}
    return build_candidates(learned, some, [minimum] * learned.actions, count, pessimism, aim, near=near)


def policy_at(log: Log, prepared: Prepared, path: Candidates, place: int, timeline: Timeline | None = None) -> Policy:
    """One point of the path as an artifact."""
    card = PolicyCard(
        format=FORMAT,
        actions=list(log.schema.actions),
        log_schema=log.schema,
        features=path.spec,
        temperature=path.temperatures[place],
        advantage_scale=path.scale,
        pessimism=path.pessimism,
        minimum=list(path.minimum),
        train_rows=prepared.rows,
        train_units_below=PARTS["gate"][0],
        model_sha256=path.hashes[place],
        jumar_version=VERSION,
        price=path.prices[place],
        costs=list(path.costs),
        timeline=timeline,
    )
    return Policy(card, path.models[place])


def unfitted(log: Log, prepared: Prepared) -> Columns:
    """Rows of the parts "stop" and "validate", about ``PRICED_ROWS`` at the most."""
    share = min(1.0, PRICED_ROWS / max(priced_rows(log), 1))
    batches = log.batches("stop", "validate", share=share)
    return concatenate(read_columns(batch, prepared.spec) for batch in batches)


def priced_rows(log: Log) -> int:
    """How many rows there are to choose prices on."""
    return log.rows_in("stop", "validate")


def outcome_column(log: Log, baseline: str | None) -> str | None:
    """The canonical column of the metric that a baseline sorts by."""
    if baseline is None:
        return None
    names = [metric.name for metric in log.metrics]
    if baseline not in names:
        raise OptionError(
            f"'{baseline}' is not among the metrics of this log, so nothing can be sorted by it",
            example=names or "none",
            remedy=f"Read the log with metrics=('{baseline}',), or on the command line with --baseline.",
        )
    return log.metric_columns[names.index(baseline)]


def ranking_by(
    prepared: Prepared, blocks: Blocks, actions: int, baseline: str | None, seed: int
) -> tuple[str, np.ndarray] | None:
    """The predicted metric of every action on validation rows, for the frontier's baseline."""
    if baseline is None:
        return None
    config = FitConfig(**_pace(prepared), seed=seed)
    model = fit_outcome(prepared.spec, actions, prepared.chunks, prepared.held_out, config)
    return f"predicted {baseline}", model.predict(blocks)
