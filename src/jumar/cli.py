"""The command line: words to functions, nothing else.

In: arguments. Out: what the functions do, shown in the terminal, and an exit code: 0 done or certified, 3 not
certified or a person should look, 2 bad input, 75 not yet, 1 a defect of ours, 130 interrupted.
"""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import App, CycloptsError, Parameter
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

import jumar
from jumar import (
    cli_gate,
    cli_join,
    cli_loop,
    cli_plan,
    cli_play,
    cli_registry,
    cli_serve,
    cli_ui,
    cli_worlds,
    interrupts,
)
from jumar.cli_flags import CLAIM_FLAGS, LOG_FLAGS, TIMELINE_FLAGS, ClaimFlags, LogFlags, TimelineFlags
from jumar.cli_json import print_json
from jumar.errors import JumarError, OptionError

if TYPE_CHECKING:
    from jumar.improvement import Improvement

CERTIFIED, DEFECT, BAD_INPUT, NOT_CERTIFIED, INTERRUPTED = 0, 1, 2, 3, 130
STAGES = {
    "audit": "Auditing the log",
    "features": "Fitting features",
    "learn": "Cloning production and valuing its actions",
    "path": "Laying the path from the clone",
    "gate": "Judging on rows that chose nothing",
    "score": "Deciding",
}

app = App(
    name="jumar",
    help="Learn better decisions from the log of decisions already made; certify them before anyone sees them.",
    version=jumar.__version__,
    help_format="markdown",
    result_action="return_value",
    suppress_keyboard_interrupt=False,
)
app.command(cli_gate.app, name="gate")
app.command(cli_plan.plan)
app.command(cli_registry.promote)
app.command(cli_registry.rollback)
app.command(cli_registry.abandon)
app.command(cli_registry.history)
app.command(cli_registry.show)
app.command(cli_registry.mirror)
app.command(cli_serve.serve)
app.command(cli_join.join)
app.command(cli_loop.loop)
app.command(cli_ui.ui)
app.command(cli_play.app, name="play")
app.command(cli_worlds.world)
app.command(cli_worlds.collect)
screen = Console(highlight=False, soft_wrap=False)
err = Console(stderr=True, highlight=False)


@app.command
def improve(
    log: str,
    *,
    out: Path = Path("run"),
    confidence: float = 0.999,
    seed: int = 0,
    exploration: float | None = None,
    candidates: int = 10,
    candidate: Annotated[tuple[Path, ...], Parameter(negative="")] = (),
    evidence: Literal["auto", "decision", "unit"] = "auto",
    learner: Literal[
        "one-step", "direct", "cloning", "double-dqn", "qr-dqn", "cql", "iql", "bcq", "crr", "sac-n"
    ] = "one-step",
    baseline: str | None = None,
    ahead: TimelineFlags = TIMELINE_FLAGS,
    claims: ClaimFlags = CLAIM_FLAGS,
    flags: LogFlags = LOG_FLAGS,
) -> int:
    """Learn a better policy from a log and certify that it is not worse than production.

    Parameters
    ----------
    log
        Parquet, CSV or Arrow file, glob or folder; or file.duckdb::table.
    out
        Folder for policy, certificate, report and manifest.
    confidence
        Of the certificate. More confidence means less change.
    seed
        Of the fit; the split of the rows never depends on it.
    exploration
        Share of decisions to spread over all actions, wherever production gives them as much chance (default: 0.1).
    candidates
        Points of the path to put to the gate, 1 to 10.
    candidate
        The folder of a further policy to put to the gate beside them. Repeatable.
    evidence
        What counts as one piece of evidence: a decision, or all decisions of a unit (default: what the audit says).
    learner
        one-step tilts production by the value of its actions; direct is trained on what the gate tests; with a discount
        also double-dqn, qr-dqn, cql, iql, bcq, crr, sac-n, or cloning, which changes nothing.
    baseline
        A metric, such as taps, by whose predicted value the report's frontier also sorts.
    """
    from jumar.files import check_free
    from jumar.improvement import RESULT_NAMES

    check_free(out, RESULT_NAMES)
    with _progress() as tell:
        opened = flags.open(log, [*claims.metrics(), *([baseline] if baseline else [])])
        result = jumar.improve(
            opened,
            confidence=confidence,
            seed=seed,
            exploration=exploration,
            candidates=candidates,
            candidate=candidate,
            evidence=evidence,
            learner=learner,
            baseline=baseline,
            discount=ahead.discount,
            per=ahead.per,
            gap=ahead.gap,
            progress=tell,
            **claims.asked(),
        )
        result.save(out)
    return _show_result(result, out)


