"""The board in headless Chromium: nothing overflows, nothing is loaded, no script runs but its own, which refreshes."""

from __future__ import annotations

import asyncio
import html
import json
import re
import shutil
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from board_kit import board_of, populated
from board_papers import HOSTILE, NOW, write_registry

from jumar.board.page import render
from jumar.board.reading import Reader
from jumar.board.server import BoardApp

PROBE = """
<script>
window.addEventListener("load", () => {
  const problems = [], frame = document.querySelector("iframe");
  const win = frame.contentWindow, doc = frame.contentDocument, width = Number(frame.width);
  for (const folded of doc.querySelectorAll("details")) folded.open = true;
  if (doc.documentElement.scrollWidth > width) problems.push("scrolls to " + doc.documentElement.scrollWidth);
  for (const e of doc.body.querySelectorAll("*")) {
    const box = e.getBoundingClientRect(), hidden = e.closest("thead") && box.width <= 1;
    if (!e.closest("svg") && !hidden && box.width && (box.right > width + 0.5 || box.left < -0.5))
      problems.push(e.tagName + "." + e.className + " reaches from " + box.left + " to " + box.right);
  }
  let drawings = 0;
  for (const svg of doc.querySelectorAll("figure svg")) {
    const frame = svg.getBoundingClientRect();
    if (!frame.width) continue;
    drawings += 1;
    const texts = [...svg.querySelectorAll("text")].map(t => [t.textContent, t.getBoundingClientRect()]);
    texts.forEach(([a, p], i) => {
      if (p.left < frame.left - 1 || p.right > frame.right + 1 || p.top < frame.top - 1 || p.bottom > frame.bottom + 1)
        problems.push("cut off: " + a);
      for (const [b, q] of texts.slice(i + 1))
        if (p.left < q.right && q.left < p.right && p.top + 2 < q.bottom && q.top + 2 < p.bottom)
          problems.push(a + " overlaps " + b);
    });
  }
  const small = [...doc.querySelectorAll("svg text")].filter(t => t.getBoundingClientRect().width)
    .map(t => parseFloat(win.getComputedStyle(t).fontSize) * t.ownerSVGElement.getScreenCTM().a);
  document.title = "measured";
  document.body.textContent = JSON.stringify({
    problems: problems.slice(0, 20), drawings, title: doc.title, headline: doc.querySelector("h1").textContent,
    scripts: doc.scripts.length, images: doc.images.length, smallest: small.length ? Math.min(...small) : null,
    requests: win.performance.getEntriesByType("resource").length, ink: win.getComputedStyle(doc.body).color,
    unnamed: doc.querySelectorAll("section:not([aria-labelledby]):not([aria-label]), th:not([scope])").length,
  });
});
</script>
"""


def browser() -> str:
    """Chromium's path; its absence is a failure, for then nobody has looked at the page."""
    for name in ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome"):
        if path := shutil.which(name):
            return path
    pytest.fail("no Chromium on PATH: install it (on Debian, package chromium), or run with -m 'not browser'")


def dumped(address: str, folder: Path, *flags: str) -> tuple[str, list[str]]:
    """What Chromium makes of an address: the document after a while, and what it wrote to the console."""
    done = subprocess.run(
        [
            browser(), "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
            "--disable-background-networking", "--disable-component-update", "--disable-sync",
            "--disable-dev-shm-usage", "--window-size=1440,1000", "--virtual-time-budget=5000",
            "--enable-logging=stderr", f"--user-data-dir={folder / 'profile'}", *flags, "--dump-dom", address,
        ],
        capture_output=True, text=True, encoding="utf-8", timeout=120, check=False,
    )  # fmt: skip
    return done.stdout, [line for line in done.stderr.splitlines() if "CONSOLE" in line]


def look(page: str, folder: Path, width: int, *flags: str) -> dict[str, Any]:
    """Open a page in a frame of a given width, and measure it."""
    frame = f'<iframe width="{width}" height="16000" style="border:0" srcdoc="{html.escape(page)}"></iframe>'
    probe = folder / "probe.html"
    probe.write_text(f"<!doctype html><meta charset=utf-8><body>{frame}{PROBE}", encoding="utf-8")
    document, console = dumped(probe.as_uri(), folder, *flags)
    found = re.search(r"<title>measured</title>.*<body>(.*)</body>", document, re.DOTALL)
    assert found, f"Chromium measured nothing: {console}"
    return json.loads(html.unescape(found[1])) | {"console": console}


