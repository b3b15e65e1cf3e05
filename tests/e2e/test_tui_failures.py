# SPDX-License-Identifier: MIT
"""What may go wrong around the terminal application, and what must then happen."""

from __future__ import annotations

import json
import os
import pty
import random
import re
import select
import shutil
import signal
import sqlite3
import subprocess
import time
import unittest
from pathlib import Path

from tui import PATIENCE_S, TERRA, TEXT, Home, TuiTest, models, wait_for

CRASHES = (signal.SIGSEGV, signal.SIGQUIT, signal.SIGABRT, signal.SIGFPE, signal.SIGILL)
STOPS = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)
DIRECT = r"""
xterm-direct|xterm with exact colours,
    RGB, ccc@, initc@, colors#0x1000000, pairs#0x7FFF, op=\E[39;49m,
    setab=\E[%?%p1%{8}%<%t4%p1%d%e48:2::%p1%{65536}%/%d:%p1%{256}%/%{255}%&%d:%p1%{255}%&%d%;m,
    setaf=\E[%?%p1%{8}%<%t3%p1%d%e38:2::%p1%{65536}%/%d:%p1%{256}%/%{255}%&%d:%p1%{255}%&%d%;m,
    use=xterm-256color,
plain-256color|a terminal without such an entry,
    use=xterm-256color,
"""


