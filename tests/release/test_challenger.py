"""A challenger's life: frozen before its rows, judged by later ones only, decided once, and all of it in the ledger."""

from __future__ import annotations

import datetime
import hashlib
import json
import math
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import jumar
from jumar.errors import JumarError, OptionError
from jumar.features import read_blocks
from jumar.logs import read_for
from jumar.release import Gates, ReleaseError, Standing

from .conftest import DAY, MONDAY, WEEK, Later, dated, in_training_half, snapshot

Replace = Callable[..., pa.Table]


def refused(gates: Path, act: Callable[[], object], *words: str) -> None:
    """The act is refused in these words, and nothing in the folder has changed."""
    before = snapshot(gates)
    with pytest.raises(JumarError) as caught:
        act()
    assert snapshot(gates) == before
    said = str(caught.value)
    assert all(word in said for word in words), said


# Freezing


def test_what_is_frozen(gates: Path, run: Path, past: Path) -> None:
    standing = Gates(gates).status("one")
    manifest, attempt, plan = standing.manifest, standing.attempt, standing.manifest.plan
    assert hashlib.sha256((gates / "one/manifest.json").read_bytes()).hexdigest() == attempt.manifest_sha256
    for file, digest in (("policy.onnx", manifest.policy_sha256), ("policy.json", manifest.card_sha256)):
        frozen = (gates / "one/policy" / file).read_bytes()
        assert frozen == (run / "policy" / file).read_bytes()
        assert hashlib.sha256(frozen).hexdigest() == digest
    assert plan.alpha == attempt.alpha == pytest.approx(0.001 / 52)
    assert (plan.order, plan.rows_planned, manifest.rows_most, plan.seed) == ([0], 3_000, 6_000, 0)
    assert len(plan.candidates) == 1
    assert manifest.influence_until == manifest.counts_after
    assert manifest.opened_at == MONDAY + 30 * DAY
    assert (manifest.after, attempt.outcome, attempt.looks) == ("log", "open", 0)
    assert attempt.opened_by
    ledger = Gates(gates).ledger()
    assert (ledger.confidence, ledger.attempts, ledger.rows) == (0.999, 52, [attempt])


def by_hand(policy: jumar.Policy, table: pa.Table, kappa: float | None) -> np.ndarray:
    """[rows] the variable of "not worse" from its definition: (w − 1)·r, or the doubly-robust one with a cap."""
    every = np.arange(table.num_rows)
    taken = np.array([policy.actions.index(one) for one in table["action"].to_pylist()])
    propensity, r = np.asarray(table["propensity"]), np.asarray(table["reward"])
    pmf = policy.pmf(table)
    w = pmf[every, taken] / propensity
    if kappa is None:
        return (w - 1) * r
    mu = np.where(np.arange(2) == taken[:, None], propensity[:, None], 1 - propensity[:, None])
    (q,) = policy.scorer("q").run(read_blocks(canonical_rows(policy, table), policy.card.features))
    cap = np.minimum(np.clip(q, 0, 1), kappa * mu / pmf)
    return (w - 1) * (r - cap[every, taken]) + ((pmf - mu) * cap).sum(axis=1)


def canonical_rows(policy: jumar.Policy, table: pa.Table) -> pa.RecordBatch:
    log = read_for(policy.card.log_schema, table)
    return pa.RecordBatch.from_pandas(log.origin.arrow(log.canonical).to_pandas(), preserve_index=False)


