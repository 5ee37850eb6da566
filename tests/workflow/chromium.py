"""A headless Chromium that tests talk to: DevTools messages through two pipes, nothing to install.

Chromium reads JSON from file descriptor 3 and writes it to 4, each message ended by a zero byte.
"""

import base64
import contextlib
import fcntl
import json
import os
import select
import shutil
import signal
import time
from pathlib import Path
from typing import Any

PROGRAM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("chrome")
MISSING = "needs Chromium: apt-get install chromium"
_FLAGS = [
    "--headless", "--remote-debugging-pipe", "--no-sandbox", "--disable-gpu", "--no-first-run",
    "--disable-dev-shm-usage", "--disable-background-networking", "--disable-component-update",
    "--disable-sync", "--disable-extensions", "--hide-scrollbars", "--force-color-profile=srgb",
]  # fmt: skip
_KEYS = {"Enter": (13, "\r"), " ": (32, " "), "Tab": (9, ""), "Escape": (27, "")}
_PATIENCE = 60.0  # seconds for one answer, on a machine that does other things too


class Chromium:
    """One browser with one tab; `events` are those of the tab since it was opened."""

    def __init__(self, profile: Path) -> None:
        assert PROGRAM is not None, MISSING
        self.events: list[dict[str, Any]] = []
        self._rest, self._number, self._session = b"", 0, None
        its_in, self._to = map(_above, os.pipe())
        self._from, its_out = map(_above, os.pipe())
        null = [(os.POSIX_SPAWN_OPEN, fd, os.devnull, os.O_RDWR, 0) for fd in (0, 1, 2)]
        pipes = [(os.POSIX_SPAWN_DUP2, its_in, 3), (os.POSIX_SPAWN_DUP2, its_out, 4)]
        command = [PROGRAM, *_FLAGS, f"--user-data-dir={profile}", "about:blank"]
        self._pid = os.posix_spawn(
            PROGRAM, command, dict(os.environ), file_actions=[*null, *pipes], setpgroup=0
        )
        os.close(its_in), os.close(its_out)
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        said = self.call("Target.attachToTarget", targetId=target, flatten=True)
        self._session = said["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def close(self) -> None:
        """End the browser and all its processes."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._pid, signal.SIGKILL)
        os.waitpid(self._pid, 0)
        os.close(self._to), os.close(self._from)

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Ask the tab, or the browser before there is one, and wait for the answer."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters}
        message |= {"sessionId": self._session} if self._session else {}
        os.write(self._to, json.dumps(message).encode() + b"\0")
        while True:
            said = self._read()
            if said.get("id") == self._number:
                assert "error" not in said, f"{method}: {said['error']}"
                return said["result"]
            self.events.append(said)

    def show(self, page: Path, width: int, scheme: str = "light", height: int = 900) -> None:
        """Load a page anew, so wide and in this color scheme."""
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width, height=height, deviceScaleFactor=1, mobile=width < 600,
        )  # fmt: skip
        wanted = [{"name": "prefers-color-scheme", "value": scheme}]
        self.call("Emulation.setEmulatedMedia", features=wanted)
        self.events.clear()
        self.call("Page.navigate", url=page.resolve().as_uri())
        while not any(said["method"] == "Page.loadEventFired" for said in self.events):
            self.events.append(self._read())

    def run(self, script: str) -> Any:
        """The value of a JavaScript expression."""
        said = self.call("Runtime.evaluate", expression=script, returnByValue=True)
        assert "exceptionDetails" not in said, said
        return said["result"].get("value")

    def click(self, selector: str) -> None:
        """Click in the middle of the first such element."""
        x, y = self.run(
            f"(() => {{ const e = document.querySelector({json.dumps(selector)});"
            "e.scrollIntoView({block: 'center', behavior: 'instant'});"
            "const r = e.getBoundingClientRect();"
            "return [r.x + r.width / 2, r.y + r.height / 2] })()"
        )
        for kind in ("mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def press(self, key: str) -> None:
        """Press one key, as a person would."""
        code, text = _KEYS[key]
        about = {"key": key, "windowsVirtualKeyCode": code}
        said = {"text": text} if text else {}
        self.call("Input.dispatchKeyEvent", type="keyDown", **about, **said)
        self.call("Input.dispatchKeyEvent", type="keyUp", **about)

    def screenshot(self, path: Path) -> None:
        """What is in view, as PNG."""
        path.write_bytes(base64.b64decode(self.call("Page.captureScreenshot")["data"]))

    def _read(self) -> dict[str, Any]:
        end = time.monotonic() + _PATIENCE
        while b"\0" not in self._rest:
            ready, _, _ = select.select([self._from], [], [], max(0.0, end - time.monotonic()))
            assert ready, f"Chromium said nothing for {_PATIENCE:.0f} seconds"
            piece = os.read(self._from, 1 << 16)
            assert piece, "Chromium ended"
            self._rest += piece
        message, _, self._rest = self._rest.partition(b"\0")
        return json.loads(message)


def _above(descriptor: int) -> int:
    """The same pipe at a number that the browser's own 3 and 4 cannot overwrite."""
    moved = fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, 10)
    os.close(descriptor)
    return moved
