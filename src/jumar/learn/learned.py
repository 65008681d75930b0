"""What every learner hands over, and the one place where it says what its advantage is.

In: action values or preferences of an ensemble. Out: ``Learned``, the protocol that ``policy`` builds paths and
graphs from, and the pessimistic advantage. Learners and ``policy`` import it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import jax
import jax.numpy as jnp
from jax import Array

from jumar.features.spec import FeatureSpec
from jumar.learn.loop import Batch, FitResult, Params
from jumar.learn.losses import average_over_actions


@dataclass(frozen=True)
class Preference:
    """The ensemble whose preferences, centred under the clone, are the advantage that tilts it.

    Attributes:
        group: parameters {"tables", "net"}; None says that the ensemble of values is it.
        unit: turns preferences into rewards on the [0, 1] scale.
    """

    group: Params | None
    unit: float


class Learned(Protocol):
    """A fitted learner, as the path, the graph and the audits take it.

    ``value`` always is an ensemble of action values of production: audits and doubly-robust variables use it,
    whatever the advantage comes from.
    """

    @property
    def spec(self) -> FeatureSpec:
        """How raw columns become vectors."""
        ...

    @property
    def actions(self) -> int:
        """Number of actions."""
        ...

    @property
    def clone(self) -> Params:
        """Parameters of the clone, {"tables", "net"}."""
        ...

    @property
    def value(self) -> Params:
        """Parameters of the ensemble of values."""
        ...

    @property
    def preference(self) -> Preference:
        """What the advantage comes from."""
        ...

    @property
    def reward_mean(self) -> float:
        """Of TRAIN rewards on [0, 1]."""
        ...

    @property
    def reward_scale(self) -> float:
        """Standard deviation of TRAIN rewards: the unit of the values."""
        ...

    @property
    def clone_result(self) -> FitResult:
        """Losses of the clone on the way."""
        ...

    @property
    def value_result(self) -> FitResult:
        """Losses of the values on the way."""
        ...

    def outputs(self, batch: Batch) -> tuple[Array, Array]:
        """Clone logits [rows, actions] and action values [members, rows, actions] on the reward's [0, 1] scale."""
        ...

    def advantage(self, batch: Batch, pessimism: float) -> Array:
        """What tilts the clone, [rows, actions] on the reward's [0, 1] scale."""
        ...


def pessimistic_advantage(logits: Array, q: Array, pessimism: float) -> Array:
    """A(x,a) = Q(x,a) − Σ_b π₀(b|x)·Q(x,b), as the ensemble's mean less ``pessimism`` standard deviations.

    Args:
        logits: [rows, actions] of the clone.
        q: [members, rows, actions].
        pessimism: κ ≥ 0.

    Returns:
        [rows, actions], in units of q.
    """
    each = q - average_over_actions(q, jax.nn.softmax(logits))
    mean = each.mean(axis=0)
    return mean - pessimism * jnp.sqrt(((each - mean) ** 2).mean(axis=0))