def test_bets_come_from_the_rows_that_fitted_nothing(gates: Path, run: Path, past: Path) -> None:
    """E[y²] by hand on the validation tenth of the hash range, with the imaginary row."""
    policy, table = jumar.load_policy(run), pq.read_table(past)
    digests = [hashlib.md5(f"jumar-split:{unit}".encode()).hexdigest() for unit in table["unit"].to_pylist()]
    place = np.array([int(digest[:8], 16) / 2**32 for digest in digests])
    table = table.filter(pa.array((place >= 0.4) & (place < 0.5)))
    plan = Gates(gates).status("one").manifest.plan
    wager = plan.gain[0]
    y = by_hand(policy, table, wager.kappa)
    assert plan.validation_rows == len(y)
    assert wager.second_moment == pytest.approx((np.square(y).sum() + wager.bound**2) / (len(y) + 1), rel=1e-6)
    assert wager.mean == pytest.approx(y.mean(), rel=1e-6)


def test_by_default_only_decisions_after_the_opening_count(run: Path, past: Path, later: Later, tmp_path: Path) -> None:
    """Whatever lies before the clock may have been looked at: the freeze comes first, then the rows."""
    clock = MONDAY + WEEK + 3 * DAY
    gates = Gates(tmp_path / "gates", now=lambda: clock)
    standing = gates.open(run, str(past), rows_planned=3_000, rows_most=6_000, name="one")
    assert (standing.manifest.after, standing.manifest.counts_after) == ("clock", clock)
    refused(
        tmp_path / "gates", lambda: gates.update("one", later(2)), "Only decisions made after 2026-03-12 00:00:00 UTC"
    )
    assert gates.update("one", later(3)).attempt.looks == 1


def test_a_moment_may_be_declared_but_not_before_the_log_ends(run: Path, past: Path, tmp_path: Path) -> None:
    gates = Gates(tmp_path / "gates")
    for wrong in ("2026-03-05", "yesterday"):
        with pytest.raises(JumarError, match="--after"):
            gates.open(run, str(past), rows_planned=10, rows_most=10, after=wrong)
    standing = gates.open(run, str(past), rows_planned=10, rows_most=10, after="2026-03-20T12:00:00+02:00")
    assert standing.manifest.after == "declared"
    assert standing.manifest.counts_after == datetime.datetime(2026, 3, 20, 10, tzinfo=datetime.UTC)


def test_what_an_earlier_challenger_counted_cannot_judge_a_later_one(
    gates: Path, run: Path, past: Path, later: Later
) -> None:
    """Whoever opens the second has seen how the first fared."""
    book = Gates(gates)
    seen = book.update("one", later(0, 500)).attempt.counted_until
    second = book.open(run, str(past), rows_planned=3_000, rows_most=6_000, name="two", after="log")
    assert second.manifest.counts_after == seen
    refused(gates, lambda: book.update("two", later(0, 500, seed=7)), "Only decisions made after 2026-03-09")
    assert book.update("two", later(1, 500)).attempt.rows == 500


def kept_arms(table: pa.Table) -> pa.Table:
    """The same decisions, had each unit kept the action of its first one."""
    arms: dict[str, tuple[str, float]] = {}
    pairs = zip(*(table[name].to_pylist() for name in ("unit", "action", "propensity")), strict=True)
    kept = [arms.setdefault(unit, (action, propensity)) for unit, action, propensity in pairs]
    for place, name in enumerate(("action", "propensity")):
        column = pa.array([one[place] for one in kept])
        table = table.set_column(table.schema.get_field_index(name), name, column)
    return table


