"""The policy as one ONNX graph: raw features in, pmf out.

In: a fitted learner and a point (or several points) of the path. Out: an ONNX model. Preprocessing, clone,
advantage, temperature and floor are all inside; what is exported is what is gated and what is served.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from jumar.features.raw import FIRST_KNOWN, MISSING, MISSING_TEXT, SECONDS_PER_DAY, TIME_PARTS, UNKNOWN
from jumar.features.spec import CLIP, ONE_HOT_LIMIT, FeatureSpec, number_constants

if TYPE_CHECKING:
    from jumar.learn.learned import Learned

OPSET, ML_OPSET, IR_VERSION = 18, 3, 10
MISSING_TIME = -(2**63)
TINY = 1e-30
INNER = "jumar:"  # inner tensors carry it, so that no feature's name can meet theirs
NUMBERS, CODES, IDS = f"{INNER}numbers", f"{INNER}codes", f"{INNER}ids:"
MEMBERS = f"{INNER}members"  # [members, actions, rows] advantages of the ensemble one by one; exploration reads them
OUTPUTS = ("pmf", "clone", "advantage", "q")


def input_name(column: str) -> str:
    """What the graph calls the input of a raw column: its own name, unless an output or inner tensor has it."""
    return f"column:{column}" if column in OUTPUTS or column.startswith((INNER, "column:")) else column


class Builder:
    """Collects the nodes, constants, inputs and outputs of one graph."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []
        self.inputs: list[onnx.ValueInfoProto] = []
        self.outputs: list[onnx.ValueInfoProto] = []

    def constant(self, value: Any, dtype: Any = np.float32) -> str:
        """Add a constant tensor; returns its name."""
        name = f"{INNER}c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.array(value, dtype, order="C"), name))
        return name

    def add(self, op: str, *inputs: str, name: str | None = None, domain: str = "", **attributes: Any) -> str:
        """Add a node with one output; returns the output's name."""
        output = name or f"{INNER}n{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, list(inputs), [output], name=output, domain=domain, **attributes))
        return output

    def input(self, column: str, dtype: int, *shape: str) -> str:
        """Declare the input of a raw column."""
        name = input_name(column)
        self.inputs.append(helper.make_tensor_value_info(name, dtype, list(shape)))
        return name

    def output(self, name: str, *shape: str | int) -> None:
        """Declare a float output."""
        self.outputs.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, list(shape)))

    def model(self) -> onnx.ModelProto:
        """The finished, checked model."""
        graph = helper.make_graph(self.nodes, "jumar-policy", self.inputs, self.outputs, self.constants)
        opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid("ai.onnx.ml", ML_OPSET)]
        model = helper.make_model(graph, opset_imports=opsets, producer_name="jumar", ir_version=IR_VERSION)
        onnx.checker.check_model(model)
        return model


def build_graph(
    learned: Learned,
    *,
    inverse_temperatures: Sequence[float],
    scale: float,
    pessimism: float,
    minimum: Sequence[float],
    prices: Sequence[float] = (),
    costs: Sequence[float] = (),
) -> onnx.ModelProto:
    """Build the graph of one policy, or of several along the path that share everything but temperature and price.

    Args:
        learned: the learner's networks, and how raw columns become their vectors.
        inverse_temperatures: 1/β of each policy, in units of 1/``scale``.
        scale: the unit of the advantage.
        pessimism: κ.
        minimum: [actions] exploration floor.
        prices: ν of each policy, in rewards on [0, 1] per unit of cost; without costs there are none.
        costs: [actions] of each action.

    Returns:
        A model with one input per raw column (numbers and booleans float32 with NaN for missing, categories as
        strings, id lists as padded string matrices, timestamps as int64 seconds) and the outputs ``pmf``
        [rows, actions] ([rows, policies, actions] for several), ``clone``, ``advantage`` and ``q`` [rows, actions].
    """
    spec, actions, preference = learned.spec, len(minimum), learned.preference
    groups: list[Any] = [learned.clone, learned.value]
    if preference.group is not None:
        groups.append(preference.group)
    g = Builder()
    numbers, codes, ids = _raw_inputs(g, spec)
    shared = _number_parts(g, spec, numbers)
    one_hot = _one_hot_parts(g, spec, codes)

    id_parts = _id_embeddings(g, groups, ids)

    def network(place: int) -> str:
        parts = shared + one_hot(groups[place]["tables"]) + id_parts[place]
        return _stack(g, groups[place]["net"], g.add("Concat", *parts, axis=0))

    logits = g.add("Squeeze", network(0), g.constant([0], np.int64))
    shifted, powers, total = _exponentials(g, logits, axis=0)
    log_clone, pi0 = g.add("Sub", shifted, g.add("Log", total)), g.add("Div", powers, total)
    level, above = _level_and_preference(g, network(1), actions)
    each, mean, cautious = _centred(g, above, pi0, pessimism)
    q = g.add("Add", g.add("Mul", g.add("Add", level, mean), g.constant(learned.reward_scale)),
              g.constant(learned.reward_mean))  # fmt: skip
    if preference.group is not None:
        each, _, cautious = _centred(g, network(2), pi0, pessimism)
    g.add("Mul", each, g.constant(preference.unit), name=MEMBERS)
    advantage = g.add("Mul", cautious, g.constant(preference.unit))
    rates = np.asarray(inverse_temperatures, np.float64) / max(scale, TINY)
    offsets = -np.outer(rates * np.asarray(prices), costs) if len(costs) else None
    _pmf(g, log_clone, pi0, advantage, rates, offsets, minimum)
    for name, tensor in (("clone", pi0), ("advantage", advantage), ("q", q)):
        g.add("Transpose", tensor, perm=[1, 0], name=name)
        g.output(name, "rows", actions)
    return g.model()


