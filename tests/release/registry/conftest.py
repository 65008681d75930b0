"""Policies to register: one certified run, and copies of it that differ in a figure of their card."""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from jumar.policy import load_policy
from jumar.policy.artifact import CARD_FILE, sealed
from jumar.release import Registry
from jumar.release.documents import sha256

MakeRun = Callable[..., Path]


@pytest.fixture(scope="session")
def make_run(run: Path, tmp_path_factory: pytest.TempPathFactory) -> MakeRun:
    """Result folder number k; all of them differ in their card and share graph and verdict."""
    place = tmp_path_factory.mktemp("runs")
    card = load_policy(run).card

    def make(number: int, **certificate: Any) -> Path:
        folder = place / uuid.uuid4().hex
        shutil.copytree(run, folder)
        changed = msgspec.structs.replace(card, train_rows=card.train_rows + number)
        (folder / "policy" / CARD_FILE).write_bytes(sealed(changed))
        path = folder / "certificate.json"
        about = {"card_sha256": sha256(sealed(changed))} | certificate
        path.write_bytes(msgspec.json.encode(msgspec.json.decode(path.read_bytes()) | about))
        return folder

    return make


@pytest.fixture
def uncertified(make_run: MakeRun) -> Path:
    """A policy without a certificate."""
    return make_run(99) / "policy"


@pytest.fixture(params=["folder", "memory"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """An empty place."""
    if request.param == "folder":
        yield str(tmp_path / "registry")
        return
    name = uuid.uuid4().hex
    yield f"memory://{name}/registry"
    from fsspec.implementations.memory import MemoryFileSystem

    MemoryFileSystem().rm(f"/{name}", recursive=True)


@pytest.fixture
def book(url: str) -> Registry:
    return Registry.create(url, who="anna")