class Terminal(TuiTest):
    def test_stop_signals_store_and_give_the_terminal_back(self) -> None:
        for sig in STOPS:
            with self.subTest(sig=sig.name):
                t = self.start("-n", "4000", self.home.document())
                t.wait(lambda s: s["tokens"] > 20)
                t.kill(sig)
                self.assertEqual(t.exit_status(), 128 + sig)
                self.assertTrue(t.tty_restored(), t.screen())
                t.close()
        self.assertEqual(self.home.sql("select distinct status from run"), [("cancelled",)])

    def test_crashes_give_the_terminal_back(self) -> None:
        for sig in CRASHES:
            with self.subTest(sig=sig.name):
                t = self.start("-n", "4000", self.home.document())
                t.wait(lambda s: s["tokens"] > 5)
                t.kill(sig)
                t.exit_status()
                self.assertTrue(t.tty_restored(), t.screen())
                t.close()

    def test_mapped_model_that_shrinks(self) -> None:
        copy = self.home.dir / "model"
        shutil.copytree(models() / "e2e", copy)
        t = self.start("-n", "4000", self.home.document(), model=copy)
        t.wait(lambda s: s["tokens"] > 5)
        os.truncate(copy / "model.safetensors", 4096)
        self.assertEqual(t.exit_status(), 3)
        self.assertTrue(t.tty_restored())
        self.assertIn("became shorter while it was in use", t.screen())

    def test_suspend_and_continue(self) -> None:
        def stty(name: str) -> str:
            """The shell's terminal modes."""
            t.type(f"stty -g >{name}.new; mv {name}.new {name}")
            t.keys("Enter")
            wait_for((self.home.dir / name).exists, t.screen)
            return (self.home.dir / name).read_text()

        t = self.start(shell=True)
        t.wait_screen("$")
        t.type(f"cd {self.home.dir}")
        t.keys("Enter")
        before = stty("before")
        t.type(f"{t.line} -n 4000 {self.home.document()}")
        t.keys("Enter")
        t.wait(lambda s: s["tokens"] > 5)
        t.keys("C-z")
        t.wait_screen("Stopped")
        self.assertEqual(t.tmux("display-message", "-p", "#{alternate_on}").strip(), "0")
        self.assertEqual(stty("stopped"), before)
        state = t.poll()
        t.type("fg")
        t.keys("Enter")
        t.wait(lambda s: s["frame"] > state["frame"])
        t.wait_screen("FF choice")
        t.keys("Escape")
        t.written()
        t.keys("C-d")
        wait_for(lambda: t.tmux("display-message", "-p", "#{alternate_on}").strip() == "0",
                 t.screen)
        self.assertEqual(stty("after"), before)

    def test_no_colour(self) -> None:
        for options in ({"env": {"NO_COLOR": "1"}}, {"args": ("--color", "never")}):
            t = self.start("-n", "40", self.home.document(), *options.get("args", ()),
                           env=options.get("env", {}))
            t.written()
            colours = re.findall(r"\x1b\[[0-9;]*m", t.colours())
            for code in colours:
                for n in code[2:-1].split(";"):
                    self.assertFalse(n and 30 <= int(n) <= 49 and int(n) not in (39, 49), code)
            self.assertRegex(t.screen(), r"L00 [ .:=+*#%@-]{64}")  # shades are glyphs
            t.close()

    def test_exact_colours(self) -> None:
        """Where the terminal has them; its entry is not installed everywhere."""
        source = self.home.dir / "direct.src"
        source.write_text(DIRECT)
        subprocess.run(["tic", "-x", "-o", self.home.dir / ".terminfo", source], check=True)
        for term, colorterm, exact in (
            ("xterm-direct", "", True),
            ("xterm-direct", "truecolor", True),
            ("xterm-256color", "truecolor", True),
            ("xterm-256color", "24bit", True),
            ("xterm-256color", "yes", False),
            ("xterm-256color", "", False),
            ("plain-256color", "truecolor", False),
        ):
            with self.subTest(term=term, colorterm=colorterm):
                env = {"TERM": term, "COLORTERM": colorterm}
                t = self.start("-n", "20", self.home.document(), env=env)
                t.written()
                colours = t.colours()
                self.assertEqual("[38;2;" in colours, exact, colours)
                self.assertEqual("[38;5;" in colours, not exact, colours)
                t.close()

    def test_ascii_and_kinds_of_terminals(self) -> None:
        for term in ("screen", "linux", "vt100", "xterm", "xterm-256color"):
            with self.subTest(term=term):
                t = self.start("-n", "20", self.home.document(), "--ascii", env={"TERM": term})
                t.written()
                screen = t.screen()
                self.assertIn("FF choice", screen)
                self.assertTrue(screen.isascii(), screen)
                t.keys("C-d")
                self.assertEqual(t.exit_status(), 0)
                self.assertTrue(t.tty_restored())
                t.close()

    def test_c_locale(self) -> None:
        t = self.start(env={"LANG": "C", "LC_ALL": "C"})
        t.wait(lambda s: "try LANG=C.UTF-8" in s["message"])
        t.close()
        t = self.start("-n", "20", self.home.document(), env={"LANG": "C", "LC_ALL": "C"})
        t.written()
        self.assertTrue(t.screen().isascii())

    def test_unknown_terminals(self) -> None:
        for env, unset in (({"TERM": "nonsense"}, ()), ({}, ("TERM",))):
            t = self.start(env=env, unset=unset)
            self.assertEqual(t.exit_status(), 2)
            screen = t.screen()
            self.assertIn("TERM", screen)
            self.assertIn("terra chat", screen.replace("\n", ""))
            t.close()

    def test_without_a_terminal(self) -> None:
        done = subprocess.run([str(TERRA)], env=self.home.env(), capture_output=True,
                              stdin=subprocess.DEVNULL)
        self.assertNotEqual(done.returncode, 0)
        self.assertNotIn(b"\x1b", done.stdout)

    def lose_terminal(self, program: str) -> int:
        """The wait status of a program in a terminal that goes away while terra writes."""
        log = self.home.dir / "frames.jsonl"
        log.write_bytes(b"")
        document = str(self.home.document())
        line = [str(TERRA), "-m", str(models() / "e2e"), "-n", "4000", document]
        env = self.home.env() | {"TERM": "xterm-256color", "TERRA_TEST_FD": "9"}
        pid, tty = pty.fork()
        if pid == 0:
            os.dup2(os.open(log, os.O_WRONLY), 9)
            os.execve("/bin/sh", ["sh", "-c", program, "sh", *line], env)
        end = time.monotonic() + PATIENCE_S
        while not re.search(r'"tokens":\d\d', log.read_text()):
            self.assertLess(time.monotonic(), end, "it never began to write")
            if select.select([tty], [], [], 0.01)[0]:
                os.read(tty, 65536)
        os.close(tty)
        status: list[int] = []

        def ended() -> bool:
            done, how = os.waitpid(pid, os.WNOHANG)
            if done:
                status.append(how)
            return done != 0

        wait_for(ended, lambda: "still running")
        return status[0]

    def test_lost_terminal(self) -> None:
        status = self.lose_terminal('exec "$@"')
        self.assertTrue(os.WIFSIGNALED(status), status)
        self.assertEqual(os.WTERMSIG(status), signal.SIGHUP)
        # Who is not the terminal's first process gets no signal: reading fails.
        status = self.lose_terminal('trap "" HUP; "$@"; exit $?')
        self.assertEqual(os.waitstatus_to_exitcode(status), 128 + signal.SIGHUP)
        self.assertEqual(self.home.sql("select status from run"), [("cancelled",)] * 2)

    def test_any_keys_at_all(self) -> None:
        rng = random.Random(11)
        keys = [*"abcefghijklmnopqrstuvwxyzBEGLMNR0123456789?:/[]{}.,+- ", "Enter", "Escape", "Tab",
                "BTab", "Up", "Down", "Left", "Right", "Home", "End", "PgUp", "PgDn", "F1", "F5",
                "BSpace", "C-a", "C-c", "C-l", "C-r", "C-w", "M-x", "IC", "DC"]
        t = self.start("-n", "300", self.home.document(), size=(120, 34))
        t.written()
        for i in range(60):
            batch = [rng.choice(keys) for _ in range(20)]
            t.keys(*(k if len(k) > 1 or k.isalnum() else {" ": "Space"}.get(k, k) for k in batch))
            if i % 10 == 0:
                t.resize(rng.randint(20, 180), rng.randint(5, 60))
        self.assertTrue(os.path.exists(f"/proc/{t.pid()}"), t.screen())
        t.kill(signal.SIGTERM)
        self.assertEqual(t.exit_status(), 128 + signal.SIGTERM)
        self.assertTrue(t.tty_restored())

    def test_idle_sleeps(self) -> None:
        t = self.start("-n", "20", self.home.document())
        t.written()
        # the memory's speed is measured once, after the first reply
        wait_for(lambda: re.search("measured peak|from the cache", t.screen()), t.screen)

        def switches() -> list[str]:
            """Of the loop's thread: a sanitizer's own thread never sleeps long."""
            return re.findall(r"switches:\s+(\d+)", Path(f"/proc/{t.pid()}/status").read_text())

        def ticks() -> int:
            """Processor time of all threads, in hundredths of a second."""
            fields = Path(f"/proc/{t.pid()}/stat").read_text().rsplit(")", 1)[1].split()
            return int(fields[11]) + int(fields[12])

        def asleep() -> bool:
            before, used = switches(), ticks()
            time.sleep(1)
            return switches() == before and ticks() - used < 10  # a thread that spins: 100

        # what it drew last may still be going on: it sleeps sooner or later, and then for good
        wait_for(asleep, lambda: "it never sleeps")
        self.assertTrue(asleep())