def _raw_inputs(g: Builder, spec: FeatureSpec) -> tuple[str, str, list[str]]:
    """Inputs, one per raw column, and the three blocks ``numbers``, ``codes`` and ``ids:<k>`` made of them."""
    times: dict[str, dict[str, str]] = {}
    last = g.constant([1], np.int64)
    columns = []
    for column in spec.numbers:
        if column.part:
            if column.name not in times:
                times[column.name] = _time_parts(g, g.input(column.name, TensorProto.INT64, "rows"))
            columns.append(g.add("Unsqueeze", times[column.name][column.part], last))
        else:
            columns.append(g.add("Unsqueeze", g.input(column.name, TensorProto.FLOAT, "rows"), last))
    numbers = g.add("Concat", *columns, axis=1, name=NUMBERS) if columns else ""
    columns = []
    for column in spec.categories:
        text = g.input(column.name, TensorProto.STRING, "rows")
        columns.append(g.add("Unsqueeze", _codes_of(g, text, column.vocabulary), last))
    codes = g.add("Concat", *columns, axis=1, name=CODES) if columns else ""
    ids = []
    for place, column in enumerate(spec.ids):
        text = g.input(column.name, TensorProto.STRING, "rows", f"length:{place}")
        ends = [g.constant([v], np.int64) for v in (0, column.length, 1)]
        read = g.add("Slice", text, ends[0], ends[1], ends[2])
        ids.append(g.add("Identity", _codes_of(g, read, column.vocabulary), name=f"{IDS}{place}"))
    return numbers, codes, ids


def _codes_of(g: Builder, text: str, vocabulary: Sequence[str]) -> str:
    """Strings to int32 codes, as ``features.raw.category_codes`` gives them."""
    keys = [MISSING_TEXT, *vocabulary]
    values = [MISSING, *range(FIRST_KNOWN, FIRST_KNOWN + len(vocabulary))]
    wide = g.add(
        "LabelEncoder",
        text,
        domain="ai.onnx.ml",
        keys_strings=keys,
        values_int64s=values,
        default_int64=UNKNOWN,
    )
    return g.add("Cast", wide, to=TensorProto.INT32)


def _time_parts(g: Builder, seconds: str) -> dict[str, str]:
    """The readings of a timestamp, as ``features.raw.time_parts`` gives them."""
    missing = g.add("Equal", seconds, g.constant(MISSING_TIME, np.int64))
    known = g.add("Where", missing, g.constant(0, np.int64), seconds)
    exact = g.add("Cast", known, to=TensorProto.DOUBLE)
    parts = [g.add("Div", exact, g.constant(SECONDS_PER_DAY, np.float64))]
    for period in (SECONDS_PER_DAY, 7 * SECONDS_PER_DAY):
        place = g.add("Cast", g.add("Mod", known, g.constant(period, np.int64)), to=TensorProto.DOUBLE)
        angle = g.add("Mul", place, g.constant(2 * np.pi / period, np.float64))
        parts += [g.add("Sin", angle), g.add("Cos", angle)]
    nan = g.constant(np.nan)
    single = [g.add("Where", missing, nan, g.add("Cast", part, to=TensorProto.FLOAT)) for part in parts]
    return dict(zip(TIME_PARTS, single, strict=True))