@app.command
def demo(*, out: Path = Path("run"), rows: int = 300_000, seed: int = 1, confidence: float = 0.999) -> int:
    """Make a synthetic week of notification decisions, then audit, improve, certify and report.

    Parameters
    ----------
    out
        Folder for the log and the result.
    rows
        Decisions to make up.
    seed
        Of the world.
    confidence
        Of the certificate.
    """
    from jumar.worlds import Notifications

    out.mkdir(parents=True, exist_ok=True)
    path = out / "decisions.parquet"
    screen.print(f"[bold]A synthetic week of notification decisions[/] → {path} ({rows:,} rows)")
    world = Notifications()
    world.write(rows, seed, path, metrics=True)
    flags = LogFlags(metrics=("tapped", "complaint"))
    audit(str(path), flags=flags)
    code = improve(str(path), out=out / "result", confidence=confidence, baseline="tapped", flags=flags)
    screen.print(_truth_of_demo(world, out / "result"))
    return code


@app.command
def audit(log: str, *, json: Annotated[bool, Parameter(negative="")] = False, flags: LogFlags = LOG_FLAGS) -> int:
    """Say what a log holds, what it lacks, and whether it is fit to learn from.

    Parameters
    ----------
    log
        Parquet, CSV or Arrow file, glob or folder; or file.duckdb::table.
    json
        Print the findings as JSON instead.
    """
    from jumar.logs import audit as audit_log

    with _progress(quiet=json) as tell:
        opened = flags.open(log)
        tell("audit", 0.0)
        findings = audit_log(opened)
        tell("audit", 1.0)
    blocked = any(finding.verdict == "blocked" for finding in findings)
    if json:
        print_json({"source": opened.source, "rows": opened.rows, "notes": opened.notes, "findings": findings})
    else:
        from jumar.report import findings_table

        screen.print(findings_table(findings))
        _notes(opened.notes)
        answer = "[red]not fit to learn from as it is" if blocked else "[green]fit to learn from"
        screen.print(f"\n[bold]{opened.rows:,} decisions: {answer}[/][/bold]")
    return NOT_CERTIFIED if blocked else CERTIFIED


@app.command
def evaluate(
    policy: Path,
    log: str,
    *,
    confidence: float = 0.95,
    rows: Literal["unseen", "all"] = "unseen",
    json: Annotated[bool, Parameter(negative="")] = False,
    claims: ClaimFlags = CLAIM_FLAGS,
) -> int:
    """Estimate what a policy is worth on a log, with honest intervals; test claims about it.

    Parameters
    ----------
    policy
        The policy folder.
    log
        A log with the columns of the policy's own.
    confidence
        Of every interval and of the paired bound.
    rows
        unseen: only units of the half that the policy was not fitted on; all: every row.
    json
        Print the estimates as JSON instead.
    """
    result = jumar.evaluate(jumar.load_policy(policy), log, confidence=confidence, rows=rows, **claims.asked())
    if json:
        print_json(result)
    else:
        from jumar.report import claims_table, evaluation_table

        screen.print(evaluation_table(result))
        if claims != CLAIM_FLAGS:
            screen.print(claims_table(result.claims))
        _notes(result.notes)
    shown = all(one.verdict == "passed" for one in result.claims if one.required)
    shown = shown and not result.estimated_propensities
    return CERTIFIED if shown or claims == CLAIM_FLAGS else NOT_CERTIFIED


@app.command
def score(
    policy: Path,
    source: str,
    out: Path | None = None,
    *,
    seed: int | None = None,
    log: Path | None = None,
    explore: str = "policy",
    salt: str = "jumar",
) -> int:
    """Decide for every row of a table and add action, propensity and pmf; or decide as the service would, into its log.

    Parameters
    ----------
    policy
        The policy folder; with --log the registry, whose production decides, and whose challenger for its units.
    source
        The rows to decide on.
    out
        The Parquet file to write; not with --log.
    seed
        Changes all draws. Rows with ids decide the same again under the same seed (default 0); rows without ids are
        drawn afresh unless a seed is given. Not with --log.
    log
        Folder of the decision log to decide into. Rows need a decision id.
    explore
        With --log: policy (as certified), floor:0.05, softmax:2, top-two:0.5 or thompson.
    salt
        With --log: of all draws, as of the service.
    """
    from jumar.serve import score as score_rows

    if (log is None) == (out is None) or (log is not None and seed is not None):
        raise OptionError(
            "Decisions go either into a file or into a log, which has a salt and no seed",
            remedy="Say 'jumar score POLICY ROWS OUT', or 'jumar score REGISTRY ROWS --log DIR'.",
        )
    if log is not None:
        return _record(policy, source, log, explore, salt)
    assert out is not None
    with _progress() as tell:
        loaded = jumar.load_policy(policy)
        tell("score", 0.0)
        rows = score_rows(loaded, source, out, seed=seed)
        tell("score", 1.0)
    screen.print(f"{rows:,} decisions → {out}", markup=False)
    return CERTIFIED


