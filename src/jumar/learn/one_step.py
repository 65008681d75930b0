"""One-step improvement: clone production, evaluate production's own value, and hand both to the path.

"Offline RL Without Off-Policy Evaluation" by Brandfonbrener et al. (https://arxiv.org/abs/2106.08909): one step of
improvement from the value of the logging policy. With γ = 0 the return is the reward. On timelines it is the λ-return:
first the sum of what followed as it came, then, in further rounds, partly what the values of the round before say:
expected SARSA(λ), since the level of the values is production's value of a state. The log is production's own, so no
return needs a weight.

In: training rows, held-out rows. Out: ``OneStep``, the parameters of the clone and of an ensemble of values.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from numpy.typing import NDArray

from jumar.features.spec import FeatureSpec
from jumar.features.vectors import init_tables, vector_width, vectors
from jumar.learn import losses
from jumar.learn.data import Columns
from jumar.learn.learned import Preference, pessimistic_advantage
from jumar.learn.loop import Batch, Chunks, CompiledFit, FitConfig, FitResult, Loss, Params, Progress, fit, part_of
from jumar.learn.networks import apply_stack, init_stack
from jumar.learn.transitions import ReturnTally, average_return, return_targets, standardised

LEVEL_ROWS = 65_536


@dataclass(frozen=True)
class OneStepConfig:
    """The one-step learner.

    Attributes:
        members: size of the ensemble of values.
        hidden: widths of the hidden layers of every member; clone_hidden: those of the clone.
        clone_fit, value_fit: how long and how fast.
        mix: λ of the returns on timelines, after the first round.
        rounds: how often returns are formed anew from the values, at most.
        settled: standard deviations that their mean may still move from one round to the next when it ends before.
        seed: initial parameters and bootstrap.
    """

    members: int = 5
    hidden: tuple[int, ...] = (32, 32)
    clone_hidden: tuple[int, ...] = (64, 64)
    clone_fit: FitConfig = field(default_factory=FitConfig)
    value_fit: FitConfig = field(default_factory=lambda: FitConfig(weight_decay=2.0))
    mix: float = 0.9
    rounds: int = 8
    settled: float = 0.005
    seed: int = 0


@dataclass(frozen=True)
class OneStep:
    """A fitted clone and value ensemble.

    Attributes:
        spec: how raw columns become vectors.
        actions: number of actions.
        clone, value: parameters, each {"tables": embeddings, "net": layers}.
        reward_mean, reward_scale: of TRAIN rewards on [0, 1], or of TRAIN returns; values are fitted in these units.
        clone_result, value_result: losses on the way.
    """

    spec: FeatureSpec
    actions: int
    clone: Params
    value: Params
    reward_mean: float
    reward_scale: float
    clone_result: FitResult
    value_result: FitResult

    def outputs(self, batch: Batch) -> tuple[Array, Array]:
        """Clone logits [rows, actions] and action values [members, rows, actions] on the reward's [0, 1] scale."""
        logits = clone_logits(self.spec, self.clone, batch)
        level, preference = level_and_preference(self.spec, self.value, batch)
        q = losses.centred_action_value(level, preference, jax.nn.softmax(logits))
        return logits, self.reward_mean + self.reward_scale * q

    def advantage(self, batch: Batch, pessimism: float) -> Array:
        """The ensemble's mean less ``pessimism`` standard deviations [rows, actions], on the reward's [0, 1] scale."""
        return pessimistic_advantage(*self.outputs(batch), pessimism)

    @property
    def preference(self) -> Preference:
        """The advantage comes from the values themselves."""
        return Preference(None, self.reward_scale)