def _number_parts(g: Builder, spec: FeatureSpec, numbers: str) -> list[str]:
    """Squashed numbers, indicators of missing values, indicators of levels."""
    if not spec.numbers:
        return []
    centre, width, mean, scale = (constant[:, None] for constant in number_constants(spec))
    numbers = g.add("Transpose", numbers, perm=[1, 0])
    absent = g.add("IsNaN", numbers)
    known = g.add("Where", absent, g.constant(centre), numbers)
    scaled = g.add("Mul", g.add("Sub", known, g.constant(centre)), g.constant(1 / width))
    squashed = g.add("Mul", g.add("Sub", _asinh(g, scaled), g.constant(mean)), g.constant(1 / scale))
    clipped = g.add("Clip", squashed, g.constant(-CLIP), g.constant(CLIP))
    parts = [g.add("Where", absent, g.constant(0.0), clipped)]
    flagged = [place for place, column in enumerate(spec.numbers) if column.missing]
    if flagged:
        chosen = g.add("Gather", absent, g.constant(flagged, np.int64), axis=0)
        parts.append(g.add("Cast", chosen, to=TensorProto.FLOAT))
    for place, column in enumerate(spec.numbers):
        if column.levels:
            one = g.add("Gather", numbers, g.constant([place], np.int64), axis=0)
            equal = g.add("Equal", one, g.constant(np.array(column.levels)[:, None]))
            parts.append(g.add("Cast", equal, to=TensorProto.FLOAT))
    return parts


def _asinh(g: Builder, x: str) -> str:
    """sign(x)·log(|x| + √(x² + 1)): the runtime's own Asinh is not vectorised and costs four times as much."""
    size = g.add("Abs", x)
    root = g.add("Sqrt", g.add("Add", g.add("Mul", size, size), g.constant(1.0)))
    return g.add("Mul", g.add("Sign", x), g.add("Log", g.add("Add", size, root)))


def _one_hot_parts(g: Builder, spec: FeatureSpec, codes: str) -> Any:
    """Categories: small ones as indicators (shared by both networks), large ones through a network's own tables."""
    if not spec.categories:
        return lambda tables: []
    turned = g.add("Transpose", codes, perm=[1, 0])

    def indicators(place: int, size: int) -> str:
        code = g.add("Gather", turned, g.constant([place], np.int64), axis=0)
        equal = g.add("Equal", code, g.constant(np.arange(size)[:, None], np.int32))
        return g.add("Cast", equal, to=TensorProto.FLOAT)

    def embedding(place: int, table: Any) -> str:
        code = g.add("Gather", turned, g.constant(place, np.int64), axis=0)
        return g.add("Transpose", g.add("Gather", g.constant(table), code, axis=0), perm=[1, 0])

    small = {
        place: indicators(place, column.size)
        for place, column in enumerate(spec.categories)
        if column.size <= ONE_HOT_LIMIT
    }

    def parts(tables: Sequence[Any]) -> list[str]:
        remaining = list(tables)
        return [
            small[place] if place in small else embedding(place, remaining.pop(0))
            for place in range(len(spec.categories))
        ]

    return parts


def _id_embeddings(g: Builder, groups: Sequence[Any], ids: Sequence[str]) -> list[list[str]]:
    """Mean embedding and log count of each id list, for several networks whose tables are read in one go."""
    parts: list[list[str]] = [[] for _ in groups]
    for place, entries in enumerate(ids):
        tables = [np.array(group["tables"][len(group["tables"]) - len(ids) + place]) for group in groups]
        together = np.concatenate(tables, axis=1)
        together[MISSING] = 0.0
        # Entries first: adding up whole slices is many times faster than adding within rows.
        turned = g.add("Transpose", entries, perm=[1, 0])
        present = g.add("Cast", g.add("Greater", turned, g.constant(0, np.int32)), to=TensorProto.FLOAT)
        first = g.constant([0], np.int64)
        count = g.add("ReduceSum", present, first, keepdims=1)
        total = g.add("ReduceSum", g.add("Gather", g.constant(together), turned, axis=0), first, keepdims=0)
        mean = g.add("Div", g.add("Transpose", total, perm=[1, 0]), g.add("Max", count, g.constant(1.0)))
        length = g.add("Log", g.add("Add", count, g.constant(1.0)))
        edges = np.cumsum([0, *(table.shape[1] for table in tables)])
        for own, start, stop in zip(parts, edges, edges[1:], strict=False):
            own.append(g.add("Slice", mean, g.constant([start], np.int64), g.constant([stop], np.int64), first))
            own.append(length)
    return parts


