"""What the service counts, in the text that Prometheus reads.

In: events of one process. Out: totals over all processes of the service. Each process leaves its figures in a shared
folder once a second; whoever is asked adds the others' to its own, so that a scrape sees all of them at whichever
process it lands.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from itertools import accumulate
from pathlib import Path

import msgspec

BUCKETS = (0.001, 0.002, 0.003, 0.005, 0.0075, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
_HELP = {
    "jumar_decisions_total": ("counter", "Decisions that are in the log, by version and whether it fell back."),
    "jumar_fallbacks_total": ("counter", "Decisions that fell back, by what failed."),
    "jumar_rewards_total": ("counter", "Rewards that are in the log."),
    "jumar_requests_total": ("counter", "Requests answered, by route and status."),
    "jumar_batches_total": ("counter", "Groups of rows that were scored together."),
    "jumar_unlogged_total": ("counter", "Rows that the log refused; their callers were told 503."),
    "jumar_swaps_total": ("counter", "Changes of what decides."),
    "jumar_watch_failures_total": ("counter", "Looks at the registry that failed, by what failed."),
    "jumar_waiting_rows": ("gauge", "Rows that are not in the log yet."),
    "jumar_workers": ("gauge", "Processes that answer."),
    "jumar_registry_record": ("gauge", "Number of the registry's record that is followed."),
    "jumar_policy_info": ("gauge", "Versions that decide: 1 for each."),
    "jumar_challenger_share": ("gauge", "Share of units that the challenger decides about."),
    "jumar_ready": ("gauge", "1 if decisions are made."),
    "jumar_request_seconds": ("histogram", "Time from a request's headers to its reply, by route."),
}  # fmt: skip
_LARGEST = ("jumar_registry_record", "jumar_policy_info", "jumar_challenger_share")


class Metrics:
    """Figures of one process.

    Args:
        folder: where all processes of the service leave theirs; None for a process on its own.
        slot: which one this is.
    """

    def __init__(self, folder: Path | None = None, slot: int = 0) -> None:
        self._path = None if folder is None else folder / f"metrics-{slot}.json"
        self._values: defaultdict[str, float] = defaultdict(float)
        self._times: dict[str, list[int]] = {}
        if self._path is not None:  # a successor goes on counting where the last one died
            self._values.update({name: n for name, n in _read(self._path).items() if _kind(name) != "gauge"})

    def add(self, name: str, amount: float = 1, **labels: object) -> None:
        """Count."""
        self._values[_series(name, labels)] += amount

    def set(self, name: str, value: float, **labels: object) -> None:
        """Say how a gauge stands."""
        self._values[_series(name, labels)] = value

    def clear(self, name: str) -> None:
        """Forget all series of a gauge."""
        for series in [one for one in self._values if one.partition("{")[0] == name]:
            del self._values[series]

    def observe(self, seconds: float, route: str) -> None:
        """Count a request's time."""
        counts = self._times.get(route)
        if counts is None:
            counts = self._times[route] = [0] * (len(BUCKETS) + 1)
        counts[bisect_left(BUCKETS, seconds)] += 1
        self._values[f'jumar_request_seconds_sum{{route="{route}"}}'] += seconds

    def _all(self) -> dict[str, float]:
        """Everything, times as buckets that each hold the ones below."""
        for route, counts in self._times.items():
            for edge, below in zip((*BUCKETS, "+Inf"), accumulate(counts), strict=True):
                self.add("jumar_request_seconds_bucket", below, route=route, le=edge)
            self.add("jumar_request_seconds_count", sum(counts), route=route)
        self._times = {}
        return self._values

    def leave(self) -> None:
        """Leave the figures where the other processes find them."""
        if self._path is not None:
            temporary = self._path.with_suffix(".new")
            temporary.write_bytes(msgspec.json.encode(self._all()))
            temporary.replace(self._path)

    def text(self) -> bytes:
        """All processes' figures."""
        total = dict(self._all())
        for path in () if self._path is None else self._path.parent.glob("metrics-*.json"):
            if path == self._path:
                continue
            for name, value in _read(path).items():
                most = name.partition("{")[0] in _LARGEST
                total[name] = max(total.get(name, 0.0), value) if most else total.get(name, 0.0) + value
        lines: list[str] = []
        for name, (kind, told) in _HELP.items():
            mine = sorted((one for one in total if _base(one) == name), key=_order)
            if mine:
                lines += [f"# HELP {name} {told}", f"# TYPE {name} {kind}"]
                lines += [f"{one} {total[one]:.17g}" for one in mine]
        return ("\n".join(lines) + "\n").encode()


def _series(name: str, labels: dict[str, object]) -> str:
    if not labels:
        return name
    texts = ",".join(f'{key}="{_escaped(str(value))}"' for key, value in labels.items())
    return f"{name}{{{texts}}}"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _base(series: str) -> str:
    name = series.partition("{")[0]
    for ending in ("_bucket", "_sum", "_count"):
        if name.endswith(ending) and name.removesuffix(ending) in _HELP:
            return name.removesuffix(ending)
    return name


def _kind(series: str) -> str:
    return _HELP.get(_base(series), ("gauge", ""))[0]


def _order(series: str) -> tuple[str, float, str]:
    """Buckets by their edge, as their readers want them."""
    head, _, edge = series.partition(',le="')
    return head, float(edge.rstrip('"}')) if edge else 0.0, series


def _read(path: Path) -> dict[str, float]:
    try:
        return msgspec.json.decode(path.read_bytes(), type=dict[str, float])
    except (OSError, msgspec.DecodeError):
        return {}
