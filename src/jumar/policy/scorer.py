"""Runs an exported graph on rows: the one way in which Jumar ever computes a pmf outside training.

In: the graph's bytes and blocks of raw numbers and codes. Out: outputs in float64, pmfs that sum to one exactly.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

import numpy as np
import onnx
import onnx.utils
import onnxruntime
from numpy.typing import NDArray

from jumar.errors import PolicyError
from jumar.features.raw import Blocks
from jumar.features.spec import FeatureSpec
from jumar.policy.graph import CODES, IDS, MEMBERS, NUMBERS

ROWS_PER_CALL = 2_048
WORKERS = 2
T = TypeVar("T")
R = TypeVar("R")


class Scorer:
    """The part of a graph that lies behind its own reading of strings and timestamps.

    ``features.raw`` gives the same blocks as the graph's first nodes, but looks each distinct string of a batch up
    once; from the blocks on it is the exported graph that runs.
    """

    def __init__(self, model: onnx.ModelProto, spec: FeatureSpec, outputs: Sequence[str] = ("pmf",)) -> None:
        if MEMBERS in outputs and not any(MEMBERS in node.output for node in model.graph.node):
            raise PolicyError(
                "The policy does not name the members of its ensemble", remedy="Improve again with this version."
            )
        wanted = [NUMBERS] * bool(spec.numbers) + [CODES] * bool(spec.categories)
        self.inputs = wanted + [f"{IDS}{place}" for place in range(len(spec.ids))]
        self.outputs = list(outputs)
        inferred = onnx.shape_inference.infer_shapes(model)
        core = onnx.utils.Extractor(inferred).extract_model(self.inputs, self.outputs)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1  # rows are divided among threads instead, which wastes none
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        self.session = onnxruntime.InferenceSession(
            core.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )

    def run(self, blocks: Blocks) -> tuple[NDArray[np.float64], ...]:
        """Outputs of all rows, each [rows, …] float64; a pmf is normalised to sum to one in float64."""
        pieces = [
            self._call(blocks, start, start + ROWS_PER_CALL) for start in range(0, max(len(blocks), 1), ROWS_PER_CALL)
        ]
        columns = zip(self.outputs, zip(*pieces, strict=True), strict=True)
        rows_first = [
            [np.moveaxis(piece, -1, 0) for piece in some] if name == MEMBERS else some for name, some in columns
        ]
        joined = [np.concatenate(some).astype(np.float64) for some in rows_first]
        return tuple(
            values / values.sum(axis=-1, keepdims=True) if name in ("pmf", "clone") else values
            for name, values in zip(self.outputs, joined, strict=True)
        )

    def _call(self, blocks: Blocks, start: int, stop: int) -> Sequence[Any]:
        feed: dict[str, Any] = {NUMBERS: blocks.numbers[start:stop], CODES: blocks.codes[start:stop]}
        feed |= {f"{IDS}{place}": entries[start:stop] for place, entries in enumerate(blocks.ids)}
        return self.session.run(self.outputs, {name: feed[name] for name in self.inputs})


def in_order(function: Callable[[T], R], items: Iterable[T], workers: int = WORKERS) -> Iterator[R]:
    """Map over a stream with a few threads, in order, never more than a few items ahead."""
    with ThreadPoolExecutor(workers) as pool:
        waiting: deque[Future[R]] = deque()
        try:
            for item in items:
                waiting.append(pool.submit(function, item))
                if len(waiting) > 2 * workers:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()