def fit_one_step(
    spec: FeatureSpec,
    actions: int,
    chunks: Chunks,
    held_out: Batch,
    reward_moments: tuple[float, float],
    config: OneStepConfig,
    progress: Progress | None = None,
) -> OneStep:
    """Fit the clone and the ensemble of values around it, both in the shared loop.

    Args:
        spec: fitted features.
        actions: number of actions.
        chunks, held_out: rows as ``learn.data`` makes them; with ``gamma`` they are timelines of whole units.
        reward_moments: mean and standard deviation of the TRAIN rewards, which make the fit free of their scale; on
            timelines those of the returns take their place.
        config: sizes, length, seed.
        progress: told how far the fit is, over both parts.
    """
    rng = np.random.default_rng(config.seed)
    mean, scale = reward_moments[0], max(reward_moments[1], 1e-9)

    def clone_loss(group: Params, batch: Batch) -> Array:
        return clone_target(clone_logits(spec, group, batch), batch).mean()

    def fit_clone(progress: Progress | None) -> FitResult:
        return fit(clone_loss, clone_start, chunks, held_out, config.clone_fit, progress)

    def value_loss(group: Params, batch: Batch) -> Array:
        level, preference = level_and_preference(spec, group, batch)
        production = known_production(batch, actions)
        if production is None:
            production = jax.nn.softmax(clone_logits(spec, clone.params, batch))
        q = losses.centred_action_value(level, preference, production)
        weight = losses.bootstrap_weights(batch["unit"], config.members, config.seed)
        if "observed" in batch:
            weight = weight * batch["observed"]
        return losses.squared_error(q, batch["action"], value_target(batch, mean, scale), weight).mean()

    clone_start = init_group(spec, rng, 1, config.clone_hidden, actions)
    value_start = init_group(spec, rng, config.members, config.hidden, 1 + actions)
    if "gamma" in held_out:
        clone = fit_clone(part_of(progress, 0.0, 0.3))
        sought = partial(_level_of, spec)
        rest = part_of(progress, 0.3, 1.0)
        value, mean, scale = _fit_on_timelines(value_loss, value_start, chunks, held_out, sought, config, rest)
    elif known_production(held_out, actions) is None:
        clone = fit_clone(part_of(progress, 0.0, 0.3))
        value = fit(value_loss, value_start, chunks, held_out, config.value_fit, part_of(progress, 0.3, 1.0))
    else:  # the value does not need the clone, so both are fitted at once, each on a core of its own
        with ThreadPoolExecutor(1) as pool:
            waiting = pool.submit(fit_clone, None)
            value = fit(value_loss, value_start, chunks, held_out, config.value_fit, progress)
            clone = waiting.result()
    return OneStep(spec, actions, clone.params, value.params, mean, scale, clone, value)


def _fit_on_timelines(
    loss: Loss,
    start: Params,
    chunks: Chunks,
    held_out: Batch,
    level_of: Callable[[Params, Columns], NDArray[np.float32]],
    config: OneStepConfig,
    progress: Progress | None,
) -> tuple[FitResult, float, float]:
    """Values in rounds: on returns as they came, then on λ-returns formed with the values of the round before.

    Returns:
        The last round's fit, and the mean and the standard deviation of the returns, its units.
    """
    known = {name: np.asarray(values) for name, values in held_out.items()}
    guess = average_return(known)
    tally = ReturnTally()

    def first(columns: Columns) -> Columns:
        value = np.full((len(columns["reward"]), config.members), guess, np.float32)
        return return_targets(columns, value, 1.0)

    chunks.extend(lambda columns: tally.see(first(columns)))
    mean, scale = tally.mean, max(tally.deviation, 1e-9)
    chunks.extend(lambda columns: {"target": (columns["target"] - mean) / scale})
    rows = {**held_out, **standardised(first(known), mean, scale)}
    programs = CompiledFit.of(loss, start, chunks, config.value_fit)
    fit_again = partial(fit, loss, chunks=chunks, config=config.value_fit, compiled=programs)
    result = fit_again(params=start, held_out=rows, progress=part_of(progress, 0.0, 0.5))
    for place in range(config.rounds):
        before, tally = tally.mean, ReturnTally()
        again = partial(_formed_anew, partial(level_of, result.params), tally, mean, scale, config.mix)
        chunks.extend(again)
        rows = {**held_out, **again(known)}
        told = part_of(progress, 0.5 + 0.5 * place / config.rounds, 0.5 + 0.5 * (place + 1) / config.rounds)
        result = fit_again(params=result.params, held_out=rows, progress=told)
        if abs(tally.mean - before) <= config.settled * scale:
            break
    return result, mean, scale


