"""The main job with a discount: what a decision does to the unit's later ones is learned and certified, or refused."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import jumar
from jumar import cli, fitting
from jumar.errors import JumarError, LogError, OptionError, PolicyError
from jumar.improvement import Improvement
from jumar.logs import timeline_of
from jumar.release import Gates

DAYS, GRAB = 3, 0.7
SMALL: dict[str, Any] = {"confidence": 0.99, "members": 2, "candidates": 6, "discount": 0.99, "seed": 1}


def table_of(units: int, seed: int = 0, *, matters: bool = True) -> pa.Table:
    """Whoever is left alone stays fresh, and a fresh one pays most when grabbed; whoever was grabbed is tired for good.

    Grabbing pays more at once, always. All in all it pays to wait for the last of the three days.
    """
    rng = np.random.default_rng(seed)
    fresh = np.ones(units, bool)
    columns: dict[str, list[np.ndarray]] = {name: [] for name in ("unit", "time", "day", "fresh", "grab", "reward")}
    for day in range(DAYS):
        grab = rng.random(units) < GRAB
        rate = np.where(fresh, np.where(grab, 0.5, 0.2), np.where(grab, 0.1, 0.05)) if matters else np.full(units, 0.3)
        found = (np.arange(units), np.full(units, 86_400 * day), np.full(units, day), fresh.copy(), grab)
        for name, values in zip(columns, (*found, (rng.random(units) < rate).astype(float)), strict=True):
            columns[name].append(values)
        fresh &= ~grab
    joined = {name: np.concatenate(values) for name, values in columns.items()}
    grab = joined.pop("grab")
    return pa.table(
        joined
        | {
            "noise": rng.normal(size=len(grab)),
            "decision_id": np.char.add("d", np.arange(len(grab)).astype(str)),
            "action": np.where(grab, "grab", "wait"),
            "propensity": np.where(grab, GRAB, 1 - GRAB),
            "end": joined["day"] == DAYS - 1,
        }
    )


def some_units(table: pa.Table) -> pa.Table:
    """All days of the first 2,000 units."""
    unit: Any = table["unit"]
    return table.filter(pa.array(unit.to_numpy() < 2_000))


def value_of(grab_by_day: np.ndarray) -> float:
    """Expected rewards of a unit, undiscounted, from P(grab) on each day while fresh; tired ones are grabbed."""
    fresh, total = 1.0, 0.0
    for grab in grab_by_day:
        total += fresh * (0.5 * grab + 0.2 * (1 - grab)) + (1 - fresh) * (0.1 * GRAB + 0.05 * (1 - GRAB))
        fresh *= 1 - grab
    return total


@pytest.fixture(scope="module")
def table() -> pa.Table:
    return table_of(8_000)


def improve(source: object, end: str | None = "end", **asked: Any) -> Improvement:
    return jumar.improve(jumar.read_log(source, end=end), **(SMALL | asked))


@pytest.fixture(scope="module")
def result(table: pa.Table) -> Improvement:
    return improve(table)


def grabs(result: Improvement) -> np.ndarray:
    """P(grab) of the policy on each day, for a fresh unit."""
    assert result.policy is not None
    days = pa.table({"day": np.arange(DAYS), "fresh": np.ones(DAYS, bool), "noise": np.zeros(DAYS)})
    return np.asarray(result.policy.pmf(days))[:, 0]


def test_what_pays_in_the_long_run_is_certified(result: Improvement):
    certificate = result.certificate
    assert certificate.verdict == "certified", certificate.reasons
    now, then = value_of(np.full(DAYS, GRAB)), value_of(grabs(result))
    assert certificate.production_value == pytest.approx(now, rel=0.05)
    assert then > now
    assert certificate.lower_bound is not None
    assert certificate.lower_bound < then - now
    assert (certificate.evidence, certificate.rows) == ("unit", DAYS * certificate.pieces)
    assert certificate.timeline == timeline_of(0.99)
    assert [(one.kind, one.required) for one in certificate.claims] == [("return", True), ("deviation", False)]
    assert "per unit, discounted and of no unit more than 2.98" in certificate.claim
    assert any("over the first 3 decisions" in said and "not judged" in said for said in certificate.assumptions)
    assert any(one.name == "weights along timelines" for one in certificate.audits)
    assert result.summary.frontier is None
    assert result.plan is not None
    assert result.plan.return_cap == pytest.approx(3.0, abs=0.1)


def test_guardrails_count_what_a_unit_adds_up_to(table: pa.Table):
    """The policy grabs less: complaints fall, smiles do too, and only the first may be promised not to get worse."""
    rng, grab = np.random.default_rng(3), np.asarray(table["action"]) == "grab"
    for name, rates in {"complaints": (0.1, 0.7), "smiles": (0.1, 0.9)}.items():
        table = table.append_column(name, pa.array((rng.random(len(grab)) < np.where(grab, *rates[::-1])) * 1.0))
    log = jumar.read_log(table, end="end", metrics=("complaints", "smiles:0..2"))
    found = jumar.improve(
        log, **SMALL, guardrail=("complaints:lower:margin=0.2", "smiles:higher:margin=0.5")
    ).certificate
    assert found.verdict == "certified", found.reasons
    complaints, smiles = found.guardrails
    assert (complaints.kind, complaints.better, complaints.verdict) == ("metric_return", "lower", "passed")
    for one in (complaints, smiles):
        values = np.asarray(table[one.metric]) * 0.99 ** np.asarray(table["day"])
        assert one.production == pytest.approx(values.sum() / 8_000, rel=0.05)
        assert one.change < 0
    assert any("Of what a unit's complaints adds up to" in one for one in found.assumptions)
    refused = jumar.improve(log, **SMALL, guardrail="smiles:higher").certificate
    assert refused.verdict == "refused"
    assert any("average smiles per unit, discounted" in reason for reason in refused.reasons)


def test_who_looks_at_today_alone_learns_the_opposite(table: pa.Table, result: Improvement):
    today = improve(table, discount=None)
    assert today.certificate.timeline is None
    # On the first day a fresh unit should be left alone; the short view grabs it.
    assert grabs(result)[0] < GRAB - 0.1
    if today.policy is not None:
        assert grabs(today)[0] > GRAB
        assert value_of(grabs(today)) < value_of(np.full(DAYS, GRAB))
    short = improve(table, discount=0.0)
    if short.policy is not None:
        assert grabs(short)[0] > GRAB


def test_same_log_same_seed_same_bytes(table: pa.Table, result: Improvement):
    again = improve(table)
    assert msgspec.json.encode(again.certificate) == msgspec.json.encode(result.certificate)


def test_where_actions_change_nothing_it_is_refused_and_a_canary_is_asked_for(tmp_path: Path):
    refused = improve(table_of(3_000, 5, matters=False))
    assert (refused.certificate.verdict, refused.policy) == ("refused", None)
    assert any(reason.startswith("Unverified: canary required") for reason in refused.certificate.reasons)
    assert any("per unit" in reason for reason in refused.certificate.reasons)
    # What the refusal names is a command that answers.
    command = next(reason for reason in refused.certificate.reasons if "jumar plan" in reason).partition("jumar plan ")[
        2
    ]
    path = tmp_path / "log.parquet"
    pq.write_table(table_of(3_000, 5, matters=False), path)
    assert "--discount 0.99" in command
    assert cli.main(["plan", *command.replace("LOG", str(path)).split(), "--end", "end"]) == cli.CERTIFIED


@pytest.mark.parametrize("learner", ["iql", "direct"])
def test_other_learners_are_gated_alike(table: pa.Table, learner: Any):
    found = improve(table, learner=learner, members=1)
    assert found.certificate.verdict == "certified", found.certificate.reasons
    assert value_of(grabs(found)) > value_of(np.full(DAYS, GRAB))


def test_on_the_command_line(table: pa.Table, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    path, out = tmp_path / "log.parquet", tmp_path / "run"
    pq.write_table(table, path)
    words = ["improve", str(path), "--out", str(out), "--confidence", "0.99", "--candidates", "4", "--end", "end"]
    assert cli.main([*words, "--discount", "0.95", "--per", "day", "--gap", "7d"]) == cli.CERTIFIED
    said = " ".join(capsys.readouterr().out.split())
    assert "per unit, discounted 0.95 per day" in said
    certificate = json.loads((out / "certificate.json").read_bytes())
    assert certificate["timeline"] == {"discount": 0.95, "per": 86_400.0, "gap": 604_800.0}
    assert "discounted 0.95 per day" in (out / "report.html").read_text()


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"discount": 1.0}, "from 0 to below 1"),
        ({"discount": float("nan")}, "from 0 to below 1"),
        ({"per": "fortnight"}, "takes a time"),
        ({"discount": None, "per": "day"}, "needs a discount"),
        ({"discount": None, "learner": "cql"}, "takes a discount"),
        ({"budget": "grab=0.5"}, "no reductions or budgets"),
        ({"reduce": ["grab=0.1"]}, "no reductions or budgets"),
        ({"guardrail": "complaints:lower"}, "not among the metrics"),
    ],
)
def test_what_cannot_be_asked(table: pa.Table, asked: dict[str, Any], words: str):
    with pytest.raises(OptionError, match=words):
        improve(table.slice(0, 3_000), **asked)


@pytest.mark.parametrize("missing", ["unit", "time", "propensity"])
def test_what_a_log_needs(table: pa.Table, missing: str):
    with pytest.raises((LogError, JumarError), match=f"no {missing}|logged propensities"):
        improve(table.drop_columns([missing]))


def test_the_command_line_knows_every_learner():
    command: Any = cli.improve
    assert set(re.findall(r"['\"]([a-z0-9-]+)['\"]", command.__annotations__["learner"])) == set(fitting.LEARNERS)


def test_a_policy_of_returns_is_not_mistaken_for_one_of_rewards(table: pa.Table, result: Improvement, tmp_path: Path):
    assert result.policy is not None
    assert result.policy.card.timeline == timeline_of(0.99)
    result.policy.save(tmp_path / "policy")
    found = jumar.evaluate(tmp_path / "policy", jumar.read_log(table, end="end"))
    mean = float(np.asarray(table["reward"]).mean())
    assert found.dm.value == pytest.approx(mean)
    assert any("learned with a discount" in note for note in found.notes)
    with pytest.raises(PolicyError, match="learned with a discount"):
        Gates(tmp_path / "gates").open(tmp_path / "policy", table, rows_planned=1_000, rows_most=2_000)


def test_a_plan_measures_how_far_the_policy_strays(table: pa.Table, result: Improvement):
    assert result.policy is not None
    log = jumar.read_log(table, end="end")
    planned = jumar.plan(log, 0.05, policy=result.policy, discount=0.99, exploration=(0.3,))
    assert planned.policy == result.policy.name
    assert planned.now is not None
    rows = pa.Table.from_batches(list(log.batches("validate")))
    taken = result.policy.pmf(rows.select(["day", "fresh", "noise"]))
    taken = taken[np.arange(len(rows)), np.asarray(rows["__action"])]
    w = taken / np.asarray(rows["__propensity"])
    assert planned.now.deviation == pytest.approx(DAYS * float(np.square(w / w.mean() - 1.0).mean()), rel=0.02)
    assert planned.deviation_budget == planned.now.deviation
    assert planned.now.changed == pytest.approx(float(np.maximum(1.0 - w, 0.0).mean()), abs=0.02)
    near = jumar.plan(log, 0.05, policy=result.policy, discount=0.99, exploration=(0.3,), deviation_budget=0.1)
    assert near.now is not None
    assert near.now.deviation == pytest.approx(0.1, rel=1e-3)


def test_rewards_that_are_all_alike_still_tell_long_from_short(table: pa.Table):
    place = table.schema.get_field_index("reward")
    alike = some_units(table.set_column(place, "reward", pa.array(np.ones(len(table)))))
    assert "nothing can be better" in " ".join(improve(alike, discount=None).certificate.reasons)
    # Every unit has three decisions, so no policy can change anything; but that takes a gate to say.
    certificate = improve(alike).certificate
    assert certificate.verdict == "refused"
    assert certificate.pieces > 0


def test_rewards_below_zero_are_certified_in_their_own_units(table: pa.Table):
    """A unit of which nothing is known to be lost counts as 0, and not as the lowest that it could bring."""
    place = table.schema.get_field_index("reward")
    costs = table.set_column(place, "reward", pa.array(np.asarray(table["reward"]) - 1.0))
    costs = costs.filter(np.asarray(costs["unit"]) < 2_000)
    log = jumar.read_log(costs, end="end", reward_range=(-1.0, 0.0))
    found = jumar.improve(log, **(SMALL | {"discount": 0.9, "members": 1, "candidates": 3}))
    reward, day = np.asarray(costs["reward"]), np.asarray(costs["day"])
    owed = sum(0.9**k * reward[day == k].mean() for k in range(DAYS))
    assert found.certificate.production_value == pytest.approx(owed, rel=0.05)
    assert any("may be negative" in said for said in found.certificate.assumptions)
    with pytest.raises(OptionError, match="share of production's average"):
        jumar.improve(log, **SMALL, margin=0.05)


def test_what_was_found_on_timelines_is_said(table: pa.Table):
    certificate = improve(some_units(table.drop_columns(["end"])), end=None, discount=0.9).certificate
    assert any("Open decisions: 2,000 of 6,000" in reason for reason in certificate.reasons)


def test_nothing_is_learned_where_nothing_is_known_of_what_follows(table: pa.Table):
    first = table.slice(0, 6_000)  # one decision of each unit, none of them flagged
    certificate = improve(first).certificate
    assert (certificate.verdict, certificate.pieces) == ("refused", 0)
    assert any("does not say what followed any decision" in reason for reason in certificate.reasons)


def test_arms_that_are_kept_are_refused_along_timelines():
    """One draw for each unit: its weight would be multiplied with itself, and certify what is not there."""
    rng = np.random.default_rng(0)
    units, arm = 3_000, rng.random(3_000) < 0.5
    columns = {
        "unit": np.repeat(np.arange(units), DAYS),
        "time": np.tile(86_400 * np.arange(DAYS), units),
        "noise": rng.normal(size=units * DAYS),
        "decision_id": np.char.add("d", np.arange(units * DAYS).astype(str)),
        "action": np.where(np.repeat(arm, DAYS), "grab", "wait"),
        "propensity": np.full(units * DAYS, 0.5),
        "reward": (rng.random(units * DAYS) < 0.3).astype(float),
    }
    certificate = improve(pa.table(columns), end=None).certificate
    assert (certificate.verdict, certificate.pieces) == ("refused", 0)
    assert any("along a timeline every decision must have been drawn afresh" in why for why in certificate.reasons)
