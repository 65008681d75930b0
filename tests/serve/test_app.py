"""The routes: what is told is in the log, and nothing that a caller sends is a defect of ours."""

from __future__ import annotations

import asyncio
import html
import re
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

import jsonschema
import msgspec
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from service_kit import CONTEXT, Caller, make_policy

from jumar.policy import Policy
from jumar.release.arms import place
from jumar.serve.decider import Decider
from jumar.serve.desk import Serving

TOKEN = "a-token-of-some-length"
Make = Callable[..., Caller]


@pytest.fixture(scope="module")
def policy() -> Policy:
    return make_policy()


@pytest.fixture
def make(policy: Policy) -> Make:
    return lambda **given: Caller(policy, **given)


# What is told is in the log


def test_one_decision_is_told_and_logged(make: Make) -> None:
    caller = make()
    status, told = caller.decide({"context": CONTEXT, "unit": "u", "decision_id": "d"})
    assert status == 200
    (row,) = caller.sink.rows["decisions"]
    assert {name: row[name] for name in told} == told
    assert (row["unit"], row["x"], row["l"], row["fallback"]) == ("u", 0.5, ["p", "q"], False)
    assert row["propensity"] == row["pmf"][caller.decider.actions.index(row["action"])]
    assert caller.decide({"context": CONTEXT, "decision_id": "d"})[1] == told  # asked again, decided alike


def test_many_decisions_come_back_in_order(make: Make) -> None:
    caller = make()
    asked = [{"context": CONTEXT | {"x": i / 10}, "decision_id": f"d{i}"} for i in range(30)]
    asked[7]["context"] = {}
    status, told = caller.decide(asked)
    assert status == 200
    assert [one["decision_id"] for one in told] == [f"d{i}" for i in range(30)]
    assert [one["fallback"] for one in told] == [i == 7 for i in range(30)]
    assert "`x`" in told[7]["fallback_reason"]
    assert [row["decision_id"] for row in caller.sink.rows["decisions"]] == [f"d{i}" for i in range(30)]
    assert caller.sink.rows["decisions"][7]["propensity"] == 1.0
    assert caller.sink.rows["decisions"][7]["x"] is None


def test_requests_that_arrive_together_are_scored_together(make: Make) -> None:
    caller = make()

    async def all_at_once() -> list[tuple[int, Any]]:
        return await asyncio.gather(
            *(caller.post("/decide", {"context": CONTEXT, "decision_id": str(i)}) for i in range(50))
        )

    told = asyncio.run(all_at_once())
    assert [answer["decision_id"] for _, answer in told] == [str(i) for i in range(50)]
    assert caller.metrics.text().decode().count("jumar_batches_total 1\n") == 1


def test_nobody_is_told_before_the_log_has_it(make: Make) -> None:
    caller = make()
    held: list[Future[None]] = []
    caller.sink.held = held

    async def ask() -> None:
        asked = asyncio.ensure_future(caller.post("/decide", {"context": CONTEXT}))
        rewarded = asyncio.ensure_future(caller.post("/reward", {"decision_id": "d", "value": 1}))
        await asyncio.sleep(0.05)
        assert len(held) == 2
        assert not asked.done()
        assert not rewarded.done()
        assert caller.desk.waiting == 2
        for future in held:
            future.set_result(None)
        assert (await asked)[0] == 200
        assert (await rewarded) == (200, {"accepted": 1})
        assert caller.desk.waiting == 0

    asyncio.run(ask())


@pytest.mark.parametrize("how", ["refuses", "late", "raises", "full"])
def test_what_is_not_in_the_log_is_not_told(make: Make, how: str) -> None:
    caller = make(patience_s=0.05)
    if how == "refuses":
        caller.sink.refuses = OSError(28, "No space left on device")
    elif how == "late":
        caller.sink.held = []
    elif how == "raises":
        caller.sink.append = lambda *a, **k: 1 / 0  # type: ignore[method-assign]
    else:
        caller.desk._most_waiting = 0
    for path, document in (("/decide", {"context": CONTEXT}), ("/reward", {"decision_id": "d", "value": 1})):
        body = msgspec.json.encode(document)
        status, headers, answer = asyncio.run(caller.send("POST", path, body))
        assert (status, headers["retry-after"]) == (503, "1")
        assert b"propensity" not in answer
    if how != "late":
        assert caller.desk.waiting == 0
        caller.sink.refuses = None
    if how == "refuses":
        assert "No space" in str(caller.desk.trouble)
        assert caller.decide({"context": CONTEXT})[0] == 200
        assert caller.desk.trouble is None


