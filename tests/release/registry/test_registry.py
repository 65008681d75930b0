"""What may be promoted, on what grounds, and what the aliases are afterwards."""

from __future__ import annotations

import datetime
import json
import math
import shutil
import uuid
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jumar.errors import OptionError, PolicyError
from jumar.policy import load_policy
from jumar.release import Aliases, Gates, OvertakenError, Registry, ReleaseError, UncertifiedError
from jumar.release.documents import sha256

from ..conftest import DAY, MONDAY, Later
from .conftest import MakeRun


def test_a_promoted_policy_decides_as_the_run_did(book: Registry, make_run: MakeRun) -> None:
    run = make_run(1)
    version = book.register(run, why="tried")
    record = book.promote(version.version, why="first")
    assert record == book.state()
    assert (record.number, record.what, record.who, record.why) == (1, "promote", "anna", "first")
    assert (record.forced, record.share, record.alpha) == (False, 0.0, 0.01)
    assert record.aliases == Aliases(production=version.version)
    rows = pa.table({"segment": ["left", "right"], "noise": [0.0, 1.0]})
    served = book.policy("production")
    assert np.array_equal(served.pmf(rows), load_policy(run).pmf(rows))
    assert book.version("production").certificate == version.certificate
    assert version.certificate is not None
    assert version.certificate.verdict == "certified"
    assert record.certificate_sha256 == sha256((run / "certificate.json").read_bytes())


def test_a_version_is_named_by_its_files(book: Registry, make_run: MakeRun) -> None:
    run = make_run(1)
    model, card = ((run / "policy" / name).read_bytes() for name in ("policy.onnx", "policy.json"))
    first = book.register(run, why="tried")
    assert first.version == sha256(f"{sha256(model)}\n{sha256(card)}\n".encode())[:16]
    assert book.register(run, why="again") == first
    assert book.register(run / "policy") == first
    assert book.register(make_run(2)).version != first.version
    held = book.files(first.version)
    assert set(held) == {"policy.onnx", "policy.json", "certificate.json", "manifest.json", "report.html"}
    assert held["policy.onnx"] == model
    assert book.versions()[0].version == first.version


def test_an_empty_registry(book: Registry) -> None:
    state = book.state()
    assert (state.number, state.what, state.who, state.version, state.aliases) == (0, "create", "anna", None, Aliases())
    assert book.history() == []
    with pytest.raises(ReleaseError, match="Nothing is 'production'"):
        book.policy("production")
    with pytest.raises(ReleaseError, match="no previous version"):
        book.rollback(why="x")
    with pytest.raises(ReleaseError, match="No canary"):
        book.abandon(why="x")


def test_there_is_one_registry_in_a_place(book: Registry, tmp_path: Path) -> None:
    with pytest.raises(ReleaseError, match="a registry already"):
        Registry.create(book.url)
    with pytest.raises(ReleaseError, match="There is no registry"):
        Registry(tmp_path / "elsewhere")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.txt").write_text("x")
    with pytest.raises(ReleaseError, match=r"thesis\.txt"):
        Registry.create(tmp_path / "full")


# On what grounds


def test_nothing_uncertified_without_force(book: Registry, uncertified: Path) -> None:
    version = book.register(uncertified).version
    with pytest.raises(UncertifiedError, match="has no certificate"):
        book.promote(version, why="hope")
    assert book.state().number == 0
    with pytest.raises(OptionError, match="reason"):
        book.promote(version, why=" ", forced=True)
    record = book.promote(version, why="the site is down", forced=True)
    assert (record.forced, record.alpha, record.certificate_sha256) == (True, None, "")
    assert book.history()[0].why == "the site is down"


@pytest.mark.parametrize("verdict", ["conditional", "refused"])
def test_another_verdict_is_not_enough(book: Registry, make_run: MakeRun, verdict: str) -> None:
    version = book.register(make_run(1, verdict=verdict)).version
    with pytest.raises(UncertifiedError, match=f"says '{verdict}'"):
        book.promote(version, why="x")
    assert book.promote(version, why="x", forced=True).forced


