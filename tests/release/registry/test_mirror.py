"""Versions and aliases in MLflow: the same as the registry's, whatever was there before.

The stand-in keeps what MLflow's client keeps and answers as it does; where MLflow is installed the same tests also run
against a real database of it.
"""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from jumar import cli
from jumar.errors import OptionError
from jumar.release import Registry, ReleaseError
from jumar.release.registry import mirror as mirrors
from jumar.release.registry.mirror import mirror

from .conftest import MakeRun


class Page(list[Any]):
    """A page of results, and the token of the next."""

    token: str | None = None


class StandIn:
    """What of ``MlflowClient`` is used, in memory: numbers are strings, aliases belong to the model."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.models, self.runs = folder, {}, {}
        self.experiments: dict[str, str] = {}
        self.fails_at: str = ""

    def search_registered_models(self, filter_string: str) -> list[Any]:
        return [model for name, model in self.models.items() if filter_string == f"name = '{name}'"]

    def create_registered_model(self, name: str, description: str) -> None:
        self.models[name] = SimpleNamespace(name=name, description=description, aliases={}, tags={}, versions=[])

    def get_registered_model(self, name: str) -> Any:
        return self.models[name]

    def search_model_versions(self, filter_string: str, page_token: str | None = None) -> Page:
        versions = self.models[filter_string.split("'")[1]].versions
        start = int(page_token or 0)
        page = Page(versions[start : start + 2])
        page.token = str(start + 2) if start + 2 < len(versions) else None
        return page

    def get_experiment_by_name(self, name: str) -> Any:
        return SimpleNamespace(experiment_id=self.experiments[name]) if name in self.experiments else None

    def create_experiment(self, name: str) -> str:
        return self.experiments.setdefault(name, str(len(self.experiments)))

    def create_run(self, experiment_id: str, tags: dict[str, str], run_name: str) -> Any:
        assert experiment_id in self.experiments.values()
        uri = self.folder / f"run{len(self.runs)}"
        info = SimpleNamespace(run_id=f"r{len(self.runs)}", artifact_uri=str(uri), status="RUNNING")
        self.runs[info.run_id] = info
        return SimpleNamespace(info=info)

    def log_artifacts(self, run_id: str, local_dir: str, artifact_path: str) -> None:
        place = Path(self.runs[run_id].artifact_uri) / artifact_path
        place.mkdir(parents=True)
        for file in Path(local_dir).iterdir():
            (place / file.name).write_bytes(file.read_bytes())

    def set_terminated(self, run_id: str) -> None:
        self.runs[run_id].status = "FINISHED"

    def create_model_version(
        self,
        name: str,
        source: str,
        run_id: str,
        tags: dict[str, str],
        description: str,
        await_creation_for: int,
    ) -> Any:
        if self.fails_at == tags["jumar.version"]:
            raise RuntimeError("503")
        versions = self.models[name].versions
        made = SimpleNamespace(
            version=str(len(versions) + 1), source=source, run_id=run_id, tags=tags, description=description
        )
        versions.append(made)
        return made

    def set_registered_model_alias(self, name: str, alias: str, version: str) -> None:
        self.models[name].aliases[alias] = version

    def delete_registered_model_alias(self, name: str, alias: str) -> None:
        del self.models[name].aliases[alias]

    def set_registered_model_tag(self, name: str, key: str, value: str) -> None:
        self.models[name].tags[key] = value


@pytest.fixture(params=["stand-in", pytest.param("MLflow", marks=pytest.mark.filterwarnings("default"))])
def client(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    if request.param == "MLflow":
        mlflow = pytest.importorskip("mlflow", exc_type=ImportError)
        monkeypatch.chdir(tmp_path)
        uri = f"sqlite:///{tmp_path}/mlflow.db"
        made: Any = mlflow.MlflowClient(tracking_uri=uri, registry_uri=uri)
    else:
        made = StandIn(tmp_path)
    monkeypatch.setattr(mirrors, "_client", lambda uri: made)
    return made


@pytest.fixture
def local(tmp_path: Path) -> Registry:
    return Registry.create(tmp_path / "registry")


def held(client: Any, name: str = "jumar") -> tuple[dict[str, str], dict[str, str]]:
    """Aliases with the versions that they stand for, and the tags of the model."""
    found = [client.search_model_versions(f"name = '{name}'")]
    while found[-1].token:
        found.append(client.search_model_versions(f"name = '{name}'", page_token=found[-1].token))
    versions = {str(one.version): one.tags["jumar.version"] for page in found for one in page}
    model = client.get_registered_model(name)
    return {alias: versions[str(number)] for alias, number in model.aliases.items()}, dict(model.tags)


def test_it_follows(local: Registry, make_run: MakeRun, client: Any) -> None:
    a, b, c = (local.register(make_run(k), why="x").version for k in range(3))
    assert (mirror(local, "uri").new, held(client)[0]) == (3, {})
    local.promote(a, why="x")
    local.promote(b, why="x", share=0.25)
    done = mirror(local, "uri")
    assert (done.versions, done.new, done.record) == (3, 0, 2)
    aliases, tags = held(client)
    assert aliases == {"production": a, "challenger": b}
    assert (tags["jumar.share"], tags["jumar.record"]) == ("0.25", "2")
    local.widen(1.0, why="x")
    mirror(local, "uri")
    assert held(client)[0] == {"production": b, "previous": a}
    local.rollback(why="x")
    mirror(local, "uri")
    mirror(local, "uri")
    assert held(client)[0] == {"production": a}
    assert c not in held(client)[0].values()


def test_files_and_what_is_said_of_them(local: Registry, make_run: MakeRun, client: Any) -> None:
    version = local.register(make_run(0), why="learned on Sunday")
    mirror(local, "uri", "offers")
    (made,) = client.search_model_versions("name = 'offers'")
    assert made.description == "learned on Sunday"
    assert made.tags["jumar.verdict"] == "certified"
    assert version.certificate is not None
    assert made.tags["jumar.lower_bound"] == f"{version.certificate.lower_bound:.6g}"
    place = Path(str(made.source).removeprefix("file://"))
    assert {file.name: file.read_bytes() for file in place.iterdir()} == local.files(version.version)


def test_an_uncertified_version_says_so(local: Registry, uncertified: Path, client: Any) -> None:
    local.register(uncertified)
    mirror(local, "uri")
    (made,) = client.search_model_versions("name = 'jumar'")
    assert made.tags["jumar.verdict"] == "none"


def test_what_failed_half_way_is_made_up_for(local: Registry, make_run: MakeRun, tmp_path: Path) -> None:
    client = StandIn(tmp_path)
    a, b, c = (local.register(make_run(k)).version for k in range(3))
    local.promote(a, why="x")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(mirrors, "_client", lambda uri: client)
        client.fails_at = b
        with pytest.raises(ReleaseError, match=r"MLflow at 'http://host' does not do it .RuntimeError: 503"):
            mirror(local, "http://anna:secret@host")
        client.fails_at = ""
        assert mirror(local, "http://host").new == 2
    numbers = {one.tags["jumar.version"]: one.version for one in client.models["jumar"].versions}
    assert sorted(numbers) == sorted([a, b, c])
    assert sorted(numbers.values()) == ["1", "2", "3"]
    assert client.models["jumar"].aliases == {"production": numbers[a]}


def test_names_that_are_none(local: Registry) -> None:
    with pytest.raises(OptionError, match="without quotes"):
        mirror(local, "uri", "it's")


def test_without_mlflow(local: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mlflow", None)
    with pytest.raises(ReleaseError, match=r"jumar\[mlflow\]"):
        mirror(local, "uri")


def test_the_command(
    local: Registry,
    make_run: MakeRun,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(mirrors, "_client", lambda uri: StandIn(tmp_path))
    local.promote(local.register(make_run(0)).version, why="x")
    assert cli.main(["mirror", "sqlite:///x.db", "--registry", local.url, "--name", "offers"]) == 0
    assert "1 new of 1 versions, aliases of record 1" in capsys.readouterr().out
