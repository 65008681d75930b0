"""What may be claimed: the words, the variables by hand, their bounds, and how often a false claim passes."""

from __future__ import annotations

import math

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from scipy.stats import norm

import jumar
from jumar.errors import OptionError
from jumar.evaluate import Capital, default_bets
from jumar.evaluate.asked import Asked, claims_on
from jumar.evaluate.claims import Claim, ClaimRows, variable
from jumar.logs import Log

ROWS = 400


@pytest.fixture(scope="module")
def log() -> Log:
    rng = np.random.default_rng(0)
    action = rng.choice(["email", "hold", "send"], ROWS)
    columns = {
        "x": rng.normal(size=ROWS),
        "action": action,
        "propensity": np.full(ROWS, 1 / 3),
        "reward": rng.uniform(2, 6, ROWS),
        "complaints": rng.integers(0, 2, ROWS).astype(float),
        "minutes": rng.uniform(0, 50, ROWS),
    }
    return jumar.read_log(pa.table(columns), reward_range=(2, 6), metrics=["complaints", "minutes:0..60"])


def rows_of(w: list[list[float]], reward: list[float], **more: object) -> ClaimRows:
    arguments = {"action": np.zeros(len(reward), np.int64), **more}
    return ClaimRows(weight=np.array(w), reward=np.array(reward), **arguments)  # pyright: ignore[reportArgumentType]


# Words


def test_the_first_claim_is_the_paired_gain_and_alone_by_default(log: Log):
    (gain,) = claims_on(log, Asked())
    assert (gain.kind, gain.metric, gain.margin, gain.required) == ("value", "reward", 0.0, True)
    assert (gain.low, gain.high) == (2.0, 6.0)
    assert gain.sentence == "The policy's average reward per decision is not below production's."


@pytest.mark.parametrize(
    ("asked", "sentence"),
    [
        (Asked(margin=0.01), "at least 99% of production's"),
        (Asked(gain=0.02), "at least 102% of production's"),
        (Asked(guardrail=("complaints:lower",)), "complaints per decision is not above production's"),
        (Asked(guardrail=("complaints:lower:margin=0.05",)), "at most 105% of production's"),
        (Asked(guardrail=("minutes:higher:range=0..60:margin=0.02",)), "minutes per decision is at least 98%"),
        (Asked(reduce=("send=0.2",)), "takes 'send' at least 20% less often"),
        (Asked(reduce=("send:1,email:0.5=0.1",)), "cost of send:1,email:0.5 is at least 10% less"),
        (Asked(reduce=("complaints=0.3",)), "complaints per decision is at most 70%"),
        (Asked(budget="send=0.4"), "takes 'send' in at most 40% of the decisions"),
    ],
)
def test_claims_in_plain_words(log: Log, asked: Asked, sentence: str):
    claims = claims_on(log, asked)
    assert sentence in claims[-1].sentence
    assert claims[-1].required
    assert claims[0].required == (asked.margin == 0)


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        (Asked(margin=0.01, gain=0.01), "only one"),
        (Asked(margin=0.9), "between 0 and 0.5"),
        (Asked(margin=math.nan), "between 0 and 0.5"),
        (Asked(guardrail=("complaints:lower:margin=0.1:margin=0.5",)), "given twice"),
        (Asked(guardrail=("minutes:higher:range=0..90",)), "not that of the metric"),
        (Asked(reduce=("send:1,send:2=0.1",)), "named twice"),
        (Asked(reduce=("send,hold,email=0.1",)), "costs the same"),
        (Asked(gain=-0.1), "between 0 and"),
        (Asked(guardrail=("complaints",)), "which way"),
        (Asked(guardrail=("complaints:down",)), "which way"),
        (Asked(guardrail=("clicks:lower",)), "not among the metrics"),
        (Asked(guardrail=("complaints:lower:margin=x",)), "not understood"),
        (Asked(guardrail=("complaints:lower:range=5..1",)), "not a range"),
        (Asked(guardrail=("complaints:lower", "complaints:lower")), "twice"),
        (Asked(reduce=("send",)), "a name and a number"),
        (Asked(reduce=("post=0.2",)), "neither an action nor a metric"),
        (Asked(reduce=("send=1.5",)), "between 0 and 1"),
        (Asked(reduce=("send:0=0.2",)), "above 0"),
        (Asked(budget="send=0"), "between 0 and"),
        (Asked(budget="send=1"), "between 0 and"),
    ],
)
def test_words_that_cannot_be_meant_are_refused(log: Log, asked: Asked, words: str):
    with pytest.raises(OptionError, match=words):
        claims_on(log, asked)