def test_rewards_are_logged_with_their_metrics(make: Make) -> None:
    caller = make()
    rewards = [
        {"decision_id": "d", "value": 2, "metrics": {"tapped": 1, "é": -0.5}},
        {"decision_id": "unknown", "metrics": {"m": 0}, "reward_id": "r"},
    ]
    assert asyncio.run(caller.post("/reward", rewards)) == (200, {"accepted": 2})
    first, second = caller.sink.rows["rewards"]
    assert (first["value"], dict(first["metrics"]), first["reward_id"]) == (2.0, {"tapped": 1.0, "é": -0.5}, None)
    assert (second["value"], second["reward_id"]) == (None, "r")
    assert asyncio.run(caller.post("/reward", {"decision_id": "d"}))[0] == 400
    for name in ("a\0b", "\0", "\n\0"):  # no column of a log can be named so
        assert asyncio.run(caller.post("/reward", {"decision_id": "d", "metrics": {name: 1}}))[0] == 400


def test_candidates(make: Make) -> None:
    caller = make()
    status, told = caller.decide({"context": CONTEXT, "candidates": ["c", "b"]})
    assert status == 200
    assert told["pmf"][0] == 0.0
    assert sum(told["pmf"]) == pytest.approx(1.0)
    status, told = caller.decide([{"context": CONTEXT}, {"context": CONTEXT, "candidates": ["nope"]}])
    assert status == 422
    assert "nope" in told["error"]
    assert len(caller.sink.rows["decisions"]) == 1
    assert caller.decide({"context": CONTEXT, "candidates": []})[0] == 400


def test_a_budget_gives_each_unit_one_random_decision_a_day(make: Make) -> None:
    caller = make(explore="budget:3")
    asked = [{"context": CONTEXT, "unit": f"u{i % 5}", "decision_id": f"d{i}"} for i in range(40)]
    _, told = caller.decide(asked[:20])
    told += caller.decide(asked[20:])[1]
    for unit in range(5):
        mine = [one for one in told if int(one["decision_id"][1:]) % 5 == unit]
        assert [one["exploration"] for one in mine] == [f"budget:3:{min(n, 4)}" for n in range(1, 9)]
        assert all(max(one["pmf"]) == 1.0 for one in mine[3:])
    again = caller.decide(asked[1])[1]  # asked again, it keeps its number
    assert again | {"pmf": None, "propensity": None} == told[1] | {"pmf": None, "propensity": None}
    assert again["pmf"] == pytest.approx(told[1]["pmf"], abs=1e-6)
    assert max(caller.decide({"context": CONTEXT})[1]["pmf"]) == 1.0  # nobody's


def test_a_canary_decides_about_its_share_of_units_for_good(make: Make, policy: Policy) -> None:
    caller = make()
    other = Decider(make_policy(7), salt="salt", version="v2")
    units = [f"u{i}" for i in range(400)]
    asked = [{"context": CONTEXT, "unit": unit} for unit in units]
    places = {unit: place(unit, "one") for unit in units}
    before: set[str] = set()
    for share in (0.05, 0.25, 1.0):
        caller.desk.serving = Serving(caller.decider, other, share, "one", 2)
        _, told = caller.decide(asked)
        here = {unit for unit, one in zip(units, told, strict=True) if one["policy"] == "v2"}
        assert here == {unit for unit in units if places[unit] < share}
        assert before <= here
        before = here
    rows = caller.sink.rows["decisions"]
    assert {row["policy"] for row in rows} == {"v1", "v2"}


# Refusals


def test_tokens_guard_what_writes_and_nothing_else(make: Make) -> None:
    caller = make(tokens=[b"another", TOKEN.encode()])
    good = {"context": CONTEXT}
    for path in ("/decide", "/reward"):
        for headers in ({}, {"authorization": TOKEN}, {"authorization": "Bearer wrong"}, {"authorization": "Bearer"}):
            assert asyncio.run(caller.post(path, good, **headers))[0] == 401
    assert not caller.sink.rows["decisions"]
    assert asyncio.run(caller.post("/decide", good, authorization=f"Bearer {TOKEN}"))[0] == 200
    assert asyncio.run(caller.post("/decide", good, authorization="bearer another"))[0] == 200
    for path in ("/healthz", "/metrics", "/openapi.json", "/docs"):
        assert asyncio.run(caller.send("GET", path))[0] == 200