def test_force_that_was_not_needed_is_not_recorded_as_force(book: Registry, make_run: MakeRun) -> None:
    assert not book.promote(book.register(make_run(1)).version, why="x", forced=True).forced


def test_a_certificate_that_comes_later_counts(book: Registry, make_run: MakeRun) -> None:
    run = make_run(1)
    version = book.register(run / "policy").version
    with pytest.raises(UncertifiedError):
        book.promote(version, why="x")
    conditional = make_run(1, verdict="conditional")
    assert book.register(conditional).version == version
    with pytest.raises(UncertifiedError, match="conditional"):
        book.promote(version, why="x")
    certified = book.register(run)
    assert certified.certificate is not None
    assert certified.certificate.verdict == "certified"
    record = book.promote(version, why="x")
    assert not record.forced
    assert record.certificate_sha256 == sha256((run / "certificate.json").read_bytes())


def test_a_certificate_of_another_policy(book: Registry, make_run: MakeRun) -> None:
    with pytest.raises(ReleaseError, match="speaks of another policy"):
        book.register(make_run(1, policy_sha256="0" * 64))
    with pytest.raises(ReleaseError, match="speaks of another policy"):
        book.register(make_run(1, card_sha256="0" * 64))
    with pytest.raises(ReleaseError, match=r"manifest\.json' is not the plan"):
        book.register(make_run(1, manifest_sha256="0" * 64))
    without = make_run(1)
    (without / "manifest.json").unlink()
    with pytest.raises(ReleaseError, match=r"manifest\.json' is not the plan"):
        book.register(without)
    assert book.versions() == []


def test_a_refused_run_cannot_be_registered(book: Registry, make_run: MakeRun) -> None:
    run = make_run(1)
    shutil.rmtree(run / "policy")
    with pytest.raises(PolicyError, match="no policy"):
        book.register(run)


def test_a_passed_challenger_may_be_promoted(gates: Path, later: Later, tmp_path: Path) -> None:
    """Its policy needs no certificate of a run; nor does anyone else's pass with it."""
    book = Registry.create(tmp_path / "registry", who="anna")
    shutil.copytree(gates, tmp_path / "registry" / "gates")
    judged = Gates(tmp_path / "registry" / "gates", now=lambda: MONDAY + 40 * DAY)
    version = book.register(tmp_path / "registry" / "gates" / "one")
    assert version.certificate is None
    with pytest.raises(UncertifiedError):
        book.promote(version.version, why="x")
    assert judged.update("one", later(0, 3_000)).attempt.outcome == "passed"
    record = book.promote(version.version, why="passed")
    attempt = judged.status("one").attempt
    assert (record.attempt, record.alpha, record.forced) == ("one", attempt.alpha, False)
    assert book.gates is not None
    ledger = book.gates.known_ledger()
    assert ledger is not None
    assert [row.name for row in ledger.rows] == ["one"]


def test_a_challenger_with_the_same_graph_and_another_card_is_another(
    gates: Path, later: Later, make_run: MakeRun, tmp_path: Path
) -> None:
    Gates(gates, now=lambda: MONDAY + 40 * DAY).update("one", later(0, 3_000))
    book = Registry.create(tmp_path / "registry", gates=gates)
    other = book.register(make_run(7) / "policy")
    assert other.policy_sha256 == Gates(gates).status("one").attempt.policy_sha256
    with pytest.raises(UncertifiedError):
        book.promote(other.version, why="x")


# Aliases


def test_promoting_and_rolling_back(book: Registry, make_run: MakeRun) -> None:
    a, b, c = (book.register(make_run(k)).version for k in range(3))
    for version in (a, b, c):
        book.promote(version, why="better")
    with pytest.raises(ReleaseError, match="in production already"):
        book.promote("production", why="again")
    assert book.state().aliases == Aliases(production=c, previous=b)
    assert book.rollback(why="worse").aliases == Aliases(production=b, previous=a)
    assert book.rollback(why="worse").aliases == Aliases(production=a)
    with pytest.raises(ReleaseError, match="no previous version"):
        book.rollback(why="worse")
    assert book.promote(c, why="mended").aliases == Aliases(production=c, previous=a)
    assert [record.what for record in book.history()] == ["promote"] * 3 + ["rollback"] * 2 + ["promote"]