def test_what_cannot_be_opened(gates: Path, run: Path, past: Path, tmp_path: Path) -> None:
    book = Gates(gates)

    def opening(**given: Any) -> Callable[[], object]:
        sizes: dict[str, Any] = {"rows_planned": 100, "rows_most": 200}
        return lambda: book.open(given.pop("policy", run), given.pop("log", str(past)), **sizes | given)

    table = pq.read_table(past)
    refused(gates, opening(name="one"), "There is a challenger 'one' already")
    refused(gates, opening(name="../out"), "A challenger's name", "'../out'")
    refused(gates, opening(name="ledger.json"), "A challenger's name")
    refused(gates, opening(rows_planned=300), "(300, 200)", "--rows-most")
    refused(gates, opening(rows_planned=0), "at least one row")
    refused(gates, opening(confidence=0.99), "--confidence 0.999 --attempts 52")
    refused(gates, opening(attempts=12), "--confidence 0.999 --attempts 52")
    refused(gates, opening(policy=tmp_path / "none"), "There is no policy")
    refused(gates, opening(log=table.drop_columns(["time"])), "no time")
    refused(gates, opening(log=table.drop_columns(["propensity"])), "propensities")
    refused(gates, opening(log=table.slice(0, 100)), "40 decisions", "whole log")
    certain = table.set_column(table.schema.get_field_index("propensity"), "propensity", pa.array(np.ones(20_000)))
    refused(gates, opening(log=certain), "An audit of the log blocks")
    refused(gates, opening(log=kept_arms(table)), "hang together")
    refused(gates, opening(guardrail="colour:lower"), "'colour'")
    refused(gates, opening(budget="c=0.5"), "'c' is neither an action nor a metric")


def test_the_budget_is_spent_by_opening(run: Path, past: Path, tmp_path: Path) -> None:
    clock = [MONDAY + 30 * DAY]
    book = Gates(tmp_path / "gates", now=lambda: clock[0])
    for place in range(2):
        standing = book.open(run, str(past), rows_planned=10, rows_most=10, confidence=0.9, attempts=2, after="log")
        assert standing.attempt.name == standing.manifest.policy_sha256[:12] + ("-2" if place else "")
        assert standing.attempt.alpha == pytest.approx(0.05)
        book.close(standing.attempt.name, why="a test")
    refused(
        tmp_path / "gates",
        lambda: book.open(run, str(past), rows_planned=10, rows_most=10),
        "All 2 attempts of the last 365 days are spent",
    )
    clock[0] += 365 * DAY
    book.open(run, str(past), rows_planned=10, rows_most=10)
    assert sum(row.alpha for row in book.ledger().rows[1:]) <= 0.1 * (1 + 1e-12)


# Looking


def test_it_passes_at_the_first_look_at_which_the_capital_suffices(gates: Path, later: Later) -> None:
    book = Gates(gates)
    seen: list[Standing] = []
    for day in range(12):
        seen.append(book.update("one", later(day, 200)))
        if seen[-1].attempt.outcome != "open":
            break
    last = seen[-1]
    needed = math.log(52 / 0.001)
    assert last.attempt.outcome == "passed"
    assert len(seen) > 1
    assert [look.log_capital >= needed for look in last.looks] == [False] * (len(seen) - 1) + [True]
    assert last.attempt.rows == 200 * len(seen) == last.looks[-1].rows_so_far
    assert last.attempt.decided_at == last.looks[-1].at
    assert last.looks[-1].lower_bound >= 0 > seen[0].looks[-1].lower_bound
    assert Gates(gates).status("one") == last
    refused(gates, lambda: book.update("one", later(20, 200)), "'one' is not open any more: it passed on")
    refused(gates, lambda: book.close("one", why="no"), "it passed on")


def test_days_add_up_to_one_batch(gates: Path, later: Later, tmp_path: Path) -> None:
    """Daily looks and one look at everything, in another order of rows, end in the same sums."""
    tables = [later(day, 150) for day in range(3)]
    other = Path(shutil.copytree(gates, tmp_path / "other"))
    days = [Gates(gates).update("one", table) for table in tables][-1]
    whole = pa.concat_tables(tables)
    mixed = whole.take(pa.array(np.random.default_rng(0).permutation(whole.num_rows)))
    once = Gates(other).update("one", mixed)
    a, b = days.looks[-1], once.looks[-1]
    assert (len(days.looks), len(once.looks), a.rows_so_far, b.rows_so_far) == (3, 1, 450, 450)
    for name in ("log_capital", "estimate", "lower_bound", "production_value"):
        assert getattr(a, name) == pytest.approx(getattr(b, name), rel=1e-9, abs=1e-9), name
    assert days.attempt.counted_until == once.attempt.counted_until