def _stack(g: Builder, layers: Sequence[Any], x: str) -> str:
    """A stack of networks: [width, rows] → [members, outputs, rows].

    The first layer is one wide product. Behind it a constant unit carries each bias through the batched products,
    where a broadcast addition would cost as much as the product itself.
    """
    first, *rest = ({name: np.asarray(value) for name, value in layer.items()} for layer in layers)
    members, fan_in, fan_out = first["weight"].shape
    wide = np.zeros((members, fan_out + 1, fan_in), np.float32)
    wide[:, :fan_out] = first["weight"].transpose(0, 2, 1)
    bias = np.ones((members, fan_out + 1), np.float32)
    bias[:, :fan_out] = first["bias"][:, 0]
    h = g.add("Gemm", g.constant(wide.reshape(-1, fan_in)), x, g.constant(bias.reshape(-1, 1)))
    h = g.add("Reshape", g.add("Relu", h), g.constant([members, fan_out + 1, -1], np.int64))
    for layer in rest:
        final = layer is rest[-1]
        h = g.add("MatMul", g.constant(_with_constant_unit(layer, keep=not final).transpose(0, 2, 1)), h)
        h = h if final else g.add("Relu", h)
    return h


def _with_constant_unit(layer: Mapping[str, np.ndarray], *, keep: bool) -> np.ndarray:
    """A layer's weight with its bias as one more row, and a column that hands the constant unit on."""
    weight = np.concatenate([layer["weight"], layer["bias"]], axis=1)
    if not keep:
        return weight
    column = np.zeros((*weight.shape[:2], 1), np.float32)
    column[:, -1] = 1.0
    return np.concatenate([weight, column], axis=2)


def _level_and_preference(g: Builder, out: str, actions: int) -> tuple[str, str]:
    """The mean level of an ensemble of values [1, rows], and each member's preferences [members, actions, rows]."""
    axis = [g.constant([v], np.int64) for v in (0, 1, 1 + actions)]
    level = g.add("Slice", out, axis[0], axis[1], axis[1])
    return g.add("ReduceMean", level, axis[0], keepdims=0), g.add("Slice", out, axis[1], axis[2], axis[1])


def _centred(g: Builder, preference: str, pi0: str, pessimism: float) -> tuple[str, str, str]:
    """Preferences less their average under the clone: each member's, their mean, and that less κ deviations."""
    first, second = g.constant([0], np.int64), g.constant([1], np.int64)
    average = g.add("ReduceSum", g.add("Mul", pi0, preference), second, keepdims=1)
    each = g.add("Sub", preference, average)
    mean = g.add("ReduceMean", each, first, keepdims=0)
    gap = g.add("Sub", each, mean)
    spread = g.add("Sqrt", g.add("ReduceMean", g.add("Mul", gap, gap), first, keepdims=0))
    return each, mean, g.add("Sub", mean, g.add("Mul", g.constant(pessimism), spread))


def _exponentials(g: Builder, x: str, *, axis: int) -> tuple[str, str, str]:
    """x less its maximum along an axis, the exponentials of that, and their sum: the parts of a softmax.

    The runtime's own softmax turns the axis to the end and goes through it row by row.
    """
    along = g.constant([axis], np.int64)
    shifted = g.add("Sub", x, g.add("ReduceMax", x, along, keepdims=1))
    powers = g.add("Exp", shifted)
    return shifted, powers, g.add("ReduceSum", powers, along, keepdims=1)


def _pmf(
    g: Builder,
    log_clone: str,
    pi0: str,
    advantage: str,
    rates: NDArray[np.float64],
    offsets: NDArray[np.float64] | None,
    minimum: Sequence[float],
) -> None:
    """Tilt the clone and keep it above the floor, for one policy or for several at once.

    ``rates`` [policies] multiply the advantage, ``offsets`` [policies, actions] are added to what comes out.
    """
    count, actions = len(rates), len(minimum)
    along = g.constant([1], np.int64)
    moved = g.add("Mul", advantage, g.constant(rates[:, None, None]))
    if offsets is not None:
        moved = g.add("Add", moved, g.constant(offsets[:, :, None]))
    moved = g.add("Add", log_clone, moved)
    _, powers, total = _exponentials(g, moved, axis=1)
    tilted = g.add("Div", powers, total)
    floor = g.add("Min", pi0, g.constant(np.asarray(minimum)[:, None]))
    excess = g.add("Relu", g.add("Sub", tilted, floor))
    free = g.add("Sub", g.constant(1.0), g.add("ReduceSum", floor, g.constant([0], np.int64), keepdims=1))
    share = g.add("Div", free, g.add("ReduceSum", excess, along, keepdims=1))
    pmf = g.add("Add", floor, g.add("Mul", excess, share))
    if count > 1:
        g.add("Transpose", pmf, perm=[2, 0, 1], name="pmf")
        g.output("pmf", "rows", count, actions)
    else:
        g.add("Transpose", g.add("Squeeze", pmf, g.constant([0], np.int64)), perm=[1, 0], name="pmf")
        g.output("pmf", "rows", actions)
