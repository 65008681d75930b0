"""The schedulers' examples do with every exit code what the documents say, told by a ``jumar`` that only exits."""

from __future__ import annotations

import os
import runpy
import subprocess
import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from jumar import cli, cli_loop

LOOP = Path(__file__).parents[2] / "examples/loop"
DAY = '[{"production": "v1", "steps": [{"name": "join", "said": ["10 decisions."]}]}]'
Exits = Callable[[int], Path]


@pytest.fixture
def exits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Exits:
    """Puts a ``jumar`` first on the path that writes down its arguments and exits."""

    def made(code: int) -> Path:
        words = tmp_path / "words"
        program = tmp_path / "jumar"
        program.write_text(f"#!/bin/sh\necho \"$@\" > {words}\necho '{DAY}'\necho said >&2\nexit {code}\n")
        program.chmod(0o755)
        return words

    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    for name in ("REGISTRY", "LOG", "CONFIG"):
        monkeypatch.setenv(f"JUMAR_{name}", f"my-{name.lower()}")
    return made


def module(name: str, **content: Any) -> types.ModuleType:
    made = types.ModuleType(name)
    vars(made).update(content)
    return made


def test_cron_mails_when_a_person_should_look(exits: Exits, tmp_path: Path) -> None:
    line = (LOOP / "crontab").read_text().splitlines()[-1]
    command = line.split(maxsplit=5)[5].replace("cd /srv/decisions", f"cd {tmp_path}")
    mails = {}
    for code in (cli_loop.COMPLETE, cli_loop.LOOK, cli_loop.NOT_YET, cli.BAD_INPUT, cli.DEFECT):
        exits(code)
        done = subprocess.run(command, shell=True, check=False, capture_output=True, text=True)
        mails[code] = bool(done.stdout + done.stderr)
    assert mails == {0: False, 3: True, 75: False, 2: True, 1: True}


def test_airflow(exits: Exits, monkeypatch: pytest.MonkeyPatch) -> None:
    class AgainError(Exception):
        pass

    class FailError(Exception):
        pass

    tasks: list[Callable[[str], None]] = []

    def task(**given: Any) -> Callable[[Any], Any]:
        def kept(call: Any) -> Any:
            tasks.append(call)
            return lambda: None

        assert given["retries"] > 0
        return kept

    def dag(**given: Any) -> Callable[[Any], Any]:
        assert given["max_active_runs"] == 1
        return lambda call: call

    monkeypatch.setitem(sys.modules, "airflow", module("airflow"))
    monkeypatch.setitem(sys.modules, "airflow.decorators", module("airflow.decorators", dag=dag, task=task))
    errors = module("airflow.exceptions", AirflowException=AgainError, AirflowFailException=FailError)
    monkeypatch.setitem(sys.modules, "airflow.exceptions", errors)
    runpy.run_path(str(LOOP / "airflow_dag.py"))
    (run,) = tasks
    words = exits(cli_loop.COMPLETE)
    run("2026-01-31")
    assert words.read_text().split() == [
        "loop",
        "my-registry",
        "--log",
        "my-log",
        "--date",
        "2026-01-31",
        "--config",
        "my-config",
    ]
    exits(cli_loop.LOOK)
    run("2026-01-31")
    exits(cli_loop.NOT_YET)
    with pytest.raises(AgainError):
        run("2026-01-31")
    exits(cli.BAD_INPUT)
    with pytest.raises(FailError):
        run("2026-01-31")


def test_dagster(exits: Exits, monkeypatch: pytest.MonkeyPatch) -> None:
    class RetryRequested(Exception):  # noqa: N818 (its name in Dagster)
        def __init__(self, **given: Any) -> None:
            super().__init__(given)

    class Failure(Exception):  # noqa: N818
        def __init__(self, said: str, **given: Any) -> None:
            super().__init__(said)
            assert given == {"allow_retries": False}

    def nothing(*given: Any, **named: Any) -> None:
        return None

    stub = module(
        "dagster",
        RetryRequested=RetryRequested,
        Failure=Failure,
        asset=lambda **named: lambda call: call,
        MaterializeResult=lambda metadata: metadata,
        AssetExecutionContext=Any,
        **dict.fromkeys(
            ("DailyPartitionsDefinition", "define_asset_job", "Definitions", "build_schedule_from_partitioned_job"),
            nothing,
        ),
    )
    monkeypatch.setitem(sys.modules, "dagster", stub)
    run = runpy.run_path(str(LOOP / "dagster_job.py"))["loop_day"]
    warned: list[str] = []
    context = types.SimpleNamespace(partition_key="2026-01-31", log=types.SimpleNamespace(warning=warned.append))
    words = exits(cli_loop.COMPLETE)
    assert run(context) == {"production": "v1", "join": "10 decisions."}
    assert "--date 2026-01-31" in words.read_text()
    assert not warned
    exits(cli_loop.LOOK)
    run(context)
    assert warned == ["A person should look."]
    exits(cli_loop.NOT_YET)
    with pytest.raises(RetryRequested):
        run(context)
    exits(cli.BAD_INPUT)
    with pytest.raises(Failure, match="said"):
        run(context)
