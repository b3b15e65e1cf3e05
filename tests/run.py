#!/usr/bin/env python3
"""Runs the test suite and closes with one line, "N passed, N failed".

Groups: unit (cmocka programs), fuzz (corpus replay), and every folder of tests/ that
holds test_*.py (unittest) or test_*.sh (TAP).  Arguments choose groups; none runs all.
Output of a passing test program is not shown.
"""
# SPDX-License-Identifier: MIT

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BUILD = ROOT / os.environ.get("B", "build")
TAP = re.compile(r"^(not )?ok \d+", re.M)
UNITTEST = re.compile(r"^Ran (\d+) tests? in", re.M)
UNITTEST_BAD = re.compile(r"^FAILED \((.*)\)", re.M)
TIME_LIMIT_S = 900


def discover(groups: list[str]) -> list[tuple[str, list[str]]]:
    """(label, command) of every test program of the chosen groups."""
    found: list[tuple[str, list[str]]] = []

    def wanted(*names: str) -> bool:
        return not groups or any(n in groups for n in names)

    for source in sorted((ROOT / "tests/unit").glob("*/test_*.c")):
        layer = source.parent.name
        if wanted("unit", layer):
            program = BUILD / source.relative_to(ROOT).with_suffix("")
            found.append((f"unit/{layer}/{source.stem}", [str(program)]))
    for source in sorted((ROOT / "tests/fuzz").glob("fuzz_*.c")):
        if wanted("fuzz"):
            corpus = ROOT / "tests/fuzz/corpus" / source.stem.removeprefix("fuzz_")
            program = BUILD / source.relative_to(ROOT).with_suffix("")
            found.append((f"fuzz/{source.stem}", [str(program), str(corpus)]))
    scripts = [*(ROOT / "tests").glob("*/test_*.py"), *(ROOT / "tests").glob("*/test_*.sh")]
    for source in sorted(scripts):
        if wanted(source.parent.name):
            runner = [sys.executable] if source.suffix == ".py" else ["sh"]
            found.append((f"{source.parent.name}/{source.name}", [*runner, str(source)]))
    return found


def count(output: str, status: int) -> tuple[int, int]:
    """Passed and failed checks in a program's output."""
    ran = UNITTEST.search(output)
    if ran:
        total = int(ran.group(1))
        bad = UNITTEST_BAD.search(output)
        failed = sum(int(n) for n in re.findall(r"=(\d+)", bad.group(1))) if bad else 0
    else:
        marks = TAP.findall(output)
        total, failed = len(marks), sum(1 for m in marks if m)
    if status != 0 and failed == 0:
        failed += 1
        total += 1
    if total == 0:  # a program that checks nothing is a failure
        return 0, 1
    return total - failed, failed


def german_locale(folder: Path) -> None:
    """de_DE.UTF-8 in folder, made once: numbers with a decimal comma, installed or not."""
    if (folder / "de_DE.UTF-8").exists():
        return
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as made:  # whole or not at all
        target = Path(made) / "de_DE.UTF-8"
        command = ["localedef", "-i", "de_DE", "-f", "UTF-8", str(target)]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        target.rename(folder / target.name)


def main() -> int:
    env = dict(os.environ, CMOCKA_MESSAGE_OUTPUT="TAP", TERRA_BUILD=str(BUILD))
    env["TERRA_BIN"] = str(BUILD / "terra")
    env["TERRA_FIXTURES"] = str(BUILD / "fixtures")
    env["LOCPATH"] = str(BUILD / "locales")
    german_locale(BUILD / "locales")
    # A shell that starts us with `&` leaves SIGINT ignored, nohup SIGHUP, and programs respect
    # that.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    passed = failed = 0
    for label, command in discover(sys.argv[1:]):
        start = time.monotonic()
        try:
            done = subprocess.run(
                command,
                cwd=ROOT,
                env=env,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                timeout=TIME_LIMIT_S,
            )
            output, status = done.stdout.decode("utf-8", "replace"), done.returncode
        except FileNotFoundError:
            output, status = f"{command[0]}: not built", 127
        except subprocess.TimeoutExpired as late:
            output = (late.stdout or b"").decode("utf-8", "replace")
            output, status = output + f"\nstill running after {TIME_LIMIT_S} s", 124
        good, bad = count(output, status)
        passed, failed = passed + good, failed + bad
        print(f"{'FAIL' if bad else 'ok  '} {label}: {good} passed, {bad} failed", end="")
        print(f"  ({time.monotonic() - start:.1f} s)", flush=True)
        if bad:
            print("\n".join("    " + line for line in output.splitlines()), flush=True)
    print(f"{passed} passed, {failed} failed")
    return 1 if failed or passed == 0 else 0


if __name__ == "__main__":
    sys.exit(main())