def test_shares_of_averages_that_may_be_negative_are_refused():
    """'At least 105% of −5' would be less than −5."""
    columns = {"x": [1.0, 2.0], "action": ["a", "b"], "propensity": [0.5, 0.5], "reward": [-3.0, -1.0]}
    log = jumar.read_log(pa.table(columns), reward_range=(-10, 0))
    for asked in (Asked(gain=0.05), Asked(margin=0.01)):
        with pytest.raises(OptionError, match="negative"):
            claims_on(log, asked)
    assert claims_on(log, Asked())[0].bound == 1.0


# Variables by hand


def test_variables_by_hand():
    w, r = [[2.0], [0.5], [0.0]], [1.0, 0.5, 1.0]
    rows = rows_of(w, r)
    plain = Claim(kind="value", metric="r")
    assert_allclose(variable(plain, rows)[:, 0], [1.0, -0.25, -1.0])
    # (w − 1 + m)·r for rewards from 0 on.
    assert_allclose(variable(Claim(kind="value", metric="r", margin=0.1), rows)[:, 0], [1.1, -0.2, -0.9])
    # Rewards of 2 to 6, V(π) ≥ 1.02·V(μ): in units of 4, d − 0.02·(r + ½).
    more = Claim(kind="value", metric="r", low=2.0, high=6.0, margin=-0.02)
    assert_allclose(variable(more, rows)[:, 0], [1.0 - 0.03, -0.25 - 0.02, -1.0 - 0.03])
    assert_allclose(more.bound, 1.03)
    # Lower is better: w·(1 − c) − 1 + (1 + m)·c.
    metrics = np.array([[1.0], [0.0], [0.2]])
    rail = Claim(kind="metric", metric="c", better="lower", margin=0.1, column=0)
    expected = [2 * 0 - 1 + 1.1, 0.5 - 1, 0.0 - 1 + 1.1 * 0.2]
    assert_allclose(variable(rail, rows_of(w, r, metrics=metrics))[:, 0], expected)


def test_costs_by_hand():
    pmf = np.array([[[0.5, 0.5]], [[1.0, 0.0]]])
    fewer = Claim(kind="spend", metric="send", better="lower", margin=-0.2, costs=[0.0, 1.0])
    rows = rows_of([[1.0], [1.0]], [0.0, 0.0], pmf=pmf, action=np.array([1, 0]))
    assert_allclose(variable(fewer, rows)[:, 0], [0.8 - 0.5, 0.0])
    told = rows_of([[1.0], [1.0]], [0.0, 0.0], pmf=pmf, production=np.array([[0.1, 0.9], [0.3, 0.7]]))
    assert_allclose(variable(fewer, told)[:, 0], [0.8 * 0.9 - 0.5, 0.8 * 0.7])
    capped = Claim(kind="budget", metric="send", costs=[0.0, 1.0], most=0.4)
    assert_allclose(variable(capped, rows)[:, 0], [-0.1, 0.4])
    assert_allclose(capped.bound, 0.6, atol=2e-5)


@settings(deadline=None, max_examples=300)
@given(
    better=st.sampled_from(["higher", "lower"]),
    margin=st.floats(-0.9, 0.9),
    low=st.floats(-3.0, 3.0),
    width=st.floats(0.1, 10.0),
    w=st.floats(0.0, 1e6),
    c=st.floats(0.0, 1.0),
    cut=st.floats(0.0, 1.0),
)
def test_bounds_hold_and_smaller_weights_never_help(
    better: str, margin: float, low: float, width: float, w: float, c: float, cut: float
):
    claim = Claim(
        kind="metric", metric="c", better=better, margin=margin, low=low, high=low + width, column=0  # pyright: ignore
    )  # fmt: skip
    rows = rows_of([[w]], [0.0], metrics=np.array([[c]]))
    y = float(variable(claim, rows)[0, 0])
    assert y >= -claim.bound * (1 + 1e-12) - 1e-12
    lowered = float(variable(claim, rows, np.array([[w * cut]]))[0, 0])
    assert lowered <= y + 1e-9 * max(1.0, abs(y))


