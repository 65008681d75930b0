"""``jumar play``: words to the game, which is an island; only this module and ``cli`` know it.

In: arguments. Out: what the game shows, files, a server that runs until it is told to end; and an exit code: 0 done,
2 bad input.
"""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import App, Parameter
from rich.console import Console

from jumar.errors import GameError

if TYPE_CHECKING:
    from jumar.play.breed.training import Row, Settings

DONE = 0
LONG = 120  # generations
SHOWN, KEPT = 12, 16  # generations on a page and in a league; champions in a file
CHECKPOINT = "training.json"
Size = Literal["20x13", "14x9"]
screen = Console(highlight=False, soft_wrap=False)
err = Console(stderr=True, highlight=False)

app = App(
    name="play",
    help="Capture the flag, four against four in the fog: breed players, measure them, watch them, play against them.",
    help_format="markdown",
    result_action="return_value",
)


@contextmanager
def island() -> Iterator[None]:
    """The island's error becomes the house's."""
    try:
        from jumar.play.errors import PlayError
    except ImportError as error:
        raise GameError(f"The game needs a package that is not installed ({error.name})",
                        remedy="Run: pip install 'jumar[play]'.") from error  # fmt: skip
    try:
        yield
    except PlayError as error:
        place = "" if error.where is None else f" ({error.where})"
        raise GameError(f"{error.what}{place}", example=error.example, remedy=error.remedy) from None


def _compiling() -> None:
    """Nothing is to be seen while the rules and the players become machine code."""
    err.print("Compiling the game; that takes up to a minute or two, each time.", style="dim", markup=False)


@app.command
def train(
    *,
    out: Path = Path("training"),
    kind: Literal["strategy", "neat", "hyperneat"] = "strategy",
    generations: int = LONG,
    population: int = 64,
    maps: int = 8,
    size: Size = "20x13",
    rounds: int = 60,
    seed: int = 0,
    blind: Annotated[bool, Parameter(negative="")] = False,
) -> int:
    """Breed players: lessons against bots, then against the champions of their own past. Goes on where it was ended.

    Parameters
    ----------
    out
        Folder for the checkpoint and the champions; if a training is there already, it goes on.
    kind
        strategy: an evolution strategy over the weights of a plain network; neat: networks that grow; hyperneat:
        small networks that grow and paint large ones.
    generations
        Until how many generations have played.
    population
        Players in a generation.
    maps
        On which all of a generation play, from both sides.
    size
        Columns and rows of the maps.
    rounds
        Rounds after which the score decides a game.
    seed
        Number from which all chance comes.
    blind
        Players do not see their mates; to measure what that is worth.
    """
    with island():
        from jumar.play import files, limits, roster
        from jumar.play.breed import champions
        from jumar.play.breed.training import GENERATIONS, Settings, Training
        from jumar.play.measure.documents import evenly

        settings = Settings(kind=kind, seed=seed, population=population, maps=maps, rounds=rounds, size=_cells(size),
                            blind=blind)  # fmt: skip
        limits.within("generations", generations, 1, GENERATIONS)
        path = out / CHECKPOINT
        with files.held(out, "training"):
            training = Training.load(path) if path.exists() else Training(settings)
            if training.settings != settings:
                raise GameError(
                    f"Another training lies in {out}",
                    example=_differing(training.settings, settings),
                    remedy=f"Name another folder, or go on: {_command(training.settings, generations, out)}",
                )
            _compiling()
            try:
                while training.generation < generations:
                    row = training.advance()
                    screen.print(_line(row), markup=False, soft_wrap=True)
                    training.save(path)
            except KeyboardInterrupt:
                err.print(f"Go on with: {_command(settings, generations, out)}", markup=False, soft_wrap=True)
                raise
            chosen = training.chosen()
            # Those after the chosen one were found weaker, and the last of the file is the one to play against.
            path_to = training.archive[: training.archive.index(chosen) + 1]
            kept = [path_to[place] for place in evenly(len(path_to), KEPT)]
            champions.save(kept, out / roster.FILE, _command(settings, generations, None))
        screen.print(f"The one that did best on other maps is of generation {chosen.generation}: {out / roster.FILE}",
                     markup=False, soft_wrap=True)  # fmt: skip
    return DONE