def _formed_anew(
    level_of: Callable[[Columns], NDArray[np.float32]],
    tally: ReturnTally,
    mean: float,
    scale: float,
    mix: float,
    columns: Columns,
) -> Columns:
    """λ-returns with the values of a fit, standardised."""
    return standardised(tally.see(return_targets(columns, mean + scale * level_of(columns), mix)), mean, scale)


def _level_of(spec: FeatureSpec, group: Params, columns: Columns) -> NDArray[np.float32]:
    """Production's value of every state [rows, members], in the units of the fit."""
    inputs = {name: values for name, values in columns.items() if name in ("numbers", "codes") or name[:4] == "ids:"}
    run = jax.jit(lambda batch: level_and_preference(spec, group, batch)[0].T)
    rows = len(columns["reward"])
    pieces = [slice(start, start + LEVEL_ROWS) for start in range(0, rows, LEVEL_ROWS)]
    return np.concatenate([np.asarray(run({n: v[piece] for n, v in inputs.items()})) for piece in pieces])


def clone_logits(spec: FeatureSpec, group: Params, batch: Batch) -> Array:
    """Logits [rows, actions] of the clone."""
    return apply_stack(group["net"], group_vectors(spec, group, batch))[0]


def level_and_preference(spec: FeatureSpec, group: Params, batch: Batch) -> tuple[Array, Array]:
    """m [members, rows] and τ [members, rows, actions] of the ensemble, in standardised units."""
    out = apply_stack(group["net"], group_vectors(spec, group, batch))
    return out[..., 0], out[..., 1:]


def clone_target(logits: Array, batch: Batch) -> Array:
    """Loss of the clone per row: against the most that the log says about production."""
    if "pmf" in batch:
        return losses.pmf_cross_entropy(logits, batch["pmf"])
    if "propensity" in batch:
        soft = losses.propensity_cross_entropy(logits, batch["action"], batch["propensity"])
        return soft if logits.shape[1] == 2 else soft + losses.action_cross_entropy(logits, batch["action"])
    return losses.action_cross_entropy(logits, batch["action"])


def known_production(batch: Batch, actions: int) -> Array | None:
    """Production's pmf [rows, actions] for centring, where the log gives it or implies it; else None."""
    if "pmf" in batch:
        return batch["pmf"]
    if "propensity" in batch and actions == 2:
        taken = batch["propensity"][:, None].astype(jnp.float32)
        return jnp.where(jax.nn.one_hot(batch["action"], 2) > 0, taken, 1.0 - taken)
    return None


def value_target(batch: Batch, mean: float, scale: float) -> Array:
    """What values are regressed on, standardised: rewards [rows], on timelines returns [members, rows]."""
    return batch["target"].T if "target" in batch else (batch["reward"] - mean) / scale


def init_group(
    spec: FeatureSpec, rng: np.random.Generator, members: int, hidden: Sequence[int], outputs: int
) -> Params:
    """Embedding tables and a stack of networks."""
    widths = (vector_width(spec), *hidden, outputs)
    return {"tables": init_tables(spec, rng), "net": init_stack(rng, members, widths)}


def group_vectors(spec: FeatureSpec, group: Params, batch: Batch) -> Array:
    """Vectors of a batch with the tables of one group."""
    ids: list[Any] = [batch[f"ids:{place}"] for place in range(len(spec.ids))]
    return vectors(spec, group["tables"], batch["numbers"], batch["codes"], ids)