def test_a_body_is_refused_before_it_is_read(make: Make) -> None:
    caller = make(limits={"body_bytes": 2_000})

    def send(headers: dict[str, str], pieces: list[bytes]) -> tuple[int, dict[str, str], bytes]:
        return asyncio.run(caller.send("POST", "/decide", headers=headers, pieces=pieces))

    for length in ("1000000000", "9" * 400, "-1", "x"):
        status, headers, _ = send({"content-length": length}, [])
        assert (status, headers["connection"]) == (413, "close")
    assert send({"content-length": ""}, [b"x" * 1_500] * 3)[0] == 413
    assert send({"content-type": "text/plain"}, [b"{}"])[0] == 415
    assert send({"content-type": "Application/JSON; charset=utf-8"}, [b"{}"])[0] == 400


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400), (b"{", 400), (b"null", 400), (b"[]", 400), (b"3", 400), (b"\xff\xfe", 400), (b"{}", 400),
        (b'{"context": NaN}', 400), (b'{"context": {"x": NaN}}', 400), (b'{"context": {"x": Infinity}}', 400),
        (b'{"context": ' + b"[" * 400_000 + b"]" * 400_000 + b"}", 400), (b"[" * 900_000, 400),
        (b'{"context": {"x": 1e999}}', 400), (b'{"context": {"k": 1' + b"0" * 5_000 + b"}}", 400),
        (b'{"context": {"x": "\xff"}}', 400), (b'{"context": {}, "unit": "\\ud800"}', 400),
        (b'{"context": {"c": "\\udc00"}}', 400), (b'{"context": {}, "unit": 5}', 400),
        (b'{"context": {}, "unit": ""}', 400),
        (b'{"context": {}, "decision_id": "' + b"x" * 300 + b'"}', 400), (b'{"context": {}, "other": 1}', 400),
        (b'{"context": {}, "candidates": [{}]}', 400), (b'{"context": {}, "candidates": [1.5]}', 400),
        (b'{"context": {}, "candidates": "a"}', 400),
        (b'{"context": {}, "candidates": [99999999999999999999999]}', 422),
        (b"[" + b",".join([b'{"context": {}}'] * 1_001) + b"]", 400),
        (b'{"context": 5}', 200), (b'{"context": null}', 200), (b'{"context": []}', 200),
        (b'{"context": {"x": 1, "x": 2}, "unit": "a", "unit": "b"}', 200),
    ],
    ids=range(30),
)  # fmt: skip
def test_hostile_bodies(make: Make, body: bytes, status: int) -> None:
    caller = make()
    answer = asyncio.run(caller.send("POST", "/decide", body))
    assert answer[0] == status, answer
    rows = caller.sink.rows["decisions"]
    assert len(rows) == (status == 200)
    assert all(row["fallback"] for row in rows)  # of those accepted, none holds a whole context
    if b'"unit": "b"' in body:
        assert rows[0]["unit"] == "b"


NAMES = st.text(max_size=5) | st.sampled_from([*CONTEXT])
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES, inner, max_size=6),
    max_leaves=12,
)
IDS = JSON | st.text(min_size=1)
NEARLY = st.fixed_dictionaries(
    {"context": st.just(CONTEXT) | st.dictionaries(st.sampled_from([*CONTEXT]), JSON) | JSON},
    optional={"unit": IDS, "decision_id": IDS, "candidates": JSON | st.just(["a"])},
)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.sampled_from(["/decide", "/reward"]), JSON | NEARLY | st.lists(NEARLY, max_size=3) | st.binary())
@example("/decide", {"context": CONTEXT, "unit": "\x00", "decision_id": "\u2028"})
@example("/decide", {"context": {**CONTEXT, "when": "9999-12-31T23:59:59-12:00"}})
@example("/decide", {"context": {**CONTEXT, "when": "0001-01-01T00:00:00+12:00"}})
@example("/reward", {"decision_id": "d", "value": 1e308, "metrics": {"m": -1e308}})
def test_whatever_is_sent_is_no_defect(path: str, document: Any) -> None:
    caller = Caller(_POLICY)
    body = document if isinstance(document, bytes) else _json(document)
    status, _, answer = asyncio.run(caller.send("POST", path, body))
    assert status in (200, 400, 422), answer
    stream = "decisions" if path == "/decide" else "rewards"
    told = msgspec.json.decode(answer)
    rows = caller.sink.rows[stream]
    assert len(rows) == (0 if status != 200 else told["accepted"] if stream == "rewards" else _count(told))
    for row in caller.sink.rows["decisions"]:
        assert 0 < row["propensity"] <= 1
        assert sum(row["pmf"]) == pytest.approx(1.0)


_POLICY = make_policy()


def _count(told: Any) -> int:
    return len(told) if isinstance(told, list) else 1


def _json(document: Any) -> bytes:
    import json

    return json.dumps(document).encode("utf-8", "surrogatepass")


def test_unknown_routes_and_methods(make: Make) -> None:
    caller = make()
    assert asyncio.run(caller.send("GET", "/nothing"))[0] == 404
    status, headers, _ = asyncio.run(caller.send("GET", "/decide"))
    assert (status, headers["allow"]) == (405, "POST")
    assert asyncio.run(caller.send("DELETE", "/metrics"))[0] == 405
    assert asyncio.run(caller.send("HEAD", "/healthz"))[2] == b""
    caller.app.draining = True
    assert caller.decide({"context": CONTEXT})[0] == 503


