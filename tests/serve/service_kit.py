"""What the tests of the service share: policies at random weights, registries, a caller of ASGI applications."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Mapping
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import msgspec
import numpy as np
import pyarrow as pa

from jumar.features import FeatureSpec
from jumar.features.raw import TIME_PARTS
from jumar.features.spec import CategoryColumn, IdsColumn, NumberColumn
from jumar.features.vectors import init_tables, vector_width
from jumar.learn import FitResult, OneStep
from jumar.learn.networks import init_stack
from jumar.logs.schema import Feature, LogSchema, Roles
from jumar.policy import Policy, PolicyCard, build_graph
from jumar.policy.exploration import Exploration, parse_exploration
from jumar.serve.app import App, Limits
from jumar.serve.counts import DayCounts
from jumar.serve.decider import Decider
from jumar.serve.desk import Desk, Serving
from jumar.serve.journal.sink import REWARDS, Stream
from jumar.serve.messages import Health
from jumar.serve.metrics import Metrics

KINDS = {
    "x": ("number", "double"),
    "k": ("number", "int64"),
    "spelt": ("number", "string"),
    "when": ("time", "timestamp[us]"),
    "flag": ("boolean", "bool"),
    "c": ("category", "string"),
    "n": ("category", "int64"),
    "l": ("ids", "list<item: string>"),
}
CONTEXT: dict[str, Any] = {
    "x": 0.5,
    "k": 3,
    "spelt": "1.5",
    "when": "2026-03-01T10:00:00Z",
    "flag": True,
    "c": "a",
    "n": 7,
    "l": ["p", "q"],
}


def number(name: str, part: str = "") -> NumberColumn:
    scale = {"days": 20_000.0}.get(part, 0.0)
    return NumberColumn(name=name, part=part, centre=scale, width=1.0, mean=0.0, scale=1.0, missing=True, levels=())


SPEC = FeatureSpec(
    numbers=(
        *(number(name) for name in ("x", "k", "spelt", "flag")),
        *(number("when", part) for part in TIME_PARTS),
    ),
    categories=(CategoryColumn(name="c", vocabulary=("a", "b")), CategoryColumn(name="n", vocabulary=("7", "8"))),
    ids=(IdsColumn(name="l", vocabulary=("p", "q"), length=3),),
)


def make_policy(seed: int = 0, actions: tuple[Any, ...] = ("a", "b", "c"), minimum: float = 0.02) -> Policy:
    """A policy with random weights: whatever holds of it holds of any."""
    rng = np.random.default_rng(seed)

    def group(members: int, outputs: int) -> dict[str, Any]:
        net = init_stack(rng, members, (vector_width(SPEC), 16, outputs))
        for layer in net:
            layer["bias"] = jnp.asarray(0.3 * rng.standard_normal(layer["bias"].shape, np.float32))
        return {"tables": init_tables(SPEC, rng), "net": net}

    count = len(actions)
    learned = OneStep(SPEC, count, group(1, count), group(4, 1 + count), 0.3, 0.2, FitResult({}), FitResult({}))
    floor = [minimum] * count
    model = build_graph(learned, inverse_temperatures=(2.0,), scale=0.2, pessimism=1.0, minimum=floor)
    graph = model.SerializeToString(deterministic=True)
    features = tuple(Feature(name=name, kind=kind, arrow_type=arrow) for name, (kind, arrow) in KINDS.items())  # type: ignore[arg-type]
    schema = LogSchema(
        roles=Roles(decision_id="decision_id", unit="unit", action="action", propensity="propensity", reward="reward"),
        reward_low=0.0,
        reward_high=1.0,
        cap_reward=False,
        features=features,
        actions=actions,
    )
    card = PolicyCard(
        format=1,
        actions=list(actions),
        log_schema=schema,
        features=SPEC,
        temperature=0.5,
        advantage_scale=0.2,
        pessimism=1.0,
        minimum=floor,
        train_rows=1,
        train_units_below=0.5,
        model_sha256=hashlib.sha256(graph).hexdigest(),
        jumar_version="0",
    )
    return Policy(card, graph)


class MemorySink:
    """A sink that keeps what it is given; it may be slow, and it may refuse."""

    def __init__(self) -> None:
        self.rows: dict[str, list[dict[str, Any]]] = {"decisions": [], "rewards": []}
        self.refuses: Exception | None = None
        self.held: list[Future[None]] | None = None

    def append(self, stream: Stream, batch: Any, schema: pa.Schema | None = None) -> Future[None]:
        future: Future[None] = Future()
        if self.refuses is not None:
            future.set_exception(self.refuses)
            return future
        assert isinstance(batch, Mapping)
        kind = REWARDS if schema is None else schema
        arrays = [pa.array(batch[field.name], field.type) for field in kind]
        self.rows[stream] += pa.RecordBatch.from_arrays(arrays, schema=kind).to_pylist()
        if self.held is None:
            future.set_result(None)
        else:
            self.held.append(future)
        return future

    def close(self) -> None:
        pass


class Caller:
    """A service in this process, and whoever calls it."""

    def __init__(self, policy: Policy, explore: str = "policy", sink: Any = None, **given: Any) -> None:
        self.explore: Exploration = parse_exploration(explore)
        self.sink = MemorySink() if sink is None else sink
        self.metrics = Metrics()
        counts = DayCounts(self.explore.turns, "salt") if self.explore.turns else None
        self.desk = Desk(self.sink, self.metrics, counts=counts, patience_s=given.pop("patience_s", 5.0))
        self.decider = Decider(policy, self.explore, "salt", version="v1", default=given.pop("default", None))
        self.desk.serving = Serving(self.decider, record=1)
        limits = Limits(**given.pop("limits", {}))
        self.app = App(self.desk, self.metrics, self.health, limits=limits, **given)

    def health(self) -> Health:
        return Health(
            status="ok", problems=[], production="v1", challenger=None, share=0.0, record=1, actions=[],
            exploration="policy", default_action=None, worker=0, uptime_s=0.0,
        )  # fmt: skip

    async def send(
        self,
        method: str,
        path: str,
        body: bytes = b"",
        headers: Mapping[str, str] | None = None,
        pieces: list[bytes] | None = None,
    ) -> tuple[int, dict[str, str], bytes]:
        sent = {"content-type": "application/json"} | dict(headers or {})
        if pieces is None and "content-length" not in sent:
            sent["content-length"] = str(len(body))
        scope = {
            "type": "http",
            "method": method,
            "path": path,
            "headers": [(name.lower().encode(), value.encode()) for name, value in sent.items() if value],
        }
        waiting = [body] if pieces is None else list(pieces)
        replies: list[dict[str, Any]] = []

        async def receive() -> dict[str, Any]:
            if not waiting:
                await asyncio.sleep(3_600)
            return {"type": "http.request", "body": waiting.pop(0), "more_body": bool(waiting)}

        async def answer(message: dict[str, Any]) -> None:
            replies.append(message)

        await self.app(scope, receive, answer)
        head = {name.decode(): value.decode() for name, value in replies[0]["headers"]}
        return replies[0]["status"], head, replies[1]["body"]

    async def post(self, path: str, document: Any, **headers: str) -> tuple[int, Any]:
        body = document if isinstance(document, bytes) else msgspec.json.encode(document)
        status, _, answer = await self.send("POST", path, body, {k.replace("_", "-"): v for k, v in headers.items()})
        return status, msgspec.json.decode(answer)

    def decide(self, document: Any) -> tuple[int, Any]:
        return asyncio.run(self.post("/decide", document))


def make_registry(place: Path, *policies: Policy) -> tuple[Any, list[str]]:
    """A registry that holds policies, the first of which is in production."""
    from jumar.release import Registry

    registry = Registry.create(str(place / "registry"))
    versions = []
    for i, policy in enumerate(policies):
        policy.save(place / f"policy{i}")
        versions.append(registry.register(place / f"policy{i}").version)
    registry.promote(versions[0], why="first", forced=True)
    return registry, versions
