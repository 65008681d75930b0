"""``jumar promote | rollback | abandon | history | show | mirror``: words to functions for the registry.

In: arguments. Out: what the registry says, shown in the terminal or as JSON, and an exit code: 0 done, 2 bad input, 3
nothing was changed because nothing certifies the policy or because another writer was first. Only ``cli`` imports this
module.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ParamSpec

from cyclopts import Parameter
from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from jumar.cli_json import print_json

if TYPE_CHECKING:
    from jumar.release import Registry, RegistryRecord, Version

DONE, REFUSED = 0, 3
STYLES = {
    "create": "dim", "canary": "cyan", "widen": "cyan", "promote": "green", "abandon": "yellow", "rollback": "red",
}  # fmt: skip
Arguments = ParamSpec("Arguments")
Place = Annotated[str, Parameter(name="--registry")]
Flag = Annotated[bool, Parameter(negative="")]

screen = Console(highlight=False, soft_wrap=False)
err = Console(stderr=True, highlight=False)


def _refusals(command: Callable[Arguments, int]) -> Callable[Arguments, int]:
    """Turn a refusal, which is no bad input, into its exit code."""

    @wraps(command)
    def told(*given: Arguments.args, **named: Arguments.kwargs) -> int:
        from jumar.release import OvertakenError, UncertifiedError

        try:
            return command(*given, **named)
        except (OvertakenError, UncertifiedError) as error:
            err.print(str(error), style="red", markup=False)
            return REFUSED

    return told


@_refusals
def promote(
    policy: str,
    *,
    why: str,
    registry: Place = "registry",
    share: float = 1.0,
    force: Flag = False,
    expect: int | None = None,
    gates: Path | None = None,
    create: Flag = False,
    single_writer: Flag = False,
    json: Flag = False,
) -> int:
    """Let a certified policy decide: for all units, or for a share of them as a canary. A larger share widens it.

    Parameters
    ----------
    policy
        The result folder of a run, which is registered first; or a version, or an alias such as challenger.
    why
        For those who will ask; it stays in the records for ever.
    registry
        Its folder, or any address that fsspec reads, such as s3://bucket/registry.
    share
        Of units that it serves; 1 makes it production.
    force
        Promote it even if nothing certifies it.
    expect
        Number of the record that this is decided on; if there are later ones, nothing is changed.
    gates
        Folder of gates whose passed challengers count (default: gates in the folder of the registry).
    create
        Begin the registry if there is none.
    single_writer
        With --create: your word that two never write at once, where the file system could not tell them apart.
    json
        Print the record as JSON instead.
    """
    book = _opened(registry, policy, gates, create, single_writer)
    before = book.state()
    record = book.promote(_version(book, policy, why), why=why, share=share, forced=force, expect=expect)
    return _done(record, before, json)


@_refusals
def rollback(registry: Place = "registry", *, why: str, expect: int | None = None, json: Flag = False) -> int:
    """Return to the previous version, and end a canary if there is one.

    Parameters
    ----------
    registry
        Its folder or address.
    why
        For those who will ask; it stays in the records for ever.
    expect
        Number of the record that this is decided on; if there are later ones, nothing is changed.
    json
        Print the record as JSON instead.
    """
    from jumar.release import Registry

    book = Registry(registry)
    before = book.state()
    return _done(book.rollback(why=why, expect=expect), before, json)


@_refusals
def abandon(registry: Place = "registry", *, why: str, expect: int | None = None, json: Flag = False) -> int:
    """End the canary; production stays.

    Parameters
    ----------
    registry
        Its folder or address.
    why
        For those who will ask; it stays in the records for ever.
    expect
        Number of the record that this is decided on; if there are later ones, nothing is changed.
    json
        Print the record as JSON instead.
    """
    from jumar.release import Registry

    book = Registry(registry)
    before = book.state()
    return _done(book.abandon(why=why, expect=expect), before, json)


def history(registry: Place = "registry", *, json: Flag = False) -> int:
    """List every change with who, when and why, the latest last; every hash is checked on the way.

    Parameters
    ----------
    registry
        Its folder or address.
    json
        Print the records as JSON instead.
    """
    from jumar.release import Registry

    records = Registry(registry).history()
    if json:
        print_json(records)
        return DONE
    for record in records:
        screen.print(_line(record))
        screen.print(Padding(_details(record), (0, 0, 0, 6)))
    if not records:
        screen.print("Nothing was promoted yet.")
    return DONE


def show(version: str | None = None, *, registry: Place = "registry", json: Flag = False) -> int:
    """Say what is in production, what stands by and on what grounds; or what one version is.

    Parameters
    ----------
    version
        A version, or an alias: production, challenger, previous.
    registry
        Its folder or address.
    json
        Print it as JSON instead: the last record, or the version with its certificate.
    """
    from jumar.release import Registry

    book = Registry(registry)
    found: RegistryRecord | Version = book.state() if version is None else book.version(version)
    if version is not None:
        book.policy(version)  # every file of it is checked
    if json:
        print_json(found)
    else:
        screen.print(_standing(book) if version is None else _one_version(book, book.version(version)))
    return DONE


def mirror(uri: str, *, registry: Place = "registry", name: str = "jumar") -> int:
    """Copy versions and aliases into an MLflow registry, for those who look there; running it again adds what is new.

    Parameters
    ----------
    uri
        Of MLflow: http://host:5000, sqlite:///mlflow.db.
    registry
        Its folder or address.
    name
        Of the registered model.
    """
    from jumar.release import Registry
    from jumar.release.registry.mirror import mirror as copy

    done = copy(Registry(registry), uri, name)
    screen.print(f"{done.new} new of {done.versions} versions, aliases of record {done.record} → {name}", markup=False)
    return DONE


def _opened(registry: str, policy: str, gates: Path | None, create: bool, single_writer: bool) -> Registry:
    """The registry, begun if that is asked for and there is none, and there is a policy to begin it with."""
    from jumar.errors import OptionError
    from jumar.policy import load_policy
    from jumar.release import Registry, ReleaseError
    from jumar.release.registry.documents import ALIASES

    if single_writer and not create:
        raise OptionError("Your word is asked for when a registry begins", remedy="Add --create.")
    try:
        return Registry(registry, gates=gates)
    except ReleaseError:
        if not create:
            raise
    if policy not in ALIASES:
        load_policy(policy)
    return Registry.create(registry, single_writer=single_writer, gates=gates)


def _version(book: Registry, policy: str, why: str) -> str:
    """The version that is meant; a folder is registered."""
    from jumar.release.registry.documents import ALIASES

    if policy in ALIASES or any(policy == one.version for one in book.versions()):
        return policy
    return book.register(policy, why=why).version


def _done(record: RegistryRecord, before: RegistryRecord, json: bool) -> int:
    """What was changed."""
    if json:
        print_json(record)
        return DONE
    screen.print(_line(record))
    grid = _grid()
    for alias in ("production", "challenger", "previous"):
        old, new = getattr(before.aliases, alias), getattr(record.aliases, alias)
        if alias == "challenger" and new is not None:
            grid.add_row(alias, f"{new} serves {_share(record.share)} of the units")
        elif old != new:
            grid.add_row(alias, f"{old or 'nothing'} → {new or 'nothing'}")
    if record.what != "abandon":
        grid.add_row("grounds", _grounds(record))
    screen.print(Padding(grid, (0, 0, 0, 6)))
    return DONE


def _line(record: RegistryRecord, width: int = 4) -> Text:
    """A record in one line: number, when, what, which version, who."""
    line = Text(f"{record.number:>{width}}  ", style="bold")
    line.append(f"{record.at:%Y-%m-%d %H:%M:%S} UTC  ", style="dim")
    line.append(f"{record.what:<9} ", style=STYLES[record.what])
    line.append(str(record.version))
    line.append(f"  {_clean(record.who, 24)}", style="dim")
    return line


def _details(record: RegistryRecord) -> RenderableType:
    """Why, on what grounds, and for whom; what ends needs no grounds."""
    if record.what == "abandon":
        return Text(_clean(record.why, 600))
    share = Text(f"serves {_share(record.share)} of the units; ") if record.aliases.challenger else Text()
    return Group(Text(_clean(record.why, 600)), Text.assemble(share, _grounds(record), style="dim"))


def _grounds(record: RegistryRecord) -> Text:
    """What the version of a record was let in on."""
    if record.forced:
        return Text("FORCED: nothing certifies it", style="bold red")
    said = [f"passed the gate as challenger {record.attempt}"] if record.attempt else []
    said += ["certified"] if record.certificate_sha256 else []
    return Text(f"{' and '.join(said)}, α = {record.alpha:.3g}")


def _standing(book: Registry) -> RenderableType:
    """The registry in a dozen lines."""
    state, records = book.state(), book.history()
    grid = _grid()
    grid.add_row("registry", Text(_clean(book.url, 200), style="bold"))
    for alias in ("production", "challenger", "previous"):
        version = getattr(state.aliases, alias)
        if version is None:
            grid.add_row(alias, Text("nothing", style="dim"))
            continue
        since = _since(records, alias)
        grid.add_row(alias, Text(version, style="bold green" if alias == "production" else "bold"))
        grid.add_row("", Text(f"since {since.at:%Y-%m-%d %H:%M} UTC, record {since.number}", style="dim"))
        if alias == "challenger":
            grid.add_row("", f"serves {_share(state.share)} of the units")
        let_in = next(one for one in reversed(records) if one.version == version)
        grid.add_row("", _grounds(let_in))
        certificate = book.version(version).certificate
        if certificate is not None:
            grid.add_row("", _headline(certificate))
    if records:
        grid.add_row("last change", _line(state, 1))
        grid.add_row("", Text(_clean(state.why, 300)))
    grid.add_row("versions", f"{len(book.versions()):,}")
    for words in _ledger(book):
        grid.add_row("gates", words)
    return grid


def _since(records: list[RegistryRecord], alias: str) -> RegistryRecord:
    """The record from which on an alias has stood for what it stands for now, without a break."""
    now = getattr(records[-1].aliases, alias)
    others = [i for i, record in enumerate(records) if getattr(record.aliases, alias) != now]
    return records[others[-1] + 1 if others else 0]


def _ledger(book: Registry) -> Iterable[str]:
    """What the ledger of gates has spent, where there is one."""
    import datetime

    from jumar.release.ledger import spent

    ledger = None if book.gates is None else book.gates.known_ledger()
    if ledger is not None:
        used = len(spent(ledger, datetime.datetime.now(datetime.UTC)))
        passed = sum(row.outcome == "passed" for row in ledger.rows)
        yield f"{used} of {ledger.attempts} attempts of the last 365 days spent; {passed} passed in all"


def _one_version(book: Registry, version: Version) -> RenderableType:
    """All that is known of a version."""
    grid = _grid()
    state = book.state()
    names = [alias for alias in ("production", "challenger", "previous") if _is(state, alias, version)]
    grid.add_row("version", Text.assemble((version.version, "bold"), f"  {', '.join(names)}"))
    grid.add_row("registered", f"{version.registered_at:%Y-%m-%d %H:%M} UTC by {_clean(version.registered_by, 40)}")
    grid.add_row("from", Text(_clean(version.source, 200)))
    if version.why:
        grid.add_row("because", Text(_clean(version.why, 600)))
    certificate = version.certificate
    if certificate is None:
        grid.add_row("certificate", Text("none", style="yellow"))
    else:
        style = {"certified": "green", "conditional": "yellow", "refused": "red"}[certificate.verdict]
        grid.add_row("certificate", Text(certificate.verdict, style=style))
        grid.add_row("", _headline(certificate))
    for name, digest in version.files.items():
        grid.add_row("file", f"{name}  {digest[:16]}…")
    steps = [record for record in book.history() if record.version == version.version]
    for number, record in enumerate(steps):
        grid.add_row("" if number else "records", _line(record, 1))
        grid.add_row("", Text(_clean(record.why, 300), style="dim"))
    return grid


def _is(state: RegistryRecord, alias: str, version: Version) -> bool:
    return getattr(state.aliases, alias) == version.version


def _headline(certificate: object) -> Text:
    from jumar.evaluate import Certificate
    from jumar.report import words

    assert isinstance(certificate, Certificate)
    return Text(words.headline(certificate))


def _share(share: float) -> str:
    from jumar.report import words

    return words.share(share)


def _clean(text: str, limit: int) -> str:
    from jumar.report import words

    return words.clean(text, limit)


def _grid() -> Table:
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="dim", no_wrap=True)
    grid.add_column()
    return grid