class Model(TuiTest):
    def test_missing_model_leaves_the_rest_working(self) -> None:
        t = self.start(model="/nonexistent/model")
        t.wait(lambda s: "/nonexistent/model" in s["message"])
        t.type("words")
        t.keys("Enter")
        t.wait(lambda s: "no model" in s["message"])
        self.assertIn("words", t.screen())

    def test_model_opened_later(self) -> None:
        t = self.start("-n", "10", model="/nonexistent/model")
        t.wait(lambda s: "/nonexistent/model" in s["message"])
        t.type(f"/model {models() / 'e2e'}")
        t.keys("Enter")
        t.wait(lambda s: "reads 256 tokens" in s["message"])
        t.type(TEXT)
        t.keys("Enter")
        t.written()

    def test_model_without_vocabulary(self) -> None:
        copy = self.home.dir / "model"
        shutil.copytree(models() / "e2e", copy)
        (copy / "tokenizer.json").unlink()
        config = json.loads((copy / "config.json").read_text())
        del config["vocabulary"]
        (copy / "config.json").write_text(json.dumps(config))
        t = self.start("-n", "10", model=copy)
        t.wait(lambda s: "no vocabulary" in s["message"])
        t.type(TEXT)
        t.keys("Enter")
        t.wait(lambda s: "only 'terra run --ids' works" in s["message"], busy=False)
        self.assertIn(TEXT[:40], t.screen())  # not lost


