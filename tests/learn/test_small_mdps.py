"""The learners of sequences on processes whose values are known, and what each of them is there for."""

from __future__ import annotations

from functools import cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from jumar.learn import FitConfig, OneStepConfig, Steered, fit_one_step
from jumar.learn.bcq import BCQConfig, bcq_loss
from jumar.learn.cql import CQLConfig, cql_loss
from jumar.learn.crr import CRRConfig, crr_loss, log_policy
from jumar.learn.data import MemoryChunks
from jumar.learn.direct_ahead import DirectAheadConfig, fit_direct_ahead
from jumar.learn.double_dqn import DoubleDQNConfig, double_dqn_loss
from jumar.learn.iql import IQLConfig, iql_loss
from jumar.learn.networks import with_last_layer
from jumar.learn.one_step import init_group
from jumar.learn.qr_dqn import QRDQNConfig, qr_dqn_loss, quantiles
from jumar.learn.sac_n import SACNConfig, sac_n_loss
from jumar.learn.steered import preferences
from jumar.learn.steps import reward_unit

from .small_mdps import (
    CHAIN,
    END,
    FADING,
    FIRST_CODE,
    GO,
    LEFT,
    RIGHT,
    STAY,
    TWO_STATES,
    SmallMDP,
    certain,
    learn,
    side_by_side,
)

BOTH = side_by_side(TWO_STATES, CHAIN)
SOUGHT: dict[str, dict[str, Any]] = {
    "double-dqn": {},
    "qr-dqn": {},
    "cql": {"alpha": 0.01},
    "iql": {"expectile": 0.98},
    "bcq": {"threshold": 0.1},
    "crr": {},
    "sac-n": {"temperature": 0.005},
}
EXACT = ("double-dqn", "qr-dqn", "bcq", "sac-n")


@cache
def found(name: str) -> Steered:
    return learn(name, BOTH, **SOUGHT[name])


def values(learned: Steered, mdp: SmallMDP) -> np.ndarray:
    """Preferences [members, states, actions] in rewards."""
    return learned.unit * np.asarray(preferences(learned.spec, learned.group, mdp.all_states))


def test_the_values_of_the_processes_by_hand() -> None:
    # 1 for ever is 1/(1 − 0.9) = 10; going there costs one step, staying once more 0.2 instead of a tenth of 9.
    assert_allclose(TWO_STATES.values(), [[0.2 + 0.9 * 9.0, 9.0], [10.0, 0.9 * 9.0]])
    assert_allclose(CHAIN.values()[:, RIGHT], 0.9 ** np.array([3, 2, 1, 0]))
    assert_allclose(CHAIN.values()[1:, LEFT], 0.02 + 0.9 ** np.array([4, 3, 2]))
    v = (TWO_STATES.production * TWO_STATES.values(TWO_STATES.production)).sum(axis=1)
    assert_allclose(v, np.linalg.solve(np.eye(2) - 0.9 * np.array([[0.8, 0.2], [0.8, 0.2]]), [0.16, 0.2]))


@pytest.mark.parametrize("name", SOUGHT)
def test_the_best_action_is_found_though_production_is_poor(name: str) -> None:
    best = BOTH.values()
    assert_allclose(best, np.concatenate([TWO_STATES.values(), CHAIN.values()]))
    assert_array_equal(best.argmax(axis=1), [GO, STAY, RIGHT, RIGHT, RIGHT, RIGHT])
    assert (BOTH.production.argmax(axis=1) != best.argmax(axis=1)).all()
    own = values(found(name), BOTH)
    assert (own.argmax(axis=-1) == best.argmax(axis=1)).all(), own
    if name in EXACT:
        assert_allclose(own, np.broadcast_to(best, own.shape), rtol=0.005)


@pytest.mark.parametrize("discount", [0.9, 0.0])
def test_direct_finds_what_is_best_and_without_a_discount_what_pays_at_once(discount: float) -> None:
    """On timelines, since it follows whole episodes; the discount is what the rows say."""
    columns, stop = (FADING.timelines(units, seed, start=0) for units, seed in ((3_000, 0), (500, 1)))
    if discount == 0.0:
        columns["gamma"], stop["gamma"] = columns["gamma"] * 0, stop["gamma"] * 0
    fit = FitConfig(batch_rows=512, updates=300, learning_rate=1e-2, weight_decay=0.0, evaluations=5)
    sizes = OneStepConfig(members=2, hidden=(16,), clone_hidden=(8,), clone_fit=fit, value_fit=fit, rounds=1)
    chunks = MemoryChunks.of(columns, 0)
    base = fit_one_step(FADING.spec, 2, chunks, stop, (0.0, 1.0), sizes)
    config = DirectAheadConfig(alpha=0.1, units_planned=100_000, budget=np.inf, fit=fit)
    learned = fit_direct_ahead(FADING.spec, 2, chunks, stop, base, config)
    g = learned.advantage(FADING.all_states, 0.0)[0] / learned.unit
    assert FADING.values().argmax(axis=1)[0] == 0
    assert FADING.reward.argmax(axis=1)[0] == 1
    assert abs(float(g[0] - g[1])) > 1.0
    assert int(g.argmax()) == (0 if discount else 1)