def test_the_look_is_what_the_rows_say(gates: Path, run: Path, later: Later) -> None:
    """Capital and estimate from the definition, by a direct sum over rows and bets."""
    table = later(0, 400)
    look = Gates(gates).update("one", table).looks[-1]
    wager = Gates(gates).status("one").manifest.plan.gain[0]
    y = by_hand(jumar.load_policy(run), table, wager.kappa)
    bets = wager.bets()
    sums = np.log1p(np.multiply.outer(bets.fractions, y)).sum(axis=1)
    assert look.log_capital == pytest.approx(np.logaddexp.reduce(bets.log_prior + sums), rel=1e-6)
    assert look.estimate == pytest.approx(y.mean(), rel=1e-6)


def test_it_is_retired_when_its_rows_are_spent(gates: Path, later: Later) -> None:
    book = Gates(gates)
    assert book.update("one", later(0, 3_000, effect=0.0)).attempt.outcome == "open"
    standing = book.update("one", later(1, 3_500, effect=0.0))
    assert (standing.attempt.outcome, standing.attempt.rows) == ("retired", 6_500)
    assert "6,000 decisions" in standing.attempt.why
    refused(gates, lambda: book.update("one", later(2)), "it was retired on")


def test_it_is_closed_by_hand_with_a_reason(gates: Path, later: Later) -> None:
    book = Gates(gates)
    refused(gates, lambda: book.close("one", why=" "), "--why")
    row = book.close("one", why="production was replaced")
    assert (row.outcome, row.why, row.alpha) == ("closed", "production was replaced", pytest.approx(0.001 / 52))
    refused(gates, lambda: book.update("one", later(0)), "it was closed on")
    assert book.status("one").attempt == row


def test_an_audit_that_blocks_keeps_it_from_passing(gates: Path, later: Later, replace_columns: Replace) -> None:
    """Propensities of explored actions logged at half their size: the capital soars, and nothing is released."""
    table = later(0, 3_000)
    propensity = np.asarray(table["propensity"])
    halved = np.where(propensity < 0.5, propensity / 2, propensity)
    standing = Gates(gates).update("one", replace_columns(table, propensity=halved))
    assert standing.looks[-1].log_capital > math.log(52 / 0.001)
    assert standing.attempt.outcome == "open"
    assert any("propensities cannot be right" in reason for reason in standing.looks[-1].reasons)


# What must be shown


def with_complaints(table: pa.Table, seed: int) -> pa.Table:
    """Complaints that come of "b" more often than of "a"."""
    chance = np.where(np.asarray(table["action"].to_pylist()) == "b", 0.5, 0.1)
    complained = np.random.default_rng(seed).random(table.num_rows) < chance
    return table.append_column("complaints", pa.array(complained.astype(np.int64)))


def test_all_that_was_asked_must_be_shown(run: Path, past: Path, later: Later, tmp_path: Path) -> None:
    """The policy earns more and draws more complaints: it passes where that is allowed, and not where it is not."""
    book = Gates(tmp_path / "gates")
    log = with_complaints(pq.read_table(past), 1)
    sizes: dict[str, Any] = {"rows_planned": 3_000, "rows_most": 9_000, "after": "log"}
    book.open(run, log, name="free", budget="b=0.9", **sizes)
    book.open(run, log, name="kept", guardrail="complaints:lower:margin=0.05:range=0..1", **sizes)
    table = with_complaints(later(0, 6_000), 2)
    refused(tmp_path / "gates", lambda: book.update("kept", table.drop_columns(["complaints"])), "'complaints'")
    free, kept = book.update("free", table), book.update("kept", table)
    assert free.attempt.outcome == "passed"
    assert [one.verdict for one in free.looks[-1].claims] == ["passed", "passed"]
    assert kept.attempt.outcome == "open"
    value, complaints = kept.looks[-1].claims
    assert (value.verdict, complaints.verdict) == ("passed", "failed")
    assert complaints.metric == "complaints"
    assert complaints.change > 0.05
    assert kept.looks[-1].log_capital == complaints.log_capital < math.log(52 / 0.001) < value.log_capital
    assert [one.name for one in kept.manifest.metrics] == ["complaints"]


