"""Does a feature know what it cannot have known before the decision?

In: a ``Log`` and its sample. Out: three findings: features that know the reward, features that know which
action was drawn, and features that look filled in afterwards. Used by ``audit`` only.
"""

# The compute functions of Arrow are made when it is imported, where no checker sees them.
# pyright: reportAttributeAccessIssue=false

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from jumar.logs.read import Log
from jumar.logs.schema import ACTION, PROPENSITY, REWARD, Feature
from jumar.records import Finding

_BINS, _LEVELS = 20, 200
_NEARLY = 0.9
_REMEDY = "If it is only known after the decision, leave it out with `ignore`."


def _codes(column: pa.ChunkedArray, feature: Feature) -> np.ndarray:
    """Every value as one of at most about 200 groups; missing is group 0."""
    array = column.combine_chunks()
    if feature.kind == "ids":
        array = pc.list_value_length(array)
    if feature.kind == "category":
        encoded = array.dictionary_encode()
        raw = encoded.indices.fill_null(-1).to_numpy(zero_copy_only=False) + 1
        counts = np.bincount(raw)
        common = np.argsort(-counts, kind="stable")[:_LEVELS]
        place = np.full(len(counts), _LEVELS + 1)
        place[common] = np.arange(1, len(common) + 1)
        codes = place[raw]
        codes[raw == 0] = 0
        return codes
    if feature.kind == "time":
        array = array.cast(pa.int64())
    values = array.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
    known = np.isfinite(values)
    codes = np.zeros(len(values), dtype=np.int64)
    if known.any():
        edges = np.unique(np.quantile(values[known], np.linspace(0, 1, _BINS + 1)))
        # An edge that many values share gets a bin of its own: "zero" and "just above" must part.
        codes[known] = 1 + np.searchsorted(edges, values[known]) * 2 + np.isin(values[known], edges)
    return codes


def explained_share(codes: np.ndarray, target: np.ndarray) -> float:
    """η², the share of the target's variance between groups, corrected for their number.

    See "The correlation ratio" by Kelley (1935): 1 − (1 − η²)(n − 1)/(n − k).
    """
    total = target.var()
    _, codes = np.unique(codes, return_inverse=True)
    counts = np.bincount(codes)
    n, k = len(target), len(counts)
    if total <= 0 or n <= k + 1:
        return 0.0
    means = np.bincount(codes, weights=target) / counts
    between = float((counts * (means - target.mean()) ** 2).sum() / n / total)
    return max(0.0, 1 - (1 - between) * (n - 1) / (n - k))


def knows_the_reward(log: Log, sample: pa.Table) -> Finding:
    """Warns of features that alone explain over 90% of the reward's variance, in 20 bins or 200 levels."""
    reward = sample[REWARD].to_numpy()
    shares = {f.name: explained_share(_codes(sample[f.name], f), reward) for f in log.schema.features}
    top = max(shares, key=lambda name: shares[name])
    suspects = [name for name, share in shares.items() if share > _NEARLY]
    if suspects:
        listed = ", ".join(f"'{name}' ({shares[name]:.0%})" for name in suspects[:5])
        sentence = f"By itself nearly determines the reward: {listed}. {_REMEDY}"
    else:
        sentence = f"No feature knows the reward: '{top}' explains most of it, {shares[top]:.1%}."
    ordered = dict(sorted(shares.items(), key=lambda pair: -pair[1])[:50])
    return Finding(
        name="reward leakage",
        verdict="warning" if suspects else "ok",
        sentence=sentence,
        figures={"explained": ordered, "rows_looked_at": sample.num_rows},
    )


def knows_the_action(log: Log, sample: pa.Table) -> Finding:
    """Blocks on a feature that foretells the draw better than the propensities permit.

    In every group g of a feature's values, half of the rows choose the most frequent action a(g). On the
    other half 1{A = a(g)}/μ has mean 1 if the feature was known before the draw and the propensities are
    true. Blocked at z > 6 and a mean more than 5% above 1. Without propensities, warns of a feature that
    tells the action in 99% of the rows where always guessing the most frequent one is right in under 90%.
    """
    action = sample[ACTION].to_numpy()
    p = sample[PROPENSITY].to_numpy() if PROPENSITY in sample.column_names else None
    half = np.arange(len(action)) % 2 == 0
    guesses, scores, means = {}, {}, {}
    for feature in log.schema.features:
        codes = _codes(sample[feature.name], feature)
        guess = _most_frequent(codes[half], action[half], codes[~half], len(log.schema.actions))
        right = guess == action[~half]
        guesses[feature.name] = float(right.mean()) if len(right) else 0.0
        if p is not None and len(right) > 1:
            weight = right / p[~half]
            error = float(weight.std() / len(weight) ** 0.5)
            means[feature.name] = float(weight.mean())
            scores[feature.name] = (means[feature.name] - 1) / max(error, 1e-9)
    if p is not None:
        bad = [name for name, z in scores.items() if z > 6 and means[name] > 1.05]
    else:
        share = np.bincount(action).max() / max(len(action), 1)
        bad = [name for name, rate in guesses.items() if rate > 0.99 and share < 0.9]
    top = max(guesses, key=lambda name: (scores.get(name, 0.0), guesses[name]))
    if bad:
        listed = ", ".join(
            f"'{name}' (right in {guesses[name]:.0%}"
            + (f", {means[name] - 1:+.0%} more than chance permits)" if p is not None else ")")
            for name in bad[:5]
        )
        sentence = f"A feature foretells the action better than one known before the draw could: {listed}. {_REMEDY}"
        verdict = "blocked" if p is not None else "warning"
    else:
        verdict = "ok"
        sentence = f"No feature knows how the draw came out; '{top}' foretells {guesses[top]:.0%} of the actions."
    shown = sorted(guesses.items(), key=lambda pair: -pair[1])[:50]
    figures = {
        "foretold": dict(shown),
        "z": {name: float(scores[name]) for name, _ in shown if name in scores},
    }
    return Finding(name="action leakage", verdict=verdict, sentence=sentence, figures=figures)