def test_iql_at_the_mean_finds_production_s_values_and_beyond_it_goes_from_those_to_the_best() -> None:
    production, best = BOTH.values(BOTH.production), BOTH.values()
    assert_allclose(values(learn("iql", BOTH, expectile=0.5), BOTH).mean(axis=0), production, rtol=0.03, atol=0.03)
    high = values(found("iql"), BOTH).mean(axis=0)
    assert (high[:-1] > production[:-1] + 0.1).all()
    assert (high < best + 0.02).all()


# What each is there for

UNSEEN = SmallMDP(  # the third action is never logged, and in the second state all that is logged is poor
    moves=certain(np.full((2, 3), END)),
    reward=np.array([[1.0, 0.9, 0.0], [0.0, 0.1, 0.0]]),
    production=np.array([[0.5, 0.5, 0.0], [0.5, 0.5, 0.0]]),
    discount=0.9,
)


def test_cql_does_not_overvalue_what_was_never_tried() -> None:
    hopeful = values(learn("double-dqn", UNSEEN), UNSEEN)
    assert (hopeful[:, 1, 2] > hopeful[:, 1, :2].max(axis=1) + 0.1).any()
    careful = values(learn("cql", UNSEEN, alpha=0.1), UNSEEN)
    assert (careful[..., 2] < careful[..., :2].min(axis=-1)).all()


def start_of(mdp: SmallMDP, outputs: int) -> dict[str, Any]:
    return init_group(mdp.spec, np.random.default_rng(0), 2, (8,), outputs)


def shifted(group: dict[str, Any], place: int, by: float = 7.0) -> dict[str, Any]:
    """The same networks but for one output."""
    outputs = group["net"][-1]["bias"].shape[-1]
    one = by * np.eye(outputs, dtype=np.float32)[place]
    return group | {"net": with_last_layer(group["net"], lambda array: array + one)}


def test_iql_never_asks_for_the_value_of_an_action_that_was_not_taken() -> None:
    columns = UNSEEN.rows(200, 0)
    base = UNSEEN.base(columns)

    def change(loss: Any, config: Any, outputs: int) -> float:
        start = start_of(UNSEEN, outputs)
        other = shifted(start, outputs - 1)
        return abs(float(loss(base, config, start, start, columns) - loss(base, config, other, other, columns)))

    assert change(iql_loss, IQLConfig(members=2), 4) == 0.0
    assert change(cql_loss, CQLConfig(members=2, alpha=0.1), 3) > 0.1


LOSSES: dict[str, tuple[Any, Any, int]] = {
    "double-dqn": (double_dqn_loss, DoubleDQNConfig(members=2), 3),
    "qr-dqn": (qr_dqn_loss, QRDQNConfig(members=2, quantiles=4), 8),
    "cql": (cql_loss, CQLConfig(members=2), 2),
    "iql": (iql_loss, IQLConfig(members=2), 3),
    "bcq": (bcq_loss, BCQConfig(members=2), 2),
    "crr": (crr_loss, CRRConfig(members=2), 2),
    "sac-n": (sac_n_loss, SACNConfig(members=2), 2),
}


@pytest.mark.parametrize("name", LOSSES)
def test_every_learner_takes_its_targets_from_the_target_network_and_they_have_no_gradient(name: str) -> None:
    loss, config, outputs = LOSSES[name]
    columns = CHAIN.rows(50, 0)
    base, start = CHAIN.base(columns), start_of(CHAIN, outputs)
    slow = start
    for place in range(outputs):
        slow = shifted(slow, place, 0.5)
    if name == "crr":
        start, slow = {"critic": start, "actor": start}, {"critic": slow, "actor": start}
    assert abs(float(loss(base, config, start, start, columns) - loss(base, config, start, slow, columns))) > 0.01
    gradient = jax.grad(lambda target: loss(base, config, start, target, columns))(slow)
    assert all((leaf == 0).all() for leaf in jax.tree.leaves(gradient))


LUCKY = SmallMDP(  # what is hardly ever taken pays best; the way there pays nothing
    moves=certain(np.array([[1, END, END], [END, END, END]])),
    reward=np.array([[0.0, 0.3, 0.2], [0.5, 0.4, 2.0]]),
    production=np.array([[0.4, 0.4, 0.2], [0.5, 0.46, 0.04]]),
    discount=0.9,
)