def test_a_defect_is_said_to_be_one(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    caller = make()

    def broken() -> Any:
        raise RuntimeError("secret")

    monkeypatch.setattr(caller.app, "health", broken)
    status, _, answer = asyncio.run(caller.send("GET", "/healthz"))
    assert status == 500
    assert b"secret" not in answer


# What it says of itself


def test_metrics_are_prometheus_text(make: Make) -> None:
    caller = make()
    caller.decide([{"context": CONTEXT}, {"context": {}}])
    caller.decide(b"x")
    text = asyncio.run(caller.send("GET", "/metrics"))[2].decode()
    values = {}
    for line in text.splitlines():
        if not line.startswith("#"):
            name, value = re.fullmatch(r"([a-z_]+(?:\{[^}]*\})?) ([0-9.e+-]+)", line).groups()  # type: ignore[union-attr]
            assert name not in values
            values[name] = float(value)
    assert values['jumar_decisions_total{policy="v1",fallback="false"}'] == 1
    assert values['jumar_decisions_total{policy="v1",fallback="true"}'] == 1
    assert values['jumar_fallbacks_total{what="context"}'] == 1
    assert values['jumar_requests_total{route="/decide",status="200"}'] == 1
    assert values['jumar_requests_total{route="/decide",status="400"}'] == 1
    buckets = [value for name, value in values.items() if name.startswith("jumar_request_seconds_bucket")]
    assert buckets == sorted(buckets)
    assert buckets[-1] == values['jumar_request_seconds_count{route="/decide"}'] == 2
    assert text.index('le="0.001"') < text.index('le="0.01"') < text.index('le="+Inf"')


def test_the_document_describes_what_is_served(make: Make) -> None:
    caller = make(tokens=[TOKEN.encode()])
    document = msgspec.json.decode(asyncio.run(caller.send("GET", "/openapi.json"))[2])
    assert set(document["paths"]) == set(caller.app._routes)
    assert document["paths"]["/decide"]["post"]["security"] == [{"token": []}]
    assert set(document["components"]["schemas"]["Context"]["required"]) == set(CONTEXT)

    def fits(name: str, value: Any) -> None:
        jsonschema.validate(value, {"$ref": f"#/components/schemas/{name}", "components": document["components"]})

    fits("DecideRequest", {"context": CONTEXT, "candidates": ["a"], "unit": "u"})
    with pytest.raises(jsonschema.ValidationError):
        fits("DecideRequest", {"context": CONTEXT, "candidates": ["z"]})
    with pytest.raises(jsonschema.ValidationError):
        fits("DecideRequest", {"context": CONTEXT | {"x": "1"}})
    told = asyncio.run(caller.post("/decide", {"context": CONTEXT}, authorization=f"Bearer {TOKEN}"))[1]
    fits("Decision", told)
    fits("Health", msgspec.json.decode(asyncio.run(caller.send("GET", "/healthz"))[2]))
    caller.desk.serving = None
    assert asyncio.run(caller.send("GET", "/openapi.json"))[0] == 200
    assert asyncio.run(caller.post("/decide", {"context": CONTEXT}, authorization=f"Bearer {TOKEN}"))[0] == 503


def test_the_page_needs_nothing_from_elsewhere(make: Make) -> None:
    status, headers, page = asyncio.run(make().send("GET", "/docs"))
    assert status == 200
    assert headers["content-security-policy"].startswith("default-src 'none'")
    text = page.decode()
    assert "http://" not in text
    assert "https://" not in text
    assert "<script" not in text
    for word in ("/decide", "DecideRequest", "Context", "spelt"):
        assert word in text


def test_the_request_on_the_page_is_decided(make: Make) -> None:
    """It goes to where the page came from, names every feature, and asks for the token where one is asked for."""
    caller = make()
    text = html.unescape(asyncio.run(caller.send("GET", "/docs", headers={"host": "example.org:9000"}))[2].decode())
    assert "curl -s example.org:9000/decide" in text
    assert "Bearer" not in text
    (asked,) = re.findall(r"-d '(.*\"context\".*)'", text)
    status, told = caller.decide(msgspec.json.decode(asked))
    assert (status, told["fallback"]) == (200, False)
    guarded = asyncio.run(make(tokens=[TOKEN.encode()]).send("GET", "/docs", headers={"host": "<b>"}))[2].decode()
    assert "Bearer $JUMAR_TOKEN" in guarded
    assert "curl -s localhost:8700/decide" in guarded


def test_futures_of_a_closed_loop_do_no_harm(make: Make) -> None:
    """A caller that gave up leaves rows that the log still takes."""
    caller = make()
    held: list[Future[None]] = []
    caller.sink.held = held

    async def give_up() -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.02):
                await caller.post("/decide", {"context": CONTEXT})
        held[0].set_result(None)
        await asyncio.sleep(0.01)
        assert caller.desk.waiting == 0

    asyncio.run(give_up())