def test_days_add_up_for_every_claim(run: Path, past: Path, later: Later, tmp_path: Path) -> None:
    book = Gates(tmp_path / "gates")
    log = with_complaints(pq.read_table(past), 1)
    for name in ("days", "once"):
        book.open(
            run, log, rows_planned=3_000, rows_most=9_000, name=name, after="log", margin=0.01, reduce="a=0.1",
            guardrail="complaints:lower:range=0..1",
        )  # fmt: skip
    tables = [with_complaints(later(day, 200), day) for day in range(2)]
    days = [book.update("days", table) for table in tables][-1].looks[-1]
    once = book.update("once", pa.concat_tables(tables)).looks[-1]
    assert len(days.claims) == 4
    for one, other in zip(days.claims, once.claims, strict=True):
        for name in ("log_capital", "lower_bound", "estimate", "change", "production"):
            assert getattr(one, name) == pytest.approx(getattr(other, name), rel=1e-9, abs=1e-9), (one.claim, name)


def test_gains_are_in_the_rewards_own_units(run: Path, past: Path, later: Later, tmp_path: Path) -> None:
    """Rewards ten times as large, less five, in bounds that say so: the same evidence, ten times the gain."""
    policy = jumar.load_policy(run)
    schema = msgspec.structs.replace(policy.card.log_schema, reward_low=-5.0, reward_high=5.0)
    wide = jumar.Policy(msgspec.structs.replace(policy.card, log_schema=schema), policy.model)
    found = []
    for chosen, scale, shift in ((policy, 1.0, 0.0), (wide, 10.0, -5.0)):
        book = Gates(tmp_path / f"gates{scale}")
        tables = [pq.read_table(past), later(0, 300)]
        for place, table in enumerate(tables):
            reward = pa.array(np.asarray(table["reward"]) * scale + shift)
            tables[place] = table.set_column(table.schema.get_field_index("reward"), "reward", reward)
        book.open(chosen, tables[0], rows_planned=3_000, rows_most=6_000, name="one", after="log")
        found.append(book.update("one", tables[1]).looks[-1])
    plain, tenfold = found
    assert tenfold.log_capital == pytest.approx(plain.log_capital, rel=1e-9)
    for name in ("estimate", "lower_bound"):
        assert getattr(tenfold, name) == pytest.approx(10 * getattr(plain, name), rel=1e-9)
    assert tenfold.production_value == pytest.approx(10 * plain.production_value - 5, rel=1e-9)


# The order of events


def test_rows_in_a_wrong_order(gates: Path, past: Path, later: Later) -> None:
    book = Gates(gates)
    refused(gates, lambda: book.update("one", str(past)), "column 'time'", "20,000 rows", "'2026-03-02 00:00:01 UTC'")
    one_early = pa.concat_tables([later(0, 50), dated(later(5, 1), MONDAY + DAY)])
    refused(gates, lambda: book.update("one", one_early), "1 row", "Pass the later rows only")
    book.update("one", later(1, 300))
    refused(gates, lambda: book.update("one", later(0, 300)), "have been counted already", "300 rows")
    refused(gates, lambda: book.update("one", later(1, 300)), "at look 1", "each decision counts once")
    half = pa.concat_tables([later(1, 300).slice(200), later(2, 100)])
    refused(gates, lambda: book.update("one", half), "100 rows")
    assert book.update("one", later(2, 100)).attempt.rows == 400