def pages(root: Path) -> dict[str, str]:
    """The story, the same told by somebody hostile, a registry that is damaged, one in which nothing happened, none."""
    empty = root / "empty"
    empty.mkdir()
    write_registry(empty, [], versions=0)
    broken = populated(root / "broken")
    for name in ("records/000000000003.json", "loop/canary.arrow", "gates/ledger.json"):
        (broken / name).write_bytes(b"{")
    return {
        "story": render(board_of(populated(root / "story"))),
        "hostile": render(board_of(populated(root / "hostile", hostile=True))),
        "broken": render(board_of(broken)),
        "empty": render(board_of(empty)),
        "nowhere": render(board_of(root / "nowhere")),
    }


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return pages(tmp_path_factory.mktemp("pages"))


@pytest.mark.browser
@pytest.mark.parametrize("width", [390, 820, 1440])
@pytest.mark.parametrize("name", ["story", "hostile", "broken", "empty", "nowhere"])
def test_nothing_overflows_runs_or_is_loaded(shown: dict[str, str], name: str, width: int, tmp_path: Path) -> None:
    seen = look(shown[name], tmp_path, width)
    assert seen["problems"] == []
    assert seen["console"] == []
    assert (seen["scripts"], seen["images"], seen["requests"], seen["unnamed"]) == (0, 0, 0, 0)
    assert seen["title"].endswith("– Jumar")
    assert seen["drawings"] == {"story": 17, "hostile": 17, "broken": 3}.get(name, 0)
    assert seen["smallest"] is None or seen["smallest"] >= 8.5


@pytest.mark.browser
def test_the_probe_sees_what_overflows_runs_and_is_loaded(shown: dict[str, str], tmp_path: Path) -> None:
    worse = '<p style="width: 2000px">wide</p><script>1</script><img src="data:,"></body>'
    seen = look(shown["empty"].replace("</body>", worse), tmp_path, 390)
    assert any("P." in one for one in seen["problems"])
    assert any("scrolls" in one for one in seen["problems"])
    assert seen["scripts"] == seen["images"] == 1
    assert any("violates" in one for one in seen["console"])


@pytest.mark.browser
def test_in_the_dark_the_page_is_dark(shown: dict[str, str], tmp_path: Path) -> None:
    light = look(shown["story"], tmp_path, 1440)
    dark = look(shown["story"], tmp_path, 1440, "--blink-settings=preferredColorScheme=0")
    assert dark["problems"] == []
    assert dark["ink"] != light["ink"]


class Recorded:
    """The application, and what was asked of it; after the first page something has changed."""

    def __init__(self, root: Path) -> None:
        self.app = BoardApp(Reader(root), every=1, fresh_s=-1.0, now=lambda: NOW)
        self.root, self.asked = root, []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.asked.append((scope["method"], scope["path"]))
        await self.app(scope, receive, send)
        if len(self.asked) == 1:
            (self.root / "loop" / "watch.json").unlink()


@contextmanager
def served(app: Recorded) -> Iterator[str]:
    """Serve on a free port for a while."""
    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, lifespan="off", ws="none", log_config=None, access_log=False))
    thread = threading.Thread(target=lambda: asyncio.run(server.serve([listener])))
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/"
    finally:
        server.should_exit = True
        thread.join(30)
        listener.close()


@pytest.mark.browser
def test_an_open_page_refreshes_itself_and_asks_for_nothing_else(tmp_path: Path) -> None:
    app = Recorded(populated(tmp_path / "registry", hostile=True))
    with served(app) as address:
        document, console = dumped(address, tmp_path)
    assert set(app.asked) == {("GET", "/")}
    assert len(app.asked) >= 3
    assert console == []
    assert "Nothing is watched" in document
    assert "<title>! Release 2 decides; release 4 serves 25% of the units. – Jumar</title>" in document
    assert html.escape(HOSTILE, quote=False) in document
    assert document.count("<script") == 1
