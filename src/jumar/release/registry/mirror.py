"""Versions and aliases of a registry, copied into an MLflow model registry for those who look there.

In: a registry and MLflow's address. Out: one model version for each version, with its files as artifacts, and the same
aliases. The command line and Python users import ``mirror``; it needs the extra ``mlflow``. MLflow only ever follows:
nothing is read back from it, and nothing in it decides.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from jumar.errors import JumarError, OptionError
from jumar.release.documents import ReleaseError
from jumar.release.registry.documents import ALIASES, RegistryRecord, Version
from jumar.release.registry.files import without_password
from jumar.release.registry.registry import Registry

ARTIFACTS = "policy"
VERSION_TAG = "jumar.version"


@dataclass(frozen=True)
class Mirrored:
    """What MLflow holds after a mirroring: versions, how many of them are new, and the record its aliases stand for."""

    versions: int
    new: int
    record: int


def mirror(registry: Registry, uri: str, name: str = "jumar") -> Mirrored:
    """Bring an MLflow model registry to where a registry stands.

    Versions are added, never changed; each is known by its tag ``jumar.version``. Running it again, also after it was
    killed, adds only what is missing and sets the aliases anew.

    Args:
        registry: which leads.
        uri: of MLflow's tracking server or database.
        name: of the registered model; made if there is none.

    Raises:
        OptionError: the name is none.
        ReleaseError: MLflow is not installed, cannot be reached or refuses; or a version's files were changed.
    """
    if not name.strip() or "'" in name:
        raise OptionError("A registered model needs a name without quotes", example=name, remedy="Say --name jumar.")
    client = _client(uri)
    state, versions = registry.state(), registry.versions()
    with _told(uri):
        if not client.search_registered_models(filter_string=f"name = '{name}'"):
            client.create_registered_model(name, description=f"Policies of the Jumar registry {registry.url}")
        known = _known(client, name)
        missing = [one for one in versions if one.version not in known]
        experiment = _experiment(client, name) if missing else ""
    for version in missing:
        files = registry.files(version.version)
        with _told(uri):
            known[version.version] = _add(client, name, experiment, version, files)
    with _told(uri):
        _point(client, name, state, known)
    return Mirrored(versions=len(versions), new=len(missing), record=state.number)


def _client(uri: str) -> Any:
    try:
        mlflow = import_module("mlflow")
    except ImportError as error:
        raise ReleaseError(
            "Mirroring needs MLflow, which is not installed", remedy="Install it with: pip install 'jumar[mlflow]'"
        ) from error
    with _told(uri):
        return mlflow.MlflowClient(tracking_uri=uri, registry_uri=uri)


def _known(client: Any, name: str) -> dict[str, str]:
    """MLflow's number of each version that it has."""
    found: dict[str, str] = {}
    token = None
    while True:
        page = client.search_model_versions(f"name = '{name}'", page_token=token)
        found |= {one.tags[VERSION_TAG]: str(one.version) for one in page if VERSION_TAG in one.tags}
        token = page.token
        if not token:
            return found


def _experiment(client: Any, name: str) -> str:
    """The experiment under which the files lie."""
    found = client.get_experiment_by_name(name)
    return client.create_experiment(name) if found is None else found.experiment_id


def _add(client: Any, name: str, experiment: str, version: Version, files: dict[str, bytes]) -> str:
    """One version with its files, which a run of its own holds; MLflow's number of it."""
    tags = _tags(version)
    run = client.create_run(experiment, tags=tags, run_name=version.version)
    with tempfile.TemporaryDirectory() as folder:
        for file, data in files.items():
            (Path(folder) / file).write_bytes(data)
        client.log_artifacts(run.info.run_id, folder, ARTIFACTS)
    client.set_terminated(run.info.run_id)
    made = client.create_model_version(
        name,
        source=f"{run.info.artifact_uri}/{ARTIFACTS}",
        run_id=run.info.run_id,
        tags=tags,
        description=version.why,
        await_creation_for=0,
    )
    return str(made.version)


def _tags(version: Version) -> dict[str, str]:
    """What MLflow shows of a version."""
    certificate = version.certificate
    tags = {VERSION_TAG: version.version, "jumar.policy_sha256": version.policy_sha256}
    tags["jumar.verdict"] = "none" if certificate is None else certificate.verdict
    if certificate is not None and certificate.lower_bound is not None:
        tags |= {"jumar.lower_bound": f"{certificate.lower_bound:.6g}", "jumar.metric": certificate.metric[:200]}
        tags["jumar.confidence"] = f"{certificate.confidence:.10g}"
    return tags


def _point(client: Any, name: str, state: RegistryRecord, known: dict[str, str]) -> None:
    """Aliases, and how the registry stands."""
    now = client.get_registered_model(name).aliases
    for alias in ALIASES:
        version = getattr(state.aliases, alias)
        if version is None and alias in now:
            client.delete_registered_model_alias(name, alias)
        elif version is not None and now.get(alias) != known[version]:
            client.set_registered_model_alias(name, alias, known[version])
    client.set_registered_model_tag(name, "jumar.record", str(state.number))
    client.set_registered_model_tag(name, "jumar.share", f"{state.share:.6g}")


@contextmanager
def _told(uri: str) -> Iterator[None]:
    """What MLflow says becomes an error that a user can read."""
    try:
        yield
    except JumarError:
        raise
    except Exception as error:  # its own exceptions, and those of its database and its network
        raise ReleaseError(
            f"MLflow at '{without_password(uri)}' does not do it ({type(error).__name__}: {str(error)[:300]})",
            remedy="The registry itself is as it was; run 'jumar mirror' again once MLflow answers.",
        ) from error