def _record(registry: Path, source: str, log: Path, explore: str, salt: str) -> int:
    """Decide into a decision log; how many rows each version decided."""
    from jumar.policy.exploration import parse_exploration
    from jumar.release import Registry
    from jumar.serve.recorded import record

    counts = record(Registry(registry), source, log, exploration=parse_exploration(explore), salt=salt)
    for version, rows in counts.items():
        screen.print(f"{rows:,} decisions by {version} → {log}", markup=False)
    return CERTIFIED


def main(arguments: list[str] | None = None) -> int:
    """Run one command; every failure becomes a message and an exit code."""
    interrupts.listen()
    try:
        return int(app(arguments, exit_on_error=False, print_error=False) or 0)
    except JumarError as error:
        return _refuse(str(error))
    except CycloptsError as error:
        return _refuse(f"{error}  Try: jumar --help")
    except KeyboardInterrupt:
        interrupts.settle()
        err.print("[yellow]Interrupted; nothing was left half-written.")
        return INTERRUPTED
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return CERTIFIED
    except OSError as error:
        from jumar.files import unwritable

        return _refuse(str(unwritable(Path(error.filename or "."), error)))
    except MemoryError:
        return _refuse("There is not enough memory. Use fewer columns, or a machine with more.")
    except Exception:
        traceback.print_exc()
        err.print("[red]This is a defect of Jumar, not of your data. Nothing was left half-written.")
        return DEFECT


def _refuse(message: str) -> int:
    """Show an error of the user's and say so to the shell."""
    err.print(message, style="red", markup=False)
    return BAD_INPUT


def _notes(notes: list[str] | tuple[str, ...]) -> None:
    """What was assumed, quietly."""
    for note in notes:
        screen.print(f"· {note}", style="dim", markup=False)


@contextmanager
def _progress(*, quiet: bool = False) -> Iterator[Callable[[str, float], None]]:
    """Progress by stage on standard error, so that standard output stays clean."""
    bar = Progress(
        TextColumn("{task.description}", justify="left"),
        BarColumn(bar_width=24),
        TextColumn("{task.percentage:>3.0f}%"),
        TimeElapsedColumn(),
        console=err,
        transient=False,
        disable=quiet,
    )
    tasks: dict[str, Any] = {}

    def tell(stage: str, share: float) -> None:
        interrupts.raise_again()
        if stage not in tasks:
            tasks[stage] = bar.add_task(STAGES.get(stage, stage), total=1.0)
        bar.update(tasks[stage], completed=share)

    with bar:
        yield tell


def _show_result(result: Improvement, folder: Path) -> int:
    """The verdict in the terminal, and where the rest lies."""
    from jumar.report import claims_table, findings_table, several, verdict_panel, walk_table

    certificate = result.certificate
    if result.summary.walk:
        screen.print(walk_table(result.summary.walk, certificate.production_value))
    if several(certificate.claims):
        screen.print(claims_table(certificate.claims))
    told = [finding for finding in (*result.summary.log_findings, *certificate.audits) if finding.verdict != "ok"]
    if told:
        screen.print(findings_table(told))
    if result.summary.clone is not None:
        screen.print(f"Clone {result.summary.clone.sentence}.", markup=False)
    screen.print(verdict_panel(certificate))
    screen.print(f"Report: {folder / 'report.html'}", markup=False)
    return CERTIFIED if certificate.verdict == "certified" else NOT_CERTIFIED


def _truth_of_demo(world: Any, folder: Path) -> str:
    """What only a synthetic world can tell: the true gain of the policy."""
    from jumar.policy import load_policy

    truth = world.summary()
    if not (folder / "policy").exists():
        return f"In truth up to {truth.relative_gain:+.1%} was to be had in this world."
    policy = load_policy(folder / "policy")
    contexts = world.contexts(200_000, 987_654)
    q, mu, pmf = world.mean_reward(contexts), world.production(contexts), policy.pmf(contexts)
    value, now = float((pmf * q).sum(1).mean()), float((mu * q).sum(1).mean())
    sends = float(pmf[:, 1].mean() / mu[:, 1].mean() - 1)
    return (
        f"The truth, which only a synthetic world knows: {value / now - 1:+.1%} value with {sends:+.0%} "
        f"notifications (the best possible is {truth.relative_gain:+.1%})."
    )