class Start(TuiTest):
    """What is wrong at the start stays on the screen when the model is open."""

    def settings(self, name: str, text: str) -> None:
        folder = self.home.dir / "config/terra"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)

    def test_unknown_command_in_the_keys_file(self) -> None:
        self.settings("keys.json", '{"nosuch": "q"}')
        t = self.start()
        t.idle(focus="prompt")
        self.assertIn("keys.json:1: nosuch: no such command", t.poll()["message"])

    def test_several_problems_and_a_document(self) -> None:
        self.settings("keys.json", '{"nosuch": "q"}')
        self.settings("config.json", '{"temp": "hot"}')
        t = self.start("-n", "10", self.home.document(), size=(160, 30))
        t.written()
        self.assertIn("config.json:1: temp", t.screen())
        self.assertIn("(and 1", t.screen())  # more

    def test_no_such_session(self) -> None:
        t = self.start("-s", "999")
        t.idle(focus="prompt")
        self.assertIn("session 999", t.poll()["message"])

    def test_session_opened(self) -> None:
        t = self.start("-n", "10", self.home.document())
        t.written()
        t.keys("C-d")
        t.exit_status()
        t.close()
        t = self.start("-c")
        t.idle(tokens=10)
        self.assertIn("session 1: 1 run", t.poll()["message"])


class Store(TuiTest):
    def test_no_log_writes_no_file(self) -> None:
        document = self.home.document()
        t = self.start("-n", "20", "--no-log", document)
        t.written()
        self.assertIn("log off", t.screen())
        t.type("more words; " + TEXT)
        t.keys("Enter")
        t.wait_screen("> more words")
        t.written()
        t.keys("C-d")
        self.assertEqual(t.exit_status(), 0)
        ours = {"pid", "status", "before", "after", "run.sh", document.name}
        left = {p.name for p in self.home.dir.rglob("*")}
        self.assertEqual({n for n in left - ours if not n.startswith("frames")}, set())

    def test_locked_database_does_not_stop_the_reply(self) -> None:
        t = self.start("-n", "10", self.home.document())
        t.written()
        db = sqlite3.connect(self.home.db, isolation_level=None)
        db.execute("BEGIN EXCLUSIVE")
        t.type(TEXT)
        t.keys("Enter")
        t.wait(lambda s: s["message"].startswith("read "), busy=False)
        t.wait_screen("NOT SAVED")
        db.execute("ROLLBACK")
        db.close()
        t.keys("C-d")
        self.assertEqual(t.exit_status(), 0)
        self.assertEqual(self.home.sql("select count(*) from run where status = 'length'"), [(2,)])

    def test_what_is_lost_with_a_new_session_is_said(self) -> None:
        t = self.start("-n", "10", self.home.document())
        t.written()
        db = sqlite3.connect(self.home.db, isolation_level=None)
        db.execute("BEGIN EXCLUSIVE")
        t.type(TEXT)
        t.keys("Enter")
        t.wait(lambda s: re.match("read .*tok/s$", s["message"]), busy=False)
        t.type("/new")
        t.keys("Enter")
        t.wait(lambda s: s["message"].startswith("not saved: "), session=0)
        db.execute("ROLLBACK")
        db.close()

    def test_what_waits_is_written_before_another_model_is_open(self) -> None:
        t = self.start("-n", "10", self.home.document())
        t.written()
        db = sqlite3.connect(self.home.db, isolation_level=None)
        db.execute("BEGIN EXCLUSIVE")
        t.type(TEXT)
        t.keys("Enter")
        t.wait(lambda s: re.match("read .*tok/s$", s["message"]), busy=False)
        t.type(f"/model {models() / 'e2e-dense'}")
        db.execute("ROLLBACK")
        db.close()
        t.keys("Enter")
        t.wait(lambda s: ": reads " in s["message"], busy=False)
        used = "select distinct m.path from run r join model m on m.id = r.model_id"
        self.assertEqual([Path(p).name for (p,) in self.home.sql(used)], ["e2e"])
        self.assertEqual(self.home.sql("select count(*) from run"), [(2,)])

    def test_full_disk_does_not_stop_the_reply(self) -> None:
        t = self.start("-n", "1200", self.home.document(), limit_kb=512)
        t.wait(lambda s: s["tokens"] == 1200, busy=False)
        t.wait_screen("not being saved")
        t.keys("C-d")
        t.exit_status()
        self.assertTrue(t.tty_restored())
        self.assertEqual(self.home.sql("pragma integrity_check"), [("ok",)])

    def test_damaged_database_is_moved_only_after_asking(self) -> None:
        t = self.start("-n", "500", self.home.document())
        t.wait(lambda s: s["tokens"] > 100)
        t.kill(signal.SIGKILL)
        t.exit_status()
        t.close()
        with sqlite3.connect(self.home.db) as db:
            db.execute("pragma wal_checkpoint(truncate)")
        db.close()
        data = bytearray(self.home.db.read_bytes())
        data[4096:] = bytes(len(data) - 4096)  # all pages but the first
        self.home.db.write_bytes(data)
        t = self.start("-n", "10")
        t.wait(dialog=True)
        self.assertIn("history is damaged", t.screen())
        t.keys("n")
        t.wait(dialog=False)
        self.assertEqual(len(list(self.home.db.parent.glob("*.corrupt-*"))), 0)
        t.close()
        t = self.start("-n", "10", self.home.document())
        t.wait(dialog=True)
        t.keys("m")
        t.wait(dialog=False)
        self.assertEqual(len(list(self.home.db.parent.glob("*.corrupt-*"))), 1)

    def test_deleted_database_is_made_anew(self) -> None:
        t = self.start("-n", "10", self.home.document())
        t.written()
        for f in self.home.db.parent.iterdir():
            f.unlink()
        t.type("a second text; " + TEXT)
        t.keys("Enter")
        t.wait_screen("> a second text")
        wait_for(self.home.db.exists, lambda: "the history was not made anew")
        t.written()
        t.keys("C-d")
        t.exit_status()
        rows = self.home.sql("select cast(prompt as text) like 'a second text%' from run")
        self.assertEqual(rows, [(1,)])


