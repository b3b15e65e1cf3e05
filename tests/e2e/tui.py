# SPDX-License-Identifier: MIT
"""Drives the terminal application in tmux and waits for states, never for time.

The program writes one JSON line per drawn frame to the file behind TERRA_TEST_FD.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import signal
import sqlite3
import subprocess
import tempfile
import time
import unittest
from collections.abc import Callable
from pathlib import Path
from typing import Any

import model

ROOT = Path(__file__).resolve().parents[2]
BUILD = Path(os.environ.get("TERRA_BUILD", ROOT / "build"))
TERRA = Path(os.environ.get("TERRA_BIN", BUILD / "terra"))
MODELS = BUILD / "e2e-models"
# Before a test gives up: a busy machine under a sanitizer is slow.
PATIENCE_S = float(os.environ.get("PATIENCE_S", "120"))

TEXT = (
    "The town council voted on Tuesday to close the old bridge over the river after "
    "engineers found cracks. Repairs will take six months, the council said. "
)

State = dict[str, Any]


def models() -> Path:
    """The folder with the models `e2e` and `e2e-dense`, made once per build folder."""
    stamp = MODELS / "stamp"
    source = Path(model.__file__)
    if not stamp.exists() or stamp.stat().st_mtime < source.stat().st_mtime:
        model.write(MODELS, "e2e")
        model.write(MODELS, "e2e-dense", units=0)
        stamp.touch()
    return MODELS


def wait_for(what: Callable[[], Any], why: Callable[[], str]) -> Any:
    end = time.monotonic() + PATIENCE_S
    while True:
        got = what()
        if got:
            return got
        if time.monotonic() > end:
            raise AssertionError(why())
        time.sleep(0.01)


def fits(state: State, what: Callable[[State], Any] | None, want: dict[str, Any]) -> bool:
    return all(state.get(k) == v for k, v in want.items()) and (what is None or what(state))


class Home:
    """A home directory of its own, with documents and a history."""

    def __init__(self) -> None:
        self.dir = Path(tempfile.mkdtemp(prefix="terra-e2e-"))
        self.db = self.dir / "data/terra/history.db"

    def env(self) -> dict[str, str]:
        keep = ("PATH", "ASAN_OPTIONS", "UBSAN_OPTIONS", "TSAN_OPTIONS", "LSAN_OPTIONS")
        return {k: os.environ[k] for k in keep if k in os.environ} | {
            "HOME": str(self.dir),
            "XDG_DATA_HOME": str(self.dir / "data"),
            "XDG_STATE_HOME": str(self.dir / "state"),
            "XDG_CACHE_HOME": str(self.dir / "cache"),
            "XDG_CONFIG_HOME": str(self.dir / "config"),
            "LANG": "C.UTF-8",
        }

    def document(self, words: int = 30, name: str = "doc.txt") -> Path:
        text = (TEXT * (words * 6 // len(TEXT) + 1))[: words * 6]
        path = self.dir / name
        path.write_text(text + "\n")
        return path

    def sql(self, query: str) -> list[Any]:
        with sqlite3.connect(f"file:{self.db}?mode=ro", uri=True) as db:
            return db.execute(query).fetchall()

    def close(self) -> None:
        shutil.rmtree(self.dir, ignore_errors=True)


class Tui:
    """One terminal of its own tmux server."""

    opened = 0

    def __init__(self, home: Home, *args: str | Path, **options: Any) -> None:
        Tui.opened += 1
        self.home = home
        self.socket = f"terra-e2e-{os.getpid()}-{Tui.opened}"
        self.log = home.dir / f"frames{Tui.opened}.jsonl"
        self.offset = 0
        self.last: State = {}
        self.states: list[State] = []
        self.waited = 0  # frames drawn until the last wait ended
        w, h = options.get("size", (80, 24))
        env = home.env() | {"TERRA_TEST_FD": "9"} | options.get("env", {})
        unset = options.get("unset", ())
        program = options.get("model", models() / "e2e")
        command = [str(TERRA)] + (["-m", str(program)] if program else [])
        command += [str(a) for a in args]
        pid, status = home.dir / "pid", home.dir / "status"
        status.unlink(missing_ok=True)
        pid.unlink(missing_ok=True)
        limit = f"ulimit -f {options['limit_kb'] * 2};" if "limit_kb" in options else ""
        line = " ".join(shlex.quote(c) for c in command)
        script = home.dir / "run.sh"
        sets = "".join(f"export {k}={shlex.quote(v)}\n" for k, v in env.items())
        bare = {"NO_COLOR", "COLORTERM", "SSH_CONNECTION", *unset} - set(options.get("env", {}))
        sets += "".join(f"unset {k}\n" for k in sorted(bare))
        if options.get("shell"):
            script.write_text(f"{sets}exec 9>>{self.log}\nPS1='$ ' exec sh -i\n")
        else:
            script.write_text(
                f"{sets}cd {home.dir}\nexec 9>>{self.log}\nstty -g >before\n"
                f"sh -c 'echo $$ >{pid}; {limit} exec \"$@\"' sh {line}\n"
                f"echo $? >exit\nstty -g >after\nmv exit {status}\nexec sleep 1000\n"
            )
        self.line = line
        size = ("-x", str(w), "-y", str(h))
        self.tmux("-f", "/dev/null", "new-session", "-d", *size, f"sh {script}")

    def tmux(self, *args: str) -> str:
        done = subprocess.run(
            ["tmux", "-L", self.socket, *args], capture_output=True, text=True, check=True
        )
        return done.stdout

    def close(self) -> None:
        subprocess.run(["tmux", "-L", self.socket, "kill-server"], capture_output=True)

    def keys(self, *names: str) -> None:
        self.tmux("send-keys", *names)

    def type(self, text: str) -> None:
        self.tmux("send-keys", "-l", text)

    def resize(self, w: int, h: int) -> None:
        self.tmux("resize-window", "-x", str(w), "-y", str(h))

    def screen(self) -> str:
        return self.tmux("capture-pane", "-p")

    def colours(self) -> str:
        return self.tmux("capture-pane", "-p", "-e")

    # ---- states --------------------------------------------------------------------

    def poll(self) -> State:
        """Reads the frames drawn since, and returns the newest."""
        if self.log.exists():
            with open(self.log, "rb") as f:
                f.seek(self.offset)
                data = f.read()
            whole = data.rfind(b"\n") + 1
            self.offset += whole
            for line in data[:whole].splitlines():
                self.last = json.loads(line)
                self.states.append(self.last)
        return self.last

    def wait(self, what: Callable[[State], Any] | None = None, **want: Any) -> State:
        """Until the newest frame is as wanted."""

        def ready() -> State | None:
            state = self.poll()
            return state if state and fits(state, what, want) else None

        return self.until(ready, what or want)

    def seen(self, what: Callable[[State], Any] | None = None, **want: Any) -> State:
        """Until a frame drawn since the last wait is as wanted: for what may be over soon."""

        def ready() -> State | None:
            self.poll()
            return next((s for s in self.states[self.waited :] if fits(s, what, want)), None)

        return self.until(ready, what or want)

    def until(self, ready: Callable[[], State | None], wanted: object) -> State:
        def why() -> str:
            return f"waited for {wanted}, got {self.last}\n{self.screen()}"

        state: State = wait_for(ready, why)
        self.waited = len(self.states)
        return state

    def wait_screen(self, text: str) -> str:
        def ready() -> str | None:
            screen = self.screen()
            return screen if text in screen else None

        return wait_for(ready, lambda: f"waited for {text!r}\n{self.screen()}")

    def idle(self, **want: Any) -> State:
        return self.wait(busy=False, state="idle", **want)

    def written(self) -> State:
        """A reply is complete."""
        return self.wait(lambda s: s["tokens"] > 0, busy=False, state="idle")

    # ---- the process -----------------------------------------------------------------

    def pid(self) -> int:
        path = self.home.dir / "pid"
        wait_for(lambda: path.exists() and path.read_text().strip(), lambda: "no pid")
        return int(path.read_text())

    def kill(self, sig: signal.Signals) -> None:
        os.kill(self.pid(), sig)

    def exit_status(self) -> int:
        path = self.home.dir / "status"
        wait_for(path.exists, lambda: f"still running\n{self.screen()}")
        return int(path.read_text())

    def tty_restored(self) -> bool:
        self.exit_status()
        before = (self.home.dir / "before").read_text()
        after = (self.home.dir / "after").read_text()
        alternate = self.tmux("display-message", "-p", "#{alternate_on}").strip()
        return before == after and alternate == "0"


class TuiTest(unittest.TestCase):
    """A home and the terminals opened in it."""

    def setUp(self) -> None:
        self.home = Home()
        self.addCleanup(self.home.close)

    def start(self, *args: str | Path, **options: Any) -> Tui:
        t = Tui(self.home, *args, **options)
        self.addCleanup(t.close)
        return t