def _line(row: Row) -> str:
    points = ", ".join(f"{name} {value:+.2f}" for name, value in row.points.items())
    return (
        f"{row.generation:>4}  {row.lesson:<11}  greedy errs {row.unsure:>4.0%}  fitness {row.fitness:+.2f} "
        f"(mean {row.mean:+.2f})  points against {points}"
    )


def _differing(was: Settings, now: Settings) -> str:
    pairs = ((name, getattr(was, name), getattr(now, name)) for name in was.__dataclass_fields__)
    return ", ".join(f"{name}: {one} there, {two} here" for name, one, two in pairs if one != two)


def _command(settings: Settings, generations: int, out: Path | None) -> str:
    words = ["jumar", "play", "train", "--kind", settings.kind, "--generations", str(generations)]
    words += ["--population", str(settings.population), "--maps", str(settings.maps), "--seed", str(settings.seed)]
    width, height = settings.size
    words += ["--size", f"{width}x{height}", "--rounds", str(settings.rounds)]
    words += [] if out is None else ["--out", str(out)]
    return shlex.join([*words, *(["--blind"] if settings.blind else [])])


@app.command
def watch(
    game: Path | None = None,
    *,
    red: str = "champion",
    blue: str = "greedy",
    map: int = 0,
    size: Size = "20x13",
    delay: float = 0.15,
    champions: Path | None = None,
    league: Path | None = None,
    html: Path | None = None,
    gif: Path | None = None,
    save: Path | None = None,
) -> int:
    """Watch a game in the terminal, or write it into files.

    Parameters
    ----------
    game
        A replay to watch; without one, a game is played now.
    red
        Who moves first: champion, greedy, random, or a file of champions or folder of a training, whose last one plays.
        A replay has its own players, map and size.
    blue
        Who moves second.
    map
        Number of the map; those below a million are in no training.
    size
        Columns and rows of the map.
    delay
        Seconds between two boards in the terminal.
    champions
        With --html: show a game of each of these against blue (default: those that come with the package, if the
        champion plays red).
    league
        With --html: a document that jumar play league wrote, for the curve of Elo and the table of generations.
    html
        Write a page that shows the game, and needs no network.
    gif
        Write the game as a moving picture.
    save
        Write the game as a replay.
    """
    with island():
        from jumar.play import replay, roster, terminal

        written = [path for path in (html, gif, save) if path is not None]
        if len({path.absolute() for path in written}) < len(written):
            raise GameError("Two things cannot be written into one file", example=str(written[-1]),
                            remedy="Name different files with --html, --gif and --save.")  # fmt: skip
        if html is None and (champions is not None or league is not None):
            raise GameError("--champions and --league are shown on a page, and none is written",
                            remedy="Say --html page.html.")  # fmt: skip
        if not 0 <= delay <= 60:
            raise GameError("Boards follow each other after 0 to 60 seconds", example=delay, remedy="Say --delay 0.15.")
        if game is None:
            _compiling()
            found = roster.played(roster.named(red), roster.named(blue), map, _cells(size))
        else:
            found = replay.load(game)
        if html is not None:
            own = None if game is not None or (champions is None and red != roster.CHAMPION) else roster.kept(champions)
            _page(html, found, own, blue, map, _cells(size), league)
        if gif is not None:
            found.gif(gif)
        if save is not None:
            found.save(save)
        for path in written:
            screen.print(f"Wrote {path}", markup=False)
        if not written:
            terminal.show(found, _write, delay, screen=sys.stdout.isatty())
    return DONE