def test_rolling_back_never_returns_to_what_was_left_behind(book: Registry, make_run: MakeRun) -> None:
    a, b = (book.register(make_run(k)).version for k in range(2))
    for version in (a, b, a):
        book.promote(version, why="x")
    assert book.rollback(why="x").aliases == Aliases(production=b, previous=a)
    assert book.rollback(why="x").aliases == Aliases(production=a)


def test_a_canary(book: Registry, make_run: MakeRun) -> None:
    a, b, c = (book.register(make_run(k)).version for k in range(3))
    with pytest.raises(ReleaseError, match="no production"):
        book.promote(a, why="x", share=0.01)
    book.promote(a, why="x")
    assert book.promote(b, why="x", share=0.01).aliases == Aliases(production=a, challenger=b)
    with pytest.raises(ReleaseError, match=f"canary of '{b}' is in progress"):
        book.promote(c, why="x")
    with pytest.raises(ReleaseError, match="already"):
        book.widen(0.01, why="x")
    assert (book.widen(0.05, why="x").share, book.state().what) == (0.05, "widen")
    assert book.promote("challenger", why="x", share=0.25).share == 0.25
    ended = book.abandon(why="harm")
    assert (ended.aliases, ended.share, ended.version) == (Aliases(production=a), 0.0, b)
    book.promote(b, why="x", share=0.5)
    done = book.widen(1, why="no harm")
    assert (done.what, done.aliases, done.share) == ("promote", Aliases(production=b, previous=a), 0.0)
    book.promote(c, why="x", share=0.1)
    assert book.rollback(why="harm").aliases == Aliases(production=a)


def test_rolling_back_a_first_canary_says_how_to_end_it(book: Registry, make_run: MakeRun) -> None:
    a, b = (book.register(make_run(k)).version for k in range(2))
    book.promote(a, why="x")
    book.promote(b, why="x", share=0.1)
    with pytest.raises(ReleaseError, match="jumar abandon"):
        book.rollback(why="x")


def test_force_stays_with_what_was_forced(book: Registry, make_run: MakeRun, uncertified: Path) -> None:
    """A canary that was forced is forced when it widens and when it is returned to."""
    a, b, bad = (book.register(one).version for one in (make_run(0), make_run(1), uncertified))
    assert not book.promote(a, why="x").forced
    assert book.promote(bad, why="x", share=0.1, forced=True).forced
    assert book.widen(0.5, why="x").forced
    assert book.widen(1.0, why="x").forced
    assert not book.promote(b, why="x").forced
    assert book.rollback(why="x").forced
    back = book.rollback(why="x")
    assert (back.version, back.forced, back.alpha) == (a, False, 0.01)


@pytest.mark.parametrize("share", [0.0, -0.1, 1.5, math.nan, math.inf])
def test_shares_that_are_none(book: Registry, make_run: MakeRun, share: float) -> None:
    a, b = (book.register(make_run(k)).version for k in range(2))
    book.promote(a, why="x")
    with pytest.raises(OptionError, match="share of units"):
        book.promote(b, why="x", share=share)
    assert book.state().number == 1


def test_a_version_that_is_not_there(book: Registry, make_run: MakeRun) -> None:
    version = book.register(make_run(1)).version
    with pytest.raises(ReleaseError, match=f"Did you mean '{version}'"):
        book.promote(version[:-1] + "z", why="x")
    for name in ("../../etc/passwd", "", "0" * 16):
        with pytest.raises(ReleaseError, match="There is no version"):
            book.policy(name)


# Two writers


def test_expecting_an_older_state(book: Registry, make_run: MakeRun) -> None:
    a, b = (book.register(make_run(k)).version for k in range(2))
    assert book.promote(a, why="x", expect=0).number == 1
    with pytest.raises(OvertakenError, match=f"stands at record 1, not at 0: anna promoted {a}"):
        book.promote(b, why="x", expect=0)
    assert book.promote(b, why="x", expect=1).number == 2
    with pytest.raises(OvertakenError):
        book.rollback(why="x", expect=1)


