"""The direct learner with a discount: a tilt that maximises what the gate can prove about whole episodes.

Per unit, D = Σ_t (ρ_{0:t} − 1)·c_t/cap is the gate's own variable, ρ_{0:t} the product of π_θ(a|x)/μ(a|x) up to t. The
loss is that of ``learn.direct`` with D in the place of d, less a control variate out of production's values, plus a
price on every unit whose Σ_t χ²_t leaves the budget: beyond it products of weights say nothing any more. In the end the
tilt is shortened where too many held-out units still leave it.

In: rows that are timelines, a fitted base. Out: ``Steered``, whose advantage is the logarithm of the tilt.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from jumar.features.spec import FeatureSpec
from jumar.learn import losses
from jumar.learn.data import Columns
from jumar.learn.direct import LEAST_PROPENSITY, fraction, sharpened
from jumar.learn.episodes import cap_of, first_episodes, rows_for, under_cap
from jumar.learn.loop import Batch, Chunks, FitConfig, FitResult, Params, Progress, fit
from jumar.learn.networks import with_last_layer
from jumar.learn.one_step import OneStep, known_production
from jumar.learn.steered import Steered, preferences
from jumar.learn.steps import StepsConfig, reward_unit
from jumar.learn.tilt import tilt

STARTS = (0.1, 0.3, 1.0, 3.0, 10.0)  # in a long episode each decision may be tilted by little
BATCH_UNITS = 64
LEAST_RATIO, LARGEST_PRODUCT = (
    1e-6,
    1e3,
)  # within the budget one unit in 10^5 has a larger product, and D is cut as such
KEPT, CLOSEST = (
    0.97,
    0.99,
)  # shares: of held-out units that come no nearer to the budget, so that 95% of others keep to it
HALVINGS, BLOCK = 20, 64


@dataclass(frozen=True)
class DirectAheadConfig(StepsConfig):
    """The direct learner with a discount; ``members`` and ``hidden`` are those of the base's values, and no ``target``.

    The gradient of products of ratios is that of "Policy Gradient Methods for Reinforcement Learning with Function
    Approximation" by Sutton et al. (1999), off policy; values take away variance as in "Doubly Robust Off-policy Value
    Evaluation for Reinforcement Learning" by Jiang and Li (https://arxiv.org/abs/1511.03722); χ² as a limit to how far
    weights may be relied on is that of "Policy Optimization via Importance Sampling" by Metelli et al.
    (https://arxiv.org/abs/1809.06098).

    Attributes:
        alpha: error probability of the gate.
        units_planned: units that the gate is expected to have.
        minimum: exploration floor of every action.
        cap: the most that a unit counts, in rewards; 0: what all but the richest in two hundred held-out units stay
            below.
        most_per_unit: decisions of a unit that count; None: all.
        budget: the largest Σ χ² of an episode that costs nothing; ∞: no limit.
        price: of each unit of χ² beyond it, in standard deviations of the return. By Cauchy and Schwarz a policy with
            E[ρ²] = e^B gains at most √(e^B − 1) of them, which grows by 1.5 per unit of B at B = 2.
    """

    alpha: float = 1e-3
    units_planned: int = 10_000
    minimum: float = 0.0
    cap: float = 0.0
    most_per_unit: int | None = None
    budget: float = 2.0
    price: float = 1.5
    fit: FitConfig = field(
        default_factory=lambda: FitConfig(batch_rows=1024, learning_rate=1e-3, weight_decay=0.0, updates=3_000)
    )


def fit_direct_ahead(
    spec: FeatureSpec,
    actions: int,
    chunks: Chunks,
    held_out: Batch,
    base: OneStep,
    config: DirectAheadConfig,
    progress: Progress | None = None,
) -> Steered:
    """Go on from production's values to what the gate can prove of whole episodes. Arguments as in ``learn.learners``.

    g begins as the values' preferences, as sharp as does best on held-out units. The first episodes of units are what
    is trained on, as they are what is judged; the reward of an open decision counts, and nothing behind it.
    """
    del spec, actions
    episodes = first_episodes({name: np.asarray(values) for name, values in held_out.items()}, config.most_per_unit)
    config = replace(config, cap=config.cap or cap_of(episodes))

    def counted(columns: Columns) -> Columns:
        return under_cap(first_episodes(columns, config.most_per_unit), config.cap)

    stop = {name: jax.device_put(values) for name, values in under_cap(episodes, config.cap).items()}
    lengths = episodes["length"][episodes["place"] == 0]
    shape = replace(config.fit, batch_rows=rows_for(lengths, BATCH_UNITS, config.fit.batch_rows))
    loss = partial(direct_ahead_loss, base, config)
    measure = jax.jit(loss)
    starts = [sharpened(base.value, sharpness) for sharpness in STARTS]
    found = [float(measure(start, stop)) for start in starts]
    best = found.index(min(found))
    result = fit(loss, starts[best], chunks.regrouped(counted, config.seed), stop, shape, progress)
    group = starts[best] if found[best] <= result.loss else result.params
    group = shortened(base, config, group, stop)
    result = FitResult(group, float(measure(group, stop)), result.history, result.updates)
    unit = base.reward_scale / STARTS[best]  # g began as values
    return Steered(**vars(base), name="direct", group=group, unit=unit, result=result)


def direct_ahead_loss(base: OneStep, config: DirectAheadConfig, group: Params, batch: Batch) -> Array:
    """The negative bound plus the price of χ² beyond the budget, averaged over members and units, in √Var of returns.

    A batch is a piece of rows in which units lie one after another; those that its edges cut through count nothing, and
    others count as often as their length makes it unlikely that they lie in a batch as a whole.
    """
    gain, control, chi = along_units(base, config, group, batch)
    weight = losses.bootstrap_weights(batch["unit"], gain.shape[0], config.seed) * whole_units(batch)
    total = jnp.maximum(weight.sum(axis=1), 1e-9)
    bet = fraction((weight * gain**2).sum(axis=1) / total, config.alpha, config.units_planned)
    bound = losses.bet_loss(gain, bet, math.log(1 / config.alpha) / config.units_planned) + control
    cost = bound * (config.cap / reward_unit(base))
    if math.isfinite(config.budget):
        cost += config.price * jnp.maximum(chi - config.budget, 0.0)
    return ((weight * cost).sum(axis=1) / total).mean()


def along_units(base: OneStep, config: DirectAheadConfig, group: Params, batch: Batch) -> tuple[Array, Array, Array]:
    """What of each unit has come together by a row: D, its control variate, Σ χ²; all [members, rows].

    The control variate Σ_t ρ_{0:t−1}·(w_t·q̂_t − Σ_b π·q̂_t) is zero on average whatever q̂ is. Here q̂ is production's
    discounted value of the action, or what still fits under the cap where that is less.
    """
    logits, q = jax.lax.stop_gradient(base.outputs(batch))
    production = production_of(batch, logits)
    pmf = tilt(logits, preferences(base.spec, group, batch), 1.0, jnp.full(base.actions, config.minimum))
    propensity = batch["propensity"] if "propensity" in batch else losses.chosen(production, batch["action"])
    ratio = losses.chosen(pmf, batch["action"]) / jnp.maximum(propensity, LEAST_PROPENSITY)
    first = batch["place"] == 0
    before, product = running_products(ratio, first)
    values = jnp.minimum(batch["worth"][:, None] * q.mean(axis=0), batch["room"][:, None])
    control = before * losses.control_variate(ratio, pmf, values, batch["action"])
    each = jnp.stack([(product - 1.0) * batch["counted"], control, losses.chi_square(pmf, production)])
    gain, control, chi = sums_to_date(each, first)
    return gain, control, chi


def whole_units(batch: Batch) -> Array:
    """[rows] what the unit that ends with a row counts: 0 but on last rows of units of which all rows are there.

    Of B rows in a row anywhere, a unit of length L is whole in B − L + 1 of the B + L − 1 pieces that touch it.
    """
    rows = batch["place"].shape[0]
    ended = (batch["place"] == batch["length"] - 1) & (jnp.arange(rows) >= batch["place"])
    return jnp.where(ended, rows / jnp.maximum(rows - batch["length"] + 1, 1), 0.0)


def running_products(ratio: Array, first: Array) -> tuple[Array, Array]:
    """ρ_{0:t−1} and ρ_{0:t} [members, rows] along units that begin where ``first`` [rows]; large ones are cut.

    Cutting only lowers D. The product before a row is cut and the ratio is not: the control variate keeps its mean.
    """
    logs = sums_to_date(jnp.log(jnp.maximum(ratio, LEAST_RATIO)), first)
    product = jnp.exp(jnp.minimum(logs, math.log(LARGEST_PRODUCT)))
    return jnp.where(first, 1.0, jnp.roll(product, 1, axis=-1)), product


def sums_to_date(values: Array, first: Array) -> Array:
    """Σ of values [..., rows] since the unit began, units beginning where ``first`` [rows] and at the first row.

    Block by block as products with ones and zeros, then the same for what blocks hand on: the gradient of a scan over
    thousands of rows is slow on CPUs, and a difference of sums over all rows would lose digits.
    """
    rows = first.shape[0]
    if rows <= BLOCK:
        number = jnp.cumsum(first)
        together = jnp.tril(number[:, None] == number[None, :]).astype(values.dtype)
        return jnp.einsum("...j,ij->...i", values, together)
    blocks = -(-rows // BLOCK)
    begins = jnp.pad(first, (0, blocks * BLOCK - rows)).reshape(blocks, BLOCK)
    number = jnp.cumsum(begins, axis=1)
    together = jnp.tril(number[:, :, None] == number[:, None, :]).astype(values.dtype)
    wide = jnp.pad(values, [(0, 0)] * (values.ndim - 1) + [(0, blocks * BLOCK - rows)])
    within = jnp.einsum("...bj,bij->...bi", wide.reshape(*values.shape[:-1], blocks, BLOCK), together)
    handed = jnp.roll(sums_to_date(within[..., -1], number[:, -1] > 0), 1, axis=-1).at[..., 0].set(0.0)
    total = within + jnp.where(number == 0, handed[..., None], 0.0)
    return total.reshape(*values.shape[:-1], blocks * BLOCK)[..., :rows]


def shortened(base: OneStep, config: DirectAheadConfig, group: Params, held_out: Batch) -> Params:
    """The preferences times the largest number up to 1 at which enough held-out units keep to the budget."""
    logits, _ = base.outputs(held_out)
    production, whole = production_of(held_out, logits), whole_units(held_out)
    mean = preferences(base.spec, group, held_out).mean(axis=0, keepdims=True)
    floor = jnp.full(base.actions, config.minimum)

    @jax.jit
    def kept(length: float) -> Array:
        chi = losses.chi_square(tilt(logits, length * mean, 1.0, floor), production)
        return (whole * (sums_to_date(chi, held_out["place"] == 0)[0] <= CLOSEST * config.budget)).sum() / whole.sum()

    low, high = 0.0, 1.0
    if kept(high) >= KEPT:
        return group
    for _ in range(HALVINGS):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if kept(middle) >= KEPT else (low, middle)
    return group | {"net": with_last_layer(group["net"], lambda array: low * array)}


def production_of(batch: Batch, logits: Array) -> Array:
    """Production's pmf [rows, actions], or the clone's where the log does not tell."""
    production = known_production(batch, logits.shape[1])
    return jax.nn.softmax(logits) if production is None else production