@pytest.mark.parametrize("kind", ["margin", "gain", "lower", "higher", "spend", "spend with pmf", "budget"])
def test_means_say_whether_the_claim_is_true(kind: str):
    """Exact expectations over the draw: the mean of y is the claim's slack, in units of the metric's range."""
    mu, pi = np.array([0.7, 0.3]), np.array([0.4, 0.6])
    c, low, high = np.array([0.2, 0.9]), 1.0, 5.0
    now, then = low + 4 * float(mu @ c), low + 4 * float(pi @ c)
    claim, slack = {
        "margin": (Claim(kind="metric", metric="c", margin=0.1, low=low, high=high, column=0), then - 0.9 * now),
        "gain": (Claim(kind="metric", metric="c", margin=-0.1, low=low, high=high, column=0), then - 1.1 * now),
        "lower": (
            Claim(kind="metric", metric="c", better="lower", margin=0.3, low=low, high=high, column=0),
            1.3 * now - then,
        ),
        "higher": (Claim(kind="metric", metric="c", low=low, high=high, column=0), then - now),
        "spend": (Claim(kind="spend", metric="b", margin=-0.2, high=2.0, costs=[0.0, 1.0]), 2 * (0.8 * 0.3 - 0.6)),
        "spend with pmf": (
            Claim(kind="spend", metric="b", margin=-0.2, high=2.0, costs=[0.0, 1.0]),
            2 * (0.8 * 0.3 - 0.6),
        ),
        "budget": (Claim(kind="budget", metric="b", high=2.0, costs=[0.0, 1.0], most=1.5), 1.5 - 2 * 0.6),
    }[kind]
    rows = ClaimRows(
        weight=(pi / mu)[:, None],
        reward=c,
        action=np.array([0, 1]),
        metrics=c[:, None],
        pmf=np.tile(pi, (2, 1, 1)),
        production=np.tile(mu, (2, 1)) if kind == "spend with pmf" else None,
    )
    assert_allclose(claim.scale * float(mu @ variable(claim, rows)[:, 0]), slack, rtol=1e-12)


# False claims


@pytest.mark.parametrize("kind", ["margin", "guardrail", "reduce"])
def test_claims_that_are_just_false_seldom_pass(kind: str):
    """At the very edge of each claim at most 5% of attempts pass; a z-test that ignores the tail does worse."""
    runs, rows, alpha = 4_000, 4_000, 0.05
    rng = np.random.default_rng(5)
    if kind == "margin":  # always 'b', taken in 2% of the rows, and worth exactly 90% of production
        p_b, q_a = 0.02, 0.05
        q_b = 0.9 * (1 - p_b) * q_a / (1 - 0.9 * p_b)
        values = np.array([-0.9, 1 / p_b - 0.9, 0.0])
        p = np.array([(1 - p_b) * q_a, p_b * q_b, 1 - (1 - p_b) * q_a - p_b * q_b])
    elif kind == "guardrail":  # complaints as frequent under 'b' as under 'a'; w(1 − c) − 1 + c
        p_b, c = 0.05, 0.02
        values = np.array([-1.0, 0.0, 1 / p_b - 1.0, 0.0])
        p = np.array([(1 - p_b) * (1 - c), (1 - p_b) * c, p_b * (1 - c), p_b * c])
    else:  # production sends in half of the rows, the policy in 40% everywhere: exactly 20% fewer
        values, p = np.array([0.8 - 0.4, -0.4]), np.array([0.5, 0.5])
    assert abs(float(p @ values)) < 1e-12
    bets = default_bets(float(p @ values**2), rows, 0.001)
    counts = rng.multinomial(rows, p, size=runs)
    log_capital = np.log(np.exp(counts @ np.log1p(np.outer(values, bets.fractions)) + bets.log_prior).sum(axis=1))
    passed = int((log_capital >= math.log(1 / alpha)).sum())
    one = Capital(bets).update(np.repeat(values, counts[0]))
    assert_allclose(one.log_value, log_capital[0], rtol=1e-9)
    mean = counts @ values / rows
    sd = np.sqrt(np.maximum(counts @ values**2 / rows - mean**2, 1e-300) / rows)
    z_test = int((mean / sd >= norm.isf(alpha)).sum())
    assert passed / runs <= alpha
    assert z_test > passed
