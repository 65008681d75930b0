"""The documents tell the truth: their code runs, their links lead somewhere, their names exist."""

from __future__ import annotations

import ast
import functools
import re
import shlex
import shutil
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import jumar
from jumar import cli, cli_loop, fitting
from jumar.evaluate import (
    CandidatePlan,
    Certificate,
    Claim,
    ClaimResult,
    Deviation,
    Estimate,
    Finding,
    GatePlan,
    Wager,
)
from jumar.evaluate.policies import Evaluation
from jumar.evaluate.wagers import ClaimPlan
from jumar.features import FeatureSpec
from jumar.learn import FitConfig, OneStep, fit_one_step
from jumar.logs.columns import CONVENTIONS
from jumar.logs.options import LogOptions
from jumar.logs.split import PARTS
from jumar.loop import Day, LoopConfig, Step, loop_config
from jumar.policy import PolicyCard
from jumar.worlds import Notifications

ROOT = Path(__file__).resolve().parents[1]
NAMES = ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")
DOCUMENTS = [
    path for path in (*(ROOT / name for name in NAMES), *sorted((ROOT / "docs").glob("*.md"))) if path.exists()
]
COMMANDS = ("improve", "audit", "evaluate", "score", "world", "demo", "gate", "plan", "collect", "join", "serve",
            "loop", "promote", "rollback", "abandon", "history", "show", "mirror", "ui", "play")  # fmt: skip
# From the top of the house down; a floor imports only from floors to its right.
FLOORS = ("cli", "cli_gate", "cli_join", "cli_loop", "cli_plan", "cli_play", "cli_registry", "cli_serve", "cli_ui",
          "cli_worlds", "cli_flags", "cli_json", "board", "loop", "improvement", "attempt", "fitting", "report",
          "serve", "release", "evaluate", "policy", "learn", "features", "logs", "files", "interrupts", "records",
          "version", "lazy", "errors")  # fmt: skip
# What the rooms of the game stand on.
GAME = {"aec", "bots", "errors", "files", "limits", "maps", "match", "render", "replay", "rules", "sealed", "senses",
        "sight", "ways"}  # fmt: skip
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
each_document = pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)


def blocks(path: Path, *languages: str) -> Iterator[tuple[str, str]]:
    for found in FENCE.finditer(path.read_text()):
        if found[1] in languages:
            yield found[1], found[2]


def prose(path: Path) -> str:
    return FENCE.sub("", path.read_text())


# Code that runs


def strong_log(rows: int) -> pa.Table:
    """The founding world with half of its decisions explored and a reward that tells right from wrong at once."""
    world = Notifications(exploration=0.5)
    log = world.log(rows, 1)
    right = (np.asarray(log["action"]) == "send") == (world.best(log)[:, 1] > 0.5)
    reward = np.random.default_rng(0).random(rows) < np.where(right, 0.8, 0.2)
    return log.set_column(log.schema.get_field_index("reward"), "reward", pa.array(reward.astype(float)))


@pytest.fixture(scope="module")
def one_fit() -> Iterator[None]:
    """The documents show that calls work and fit together: one short fit of the log serves all of them."""
    patch, fitted, fit = pytest.MonkeyPatch(), {}, fit_one_step

    def once(
        spec: FeatureSpec, actions: int, chunks: Any, held_out: Any, moments: Any, config: Any, tell: Any
    ) -> OneStep:
        key = (spec, actions, moments, config)
        if key not in fitted:
            fitted[key] = fit(spec, actions, chunks, held_out, moments, config, tell)
        return fitted[key]

    patch.setattr(fitting, "fit_one_step", once)
    patch.setattr(fitting, "FitConfig", lambda **given: FitConfig(**given | {"updates": 240, "evaluations": 6}))
    yield
    patch.undo()


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, one_fit: None) -> Path:
    """A folder with a log and a certified run."""
    place = tmp_path_factory.mktemp("finished")
    pq.write_table(strong_log(6_000), place / "decisions.parquet")
    result = jumar.improve(jumar.read_log(place / "decisions.parquet"))
    assert result.certificate.verdict == "certified", result.certificate.reasons
    result.save(place / "run")
    return place


