"""Estimators against the Open Bandit Pipeline, an independent implementation, on its own synthetic data.

Its modules import torch, plotting and one another; only its arithmetic in NumPy is wanted here, so what is never
called is replaced by empty modules while its files load. Skipped where it is not installed.

Where definitions agree, values agree to 1e-6: IPS, SNIPS, DM, DR, SNDR, Switch-DR (residuals kept where w ≤ τ), DRos,
and the least squares of MRDR. They differ, or cannot be compared, here:
- its intervals are bootstraps of the terms; those of its SNIPS and SNDR hold the mean weight fixed, ours do not;
- its MRDR weight is π·(1 − μ)/μ², ours π²·(1 − μ)/μ²: the same for a policy that takes one action in each context,
  which is what MRDR was derived for;
- its regression shares slopes between actions unless its features are made otherwise, ours fits every action alone;
- this version has no MIPS: ours is held against its IPS, to which MIPS reduces when groups are taken for actions.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from jumar.evaluate.estimators import (
    Estimate,
    dm,
    dr,
    dros,
    ips,
    marginal_weights,
    mips,
    more_robust,
    sndr,
    snips,
    switch_dr,
)

SPEC = importlib.util.find_spec("obp")
pytestmark = pytest.mark.skipif(SPEC is None, reason="obp is not installed: make test installs it")
CLOSE = 1e-6


def hollow(name: str, **content: Any) -> ModuleType:
    module = ModuleType(name)
    module.__dict__.update(content)
    return module


@pytest.fixture(scope="module")
def obp() -> Iterator[SimpleNamespace]:
    """Its estimators, regression model and synthetic data, loaded file by file; nothing stays in sys.modules."""
    assert SPEC is not None
    assert SPEC.origin is not None
    home = Path(SPEC.origin).parent
    before = dict(sys.modules)
    tensor = type("Tensor", (), {})
    sys.modules["torch"] = hollow("torch", Tensor=tensor)
    sys.modules["obp.types"] = hollow("obp.types", BanditFeedback=dict)
    for part in ("ope", "dataset"):
        sys.modules[f"obp.{part}"] = hollow(f"obp.{part}", __path__=[str(home / part)])
    try:
        yield SimpleNamespace(
            ope=importlib.import_module("obp.ope.estimators"),
            regression=importlib.import_module("obp.ope.regression_model"),
            data=importlib.import_module("obp.dataset.synthetic"),
        )
    finally:
        for name in [name for name in sys.modules if name == "obp" or name.startswith(("obp.", "torch"))]:
            if name not in before:
                del sys.modules[name]
        sys.modules.update({name: module for name, module in before.items() if name.startswith(("obp", "torch"))})


class Feedback:
    """Rows of its synthetic data, a policy that it did not make, and predictions that are wrong in places."""

    def __init__(self, obp: SimpleNamespace, rows: int = 3_000, actions: int = 6) -> None:
        made = obp.data.SyntheticBanditDataset(
            n_actions=actions,
            dim_context=4,
            reward_function=obp.data.logistic_reward_function,
            behavior_policy_function=obp.data.linear_behavior_policy,
            random_state=7,
        ).obtain_batch_bandit_feedback(n_rounds=rows)
        rng = np.random.default_rng(8)
        self.context: NDArray[np.float64] = made["context"]
        self.action: NDArray[np.int64] = made["action"]
        self.reward: NDArray[np.float64] = made["reward"].astype(np.float64)
        self.propensity: NDArray[np.float64] = made["pscore"]
        logits = 2.0 * made["expected_reward"] + rng.normal(size=(rows, actions))
        self.pmf = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
        self.q = np.clip(made["expected_reward"] + rng.normal(0, 0.2, (rows, actions)), 0, 1)
        each = np.arange(rows)
        self.w = self.pmf[each, self.action] / self.propensity
        self.prediction, self.direct = self.q[each, self.action], (self.pmf * self.q).sum(axis=1)

    def theirs(self, estimator: Any) -> float:
        return float(
            estimator.estimate_policy_value(
                reward=self.reward,
                action=self.action,
                pscore=self.propensity,
                action_dist=self.pmf[:, :, None],
                position=np.zeros(self.reward.size, dtype=int),
                estimated_rewards_by_reg_model=self.q[:, :, None],
            )
        )


@pytest.fixture(scope="module")
def feedback(obp: SimpleNamespace) -> Feedback:
    return Feedback(obp)


def close(ours: Estimate, theirs: float) -> None:
    assert ours.value == pytest.approx(theirs, abs=CLOSE)


def test_weights_reach_beyond_the_thresholds(feedback: Feedback):
    assert (feedback.w > 5).any()
    assert (feedback.w < 0.1).any()


def test_ips_and_snips(obp: SimpleNamespace, feedback: Feedback):
    close(ips(feedback.w, feedback.reward), feedback.theirs(obp.ope.InverseProbabilityWeighting()))
    close(snips(feedback.w, feedback.reward), feedback.theirs(obp.ope.SelfNormalizedInverseProbabilityWeighting()))


def test_dm_dr_and_sndr(obp: SimpleNamespace, feedback: Feedback):
    given = feedback.w, feedback.reward, feedback.prediction, feedback.direct
    close(dm(feedback.direct), feedback.theirs(obp.ope.DirectMethod()))
    close(dr(*given), feedback.theirs(obp.ope.DoublyRobust()))
    close(sndr(*given), feedback.theirs(obp.ope.SelfNormalizedDoublyRobust()))


@pytest.mark.parametrize("tau", [0.0, 0.5, 2.0, 1e9])
def test_switch_dr(obp: SimpleNamespace, feedback: Feedback, tau: float):
    ours = switch_dr(feedback.w, feedback.reward, feedback.prediction, feedback.direct, tau=tau)
    close(ours, feedback.theirs(obp.ope.SwitchDoublyRobust(tau=tau)))


@pytest.mark.parametrize("lam", [1e-3, 1.0, 30.0, 1e9])
def test_dros(obp: SimpleNamespace, feedback: Feedback, lam: float):
    ours = dros(feedback.w, feedback.reward, feedback.prediction, feedback.direct, lam=lam)
    close(ours, feedback.theirs(obp.ope.DoublyRobustWithShrinkage(lambda_=lam)))


def test_more_robust_least_squares(obp: SimpleNamespace, feedback: Feedback):
    """A policy that always takes one action: only its rows weigh anything, so shared slopes are its own slopes."""
    from sklearn.linear_model import LinearRegression

    rows, actions = feedback.pmf.shape
    always = np.zeros((rows, actions))
    always[:, 2] = 1.0
    ours = more_robust(feedback.context, feedback.action, feedback.reward, feedback.propensity, always, ridge=0.0)
    # Whichever half a row is in, its prediction comes from a regression on the other half.
    model = obp.regression.RegressionModel(LinearRegression(), n_actions=actions, fitting_method="mrdr")
    theirs = np.zeros(rows)
    half = np.random.default_rng(0).permutation(rows) % 2
    for k in range(2):
        known = half != k
        model.fit(
            context=feedback.context[known],
            action=feedback.action[known],
            reward=feedback.reward[known],
            pscore=feedback.propensity[known],
            action_dist=always[known][:, :, None],
        )
        theirs[half == k] = model.predict(feedback.context[half == k])[:, 2, 0]
    np.testing.assert_allclose(ours.predictions[:, 2], theirs, atol=CLOSE)


def test_mips_is_ips_of_groups(obp: SimpleNamespace, feedback: Feedback):
    """With the groups as its actions, its IPS uses the probabilities of groups."""
    groups = np.array([0, 1, 1, 2, 0, 2])
    rows = feedback.reward.size
    production = np.tile(1.0 / 6, (rows, 6))
    seen = groups[feedback.action]
    ours = mips(marginal_weights(feedback.pmf, production, groups, seen), feedback.reward)
    grouped = feedback.pmf @ np.eye(3)[groups]
    theirs = obp.ope.InverseProbabilityWeighting().estimate_policy_value(
        reward=feedback.reward,
        action=seen,
        pscore=np.full(rows, 1.0 / 3),
        action_dist=grouped[:, :, None],
    )
    close(ours, float(theirs))