def test_bcq_never_takes_what_the_clone_rules_out_nor_counts_on_it() -> None:
    careful = learn("bcq", LUCKY)
    within = values(careful, LUCKY)
    assert_allclose(within[:, 0], np.broadcast_to([0.9 * 0.5, 0.3, 0.2], (2, 3)), atol=0.05)
    assert_allclose(within[:, 1, :2], np.broadcast_to([0.5, 0.4], (2, 2)), atol=0.05)
    assert (within[:, 1, 2] < 0.4 - 0.5 * careful.unit).all()
    wide = values(learn("bcq", LUCKY, threshold=0.0), LUCKY)
    assert_allclose(wide, np.broadcast_to(LUCKY.values(), wide.shape), atol=0.05)
    columns = LUCKY.rows(200, 0)
    hopeful = shifted(start_of(LUCKY, 3), 2)  # would pick the third action wherever it may
    told = [float(bcq_loss(careful, BCQConfig(members=2, threshold=threshold), hopeful, slow, columns))
            for threshold in (0.3, 0.0) for slow in (hopeful, shifted(hopeful, 2))]  # fmt: skip
    assert told[0] == told[1]
    assert told[2] != told[3]


GAMBLE = SmallMDP(  # from the first state certainly 0.5, or to a second one where it is 0 or 1
    moves=certain(np.array([[END, 1], [END, END]])),
    reward=np.array([[0.5, 0.0], [0.5, 0.5]]),
    production=np.full((2, 2), 0.5),
    discount=0.9,
    scatter=np.array([[0.0, 0.0], [0.5, 0.5]]),
)


def test_the_quantiles_of_qr_dqn_spread_like_the_returns() -> None:
    config = QRDQNConfig(members=2, quantiles=8, width=0.02)
    learned = learn("qr-dqn", GAMBLE, quantiles=8, width=0.02)
    assert_allclose(values(learned, GAMBLE)[:, 0], np.broadcast_to([0.5, 0.45], (2, 2)), atol=0.05)

    def spread(state: int, action: int) -> np.ndarray:
        rows = {"numbers": jnp.zeros((1, 0)), "codes": jnp.full((1, 1), FIRST_CODE + state, jnp.int32)}
        each = quantiles(learned, config, learned.result.params, rows, jnp.array([action]))[:, 0]
        return reward_unit(learned) * np.asarray(each)

    halves = np.repeat([0.0, 1.0], 4)
    for state, action, expected in [(0, STAY, np.full(8, 0.5)), (1, STAY, halves), (0, GO, 0.9 * halves)]:
        assert_allclose(spread(state, action), np.broadcast_to(expected, (2, 8)), atol=0.1)


BANDIT = SmallMDP(
    moves=certain(np.full((2, 3), END)),
    reward=np.array([[0.2, 0.5, 0.4], [0.7, 0.3, 0.6]]),
    production=np.array([[0.6, 0.25, 0.15], [0.3, 0.2, 0.5]]),
    discount=0.9,
)


def test_crr_imitates_good_actions_by_as_much_as_they_are_better() -> None:
    """Where no weight is capped, π ∝ π₀·exp(A/β) exactly; at a lower temperature only the good are left."""
    learned = learn("crr", BANDIT, temperature=1.0)
    own = values(learned, BANDIT)
    for one in own:
        assert_allclose(one - one[:, :1], BANDIT.reward - BANDIT.reward[:, :1], atol=0.03)
    sharp = learn("crr", BANDIT, temperature=0.1)
    pmf = np.exp(log_policy(sharp, sharp.result.params, BANDIT.all_states))
    assert (pmf[:, [0, 1], [0, 1]] < BANDIT.production[[0, 1], [0, 1]] / 3).all()
    assert (pmf[:, [0, 1], BANDIT.reward.argmax(axis=1)] > 0.6).all()
    assert CRRConfig().most == pytest.approx(20.0)


RARE = SmallMDP(  # the first state leads to one where the better action is rare, and scatters
    moves=certain(np.array([[1, 1], [END, END]])),
    reward=np.array([[0.0, 0.0], [0.5, 0.9]]),
    production=np.array([[0.5, 0.5], [0.98, 0.02]]),
    discount=0.9,
    scatter=np.array([[0.0, 0.0], [0.0, 0.7]]),
)


def test_the_more_critics_the_more_pessimism_about_rare_actions_now_and_one_step_before() -> None:
    """Members disagree about what few rows tell, and the smallest of many is smaller than the smallest of two."""
    before = []
    for critics in (2, 16):
        own = values(learn("sac-n", RARE, count=800, members=critics, temperature=0.001), RARE)
        least = own.min(axis=0)[1]
        assert least[STAY] == pytest.approx(0.5, abs=0.05)
        assert_allclose(own[:, 0], 0.9 * least.max(), atol=0.03)
        before.append(own[:, 0].mean())
    assert before[1] < before[0] - 0.05


def test_an_actor_keeps_the_entropy_that_it_is_asked_for() -> None:
    learned = learn("sac-n", BANDIT, entropy=0.5, members=2)
    temperature = np.exp(float(learned.result.params["log_temperature"]))
    scores = values(learned, BANDIT).min(axis=0) / learned.unit / temperature
    pmf = np.asarray(jax.nn.softmax(jnp.asarray(scores)))
    entropy = -(pmf * np.log(pmf)).sum(axis=1).mean() / np.log(3)
    assert entropy == pytest.approx(0.5, abs=0.05)