def _write(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()


def _cells(size: Size) -> tuple[int, int]:
    width, height = size.split("x")
    return int(width), int(height)


def _page(path: Path, game: Any, own: Any, blue: str, seed: int, size: tuple[int, int], league: Path | None) -> None:
    from jumar.play import files, roster
    from jumar.play.measure import league as leagues
    from jumar.play.measure.documents import evenly
    from jumar.play.web import portraits, watched
    from jumar.play.web import watch as page

    table = None if league is None else leagues.load(league)
    shown = watched.Watched([("this game", game)])
    if own is not None:
        chosen = [own[place] for place in evenly(len(own), SHOWN)]
        opponent = roster.named(blue)
        games = [(champion.generation, roster.played(one, opponent, seed, size))
                 for champion, one in zip(chosen, roster.entrants(chosen), strict=True)]  # fmt: skip
        shown = portraits.of_champions(games, own[-1], table)
    files.put(path, page.page(shown).encode(), "page")


@app.command
def league(
    champions: Path | None = None,
    *,
    maps: int = 200,
    first: int = 500_000,
    size: Size = "20x13",
    rounds: int = 60,
    generations: int = SHOWN,
    seed: int = 0,
    out: Path | None = None,
    behaviour: Path | None = None,
    against: str = "greedy",
    led_by: Literal["champion", "greedy", "random"] = "greedy",
) -> int:
    """Measure champions and bots against each other on maps that are in no training; and what the last one does.

    Parameters
    ----------
    champions
        A file of champions, or the folder of a training (default: those that come with the package).
    maps
        How many; each is played from both sides.
    first
        Seed of the maps, below a million: from there on they are for training. On 20x13 none of them comes again by
        chance; of 14x9 about 3 in 100 are maps that a training of 120 generations has drawn as well.
    size
        Columns and rows of the maps.
    rounds
        Rounds after which the score decides a game.
    generations
        How many of the champions take part, evenly chosen, the last one always.
    seed
        Number from which all chance comes.
    out
        Write the league as a document.
    behaviour
        Also measure what the last champion does, hunting in packs and with two in jail, compared with the same player
        blind for its mates, with greedy and with random; and write that as a document.
    against
        With --behaviour: whom it then plays; greedy, random, champion (itself), or a file of champions.
    led_by
        With --behaviour: who plays in its place until two are in jail, from where all who are compared go on.
    """
    with island():
        from jumar.play import roster
        from jumar.play.breed.training import HELD_OUT
        from jumar.play.maps import draw
        from jumar.play.measure import behaviour as behaviours
        from jumar.play.measure import league as leagues
        from jumar.play.measure.documents import evenly

        if generations < 1:
            raise GameError("A league has one champion or more", example=generations, remedy="Say --generations 12.")
        if first >= HELD_OUT:
            raise GameError(f"Maps from {HELD_OUT:,} on are for training, and players may know them", example=first,
                            remedy="Say --first 500000.")  # fmt: skip
        kept = roster.kept(champions)
        places = evenly(len(kept), generations)
        entrants = roster.entrants([kept[place] for place in places])
        fields = draw(first, maps, _cells(size))
        _compiling()
        found = leagues.measure(entrants, fields, seed, rounds=rounds)
        screen.out(leagues.table(found))
        if out is not None:
            found.save(out)
            screen.print(f"Wrote {out}", markup=False)
        if behaviour is not None:
            player, blinded = roster.blinded(kept[-1])
            opponent = roster.named(against)
            done = behaviours.measure(player, opponent, fields, seed, blinded=blinded, led_by=led_by, rounds=rounds)
            screen.out(f"\n{behaviours.table(done)}")
            done.save(behaviour)
            screen.print(f"Wrote {behaviour}", markup=False)
    return DONE


@app.command
def serve(champions: Path | None = None, *, port: int = 8020, host: str = "127.0.0.1") -> int:
    """Play against the champion: a page on which you command four players.

    Parameters
    ----------
    champions
        A file of champions, or the folder of a training, whose last one to play against (default: those that come with
        the package).
    port
        Where to listen; 0 takes a free one.
    host
        Where to listen. Who reaches it can play, if the address that is asked for names this host.
    """
    with island():
        from jumar.play import roster
        from jumar.play.measure.entrants import BOTS
        from jumar.play.web import server
        from jumar.play.web.commands import Opponent

        kept = roster.kept(champions)
        young = kept[len(kept) // 4 : -1][:1]
        known = [*roster.entrants([kept[-1], *young]), *reversed(BOTS)]
        names = ["champion", *(f"its ancestor of generation {one.generation}" for one in young)]
        names += [bot.name for bot in reversed(BOTS)]
        opponents = [Opponent(name, one.policy, one.params) for name, one in zip(names, known, strict=True)]
        _compiling()
        server.serve(opponents, host=host, port=port, ready=lambda told: screen.print(told, markup=False))
    return DONE