class Killed(unittest.TestCase):
    """kill -9 at random moments: nothing but the last half second may be missing."""

    ROUNDS = 100

    def setUp(self) -> None:
        self.home = Home()
        self.addCleanup(self.home.close)

    def run_and_kill(self, rng: random.Random, document: str) -> int:
        """Tokens on screen when it was killed."""
        reader, writer = os.pipe()
        env = self.home.env() | {"TERM": "xterm-256color", "TERRA_TEST_FD": str(writer)}
        pid, tty = pty.fork()
        if pid == 0:
            os.set_inheritable(writer, True)
            os.execve(TERRA, ["terra", "-m", str(models() / "e2e"), "-n", "4000", document], env)
        os.close(writer)
        frames, after, end = b"", rng.random() * 0.3, time.monotonic() + PATIENCE_S
        kill_at = None
        while True:
            now = time.monotonic()
            self.assertLess(now, end, "it never began to write")
            if kill_at is None and b'"state":"GEN"' in frames:
                kill_at = now + after
            if kill_at is not None and now >= kill_at:
                break
            ready, _, _ = select.select([tty, reader], [], [], 0.005)
            if tty in ready:
                os.read(tty, 65536)
            if reader in ready:
                frames += os.read(reader, 65536)
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        os.close(tty)
        os.close(reader)
        return max(int(n) for n in re.findall(rb'"tokens":(\d+)', frames))

    def test_kill_at_random_moments(self) -> None:
        rng = random.Random(4)
        document = str(self.home.document())
        seen = [self.run_and_kill(rng, document) for _ in range(self.ROUNDS)]
        done = subprocess.run([str(TERRA), "logs", "list"], env=self.home.env(),
                              capture_output=True, text=True)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(self.home.sql("pragma integrity_check"), [("ok",)])
        rows = self.home.sql("select id, status, n_out, length(output) from run order by id")
        self.assertEqual(len(rows), self.ROUNDS)
        for (run, status, n_out, length), shown in zip(rows, seen, strict=True):
            self.assertEqual(status, "interrupted", run)
            stored = self.home.sql(f"select count(*) from token where run_id = {run}")[0][0]
            self.assertGreaterEqual(stored, shown - 64, run)
            self.assertEqual(n_out, stored, run)
        last = rows[-1][0]
        done = subprocess.run([str(TERRA), "replay", "--speed", "0", str(last)],
                              env=self.home.env(), capture_output=True)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(len(done.stdout.rstrip(b"\n")), rows[-1][3])


if __name__ == "__main__":
    unittest.main()
