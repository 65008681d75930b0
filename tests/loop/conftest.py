"""Nine days of the town, lived once: two policies learned, one let in at once and one by canary."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from jumar import fitting
from jumar.learn import FitConfig
from jumar.loop import Day
from jumar.release import Registry

from .town import Town, morning

DAYS = 9


@dataclass(frozen=True)
class Story:
    """What happened.

    Attributes:
        root: of the town, as it was after the last day.
        days: what the loop wrote.
        before: the registry with the loop's folder as it was before each day was run.
    """

    root: Path
    days: list[Day]
    before: list[Path]


@pytest.fixture(scope="package", autouse=True)
def short_fits() -> Iterator[None]:
    """So many updates are enough for two contexts; whatever comes after this folder fits as users do."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fitting, "FitConfig", lambda **given: FitConfig(**given | {"updates": 120, "evaluations": 4}))
        yield


@pytest.fixture(scope="package")
def story(tmp_path_factory: pytest.TempPathFactory, short_fits: None) -> Story:
    root = tmp_path_factory.mktemp("town")
    town, days, before = Town(root), [], []
    Registry.create(town.registry_folder, now=lambda: morning(-1))
    for day in range(DAYS):
        town.decide(day)
        before.append(Path(shutil.copytree(town.registry_folder, root / f"before-{day}")))
        days.append(town.loop(day).run(town.date(day)))
    return Story(root, days, before)


@pytest.fixture
def town(story: Story, tmp_path: Path) -> Callable[[int], Town]:
    """A town of one's own, as it was before a day was decided about."""

    def made(day: int) -> Town:
        registry = story.before[day] if day < DAYS else story.root / "registry"
        shutil.copytree(registry, tmp_path / "town/registry")
        for stream in ("decisions", "rewards"):
            for folder in sorted((story.root / "log" / stream).iterdir())[:day]:
                shutil.copytree(folder, tmp_path / "town/log" / stream / folder.name)
        return Town(tmp_path / "town")

    return made
