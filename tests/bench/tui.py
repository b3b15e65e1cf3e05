#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What the terminal application costs: key to screen, bytes sent, share of decoding.

Runs it on a pseudo-terminal while it writes, and prints one line per number.  The
program tells when a frame was drawn through TERRA_TEST_FD.
"""

from __future__ import annotations

import json
import os
import pty
import select
import statistics
import struct
import subprocess
import sys
import termios
import time
from fcntl import ioctl
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "e2e"))

from tui import TERRA, Home, models  # noqa: E402

METRICS = ("surprise", "flip", "unit", "margin", "zero", "use", "p")


class Running:
    """The program writing a long reply on a pseudo-terminal."""

    def __init__(
        self, home: Home, columns: int, rows: int, ssh: bool = False, tokens: int = 4000
    ) -> None:
        reader, writer = os.pipe()
        env = home.env() | {"TERM": "xterm-256color", "TERRA_TEST_FD": str(writer)}
        env |= {"SSH_CONNECTION": "here"} if ssh else {}
        document = home.document()
        command = ["terra", "-m", str(models() / "e2e"), "-n", str(tokens), str(document)]
        self.pid, self.tty = pty.fork()
        if self.pid == 0:
            os.set_inheritable(writer, True)
            time.sleep(0.1)  # until the size is set
            os.execve(TERRA, command, env)
        ioctl(self.tty, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        os.close(writer)
        self.reader, self.pending = reader, b""
        self.bytes = 0
        self.last: dict[str, object] = {}

    def pump(self, timeout: float) -> None:
        ready, _, _ = select.select([self.tty, self.reader], [], [], timeout)
        if self.tty in ready:
            self.bytes += len(os.read(self.tty, 1 << 16))
        if self.reader in ready:
            self.pending += os.read(self.reader, 1 << 16)
            *lines, self.pending = self.pending.split(b"\n")
            for line in lines:
                self.last = json.loads(line)

    def until(self, key: str, value: object) -> None:
        while self.last.get(key) != value:
            self.pump(5)

    def stop(self) -> None:
        os.kill(self.pid, 9)
        os.waitpid(self.pid, 0)
        os.close(self.tty)
        os.close(self.reader)


def key_to_screen(home: Home, keys: int) -> list[float]:
    """Milliseconds from a key to the end of the frame that answers it."""
    r = Running(home, 160, 48)
    r.until("state", "GEN")
    os.write(r.tty, b"\t")
    r.until("focus", "output")
    times = []
    for i in range(keys):
        time.sleep(0.003 * (i % 7))
        start = time.monotonic()
        os.write(r.tty, b"m")
        r.until("metric", METRICS[(i + 1) % len(METRICS)])
        times.append((time.monotonic() - start) * 1e3)
        if r.last.get("state") != "GEN":
            break
    r.stop()
    return sorted(times)


def costs(home: Home, columns: int, rows: int, ssh: bool) -> tuple[float, float, float, float]:
    """Bytes a second to the terminal; shares of decoding that the loop's processor time for
    drawing and for tracing (timeline, text, store) are; microseconds of tracing a token."""
    r = Running(home, columns, rows, ssh)
    r.until("state", "GEN")
    start, sent = time.monotonic(), r.bytes
    while time.monotonic() - start < 2 and r.last.get("state") == "GEN":
        r.pump(0.05)
    rate = (r.bytes - sent) / (time.monotonic() - start)
    draw, trace, decode = (float(str(r.last[k])) for k in ("draw_us", "trace_us", "decode_us"))
    tokens = float(str(r.last["tokens"]))
    r.stop()
    return rate, draw / max(1.0, decode), trace / max(1.0, decode), trace / max(1.0, tokens)


def slower(home: Home, tokens: int, rounds: int) -> tuple[float, float]:
    """Median microseconds of decoding a token: in the terminal application, with everything
    drawn and stored, and by `terra summarize --no-log`, in turns."""
    inside, alone = [], []
    command = ["summarize", "-m", str(models() / "e2e"), "-n", str(tokens), "--no-log", "--json"]
    for _ in range(rounds):
        r = Running(home, 160, 48, tokens=tokens)
        r.until("state", "GEN")
        while r.last.get("state") == "GEN":
            r.pump(0.05)
        inside.append(float(str(r.last["decode_us"])) / float(str(r.last["tokens"])))
        r.stop()
        done = subprocess.run(
            [TERRA, *command, str(home.document())], env=home.env(), stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True,
        )  # fmt: skip
        stats = json.loads(done.stdout.splitlines()[-1])["stats"]
        alone.append(1e3 * stats["decode_ms"] / stats["tokens_out"])
    return statistics.median(inside), statistics.median(alone)


def show(home: Home, columns: int, rows: int, ssh: bool) -> None:
    rate, drawn, traced, token = costs(home, columns, rows, ssh)
    where = f"{columns}x{rows}" + ", ssh" * ssh
    print(
        f"{where:<15} {rate / 1e3:.1f} kB/s sent; of decoding time: drawing {drawn:.2%}, "
        f"tracing {traced:.2%} ({token:.0f} us a token)"
    )


def main() -> None:
    home = Home()
    try:
        times = key_to_screen(home, 200)
        p50, p99 = times[len(times) // 2], times[int(len(times) * 0.99) - 1]
        print(f"key to screen   p50 {p50:.1f} ms, p99 {p99:.1f} ms ({len(times)} keys, writing)")
        for columns, rows in ((80, 24), (160, 48)):
            for ssh in (False, True):
                show(home, columns, rows, ssh)
        inside, alone = slower(home, 1500, 5)
        print(
            f"a token         {inside:.0f} us while all is drawn and stored, {alone:.0f} us in a "
            f"pipe without history: {inside / alone - 1:+.1%}"
        )
    finally:
        home.close()


if __name__ == "__main__":
    main()