def test_the_very_moment_of_the_last_decision_does_not_count_again(gates: Path, later: Later) -> None:
    book = Gates(gates)
    last = book.update("one", later(0, 100)).attempt.counted_until
    assert last is not None
    tie = dated(later(3, 1), last - datetime.timedelta(seconds=1), 0.0)
    refused(gates, lambda: book.update("one", tie), "1 row")
    after = dated(later(3, 1), last - datetime.timedelta(seconds=1) + datetime.timedelta(microseconds=1), 0.0)
    assert book.update("one", after).attempt.rows == 101


def test_the_same_decisions_under_other_dates_are_recognised(gates: Path, later: Later) -> None:
    book = Gates(gates)
    table = later(0, 300)
    book.update("one", table)
    redated = dated(table.take(pa.array(np.arange(300)[::-1].copy())), MONDAY + WEEK + 4 * DAY)
    refused(gates, lambda: book.update("one", redated), "counted already", "only their dates are others", "300 rows")
    assert book.update("one", redated.slice(0, 299)).attempt.rows == 599  # said in the documents: ids are not kept


def test_units_that_were_learned_from(gates: Path, later: Later) -> None:
    book = Gates(gates)
    table = later(0, 500, learned=True)
    learned = in_training_half(table["unit"].to_pylist())
    refused(
        gates,
        lambda: book.update("one", table),
        f"{int(learned.sum())} rows",
        "column 'unit'",
        "--rows unseen",
    )
    look = book.update("one", table, rows="unseen").looks[-1]
    assert (look.rows, look.left_out) == (int((~learned).sum()), int(learned.sum()))
    only = later(1, 500, learned=True)
    only = only.filter(pa.array(in_training_half(only["unit"].to_pylist())))
    refused(gates, lambda: book.update("one", only, rows="unseen"), "No decision is left to count")


def test_rows_that_do_not_fit(gates: Path, later: Later, replace_columns: Replace) -> None:
    book = Gates(gates)
    table = later(0, 100)
    for name, words in (
        ("time", ("no time",)),
        ("unit", ("no column 'unit'",)),
        ("propensity", ("'propensity'",)),
        ("segment", ("'segment'",)),
    ):
        refused(gates, lambda name=name: book.update("one", table.drop_columns([name])), *words)
    actions = ["c", *table["action"].to_pylist()[1:]]
    refused(gates, lambda: book.update("one", replace_columns(table, action=actions)), "never saw", "'c'", "1 row")
    rewards = [7.0, *table["reward"].to_pylist()[1:]]
    refused(gates, lambda: book.update("one", replace_columns(table, reward=rewards)), "range 0 to 1", "7.0")
    other = jumar.read_log(table, reward_range=(0, 10))
    refused(gates, lambda: book.update("one", other), "other bounds", "from 0 to 1", "from 0 to 10")
    refused(gates, lambda: book.update("one", table.slice(0, 0)), "no rows")


# Files that must not change


@pytest.mark.parametrize(
    "file", ["one/policy/policy.onnx", "one/policy/policy.json", "one/manifest.json", "ledger.json"]
)
def test_a_changed_file_is_refused(gates: Path, later: Later, file: str) -> None:
    book = Gates(gates)
    path = gates / file
    sound = path.read_bytes()
    changed = sound + b" " if file.endswith("onnx") else sound.replace(b"one", b"two", 1).replace(b"a", b"b", 1)
    path.write_bytes(changed)
    refused(gates, lambda: book.update("one", later(0, 100)), file.rpartition("/")[2], "changed")
    with pytest.raises(ReleaseError, match="changed"):
        book.status("one")
    path.write_bytes(sound)
    assert book.update("one", later(0, 100)).attempt.rows == 100


def test_another_sound_policy_in_its_place_is_refused(gates: Path, later: Later) -> None:
    """A policy that is whole in itself, but not the one that was frozen."""
    policy = jumar.load_policy(gates / "one/policy")
    card = json.loads((gates / "one/policy/policy.json").read_text())
    jumar.Policy(msgspec.structs.replace(policy.card, temperature=card["temperature"] * 2), policy.model).save(
        gates / "one/policy"
    )
    refused(gates, lambda: Gates(gates).update("one", later(0, 100)), "policy.json", "hash differs")


