"""The report in headless Chromium: nothing runs, nothing overlaps, nothing is cut off, at two widths."""

from __future__ import annotations

import html
import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import report_runs as runs

from jumar.report import render, words

PROBE = """
<script>
const problems = [], frame = document.querySelector("iframe");
window.addEventListener("load", () => {
  const win = frame.contentWindow, doc = frame.contentDocument, width = Number(frame.width);
  if (doc.documentElement.scrollWidth > width) problems.push("scrolls to " + doc.documentElement.scrollWidth);
  for (const e of doc.body.querySelectorAll("*")) {
    const box = e.getBoundingClientRect(), hidden = e.closest("thead") && box.width <= 1;
    if (!e.closest("svg") && !hidden && box.width && box.right > width + 0.5)
      problems.push(e.tagName + "." + e.className + " reaches to " + box.right);
  }
  for (const svg of doc.querySelectorAll(".wide svg, .narrow svg")) {
    const frame = svg.getBoundingClientRect();
    if (!frame.width) continue;
    const texts = [...svg.querySelectorAll("text")].map(t => [t.textContent, t.getBoundingClientRect()]);
    texts.forEach(([a, p], i) => {
      if (p.left < frame.left - 1 || p.right > frame.right + 1 || p.top < frame.top - 1
          || p.bottom > frame.bottom + 1)
        problems.push("cut off: " + a);
      for (const [b, q] of texts.slice(i + 1))
        if (p.left < q.right && q.left < p.right && p.top + 1 < q.bottom && q.top + 1 < p.bottom)
          problems.push(a + " overlaps " + b);
    });
    if (!svg.querySelector(".mark-symbol path")) problems.push("no points");
  }
  const ink = win.getComputedStyle(doc.querySelector("figcaption") || doc.body).color;
  document.title = "measured";
  document.body.textContent = JSON.stringify({
    problems, ink, title: doc.title, headline: doc.querySelector("h1").textContent,
    scripts: doc.scripts.length, images: doc.images.length,
    requests: win.performance.getEntriesByType("resource").length,
    drawings: [...doc.querySelectorAll(".wide svg, .narrow svg")].filter(s => s.clientWidth).length,
    unnamed: doc.querySelectorAll("section:not([aria-labelledby]), th:not([scope])").length,
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


def look(page: str, folder: Path, width: int, *flags: str) -> dict[str, object]:
    """Open a page in headless Chromium in a frame of a given width, and measure it."""
    frame = f'<iframe width="{width}" height="8000" style="border:0" srcdoc="{html.escape(page)}"></iframe>'
    probe = folder / "probe.html"
    probe.write_text(f"<!doctype html><meta charset=utf-8><body>{frame}{PROBE}", encoding="utf-8")
    done = subprocess.run(
        [
            browser(), "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
            "--disable-background-networking", "--disable-component-update", "--disable-sync",
            "--disable-dev-shm-usage", "--window-size=1400,1000", "--virtual-time-budget=5000",
            f"--user-data-dir={folder / 'profile'}", *flags, "--dump-dom", probe.as_uri(),
        ],
        capture_output=True, text=True, encoding="utf-8", timeout=120, check=False,
    )  # fmt: skip
    found = re.search(r"<title>measured</title>.*<body>(.*)</body>", done.stdout, re.DOTALL)
    assert found, f"Chromium measured nothing: {done.stderr[-2000:]}"
    return json.loads(html.unescape(found[1]))


@pytest.mark.browser
@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("name", runs.ALL)
def test_in_a_browser_nothing_runs_overlaps_or_is_cut_off(name: str, width: int, tmp_path: Path) -> None:
    run = runs.ALL[name]()
    seen = look(render(run), tmp_path, width)
    assert seen["problems"] == []
    assert str(seen["title"]).startswith(run.certificate.verdict.capitalize())
    assert seen["headline"] == words.headline(run.certificate)
    assert (seen["scripts"], seen["images"], seen["requests"], seen["unnamed"]) == (0, 0, 0, 0)
    assert seen["drawings"] == (1 if run.walk else 0)


@pytest.mark.browser
def test_in_the_dark_the_page_is_dark(tmp_path: Path) -> None:
    light = look(render(runs.certified()), tmp_path, 1280)
    dark = look(render(runs.certified()), tmp_path, 1280, "--blink-settings=preferredColorScheme=0")
    assert dark["problems"] == []
    assert dark["ink"] != light["ink"]
