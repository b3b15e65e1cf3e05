#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Standard streams, signals, terminals and locales."""

from __future__ import annotations

import base64
import csv
import io
import json
import os
import pty
import re
import resource
import select
import shutil
import signal
import sqlite3
import subprocess
import termios
import tty
import unittest

from common import DENSE, SPARSE, TERRA, TEXT, Case


class Streams(Case):
    def test_only_the_reply_on_stdout(self) -> None:
        done = self.works("run", "-n", "5", "hello")
        quiet = self.works("run", "-q", "-n", "5", "hello")
        self.assertEqual(done.raw, quiet.raw)
        self.assertEqual(quiet.err, "")
        self.assertNotEqual(done.err, "")
        self.assertNotIn(b"\x1b", done.raw + done.raw_err)
        self.assertNotIn(b"\r", done.raw + done.raw_err)

    def test_json_lines(self) -> None:
        done = self.works("run", "--json", "-n", "5", "hello")
        kinds = [x["type"] for x in done.lines if x.get("id", 0) is not None]
        self.assertEqual(kinds, ["start"] + ["token"] * 5 + ["end"])
        self.assertTrue(all(x["v"] == 1 for x in done.lines))
        tokens, end = done.tokens, done.of("end")[0]
        self.assertEqual([t["i"] for t in tokens], list(range(5)))
        for t in tokens:
            self.assertGreater(t["p"], 0)
            self.assertLessEqual(t["p"], 1)
            names = {"ctl", "ff", "qkv", "att", "head", "sample", "other"}
            self.assertEqual(set(t["parts"]), names)
            if "bytes_b64" in t:
                with self.assertRaises(UnicodeDecodeError):
                    base64.b64decode(t["bytes_b64"]).decode("utf-8")
        text = "".join(x["text"] for x in done.lines if x["type"] == "token")
        self.assertTrue(end["text"].startswith(text.lstrip()[:1]))
        self.assertEqual(end["stop"], "length")
        self.assertEqual(end["stats"]["tokens_out"], 5)
        self.assertGreater(end["run"], 0)

    def test_json_errors(self) -> None:
        done = self.terra("run", "--json", "-m", "/no/such", "hello")
        self.assertEqual(done.status, 3)
        self.assertEqual(done.of("error")[0]["exit"], 3)

    def test_prompt_and_pipe_are_joined(self) -> None:
        joined = self.works("run", "-n", "5", "first\n\nsecond").out
        self.assertEqual(self.works("run", "-n", "5", "first", stdin=b"second").out, joined)
        self.assertEqual(self.works("run", "-n", "5", stdin=b"second").out,
                         self.works("run", "-n", "5", "second").out)  # fmt: skip
        self.assertEqual(self.works("run", "-n", "5", "-", stdin=b"second").out,
                         self.works("run", "-n", "5", "second").out)  # fmt: skip

    def test_closed_standard_streams(self) -> None:
        for closed in ("<&-", ">&-", "2>&-"):
            done = subprocess.run(
                ["sh", "-c", f'"$0" run -n 3 hello {closed}', TERRA],
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env=self.env,
            )
            self.assertEqual(done.returncode, 6 if closed == ">&-" else 0, closed)
            if closed == ">&-":
                self.assertEqual(done.stderr, b"terra: standard output is closed\n")

    def test_closed_pipe_is_quiet(self) -> None:
        document = self.write("long.txt", TEXT * 400)
        for command in (f"summarize --json {document}", f"summarize -v --json {document}"):
            script = f'"{TERRA}" {command} | head -n 1; echo "${{PIPESTATUS[0]}}"'
            done = subprocess.run(
                ["bash", "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=self.env
            )
            first, status = done.stdout.decode().splitlines()
            self.assertEqual(json.loads(first)["type"], "start")
            self.assertEqual(status, "141")
            if "-v" not in command:
                self.assertNotIn(b"ipe", done.stderr)

    def unread(self, *args: str) -> tuple[int, bytes]:
        """Status and messages of a command whose output nobody reads any more."""
        reader, writer = os.pipe()
        os.close(reader)
        done = subprocess.run(
            [TERRA, *args],
            stdin=subprocess.DEVNULL,
            stdout=writer,
            stderr=subprocess.PIPE,
            env=self.env,
        )
        os.close(writer)
        return done.returncode, done.stderr

    def test_a_gone_reader_and_a_full_disk_without_a_model(self) -> None:
        for command in ("help", "--version", "completion bash", "run --help"):
            self.assertEqual(self.unread(*command.split()), (-signal.SIGPIPE, b""), command)
            with open("/dev/full", "wb") as full:
                run = [TERRA, *command.split()]
                done = subprocess.run(run, stdout=full, stderr=subprocess.PIPE, env=self.env)
            self.assertEqual(done.returncode, 6, command)
            self.assertIn(b"standard output: No space", done.stderr)

    def test_no_statistics_for_a_gone_reader(self) -> None:
        self.assertEqual(self.unread("run", "-n", "40", "hello"), (-signal.SIGPIPE, b""))

    def test_little_address_space(self) -> None:
        """OpenBLAS's threads wait for memory for ever; the program must end all the same."""
        for megabytes in (60, 90, 150):
            limit = megabytes << 20
            done = subprocess.run(
                [TERRA, "run", "-q", "--no-log", "-n", "3", "hello"],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                env=self.env,
                timeout=60,
                preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (limit, limit)),
            )
            if b"Sanitizer" not in done.stderr:  # those want more than there is
                self.assertIn(done.returncode, (0, 6), done.stderr)

    def test_full_disk_on_stdout(self) -> None:
        with open("/dev/full", "wb") as full:
            done = subprocess.run(
                [TERRA, "run", "-n", "3", "hello"],
                stdin=subprocess.DEVNULL,
                stdout=full,
                stderr=subprocess.PIPE,
                env=self.env,
            )
        self.assertEqual(done.returncode, 6)
        self.assertIn(b"No space", done.stderr)

    def stop(self, sig: signal.Signals) -> dict:
        document = self.write("long.txt", TEXT * 3000)
        before = self.stored()
        process = self.start("summarize", document)
        self.wait(lambda: self.stored() > before + 3, "some runs")
        self.assertIsNone(process.poll())
        process.send_signal(sig)
        process.communicate(timeout=60)
        self.assertEqual(process.returncode, -sig)
        return self.works("logs", "show", "--format", "json").lines[0]

    def test_interrupt_keeps_what_was_written(self) -> None:
        runs = self.stop(signal.SIGINT)["runs"]
        self.assertGreater(len(runs), 1)
        self.assertEqual({r["status"] for r in runs[:-1]} - {"done", "length"}, set())
        self.assertIn(runs[-1]["status"], ("cancelled", "done", "length"))

    def test_terminate_and_hangup(self) -> None:
        self.stop(signal.SIGTERM)
        self.stop(signal.SIGHUP)

    def test_shell_sees_128_and_the_signal(self) -> None:
        document = self.write("long.txt", TEXT * 3000)
        script = f'"{TERRA}" summarize -q {document} & echo $! >pid; wait $!; echo $?'
        shell = subprocess.Popen(
            ["bash", "-c", script],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=self.env,
            cwd=self.tmp,
        )
        self.wait(lambda: self.stored() > 3, "some runs")
        os.kill(int((self.tmp / "pid").read_text()), signal.SIGTERM)
        out, _ = shell.communicate(timeout=60)
        self.assertEqual(out.split()[-1], b"143")

    def on_terminal(self, *args: str) -> bytes:
        pid, fd = pty.fork()
        if pid == 0:
            os.execve(TERRA, [TERRA, *args], self.env)
        out = b""
        while select.select([fd], [], [], 60)[0]:
            try:
                part = os.read(fd, 65536)
            except OSError:
                break
            if not part:
                break
            out += part
        os.close(fd)
        os.waitpid(pid, 0)
        return out

    def test_control_characters_are_visible_on_a_terminal(self) -> None:
        document = self.write("doc", "Hi\x1b[31m.\n")  # short: given back as it is
        self.assertIn(b"\x1b[31m", self.works("summarize", document).raw)
        shown = self.on_terminal("summarize", document)
        self.assertIn(b"Hi^[[31m.", shown)
        self.assertNotIn(b"\x1b[31m", shown)

    def test_progress_only_on_a_terminal(self) -> None:
        document = self.write("doc", TEXT * 5)
        shown = self.on_terminal("summarize", document)
        self.assertIn(b"chunk 1/", shown)
        self.assertIn(b"choosing 1/", shown)
        self.assertNotIn("chunk 1/", self.works("summarize", document).err)
        self.assertNotIn(b"chunk 1/", self.on_terminal("summarize", "-q", document))

    def test_german_numbers(self) -> None:
        german = {"LOCPATH": os.environ["LOCPATH"], "LC_ALL": "de_DE.UTF-8"}
        probe = 'printf "%.1f" 1,5'
        bash = ["bash", "-c", probe]
        shell = subprocess.run(bash, stdout=subprocess.PIPE, env={**self.env, **german})
        self.assertEqual(shell.stdout, b"1,5")  # the locale is in effect
        hot = ("--temp", "0.5", "--seed", "1")
        done = self.works("run", "--json", *hot, "-n", "4", "hello", **german)
        self.assertEqual(done.of("start")[0]["temp"], 0.5)
        self.assertTrue(all(0 < t["p"] <= 1 for t in done.tokens))
        text = self.works("logs", "show", "--format", "csv", **german).out
        rows = list(csv.reader(io.StringIO(text)))
        self.assertEqual({len(row) for row in rows}, {len(rows[0])})
        self.assertEqual(len(rows), 1 + 4)

    def test_no_log_writes_no_file(self) -> None:
        document = self.write("doc", TEXT * 2)
        trace = self.tmp / "trace"
        self.assertIsNotNone(shutil.which("strace"), "strace is missing: make deps")
        calls = "trace=open,openat,creat,mkdir,mkdirat,rename,renameat,renameat2,unlink,unlinkat"
        for command in (
            ["summarize", "--no-log", document],
            ["run", "--no-log", "hello"],
            ["compare", "--no-log", "--prompt", "hello"],
        ):
            env = {**self.env, "ASAN_OPTIONS": "detect_leaks=0"}
            subprocess.run(
                ["strace", "-f", "-e", calls, "-o", str(trace), TERRA, *command],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env=env,
                check=True,
            )
            for line in trace.read_text().splitlines():
                if re.search(r"O_WRONLY|O_RDWR|O_CREAT|creat\(|mkdir|rename|unlink", line):
                    # ThreadSanitizer's own file is not the program's
                    allowed = r'"/dev/|"/proc/self/|shm_|ENOENT|"/tmp/tsan\.rodata\.'
                    self.assertRegex(line, allowed, line)
        self.assertEqual(list(self.db.parent.parent.glob("**/*")), [])

    def test_whole_characters(self) -> None:
        """No piece ends inside a character: the pieces decode to what the whole decodes to."""
        bad = 0
        for seed in range(8):
            hot = ("-n", "24", "--temp", "3", "--seed", str(seed), "hello")
            done = self.works("run", "--json", *hot)
            pieces = "".join(t["text"] for t in done.of("token"))
            self.assertEqual(self.works("run", *hot).out, pieces + "\n")
            self.assertEqual(done.of("end")[0]["text"], pieces)
            bad += pieces.count("\ufffd")
        self.assertGreater(bad, 0)  # a random model writes malformed bytes too

    def test_chat_continues_a_reply(self) -> None:
        self.works("chat", "-n", "4", stdin=b"/continue\nThe cat sat.\n/continue\n/bye\n")
        with sqlite3.connect(self.db) as db:
            rows = db.execute("SELECT id, parent_id, params, status FROM run ORDER BY id")
            runs = rows.fetchall()
            ids = [t[0] for t in db.execute("SELECT id FROM token ORDER BY run_id, pos")]
        self.assertEqual([(r[0], r[1]) for r in runs], [(1, None), (2, 1)])
        self.assertEqual(json.loads(runs[1][2])["after"], 4)
        whole = self.works("run", "-n", "8", "--json", "--no-log", "The cat sat.")
        self.assertEqual(ids, [t["id"] for t in whole.tokens])

    def test_logs_like(self) -> None:
        for prompt in ("The cat sat.", "A dog ran.", "The cat sat."):
            self.works("run", "-n", "6", prompt)
        units = [
            [sum(t["units"], []) for t in self.works("trace", str(r), "--json").of("trace")]
            for r in (1, 2, 3)
        ]
        want = units[0][2]
        alike = {
            (r + 1, i): sum(a == b for a, b in zip(row, want, strict=True)) / len(want)
            for r, rows in enumerate(units)
            for i, row in enumerate(rows)
            if (r, i) != (0, 2)
        }
        hits = self.works("logs", "like", "1", "2", "--json").of("like")
        got = [((h["run"], h["pos"]), h["agreement"]) for h in hits]
        self.assertEqual(got[0], ((3, 2), 1))  # the same prompt again
        self.assertEqual(len(got), len(alike))
        for key, share in got:
            self.assertAlmostEqual(share, alike[key], places=5)
        self.assertEqual(got, sorted(got, key=lambda hit: hit[1], reverse=True))
        self.assertEqual({h["chance"] for h in hits}, {0.25})
        few = self.works("logs", "like", "1", "2", "-l", "3")
        self.assertEqual(len(few.out.splitlines()), 3)
        self.assertIn("17 tokens compared; chance alone makes 25.0% agree", few.err)
        self.assertIn("no stored choices", self.fails(1, "logs", "like", "1", "6"))
        self.assertIn("not the number of a token", self.fails(2, "logs", "like", "1", "x"))

    def test_lens(self) -> None:
        self.works("run", "-n", "5", "The cat sat.")
        tokens = self.works("run", "-n", "5", "--json", "--no-log", "The cat sat.").tokens
        units = self.works("trace", "last", "--json").of("trace")
        for i, token in enumerate(tokens):
            rows = self.works("trace", "last", "--lens", str(i), "--json").of("lens")
            self.assertEqual([r["layer"] for r in rows], list(range(len(rows))))
            last = rows[-1]  # greedy: the last layer's top token is what was written
            self.assertEqual((last["id"], last["rank"]), (token["id"], 1))
            self.assertAlmostEqual(last["p"], token["p"], delta=1e-4)
            self.assertEqual([r["units"] for r in rows], units[i]["units"])
            for r in rows:
                self.assertTrue(0 < r["p"] <= 1 and r["rank"] >= 1)
                self.assertEqual(r["rank"] == 1, r["id"] == token["id"])
        csv_rows = self.works("trace", "1", "--lens", "0").out.splitlines()
        self.assertEqual(csv_rows[0], "layer,id,p,rank,units")
        self.assertEqual(len(csv_rows), 1 + len(rows))
        self.assertIn("has 5 tokens", self.fails(1, "trace", "1", "--lens", "5"))
        self.assertIn("another model", self.fails(1, "trace", "1", "--lens", "0", "-m", DENSE))

    def test_chat_outlives_its_session(self) -> None:
        """Another process deletes and purges it between two replies."""
        process = subprocess.Popen(
            [TERRA, "chat", "-n", "4"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=self.env,
        )
        assert process.stdin is not None
        process.stdin.write(b"the first text\n")
        process.stdin.flush()
        self.wait(lambda: self.stored("run WHERE status = 'length'") == 1, "the first reply")
        self.works("logs", "rm", "1")
        self.fails(1, "logs", "list")  # purges
        self.works("run", "-n", "2", "a stranger")
        _, err = process.communicate(b"the second text\n/bye\n", timeout=60)
        self.assertEqual(process.returncode, 0, err)
        with sqlite3.connect(self.db) as db:
            rows = db.execute("SELECT id, session_id, prompt FROM run ORDER BY id").fetchall()
        self.assertEqual(rows, [(2, 2, b"a stranger"), (3, 3, b"the second text")])

    def lens_agrees(self, run: int, top: bool = True) -> None:
        """The lens finds the units that were stored, and each token as the likeliest one: of
        a greedy run, where none was forbidden as a repetition."""
        stored = self.works("trace", str(run), "--json").of("trace")
        self.assertGreater(len(stored), 0)
        for i, token in enumerate(stored):
            rows = self.works("trace", str(run), "--lens", str(i), "--json").of("lens")
            self.assertEqual([r["units"] for r in rows], token["units"], f"run {run}, token {i}")
            if top:
                self.assertEqual((rows[-1]["id"], rows[-1]["rank"]), (token["id"], 1))

    def test_lens_reads_what_the_run_read(self) -> None:
        blanks = "  The  cat\n\n\n\n   sat.  "
        self.works("run", "-n", "3", blanks)
        self.works("chat", "-n", "3", stdin=b"The  cat\t sat.  \n")
        self.works("run", "-n", "3", "--ids", "70 71 72")
        self.works("compare", "-n", "3", "--ids", "--prompt", "70 71 72")
        self.works("compare", "-n", "3", self.write("long", TEXT * 50))
        for run in range(1, 8):
            self.lens_agrees(run)

    def test_lens_of_a_summary(self) -> None:
        self.works("summarize", "-n", "3", self.write("doc", "\nThe cat sat on the mat.\n"))
        self.works("summarize", "-n", "3", "--allow-truncate", self.write("long", TEXT * 3))
        self.works("summarize", "-n", "3", "--method", "refine", self.write("two", TEXT * 2))
        with sqlite3.connect(self.db) as db:
            runs = [run for (run,) in db.execute("SELECT id FROM run")]
            self.assertGreater(len(runs), 3)
        for run in runs:
            self.lens_agrees(run, False)
        with sqlite3.connect(self.db) as db:  # an older program counted the source's others too
            db.execute("UPDATE run SET n_read = n_read + 1, n_in = n_in + 1 WHERE id = 1")
        self.lens_agrees(1, False)

    def test_tokens_of_the_text_are_counted_alike(self) -> None:
        text = "\nThe cat sat on the mat. A dog came in.\n"
        ends = [
            self.works("summarize", "-n", "2", "--json", self.write("doc", text)).of("end")[0],
            self.works("run", "-n", "2", "--json", text).of("end")[0],
        ]
        self.works("compare", "-n", "2", "--prompt", text)
        self.works("chat", "-n", "2", stdin=text.encode())
        with sqlite3.connect(self.db) as db:
            rows = db.execute("SELECT n_in, n_read FROM run").fetchall()
        total = ends[0]["coverage"]["total"]
        self.assertEqual(rows, [(total, total)] * 5)
        self.assertEqual([end["coverage"] for end in ends], [{"read": total, "total": total}] * 2)
        self.assertEqual([end["stats"]["tokens_in"] for end in ends], [total + 1] * 2)

    def test_compare_stores_what_was_read(self) -> None:
        self.works("compare", "-n", "3", self.write("long", TEXT * 50))
        with sqlite3.connect(self.db) as db:
            rows = db.execute("SELECT prompt, n_in, n_read FROM run").fetchall()
        self.assertEqual(len(rows), 2)
        for prompt, n_in, n_read in rows:
            self.assertTrue(TEXT.startswith(prompt.decode()) and prompt)
            self.assertLessEqual(n_read, 40)
            self.assertGreater(n_in, 50 * n_read)

    def test_compare_stores_the_style_of_each_side(self) -> None:
        other = self.spoil_config(control={"title": 2})
        self.works("compare", "-n", "3", "--against", f"model:{other}", "--prompt", "The cat.")
        with sqlite3.connect(self.db) as db:
            rows = db.execute("SELECT params FROM run ORDER BY id").fetchall()
        styles = [json.loads(params)["style"] for (params,) in rows]
        self.assertEqual(styles, ["description", "title"])
        self.lens_agrees(1)

    def test_lens_goes_by_the_mode_of_the_run(self) -> None:
        self.works("run", "-n", "3", "--mode", "open", "The cat sat.")
        tokens = self.works("run", "-n", "3", "--mode", "open", "--json", "The cat sat.").tokens
        for i, token in enumerate(tokens):
            last = self.works("trace", "1", "--lens", str(i), "--json").of("lens")[-1]
            self.assertEqual(last["id"], token["id"])
            self.assertAlmostEqual(last["p"], token["p"], delta=1e-4)

    def test_lens_refuses_what_reads_otherwise_now(self) -> None:
        self.works("run", "-n", "3", "The cat sat.")
        with sqlite3.connect(self.db) as db:
            db.execute("UPDATE run SET prompt = CAST('The cat sat on a mat.' AS BLOB)")
        line = self.fails(1, "trace", "1", "--lens", "0")
        self.assertIn("read 10 tokens and its prompt has 16", line)

    def test_chat_has_nothing_to_continue(self) -> None:
        done = self.works("chat", stdin=b"/continue\n/bye\n")
        self.assertIn("nothing to continue", done.err)

    def test_chat(self) -> None:
        script = (
            "hello\n/stats\n/nonsense\n//slash\n/set temp 0.5\n/set temp\n/help\n/rename A talk\n"
            "/export md\n/again\n/compare\n/new\nhello\n/log off\nhello\n/bye\nnever\n"
        )
        # A seed: a random model may write any byte, and a pipe gets what it wrote.
        done = self.works("chat", "-n", "4", "--seed", "1", stdin=script.encode())
        self.assertIn("tokens per second", done.out)
        self.assertIn("no command /nonsense", done.err)
        self.assertIn("now 0.5", done.err)
        self.assertIn("/summarize [FILE]", done.out)
        self.assertIn("# A talk", done.out)
        self.assertIn("same tokens", done.out)
        self.assertNotIn(b"\x1b", done.raw + done.raw_err)
        titles = [s["title"] for s in self.works("logs", "list", "--json").of("session")]
        self.assertIn("A talk", titles)
        self.assertIn("hello", titles)
        runs = sum(s["runs"] for s in self.works("logs", "list", "--json").of("session"))
        self.assertEqual(runs, 3 + 2 + 1)  # hello, //slash, again; compare; hello

    def test_chat_reads_documents(self) -> None:
        path = self.write("doc.txt", TEXT)
        done = self.works("chat", stdin=f"/load {path}\n/summarize\n/load /no/such\n".encode())
        self.assertEqual(done.out, self.works("summarize", path).out)
        self.assertIn("no such file", done.err)
        colon = self.works("chat", stdin=f":load {path}\n:summarize\n".encode())
        self.assertEqual(colon.out, done.out)
        text = self.works("chat", "-n", "4", stdin=b":lead them home\n")  # no command: a text
        self.assertNotIn("no command", text.err)
        self.assertTrue(text.out.strip())

    def test_chat_goes_on_after_an_interrupt(self) -> None:
        document = self.write("long.txt", TEXT * 3000)
        process = subprocess.Popen(
            [TERRA, "chat", "-n", "4"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=self.env,
        )
        assert process.stdin is not None
        process.stdin.write(f"/summarize {document}\n".encode())
        process.stdin.flush()
        self.wait(lambda: self.stored() > 3, "some runs")
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(b"hello\n/stats\n/bye\n", timeout=60)
        self.assertEqual(process.returncode, 0, err)
        self.assertIn(b"stopped; the text so far is kept", err)
        self.assertIn(b"The last reply has", out)

    def test_reset_tty(self) -> None:
        """What a killed program left behind is put in order."""
        master, slave = pty.openpty()
        self.addCleanup(os.close, master)
        self.addCleanup(os.close, slave)
        before = termios.tcgetattr(slave)
        tty.setraw(slave)
        done = subprocess.run([TERRA, "doctor", "--reset-tty"], stdin=slave, stdout=slave,
                              stderr=subprocess.PIPE, env=self.env, timeout=60)
        self.assertEqual((done.returncode, done.stderr), (0, b""))
        after = termios.tcgetattr(slave)
        for part in (0, 1, 3):  # input, output, local modes
            self.assertEqual(after[part] & before[part], before[part], part)
        for key in (termios.VINTR, termios.VQUIT, termios.VEOF, termios.VSUSP, termios.VMIN):
            self.assertEqual(after[6][key], before[6][key], key)
        sent = b""
        while not sent.endswith(b"\n") and select.select([master], [], [], 60)[0]:
            sent += os.read(master, 4096)
        for sequence in (b"\x1b[?1049l", b"\x1b[?1002l", b"\x1b[?2004l", b"\x1b[?25h", b"\x1b[0m"):
            self.assertIn(sequence, sent)
        self.assertIn("neither standard input nor output", self.fails(2, "doctor", "--reset-tty"))

    def test_dumb_terminal_gets_chat(self) -> None:
        self.env["TERM"] = "dumb"
        pid, fd = pty.fork()
        if pid == 0:
            os.execve(TERRA, [TERRA, "-m", str(SPARSE)], self.env)
        out = b""
        while b"> " not in out:
            ready, _, _ = select.select([fd], [], [], 60)
            self.assertTrue(ready, out)
            out += os.read(fd, 4096)
        os.write(fd, b"\x04")
        _, status = os.waitpid(pid, 0)
        os.close(fd)
        self.assertEqual(status, 0)


if __name__ == "__main__":
    unittest.main()