@pytest.fixture
def here(finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of it, which is the current folder."""
    shutil.copytree(finished, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@each_document
def test_code_runs(path: Path, here: Path, one_fit: None, capsys: pytest.CaptureFixture[str]) -> None:
    """Blocks run in order in one folder and one namespace: Python as it stands, lines that begin with jumar."""
    table = pq.read_table(here / "decisions.parquet").slice(0, 100)
    namespace: dict[str, Any] = {"__name__": "document", "rows": table}
    for language, code in blocks(path, "python", "bash"):
        if language == "python":
            exec(compile(code, f"{path.name}", "exec"), namespace)
            continue
        for words in jumar_lines(code):
            if words[0] != "demo":  # minutes; its flags are checked below
                assert cli.main(words) == cli.CERTIFIED, (words, capsys.readouterr().err)


def jumar_lines(code: str) -> Iterator[list[str]]:
    """The arguments of every line that calls jumar, without comments."""
    for line in code.replace("\\\n", " ").splitlines():
        words = shlex.split(line.removeprefix("$ "), comments=True)
        if words[:1] == ["jumar"]:
            yield words[1:]


def test_settings_in_the_documents_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    rows, seen = 400, 0
    for path in DOCUMENTS:
        for _, text in blocks(path, "toml"):
            Path("jumar.toml").write_text(text)
            tables = tomllib.loads(text)
            if "loop" in tables:
                assert loop_config("jumar.toml") != LoopConfig()
            if "log" not in tables:
                continue
            given = tables["log"]
            low, high = given["reward_range"]
            columns: dict[str, Any] = {
                given["reward"]: np.linspace(low, high + 1, rows),
                given["action"]: [("yes", "no")[i % 2] for i in range(rows)],
                given["propensity"]: np.full(rows, 0.5),
                given["unit"]: [f"u{i % 90}" for i in range(rows)],
                given["time"]: np.arange(rows) + 1_700_000_000,
                given["decision_id"]: [f"d{i}" for i in range(rows)],
                **{name: [f"trace {i}" for i in range(rows)] for name in given["ignore"]},
                **{name: np.arange(rows) % 7 for name in given["categorical"]},
                **{name: [f"{i / 8}" for i in range(rows)] for name in given["numeric"]},
                **{name.partition(":")[0]: np.arange(rows) % 2 for name in given.get("metrics", ())},
            }
            log = jumar.read_log(pa.table(columns))
            assert {feature.kind for feature in log.schema.features} == {"category", "number"}
            assert (log.schema.reward_low, log.schema.reward_high, log.schema.cap_reward) == (low, high, True)
            assert log.schema.roles.unit == given["unit"]
            seen += 1
    assert seen


# Names that exist


@functools.cache
def flags_of(command: str) -> frozenset[str]:
    """Every flag of a command: those of its own parameters, of the log, and of the commands below it."""
    below = [cli.app[command], *(cli.app[command][name] for name in cli.app[command] if not name.startswith("-"))]
    runs = [app for app in below if app.default_command is not None]
    names = [name for app in runs for argument in app.assemble_argument_collection() for name in argument.names]
    return frozenset(names) | {"--help", "--version"}


@each_document
def test_every_flag_exists(path: Path) -> None:
    known = frozenset().union(*(flags_of(command) for command in COMMANDS))
    pieces = [code for _, code in blocks(path, "bash", "", "text")] + re.findall(r"`([^`\n]+)`", prose(path))
    for line in (line.strip() for piece in pieces for line in piece.replace("\\\n", " ").splitlines()):
        flags = set(re.findall(r"(?<![\w-])--[a-z][a-z-]*", line))
        command = re.match(r"(?:\$ )?jumar ([a-z]+)", line)
        script = re.match(r"python ((?:benchmarks|examples)/\S+\.py)", line)
        if command:
            assert command[1] in COMMANDS, f"there is no command 'jumar {command[1]}'"
            assert flags <= flags_of(command[1]), (line, flags - flags_of(command[1]))
        elif script:
            text = (ROOT / script[1]).read_text()
            assert all(flag in text for flag in flags), line
        elif not re.match(r"(make|ruff|pip|python|pytest|pyright|git)\b", line):
            assert flags <= known, (line, flags - known)


@each_document
def test_links_lead_somewhere(path: Path) -> None:
    for target in re.findall(r"\[[^\]]*\]\(([^)\s]+)\)", prose(path)):
        if re.match(r"[a-z]+:", target):
            continue
        name, _, anchor = target.partition("#")
        other = (path.parent / name).resolve() if name else path
        assert other.exists(), f"{path.name} links to {target}, which is not there"
        if anchor:
            assert anchor in anchors(other), f"{path.name} links to {target}, which has no such heading"


def anchors(path: Path) -> set[str]:
    """Headings as the usual renderers turn them into anchors."""
    headings = re.findall(r"^#+ (.+)$", prose(path), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@each_document
def test_named_files_and_tests_exist(path: Path) -> None:
    for file, name in re.findall(r"((?:tests|benchmarks|examples)/[\w/]+\.py)(?:::(\w+))?", path.read_text()):
        assert (ROOT / file).is_file(), f"{path.name} names {file}, which is not there"
        assert not name or f"def {name}(" in (ROOT / file).read_text(), f"there is no {file}::{name}"


@each_document
def test_no_path_of_any_machine(path: Path) -> None:
    found = re.findall(r"(?:^|[\s`'\"(=])((?:/[a-z][\w.-]*){2,}|~/\S+|[A-Z]:\\\S+)", path.read_text(), re.MULTILINE)
    assert not found


# Tables that are complete


def table_under(path: Path, heading: str) -> list[list[str]]:
    """Cells of the first table below a heading, without its head."""
    _, found, rest = f"\n{path.read_text()}".partition(f"\n{heading}\n")
    assert found, f"{path.name} has no heading '{heading}'"
    lines = rest[rest.index("\n|") + 1 :].splitlines()
    end = next((i for i, line in enumerate(lines) if not line.startswith("|")), len(lines))
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines[2:end]]


DOCUMENTED = {
    "## `certificate.json`": Certificate,
    "### `deviation`": Deviation,
    "### A claim that was tested": ClaimResult,
    "### A finding in `audits`": Finding,
    "## `manifest.json`": GatePlan,
    "### A candidate": CandidatePlan,
    "### A claim in the plan": ClaimPlan,
    "### What is claimed": Claim,
    "### A wager": Wager,
    "## `policy/policy.json`": PolicyCard,
    "## Evaluations": Evaluation,
    "### An estimate": Estimate,
}


@pytest.mark.parametrize(("heading", "record"), DOCUMENTED.items(), ids=lambda x: getattr(x, "__name__", ""))
def test_every_field_is_documented(heading: str, record: type[msgspec.Struct]) -> None:
    told = [cells[0].strip("`") for cells in table_under(ROOT / "docs/artifacts.md", heading)]
    assert told == list(record.__struct_fields__)


@pytest.mark.parametrize("record", [LoopConfig, Day, Step], ids=lambda x: x.__name__)
def test_every_field_of_the_loop_is_documented(record: type[msgspec.Struct]) -> None:
    table = table_under(ROOT / "docs/loop.md", f"### `{record.__name__}`")
    assert [cells[0].strip("`") for cells in table] == list(record.__struct_fields__)


def test_the_run_folder_is_documented(finished: Path) -> None:
    told = {cells[0].strip("`") for cells in table_under(ROOT / "docs/artifacts.md", "# Artifacts")}
    run = finished / "run"
    assert told == {str(file.relative_to(run)) for file in run.rglob("*") if file.is_file()}


def test_exit_codes_are_documented() -> None:
    told = {int(cells[0]) for cells in table_under(ROOT / "docs/artifacts.md", "## Exit codes")}
    assert told == {cli.CERTIFIED, cli.DEFECT, cli.BAD_INPUT, cli.NOT_CERTIFIED, cli_loop.NOT_YET, cli.INTERRUPTED}


def test_conventional_names_and_settings_are_documented() -> None:
    page = ROOT / "docs/log-format.md"
    roles = {cells[0].strip("`"): tuple(re.findall(r"`(\w+)`", cells[2])) for cells in table_under(page, "## Roles")}
    assert roles == CONVENTIONS
    settings = table_under(page, "## Settings in `jumar.toml`")
    assert [cells[0].strip("`") for cells in settings] == list(LogOptions.__struct_fields__)
    assert all(cells[1].strip("`") == "--" + cells[0].strip("`").replace("_", "-") for cells in settings)
    told = [(cells[0], *map(float, cells[1].split(" to "))) for cells in table_under(page, "## The split")]
    assert told == [(part, *bounds) for part, bounds in PARTS.items()]


# The house as it is described


def test_the_tree_is_the_house() -> None:
    tree = next(text for _, text in blocks(ROOT / "CONTRIBUTING.md", "text"))
    told, folders = [], []
    for line in tree.splitlines()[1:]:
        name, *rest = line.split(maxsplit=1)
        folders = folders[: (len(line) - len(line.lstrip())) // 2 - 1]
        if name.endswith("/"):
            folders.append(name)
        else:
            assert rest, f"nothing is said about {name} in {''.join(folders)}"
            told.append("".join([*folders, name]))
    source = ROOT / "src/jumar"
    files = [file for file in source.rglob("*") if file.suffix in (".py", ".html", ".typed")]
    assert sorted(told) == sorted(str(file.relative_to(source)) for file in files)


def test_imports_point_downwards() -> None:
    source = ROOT / "src/jumar"
    for file in source.rglob("*.py"):
        floor = file.relative_to(source).parts[0].removesuffix(".py")
        if floor in ("__init__", "__main__"):
            continue
        for other in imported(file) - {floor, ""}:
            assert floor != "play", f"{file.name} imports {other}, and play is an island"
            if other == "play":
                assert floor.startswith("cli_"), f"{file.name} imports play, which is an island"
            elif floor == "worlds":
                assert other == "errors", f"{file.name} imports {other}"
            elif other == "worlds":
                assert floor in ("cli", "cli_worlds"), f"{file.name} imports worlds"
            else:
                assert FLOORS.index(other) > FLOORS.index(floor), f"{file.name} imports {other}, which is above it"


def test_the_rooms_of_the_game_know_only_those_below() -> None:
    """Whoever evolves knows no game; whoever measures knows no way of breeding, and nobody below knows pages."""
    below = {"evolve": {"errors", "sealed"}, "measure": GAME, "breed": {*GAME, "evolve"},
             "web": {*GAME, "evolve", "measure", "breed", "roster"}}  # fmt: skip
    source = ROOT / "src/jumar/play"
    for room, known in below.items():
        for file in (source / room).glob("*.py"):
            names = re.findall(r"from jumar\.play(?:\.(\w+))?(?:\.\w+)* import (.+)", file.read_text())
            met = {found for outer, inner in names for found in ([outer] if outer else re.findall(r"\w+", inner))}
            assert met - {room} <= known, f"{room}/{file.name} imports {met - known - {room}}"
    for file in source.glob("*.py"):
        if file.name != "roster.py":
            rooms = set(re.findall(r"jumar\.play\.(evolve|measure|breed|web)", file.read_text()))
            assert not rooms, f"{file.name} imports {rooms}"


def imported(file: Path) -> set[str]:
    """Floors that a file imports; '' is the package itself, for its version and its public names."""
    names: list[str] = []
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.ImportFrom):
            names.append(node.module or "")
        elif isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
    return {[*name.split("."), ""][1] for name in names if name.split(".")[0] == "jumar"}
