"""The compiled fit loop that every learner shares.

In: a loss, chunks of shuffled rows, held-out rows. Out: the averaged parameters that were best on the held-out rows; of
a loss that looks at a target network, those at the end. Steps run inside one compiled scan; Python only counts
evaluations.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Protocol

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array

from jumar.errors import JumarError

Params = dict[str, Any]
Batch = Mapping[str, Any]
Loss = Callable[..., Array]
Progress = Callable[[float, float], None]


class Chunks(Protocol):
    """Shuffled training rows in pieces that fit the device; every piece has the same number of rows."""

    @property
    def rows(self) -> int:
        """Rows of one piece."""
        ...

    def visit(self, rng: np.random.Generator) -> Iterator[Batch]:
        """All pieces once, in random order, as arrays on the device."""
        ...

    def extend(self, more: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
        """Add or replace columns that are computed from whole pieces, in the order in which their rows came."""
        ...

    def regrouped(self, more: Callable[[dict[str, Any]], dict[str, Any]], seed: int) -> Chunks:
        """Other rows, computed likewise, with ``place``: those of a unit are shuffled as a whole, in their order."""
        ...


@dataclass(frozen=True)
class FitConfig:
    """How long and how fast to fit.

    Attributes:
        batch_rows: rows per update.
        learning_rate: peak of a cosine that ends at a hundredth.
        weight_decay: decoupled decay (AdamW).
        updates: length of the cosine and the largest number of updates.
        patience: evaluations without a better held-out loss before the fit counts as settled; not with a target.
        evaluations: how often to look at the held-out rows.
        average: decay per update of the running average of parameters, which is what is kept.
        seed: order of the rows.
    """

    batch_rows: int = 1024
    learning_rate: float = 2e-3
    weight_decay: float = 1e-2
    updates: int = 4000
    patience: int = 8
    evaluations: int = 40
    average: float = 0.99
    seed: int = 0


@dataclass(frozen=True)
class Target:
    """How a target network follows the parameters; a loss that takes one is (params, target, batch) → mean loss.

    Attributes:
        rate: share of the way to the parameters that it goes at every update (Polyak averaging).
        period: updates after which it becomes a copy of them, as in "Human-level control through deep reinforcement
            learning" by Mnih et al. (2015); 0: it follows at ``rate`` instead.
    """

    rate: float = 0.01
    period: int = 0


@dataclass
class FitResult:
    """The kept parameters, their held-out loss, the losses on the way, and the updates made."""

    params: Params
    loss: float = np.inf
    history: list[float] = field(default_factory=list)
    updates: int = 0


@dataclass(frozen=True)
class CompiledFit:
    """The programs of one fit, for rounds that go on with the same loss on other columns.

    Attributes:
        config: with batches no larger than a piece.
        restore: from a vector to parameters.
        optimiser: of the vector.
        run: makes the updates of one call; ``measure``: the held-out loss of the running average.
    """

    config: FitConfig
    restore: Callable[[Array], Params]
    optimiser: optax.GradientTransformation
    run: Callable[..., Any]
    measure: Callable[..., tuple[Array, Params]]

    @classmethod
    def of(
        cls, loss: Loss, params: Params, chunks: Chunks, config: FitConfig, target: Target | None = None
    ) -> CompiledFit:
        """Programs for parameters of this shape; they are compiled when first run."""
        config = replace(config, batch_rows=min(config.batch_rows, chunks.rows))
        optimiser, restore = make_optimiser(config), _flattened(params)[1]
        run = jax.jit(partial(_run, loss, optimiser, config, target, restore), donate_argnums=0)
        return cls(config, restore, optimiser, run, jax.jit(partial(_measure, loss, restore)))


def fit(
    loss: Loss,
    params: Params,
    chunks: Chunks,
    held_out: Batch,
    config: FitConfig,
    progress: Progress | None = None,
    target: Target | None = None,
    compiled: CompiledFit | None = None,
) -> FitResult:
    """Minimise a loss by AdamW on random batches and keep the running average that was best on held-out rows.

    A loss with a target network measures the distance to something that moves: a smaller one says nothing about what
    is better. Such a fit makes all its updates and keeps the running average at their end.

    Args:
        loss: (params, batch) → mean loss of the batch; with a target (params, target, batch).
        params: initial parameters.
        chunks: training rows.
        held_out: rows that only the stopping rule sees.
        config: length and speed.
        progress: called with the share done and the held-out loss.
        target: how the target network follows, for a loss that takes one.
        compiled: the programs of this loss and config, where there are some already.

    Raises:
        JumarError: with a target, when a parameter or the held-out loss is no longer finite.
    """
    programs = compiled or CompiledFit.of(loss, params, chunks, config, target)
    config, optimiser = programs.config, programs.optimiser
    per_chunk = max(1, chunks.rows // config.batch_rows - 1)
    per_call = max(1, config.updates // config.evaluations)
    rounds = -(-per_call // per_chunk)  # over a small piece, so that looks are no more frequent than asked for
    flat = _flattened(params)[0]
    state = {"params": flat, "average": flat, "optimiser": optimiser.init(flat), "step": 0}
    state = jax.tree.map(jnp.array, state | ({} if target is None else {"target": flat}))
    rng = np.random.default_rng(config.seed)
    best, stale = FitResult(params), 0
    while True:
        for chunk in chunks.visit(rng):
            for starts in _block_starts(chunks.rows, config.batch_rows, per_call, rounds, rng):
                state = programs.run(state, chunk, starts)
                best.updates += per_call
                look, average = programs.measure(state, held_out)
                best.history.append(float(look))
                if target is not None or best.history[-1] < best.loss:
                    best.loss, best.params, stale = best.history[-1], average, 0
                else:
                    stale += 1
                done = best.updates >= config.updates or stale >= config.patience
                if progress is not None:
                    progress(1.0 if done else best.updates / config.updates, best.history[-1])
                if done:
                    return best if target is None else _finite(best)


def part_of(progress: Progress | None, start: float, end: float) -> Progress | None:
    """Progress of one part of a longer fit."""
    return progress and (lambda share, loss: progress(start + (end - start) * share, loss))


def make_optimiser(config: FitConfig) -> optax.GradientTransformation:
    """AdamW under a cosine with a short warm-up, gradients clipped by norm."""
    schedule = optax.warmup_cosine_decay_schedule(
        0.0,
        config.learning_rate,
        min(100, config.updates // 10 + 1),
        config.updates + 1,
        config.learning_rate / 100,
    )
    clipped = optax.clip_by_global_norm(10.0)
    return optax.chain(clipped, optax.adamw(schedule, b2=0.99, weight_decay=config.weight_decay))


def _flattened(params: Params) -> tuple[Array, Callable[[Array], Params]]:
    """Parameters as one vector, and the way back: small fits are half as fast tensor by tensor."""
    leaves, structure = jax.tree.flatten(params)
    shapes = [np.shape(leaf) for leaf in leaves]
    edges = np.cumsum([np.size(leaf) for leaf in leaves])[:-1]

    def restore(flat: Array) -> Params:
        parts = jnp.split(flat, edges)
        return jax.tree.unflatten(structure, [part.reshape(shape) for part, shape in zip(parts, shapes, strict=True)])

    return jnp.asarray(np.concatenate([np.ravel(leaf) for leaf in leaves])), restore


def _measure(loss: Loss, restore: Callable[[Array], Params], state: Any, held_out: Batch) -> tuple[Array, Params]:
    """The held-out loss of the running average, and the average itself."""
    average = restore(state["average"])
    return loss(average, *_target_of(state, restore), held_out), average


def _run(
    loss: Loss,
    optimiser: optax.GradientTransformation,
    config: FitConfig,
    target: Target | None,
    restore: Callable[[Array], Params],
    state: Any,
    chunk: Batch,
    starts: Array,
) -> Any:
    """Make one update per block start, inside one compiled scan."""

    def step(state: Any, start: Array) -> tuple[Any, None]:
        batch = jax.tree.map(lambda column: jax.lax.dynamic_slice_in_dim(column, start, config.batch_rows), chunk)
        gradient = jax.grad(loss)(restore(state["params"]), *_target_of(state, restore), batch)
        gradient = jnp.concatenate([leaf.ravel() for leaf in jax.tree.leaves(gradient)])
        change, inner = optimiser.update(gradient, state["optimiser"], state["params"])
        params = state["params"] + jnp.asarray(change)
        decay = jnp.minimum(config.average, state["step"] / (state["step"] + 10.0))
        average = decay * state["average"] + (1 - decay) * params
        after = {"params": params, "average": average, "optimiser": inner, "step": state["step"] + 1}
        if target is not None:
            share = jnp.where(after["step"] % target.period == 0, 1.0, 0.0) if target.period else target.rate
            after["target"] = (1 - share) * state["target"] + share * params
        return after, None

    return jax.lax.scan(step, state, starts)[0]


def _target_of(state: Any, restore: Callable[[Array], Params]) -> tuple[Params, ...]:
    """What stands between the parameters and the batch among the arguments of the loss."""
    return (restore(state["target"]),) if "target" in state else ()


def _finite(result: FitResult) -> FitResult:
    """The result, refused where the fit ran away."""
    numbers = [*jax.tree.leaves(result.params), result.loss]
    if not all(np.isfinite(np.asarray(leaf)).all() for leaf in numbers):
        raise JumarError(
            "The fit ran away: parameters or losses are no longer finite numbers",
            example=result.history[-3:],
            remedy="Fit with a lower learning rate or a slower target, and look for discounts above 1.",
        )
    return result


def _block_starts(rows: int, batch_rows: int, per_call: int, rounds: int, rng: np.random.Generator) -> Iterator[Array]:
    """Starts of the batches of one visit, in calls of equal length; random offsets move the seams."""
    blocks = max(1, rows // batch_rows - 1)
    offsets = rng.integers(0, rows - blocks * batch_rows + 1, rounds)
    starts = np.concatenate([offset + rng.permutation(blocks) * batch_rows for offset in offsets])
    for call in range(len(starts) // per_call):
        yield jnp.asarray(starts[call * per_call : (call + 1) * per_call], jnp.int32)