def test_a_writer_between_reading_and_writing(
    book: Registry, make_run: MakeRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    a, b = (book.register(make_run(k)).version for k in range(2))
    other = Registry(book.url, who="bert")
    create: Any = book._files.create  # pyright: ignore[reportPrivateUsage]

    def late(name: str, data: bytes) -> bool:
        monkeypatch.undo()
        other.promote(b, why="first")
        return create(name, data)

    monkeypatch.setattr(book._files, "create", late)  # pyright: ignore[reportPrivateUsage]
    with pytest.raises(OvertakenError, match=f"bert promoted {b}"):
        book.promote(a, why="second")
    assert [record.who for record in book.history()] == ["bert"]


def test_readers_see_what_others_wrote(book: Registry, make_run: MakeRun) -> None:
    reader = Registry(book.url)
    assert reader.state().number == 0
    for k in range(3):
        book.promote(book.register(make_run(k)).version, why="x")
    assert reader.state() == book.state()
    assert Registry(book.url).state() == book.state()
    assert reader.history() == book.history()


# Whatever is done


OPERATIONS = st.lists(
    st.tuples(
        st.sampled_from(["promote", "canary", "widen", "abandon", "rollback"]),
        st.integers(0, 3),
        st.sampled_from([0.01, 0.25, 1.0]),
    ),
    max_size=14,
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(OPERATIONS)
def test_any_order_of_steps(make_run: MakeRun, operations: list[tuple[str, int, float]]) -> None:
    """The aliases are those of a model that keeps a stack; the trail is a chain, and its bytes say so."""
    place = f"memory://{uuid.uuid4().hex}"
    clock = iter(MONDAY + k * datetime.timedelta(seconds=1) for k in range(1_000))
    book = Registry.create(place, who="anna", now=lambda: next(clock))
    versions = [book.register(run).version for run in _runs(make_run)]
    stack: list[str] = []
    challenger, share, steps = None, 0.0, 0
    for what, k, wanted in operations:
        version = versions[k]
        allowed = {
            "promote": version not in stack[-1:] and challenger in (None, version),
            "canary": bool(stack) and version not in stack[-1:] and challenger is None,
            "widen": challenger is not None and wanted > share,
            "abandon": challenger is not None,
            "rollback": len(stack) > 1,
        }[what]
        try:
            if what in ("promote", "canary"):
                book.promote(version, why="x", share=1.0 if what == "promote" else 0.1)
            elif what == "widen":
                book.widen(wanted, why="x")
            else:
                getattr(book, what)(why="x")
        except ReleaseError:
            assert not allowed, (what, stack, challenger)
        else:
            assert allowed, (what, stack, challenger)
            steps += 1
            if what == "promote" or (what == "widen" and wanted == 1):
                stack.append(challenger if what == "widen" and challenger else version)
                challenger, share = None, 0.0
            elif what in ("canary", "widen"):
                challenger, share = (version, 0.1) if what == "canary" else (challenger, wanted)
            else:
                challenger, share = None, 0.0
                if what == "rollback":
                    stack.pop()
        aliases = Aliases(
            production=stack[-1] if stack else None,
            challenger=challenger,
            previous=stack[-2] if len(stack) > 1 else None,
        )
        assert (book.state().aliases, book.state().share, book.state().number) == (aliases, share, steps)
    read: Any = book._files.read  # pyright: ignore[reportPrivateUsage]
    before = read("registry.json")
    for number, record in enumerate(Registry(place).history(), 1):
        data = read(f"records/{number:012d}.json")
        assert json.loads(data)["previous_sha256"] == record.previous_sha256 == sha256(before)
        before = data


RUNS: list[Path] = []


def _runs(make_run: MakeRun) -> list[Path]:
    RUNS.extend(make_run(k) for k in range(len(RUNS), 4))
    return RUNS
