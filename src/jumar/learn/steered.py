"""What the learners beyond one-step hand over: a clone tilted by preferences of their own.

In: a fitted ``OneStep``, and the networks that a learner found. Out: ``Steered``. Learners import it.
"""

from __future__ import annotations

from dataclasses import dataclass

from jax import Array

from jumar.features.spec import FeatureSpec
from jumar.learn.learned import Preference, pessimistic_advantage
from jumar.learn.loop import Batch, FitResult, Params
from jumar.learn.networks import apply_stack
from jumar.learn.one_step import OneStep, clone_logits, group_vectors


@dataclass(frozen=True, kw_only=True)
class Steered(OneStep):
    """A clone, production's values, and an ensemble of preferences that tilts the clone.

    Attributes:
        name: of the learner that found them.
        group: parameters of the ensemble, {"tables", "net"}: plain networks with as many outputs as actions.
        unit: rewards on the [0, 1] scale per unit of preference, so that prices go on being counted in rewards.
        result: losses of the ensemble on the way.
    """

    name: str
    group: Params
    unit: float
    result: FitResult

    def advantage(self, batch: Batch, pessimism: float) -> Array:
        """Preferences centred under the clone, the mean less ``pessimism`` deviations [rows, actions], in rewards."""
        logits = clone_logits(self.spec, self.clone, batch)
        return self.unit * pessimistic_advantage(logits, preferences(self.spec, self.group, batch), pessimism)

    @property
    def preference(self) -> Preference:
        """The advantage comes from the ensemble of preferences."""
        return Preference(self.group, self.unit)


def preferences(spec: FeatureSpec, group: Params, batch: Batch) -> Array:
    """Outputs [members, rows, outputs] of an ensemble of plain networks."""
    return apply_stack(group["net"], group_vectors(spec, group, batch))
