"""A real experiment, from decisions to a certificate: cash incentives to collect an HIV test result.

In rural Malawi, people who had been tested drew a token that said how much money, if any, they would get for
coming back for their result: R. Thornton, "The Demand for, and Impact of, Learning HIV Status", American Economic
Review 98 (2008), as shipped by the package ``causaldata``. The decision is whether to offer an incentive; the reward
is whether the result was collected, less what the offer costs. Run: ``python examples/thornton.py``

What is assumed. The data do not say how likely each draw was. The probability used here is the share of offers in
the person's region: the villages are numbered in three blocks, and offers were made to 87%, 85% and 63% of the
people in them. These shares are estimated from the actions of all rows (never from a reward), and in the first block
villages differ by more than chance, so a certificate is worth as much as the shares are. One run therefore leaves
them out: then jumar estimates them itself, from the rows it learns from, and its verdict can only be conditional.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from causaldata import thornton_hiv

import jumar

COSTS = (0.1, 0.15, 0.2, 0.7)
LAST_VILLAGE_OF_BLOCK = (49, 99)


@dataclass(frozen=True)
class Attempt:
    """One log put to one confidence.

    Attributes:
        cost: what an offer costs, in collected results.
        direction: "offer" or "withhold", what the released policy does more often; None when refused.
        offered_before, offered_after: share of people who are offered money, by production and by the policy.
        gain, at_least: per person, in collected results less costs.
        gamma: how far too low the estimated probabilities may be; None where they were given.
    """

    cost: float
    confidence: float
    verdict: str
    direction: str | None
    offered_before: float | None
    offered_after: float | None
    gain: float | None
    at_least: float | None
    gamma: float | None
    reasons: list[str]


@dataclass(frozen=True)
class Result:
    """What the example found.

    Attributes:
        people: decisions in the log.
        free: attempts with an offer that costs nothing, by confidence.
        unlogged: the attempt without probabilities.
        by_cost: attempts at rising costs.
        price: dollars for each further result collected under the first free attempt: estimated, and at most.
    """

    people: int
    free: list[Attempt]
    unlogged: Attempt
    by_cost: list[Attempt]
    price: tuple[float, float] | None


def load() -> pd.DataFrame:
    """People who drew a token, with the estimated probability of the draw.

    Rows without the draw, the outcome or the village are left out; a missing age or distance stays missing.
    """
    data: Any = thornton_hiv.load_pandas().data
    raw = data.dropna(subset=["any", "got", "villnum"])
    offered = raw["any"] == 1
    region = np.searchsorted(LAST_VILLAGE_OF_BLOCK, raw["villnum"])
    share = offered.groupby(region).transform("mean")
    return pd.DataFrame(
        {
            "incentive": np.where(offered, "yes", "no"),
            "propensity": np.where(offered, share, 1 - share),
            "got": raw["got"],
            "dollars": raw["tinc"] * raw["got"],  # a voucher was paid only to those who came
            "distance": raw["distvct"],
            "age": raw["age"],
            "region": region,
        }
    )


def attempt(people: pd.DataFrame, cost: float, confidence: float, *, logged: bool = True, **settings: Any) -> Attempt:
    """Charge every offer, improve on the log, and say what came of it."""
    table = people[["incentive", "propensity", "distance", "age", "region"]].assign(
        reward=people["got"] - cost * (people["incentive"] == "yes")
    )
    log = jumar.read_log(
        table if logged else table.drop(columns="propensity"),
        action="incentive",
        reward="reward",
        reward_range=(-cost, 1.0),
        categorical=["region"],
    )
    result = jumar.improve(log, confidence=confidence, **settings)
    certificate, change = result.certificate, result.summary.change
    before = after = None
    if result.policy is not None and change is not None:
        offer = result.policy.actions.index("yes")
        before, after = change.rates_before[offer], change.rates_after[offer]
    return Attempt(
        cost=cost,
        confidence=confidence,
        verdict=certificate.verdict,
        direction=None if before is None or after is None else "offer" if after > before else "withhold",
        offered_before=before,
        offered_after=after,
        gain=certificate.estimate,
        at_least=certificate.lower_bound,
        gamma=certificate.gamma,
        reasons=list(certificate.reasons),
    )


def price_of_a_result(people: pd.DataFrame, found: Attempt) -> tuple[float, float] | None:
    """Dollars paid for each further result collected: as estimated, and at most (from the certified gain)."""
    before, after = found.offered_before, found.offered_after
    if before is None or after is None or after <= before:
        return None
    if not found.gain or not found.at_least or found.at_least <= 0:
        return None
    paid_per_offer = float(people.loc[people["incentive"] == "yes", "dollars"].mean())
    paid = paid_per_offer * (after - before)
    return paid / found.gain, paid / found.at_least


def main(costs: tuple[float, ...] = COSTS, members: int = 3, candidates: int = 5) -> Result:
    """Certify what the experiment supports, and find the cost at which it supports nothing.

    Args:
        costs: of an offer, in collected results: 0.2 says that a result is worth five offers.
        members, candidates: as for ``jumar.improve``, smaller than its defaults to save time.
    """
    people = load()
    settings: dict[str, Any] = {"members": members, "candidates": candidates}
    print(f"{len(people):,} people; half of them teach, the other half judge.")
    for choice, group in people.groupby("incentive"):
        print(f"  incentive {choice:>3}: {len(group):>5,} people, {group['got'].mean():.1%} collected their result")

    print("\nAn offer that costs nothing")
    free = [attempt(people, 0.0, confidence, **settings) for confidence in (0.99, 0.999)]
    for found in free:
        print(f"  at {found.confidence:.1%}: {describe(found)}")
    price = price_of_a_result(people, free[-1])
    if price is not None:
        print(f"  A further result collected costs ${price[0]:.2f} in vouchers, at most ${price[1]:.2f}.")

    print("\nThe same without the shares: probabilities estimated from the log")
    unlogged = attempt(people, 0.0, 0.999, logged=False, **settings)
    print(f"  at 99.9%: {describe(unlogged)}")
    for reason in unlogged.reasons:
        print(f"  {reason}")

    paid = float(people.loc[people["incentive"] == "yes", "dollars"].mean())
    print(f"\nAn offer that costs something (on average ${paid:.2f} were paid out for one), at 99.9%")
    by_cost = []
    for cost in costs:
        by_cost.append(found := attempt(people, cost, 0.999, **settings))
        print(f"  {cost:4.2f} results, ${paid / cost:6.2f} a result: {describe(found)}")
        if found.verdict == "refused":
            print(f"      {found.reasons[0]}")
    print(f"\n{summing_up(by_cost)}")
    return Result(len(people), free, unlogged, by_cost, price)


def describe(found: Attempt) -> str:
    """The verdict of an attempt on one line."""
    if found.direction is None or found.gain is None or found.at_least is None:
        return found.verdict
    what = (
        f"{found.verdict}, {found.direction}: from {found.offered_before:.0%} of the people to "
        f"{found.offered_after:.0%}; {found.gain:+.3f} per person"
    )
    return f"{what}, at least {found.at_least:+.3f}" if found.at_least > 0 else f"{what}, no more than not worse"


def summing_up(by_cost: list[Attempt]) -> str:
    """Up to which cost offering more is certified, and from which cost offering less."""
    offer = [found.cost for found in by_cost if found.direction == "offer"]
    withhold = [found.cost for found in by_cost if found.direction == "withhold"]
    up_to = f"offering more is certified up to a cost of {max(offer):g}" if offer else "offering more never is"
    down_to = f"offering less from {min(withhold):g}" if withhold else "offering less never is"
    return f"Of these costs, {up_to}, {down_to}; in between the data support neither."


if __name__ == "__main__":
    main()
