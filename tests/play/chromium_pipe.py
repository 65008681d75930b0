"""Headless Chromium for the tests of pages: real keys and clicks, sent through a pipe with its own protocol.

In: addresses, keys, places, JavaScript. Out: values, pictures, and whatever the page has complained about.
"""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

# Chromium reads commands from file 3 and writes answers to file 4; copies of ours are first made well above these.
_LAUNCH = """
import fcntl, os, sys
ends = [fcntl.fcntl(int(end), fcntl.F_DUPFD, 10) for end in sys.argv[1:3]]
for end, number in zip(ends, (3, 4)):
    os.dup2(end, number)
os.execv(sys.argv[3], sys.argv[3:])
"""
_KEYS = {
    "Enter": (13, "\r"), " ": (32, " "), "Tab": (9, ""), "ArrowLeft": (37, ""), "ArrowUp": (38, ""),
    "ArrowRight": (39, ""), "ArrowDown": (40, ""), "Home": (36, ""), "End": (35, ""), "Escape": (27, ""),
}  # fmt: skip


def path_of_browser() -> str:
    """Chromium's path; its absence is a failure, for then nobody has looked at the page."""
    for name in ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome"):
        if path := shutil.which(name):
            return path
    pytest.fail("no Chromium on PATH: install it (on Debian, package chromium), or run with -m 'not browser'")


class Browser:
    """One page in one browser.

    Attributes:
        complaints: what the page or the browser has written to the console, and exceptions that nobody caught.
        asked: addresses that were asked for.
    """

    def __init__(self, to: int, back: int) -> None:
        self._to, self._back, self._read, self._number, self._session = to, back, b"", 0, ""
        self.complaints: list[str] = []
        self.asked: list[str] = []
        target = self._call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self._call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for part in ("Page", "Runtime", "Log", "Network"):
            self._call(f"{part}.enable")

    def size(self, width: int, height: int = 1000, *, dark: bool = False, sharp: float = 1) -> None:
        """Of the window; also whether it is dark, and how many pixels there are to one."""
        self._call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=sharp,
                   mobile=False)  # fmt: skip
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self._call("Emulation.setEmulatedMedia", features=[scheme])

    def open(self, address: str) -> None:
        """Go there, and wait until it is loaded."""
        # An address that differs in its fragment only would not be loaded again.
        self._call("Page.navigate", url="about:blank")
        self._call("Page.navigate", url=address)
        self.until("document.readyState === 'complete' && location.href !== 'about:blank'")

    def value(self, script: str) -> Any:
        """Of an expression; promises are waited for."""
        found = self._call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in found, found["exceptionDetails"]
        return found["result"].get("value")

    def until(self, script: str, seconds: float = 20) -> None:
        """Wait for an expression to be true."""
        end = time.monotonic() + seconds
        while not self.value(f"Boolean({script})"):
            assert time.monotonic() < end, f"never true: {script}; {self.complaints}"
            time.sleep(0.02)

    def press(self, key: str, *, shift: bool = False) -> None:
        """A key, down and up."""
        code, text = _KEYS.get(key, (ord(key[0].upper()), key))
        about = {"key": key, "windowsVirtualKeyCode": code, "modifiers": 8 if shift else 0}
        self._call("Input.dispatchKeyEvent", type="keyDown", text=text, **about)
        self._call("Input.dispatchKeyEvent", type="keyUp", **about)

    def click(self, x: float, y: float) -> None:
        """At a place of the window."""
        for kind in ("mousePressed", "mouseReleased"):
            self._call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def click_on(self, selector: str) -> None:
        """In the middle of an element, scrolled into view."""
        box = self.value(f"""(() => {{ const one = document.querySelector({json.dumps(selector)});
            one.scrollIntoView({{block: "center"}}); const box = one.getBoundingClientRect();
            return [box.left + box.width / 2, box.top + box.height / 2]; }})()""")
        self.click(*box)

    def choose(self, selector: str, value: str) -> None:
        """A value of a field or a slider, as if it had been set by hand."""
        self.value(f"""(() => {{ const one = document.querySelector({json.dumps(selector)});
            one.value = {json.dumps(value)};
            for (const kind of ["input", "change"]) one.dispatchEvent(new Event(kind, {{bubbles: true}})); }})()""")

    def overflow(self) -> list[str]:
        """What reaches beyond the window to the right, and controls without a name."""
        return self.value("""[...document.body.querySelectorAll("*")].filter((one) => {
            const box = one.getBoundingClientRect();
            return box.width > 1 && !one.closest("svg") && box.right > document.documentElement.clientWidth + 0.5;
          }).map((one) => `${one.tagName}.${one.className} reaches too far`).concat(
            [...document.querySelectorAll("button, input, select, canvas, a")].filter((one) => !one.closest("[hidden]")
              && !(one.textContent.trim() || one.ariaLabel || one.labels?.length))
            .map((one) => `${one.tagName}#${one.id} has no name`))""")

    def picture(self, path: Path) -> None:
        """All of the page, as PNG."""
        shot = self._call("Page.captureScreenshot", format="png", captureBeyondViewport=True)
        path.write_bytes(base64.b64decode(shot["data"]))

    def _call(self, method: str, **params: Any) -> dict[str, Any]:
        self._number += 1
        about = {"sessionId": self._session} if self._session else {}
        message = json.dumps({"id": self._number, "method": method, "params": params, **about})
        os.write(self._to, message.encode() + b"\0")
        while True:
            answer = self._next()
            if answer.get("id") == self._number:
                assert "error" not in answer, (method, answer["error"])
                return answer["result"]

    def _next(self) -> dict[str, Any]:
        while b"\0" not in self._read:
            more = os.read(self._back, 1 << 20)
            assert more, "Chromium has ended"
            self._read += more
        one, self._read = self._read.split(b"\0", 1)
        said = json.loads(one)
        kind, params = said.get("method"), said.get("params", {})
        if kind == "Runtime.exceptionThrown":
            self.complaints.append(json.dumps(params["exceptionDetails"])[:600])
        elif kind == "Log.entryAdded":
            self.complaints.append(params["entry"]["text"])
        elif kind == "Network.requestWillBeSent":
            self.asked.append(params["request"]["url"])
        return said


@contextmanager
def browsing(folder: Path) -> Iterator[Browser]:
    """A browser for a while."""
    (theirs_in, ours_out), (ours_in, theirs_out) = os.pipe(), os.pipe()
    flags = [
        "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
        "--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage",
        "--remote-debugging-pipe", f"--user-data-dir={folder / 'profile'}",
    ]  # fmt: skip
    with subprocess.Popen(
        [sys.executable, "-c", _LAUNCH, str(theirs_in), str(theirs_out), path_of_browser(), *flags],
        pass_fds=(theirs_in, theirs_out), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    ) as process:  # fmt: skip
        os.close(theirs_in)
        os.close(theirs_out)
        try:
            yield Browser(ours_out, ours_in)
        finally:
            # Its end of the pipe closed, Chromium ends.
            os.close(ours_out)
            os.close(ours_in)
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