def _most_frequent(codes: np.ndarray, action: np.ndarray, asked: np.ndarray, actions: int) -> np.ndarray:
    """For each asked group, the action most frequent in it; −1 for groups never met."""
    best = np.full(int(max(codes.max(initial=0), asked.max(initial=0))) + 1, -1)
    pairs, counts = np.unique(codes.astype(np.int64) * actions + action, return_counts=True)
    order = np.argsort(counts, kind="stable")
    best[pairs[order] // actions] = pairs[order] % actions
    return best[asked]


def filled_afterwards(log: Log, sample: pa.Table) -> Finding:
    """Warns of features that are missing or zero exactly when the reward or the action has some value.

    Compares the indicators "missing" and "zero" of each feature with "reward at its most frequent value" and
    with each action, by the squared correlation φ² of two indicators; suspicious above 0.9.
    """
    targets = _targets(log, sample)
    suspects, top, strongest = [], "", 0.0
    for feature in log.schema.features:
        for word, marks in _marks(sample[feature.name], feature):
            for what, target in targets:
                phi = _phi_squared(marks, target)
                if phi > strongest:
                    strongest, top = phi, feature.name
                if phi > _NEARLY:
                    suspects.append(f"'{feature.name}' is {word} nearly exactly when {what}")
    if suspects:
        sentence = f"Looks filled in after the fact: {'; '.join(suspects[:4])}. {_REMEDY}"
    else:
        sentence = "No feature is missing or zero just when an action was taken or a reward came."
    return Finding(
        name="filled afterwards",
        verdict="warning" if suspects else "ok",
        sentence=sentence,
        figures={"strongest": strongest, "feature": top},
    )


def _targets(log: Log, sample: pa.Table) -> list[tuple[str, np.ndarray]]:
    reward, action = sample[REWARD].to_numpy(), sample[ACTION].to_numpy()
    values, counts = np.unique(reward, return_counts=True)
    usual = values[counts.argmax()]
    low, width = log.schema.reward_low, log.schema.reward_high - log.schema.reward_low
    targets = [
        (f"the reward is {'not ' * flip}{low + width * usual:g}", (reward == usual) ^ flip) for flip in (False, True)
    ]
    common = np.argsort(-np.bincount(action), kind="stable")[:20]
    for a in common:
        targets.append((f"the action is '{log.schema.actions[a]}'", action == a))
        if len(log.schema.actions) > 2:
            targets.append((f"the action is not '{log.schema.actions[a]}'", action != a))
    return targets


def _marks(column: pa.ChunkedArray, feature: Feature) -> list[tuple[str, np.ndarray]]:
    array = column.combine_chunks()
    marks = [("missing", array.is_null().to_numpy(zero_copy_only=False))]
    if feature.kind == "number":
        marks.append(("zero", pc.equal(array, 0.0).fill_null(False).to_numpy(zero_copy_only=False)))
    if feature.kind == "boolean":
        marks.append(("false", pc.invert(array).fill_null(False).to_numpy(zero_copy_only=False)))
    if feature.kind == "ids":
        empty = pc.equal(pc.list_value_length(array), 0)
        marks.append(("empty", empty.fill_null(False).to_numpy(zero_copy_only=False)))
    return marks


def _phi_squared(a: np.ndarray, b: np.ndarray) -> float:
    """φ² of two indicators when they agree; 0 when they oppose each other, or one hardly varies."""
    p, q = a.mean(), b.mean()
    if min(p, 1 - p, q, 1 - q) * len(a) < 20:
        return 0.0
    covariance = (a & b).mean() - p * q
    return float(covariance**2 / (p * (1 - p) * q * (1 - q))) if covariance > 0 else 0.0