def test_a_state_that_was_put_back_is_refused(gates: Path, later: Later) -> None:
    """Yesterday's sums under today's name would make rows count twice, or bad days not at all."""
    book = Gates(gates)
    book.update("one", later(0, 100))
    old = (gates / "one/state-000001.json").read_bytes()
    book.update("one", later(1, 100))
    assert not (gates / "one/state-000001.json").exists()
    (gates / "one/state-000002.json").write_bytes(old)
    refused(gates, lambda: book.update("one", later(2, 100)), "state-000002.json", "changed")
    (gates / "one/state-000002.json").unlink()
    refused(gates, lambda: book.update("one", later(2, 100)), "state-000002.json", "missing")
    assert book.close("one", why="its state is lost").outcome == "closed"


def test_nothing_without_a_ledger(gates: Path, later: Later, tmp_path: Path) -> None:
    (gates / "ledger.json").unlink()
    for act in (
        lambda: Gates(gates).update("one", later(0, 100)),
        lambda: Gates(gates).status("one"),
        lambda: Gates(gates).close("one", why="x"),
        lambda: Gates(tmp_path / "nowhere").ledger(),
    ):
        with pytest.raises(ReleaseError, match="There is no ledger"):
            act()
    assert not (tmp_path / "nowhere").exists()


def test_unknown_names(gates: Path, later: Later) -> None:
    refused(gates, lambda: Gates(gates).update("on", later(0, 100)), "Did you mean 'one'?")
    refused(gates, lambda: Gates(gates).status("zzzzzz"), "There are: one.")


def test_two_processes_at_once(gates: Path, later: Later, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that counted rows while another was still judging its own: the slower one starts again."""
    from jumar.release import challenger

    judge = vars(challenger)["judge"]

    def slow(*given: Any, **named: Any) -> Any:
        found = judge(*given, **named)
        monkeypatch.setattr(challenger, "judge", judge)
        Gates(gates).update("one", later(1, 100))
        return found

    monkeypatch.setattr(challenger, "judge", slow)
    with pytest.raises(ReleaseError, match="Another process changed 'one' meanwhile"):
        Gates(gates).update("one", later(0, 100))
    assert Gates(gates).status("one").attempt.rows == 100


def test_the_lock_is_waited_for_and_then_refused(gates: Path, later: Later) -> None:
    from jumar.release.ledger import locked

    with locked(gates, 0.0):
        refused(gates, lambda: Gates(gates, wait_s=0.1).close("one", why="x"), "Another process is writing")
        Gates(gates).status("one")  # reading needs no lock
    assert Gates(gates).update("one", later(0, 100)).attempt.looks == 1


def test_a_log_without_units_is_judged_whole(
    make_bandit: Callable[..., pa.Table], run: Path, gates: Path, later: Later
) -> None:
    """Where the policy's own log had no unit, time alone keeps learning and judging apart, and every row counts."""
    policy = jumar.load_policy(run)
    roles = msgspec.structs.replace(policy.card.log_schema.roles, unit=None)
    card = msgspec.structs.replace(policy.card, log_schema=msgspec.structs.replace(policy.card.log_schema, roles=roles))
    past = dated(make_bandit(20_000), MONDAY, 7).drop_columns(["unit"])
    book = Gates(gates)
    book.open(jumar.Policy(card, policy.model), past, rows_planned=1_000, rows_most=2_000, name="two", after="log")
    look = book.update("two", later(0, 300, learned=True).drop_columns(["unit"])).looks[-1]
    assert (look.rows, look.left_out) == (300, 0)


def test_an_option_is_an_option() -> None:
    assert issubclass(OptionError, JumarError)
    assert issubclass(ReleaseError, JumarError)
