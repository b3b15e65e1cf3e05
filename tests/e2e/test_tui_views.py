# SPDX-License-Identifier: MIT
"""Sessions, replay, compare, documents, copying."""

from __future__ import annotations

import json
import os
import re
import shutil
import sqlite3
import subprocess
import unittest

from tui import TERRA, TEXT, Tui, TuiTest, models


class Stored(TuiTest):
    def runs(self, n: int = 1) -> None:
        """n sessions with one run each."""
        for i in range(n):
            t = self.start("-n", "40", self.home.document(name=f"doc{i}.txt"))
            t.written()
            t.keys("C-d")
            self.assertEqual(t.exit_status(), 0)
            t.close()

    def sessions(self, **options: object) -> Tui:
        t = self.start(**options)
        t.idle(focus="prompt")
        t.keys("Escape")
        t.wait(focus="output")
        t.keys("s")
        t.wait(view="sessions")
        return t

    def test_replay_without_a_model(self) -> None:
        self.runs()
        t = self.sessions(model="/nonexistent")
        self.assertIn("doc0.txt", t.screen())
        t.keys("Enter")
        state = t.wait(view="main")
        self.assertEqual((state["shown"], state["tokens"], state["run"]), (40, 40, 1))
        screen = t.screen()
        self.assertIn("no model", screen)
        self.assertIn("FF choice", screen)
        self.assertIn("lat ms", screen)
        t.keys("-")
        t.keys("Space")
        t.seen(lambda s: s["shown"] > 0, playing=True)
        t.keys("+", "+", "+", "+", "+", "+")
        t.wait(shown=40, playing=False)
        shown = [s["shown"] for s in t.states if s["playing"]]
        self.assertEqual(shown, sorted(shown))
        self.assertLess(shown[0], 40)
        t.keys("4")
        t.wait(view="inspect")
        self.assertIn("chosen at 39", t.screen())

    def test_ids_are_not_read_as_text(self) -> None:
        run = [str(TERRA), "run", "-q", "-m", str(models() / "e2e"), "-n", "5", "--ids", "70 71"]
        subprocess.run(run, env=self.home.env(), capture_output=True, check=True)
        t = self.sessions()
        t.keys("Enter")
        t.wait(view="main", tokens=5)
        t.keys("V")
        t.wait(lambda s: "token ids" in s["message"])

    def test_replay_by_steps(self) -> None:
        self.runs()
        t = self.sessions()
        t.keys("Enter")
        t.wait(view="main")
        t.keys("Space")  # its own speed
        t.wait(lambda s: s["message"].startswith("end of the replay: it took "), playing=False)
        own = self.home.sql("select sum(ns) from token")[0][0] / 1e9
        t.keys("-")
        says = t.wait(lambda s: s["message"].startswith("replay at 1/"))["message"]
        slow = re.fullmatch(r"replay at 1/(\d+) of its own speed: it takes ([\d.]+) s", says)
        assert slow, says
        self.assertAlmostEqual(own * int(slow[1]), float(slow[2]), delta=0.1)
        self.assertGreater(float(slow[2]), 1.9)  # one can watch it
        t.keys("-", "-", "-")
        slowest = min(int(slow[1]) * 8, 4096)
        t.wait(lambda s: f"1/{slowest} " in s["message"])  # 15 s: time to stop it
        t.keys("r")
        t.wait(lambda s: 0 < s["shown"] < 20, view="main", playing=True)
        t.keys("Space")
        shown = t.wait(playing=False)["shown"]
        self.assertLess(shown, 40)
        t.keys(".")
        t.wait(shown=shown + 1)
        t.keys(",")
        t.wait(token=shown - 1, shown=shown + 1)

    def test_search_rename_delete_undo(self) -> None:
        self.runs(3)
        t = self.sessions()
        t.keys("R")
        t.wait(input="rename")
        t.type("bridge report")
        t.keys("Enter")
        t.wait(lambda s: "is now 'bridge report'" in s["message"], input="prompt")
        self.assertIn("bridge report", t.screen())
        t.keys("R")  # the title given is there to be changed
        t.wait(input="rename")
        t.type("s")
        t.keys("Enter")
        t.wait(lambda s: "is now 'bridge reports'" in s["message"], input="prompt")
        t.keys("d")
        t.wait(lambda s: "deleted" in s["message"])
        self.assertNotIn("bridge report", t.screen())
        t.keys("u")
        t.wait(lambda s: "is back" in s["message"])
        self.assertIn("bridge report", t.screen())
        t.keys("/")
        t.wait(input="search")
        t.type("nothing has this word")
        t.wait_screen("0 of 3")
        t.keys("Escape")
        t.wait(input="prompt")
        t.wait_screen("bridge report")
        t.keys("o")
        t.wait(lambda s: "sorted by created" in s["message"])
        self.assertEqual(
            self.home.sql("select title from session where title is not null and deleted_ms is null"
                          " and title like 'bridge%'"),
            [("bridge reports",)],
        )

    def test_click_selects_a_session(self) -> None:
        self.runs(3)
        t = self.sessions()
        t.keys("M")
        t.wait(lambda s: s["message"].startswith("mouse on"))
        screen = t.wait_screen("mouse on").split("\n")
        row = next(i for i, line in enumerate(screen) if line.startswith("     1  today"))
        t.type(f"\x1b[<0;20;{row + 1}M\x1b[<0;20;{row + 1}m")
        t.wait_screen("preview of 1")
        t.keys("Enter")
        t.wait(view="main", session=1)

    def test_search_by_paste_and_escape(self) -> None:
        self.runs(2)
        t = self.sessions()
        t.keys("/")
        t.wait(input="search")
        t.tmux("set-buffer", "no such words")
        t.tmux("paste-buffer", "-p")
        t.wait_screen("no session matches")
        t.keys("Enter")
        t.wait(input="prompt", view="sessions")
        self.assertIn("Esc clears the search", t.screen())
        t.keys("Escape")
        t.wait_screen("searches all prompts")
        self.assertEqual(sorted(self.listed(t)), [1, 2])
        t.wait(view="sessions")
        t.keys("Escape")
        t.wait(view="main")

    def test_delete_by_number_and_undo_past_what_is_gone(self) -> None:
        self.runs(3)
        t = self.sessions()
        for line, said in (("delete one", "'one' is not the number"), ("delete 1", "deleted"),
                           ("delete 3", "session 3 deleted")):
            t.keys(":")
            t.wait(input="command")
            t.type(line)
            t.keys("Enter")
            t.wait(lambda s, w=said: w in s["message"], input="prompt", view="sessions")
        self.assertEqual(self.listed(t), [2])
        db = sqlite3.connect(self.home.db, isolation_level=None)
        db.execute("DELETE FROM session WHERE id = 3")  # as another process may do
        db.close()
        t.keys("u")
        t.wait(lambda s: s["message"] == "session 1 is back")
        self.assertEqual(sorted(self.listed(t)), [1, 2])

    def listed(self, t: Tui) -> list[int]:
        return [int(i) for i in re.findall(r"^[> ][*! ] +(\d+)  ", t.screen(), re.MULTILINE)]

    def test_deleted_sessions_are_gone_after_a_restart(self) -> None:
        self.runs(2)
        t = self.sessions()
        t.keys("d")
        t.wait(lambda s: "deleted" in s["message"])
        t.keys("q")
        t.wait(view="main", focus="prompt")
        t.keys("C-d")
        self.assertEqual(t.exit_status(), 0)
        t.close()
        self.sessions()
        self.assertEqual(self.home.sql("select count(*) from session"), [(1,)])

    def test_reopened_as_it_was(self) -> None:
        """The lines above the replies are those that stood there."""
        t = self.start("--beams", "1", "-n", "20", self.home.document(), size=(80, 60))
        t.written()
        self.home.document(words=80, name="long.txt")
        for line, want in (
            ("/goto 7", {"token": 7}),
            ("/whatif 5", {"run": 2, "busy": False}),
            ("/goto 4", {"token": 4}),
            ("/whatif 6", {"run": 3, "busy": False}),
            ("/continue", {"run": 4, "busy": False}),
            ("/load long.txt", {"what": lambda s: "Enter asks how" in s["message"]}),
            ("", {"dialog": True}),
        ):
            if t.idle()["focus"] != "prompt":
                t.keys("i")
                t.wait(focus="prompt")
            t.type(line)
            t.keys("Enter")
            t.wait(**want)
        t.keys("m")
        t.wait(lambda s: s["message"].startswith("read "), busy=False)
        lines = re.findall("^(?:doc.txt|what if|going on|chunk|summary of) .*", t.screen(), re.M)
        live = [line.rstrip() for line in lines]
        self.assertGreater(len(live), 5, t.screen())
        t.type("/compare masked")
        t.keys("Enter")
        t.wait(view="compare", compared=True, busy=False)
        t.keys("C-d")
        t.close()
        t = self.start("-c", size=(80, 60))
        t.idle(session=1)
        screen = t.screen()
        for row in live:
            with self.subTest(row=row):  # the number of all chunks is not stored
                self.assertIn(re.sub(r"(\d+)/\d+,", r"\1,", row), screen)
        for side in ("A: sparse", "B: masked"):
            self.assertIn(f"compare, side {side}", screen)

    def test_numbers_of_a_run_without_tokens(self) -> None:
        self.runs()
        db = sqlite3.connect(self.home.db, isolation_level=None)
        db.executescript("DELETE FROM token; DELETE FROM trace")  # stopped while reading
        db.close()
        t = self.start("-c")
        t.idle(session=1)
        t.keys("5")
        t.wait(view="page")
        self.assertIn("no token was written", t.screen())
        self.assertIn("run 1 of session 1", t.screen())

    def test_export(self) -> None:
        self.runs()
        t = self.sessions()
        t.keys("Enter")
        t.wait(view="main")
        for form, check in (("json", "output"), ("md", "## Run 1"), ("csv", "run,i,id")):
            t.keys(":")
            t.wait(input="command")
            t.type(f"export {form} out.{form}")
            t.keys("Enter")
            t.wait(lambda s, f=form: s["message"].endswith(f"out.{f}"), input="prompt")
            self.assertIn(check, (self.home.dir / f"out.{form}").read_text())
        json.loads((self.home.dir / "out.json").read_text())
        t.keys(":")
        t.wait(input="command")
        t.type("export json out.json")
        t.keys("Enter")
        t.wait(lambda s: "File exists" in s["message"])  # never overwritten
        for name in ("terra-session-1.md", "terra-session-1-2.md", "terra-session-1-3.md"):
            t.keys("e")
            t.wait(message=f"session 1 is in {name}")
            self.assertIn("## Run 1", (self.home.dir / name).read_text())

    def test_session_is_continued(self) -> None:
        self.runs()
        t = self.start("-c", "-n", "10")
        t.wait(lambda s: s["session"] == 1, busy=False)
        t.keys("i")
        t.wait(focus="prompt")
        t.type("and another text")
        t.keys("Enter")
        t.wait(run=2, busy=False)
        self.assertEqual(self.home.sql("select session_id from run"), [(1,), (1,)])

    def test_what_follows_a_deleted_session_is_a_new_one(self) -> None:
        t = self.start("-n", "10", self.home.document())
        t.written()
        t.keys("Escape")
        t.wait(focus="output")
        t.keys("s")
        t.wait(view="sessions")
        t.keys("d")
        t.wait(lambda s: "session 1 deleted" in s["message"])
        t.keys("q")
        t.wait(view="main")
        t.keys("i")
        t.wait(focus="prompt")
        t.type("a second text; " + TEXT)
        t.keys("Enter")
        t.wait(lambda s: s["session"] == 2 and s["run"] == 2, busy=False)
        t.keys("C-d")
        self.assertEqual(t.exit_status(), 0)
        rows = "select r.id, r.session_id, s.deleted_ms is null from run r join session s"
        rows += " on s.id = r.session_id order by r.id"
        self.assertEqual(self.home.sql(rows), [(1, 1, 0), (2, 2, 1)])

    def test_two_processes_at_once(self) -> None:
        first = self.start("-n", "4000", self.home.document())
        first.wait(lambda s: s["tokens"] > 3 and s["session"])
        # a second one on the same history, from a pipe
        done = subprocess.run(
            [str(TERRA), "summarize", "-q", "-m", str(models() / "e2e"), "-n", "20", "doc.txt"],
            cwd=self.home.dir,
            env=self.home.env(),
            capture_output=True,
            text=True,
        )
        self.assertEqual(done.returncode, 0, done.stderr)
        first.keys("Escape")
        tokens = first.written()["tokens"]
        first.keys("C-d")
        self.assertEqual(first.exit_status(), 0)
        rows = self.home.sql("select status, n_out from run order by id")
        self.assertEqual(rows, [("cancelled", tokens), ("length", 20)])


class Compared(TuiTest):
    def compare(self, line: str, tokens: int = 60) -> Tui:
        t = self.start("-n", str(tokens), self.home.document())
        t.written()
        t.type(line)
        t.keys("Enter")
        t.wait(view="compare", compared=True, busy=False)
        return t

    def test_masked_is_the_same_function(self) -> None:
        t = self.compare("/compare masked")
        screen = t.screen()
        self.assertIn("same weights, same function", screen)
        self.assertIn("same tokens 60/60", screen)
        self.assertRegex(screen, r"\[(BIT|TOK)")
        self.assertRegex(screen, r"speed-up [\d.]+x")
        t.keys("-")
        t.wait(lambda s: s["message"].startswith("replay at 1/"))
        t.keys("Space")
        t.seen(playing=True)
        t.wait_screen("play 1/")
        t.wait(lambda s: s["message"].startswith("end of the replay: A took "), playing=False)
        t.keys(",")
        t.keys("d")
        t.wait(lambda s: "no token differs" in s["message"])
        rows = self.home.sql("select kind, mode, n_out from run order by id")
        self.assertEqual(rows[1:], [("compare", "sparse", 60), ("compare", "masked", 60)])
        pairs = self.home.sql("select pair_id, session_id from run where kind = 'compare'")
        self.assertTrue(pairs[0][0])
        self.assertEqual(pairs[0], pairs[1])

    def test_playing_is_said_with_its_speed(self) -> None:
        t = self.compare("/compare masked", 1500)
        t.keys("-", "-", "-", "-", "-", "-", "Space")  # for twenty seconds
        t.wait(playing=True)
        t.wait_screen("play 1/")

    def test_open_is_another_function(self) -> None:
        t = self.compare("/compare open")
        screen = t.screen()
        self.assertIn("another function", screen)
        self.assertNotIn("[BIT", screen)
        self.assertNotIn("[TOK", screen)
        t.keys("d")
        t.wait(lambda s: s["view"] == "compare")

    def test_mode_open_has_no_such_other_side(self) -> None:
        t = self.start("-n", "20", "--mode", "open", self.home.document())
        t.written()
        t.type("/compare masked")
        t.keys("Enter")
        t.wait(lambda s: "mode open" in s["message"])
        self.assertEqual(self.home.sql("select count(*) from run where kind = 'compare'"), [(0,)])

    def test_dense_model_is_called_dense(self) -> None:
        t = self.start(model=models() / "e2e-dense")
        t.idle(focus="prompt")
        header = t.screen().split("\n")[0]
        self.assertIn("  dense", header)
        self.assertNotIn("sparse", header)

    def test_dense_twin(self) -> None:
        t = self.compare(f"/compare model:{models() / 'e2e-dense'}")
        self.assertIn("e2e-dense", t.screen())
        t.keys("q")
        t.wait(view="main")

    def test_each_side_stores_its_own_style(self) -> None:
        other = self.home.dir / "other"
        shutil.copytree(models() / "e2e-dense", other)
        config = json.loads((other / "config.json").read_text())
        (other / "config.json").write_text(json.dumps(config | {"control": {"title": 2}}))
        self.compare(f"/compare model:{other}")
        rows = self.home.sql("select params from run where kind = 'compare' order by id")
        styles = [json.loads(params).get("style") for (params,) in rows]
        self.assertEqual(styles, ["description", None])

    def test_escape_stops_a_compare(self) -> None:
        t = self.start("-n", "4000", self.home.document())
        t.wait(lambda s: s["tokens"] > 3)
        t.keys("Escape")
        t.written()
        t.type("/compare masked")
        t.keys("Enter")
        t.wait(view="compare", state="COMPARE")
        t.keys("Escape")
        t.wait(view="compare", busy=False, compared=True)
        rows = self.home.sql("select status from run where kind = 'compare'")
        self.assertEqual(rows, [("cancelled",), ("cancelled",)])

    def test_its_runs_count_and_the_title_stays(self) -> None:
        t = self.start("-n", "20")
        t.idle(focus="prompt")
        t.type(TEXT)
        t.keys("Enter")
        t.written()
        self.assertIn("session 1 'The town council", t.screen())
        self.home.document()
        t.type("/load doc.txt")
        t.keys("Enter")
        t.wait(lambda s: "Enter summarizes" in s["message"])
        t.type("/compare masked")
        t.keys("Enter")
        t.wait(view="compare", compared=True, busy=False)
        t.keys("q")
        t.wait(view="main", focus="output", run=1)
        t.resize(200, 40)
        t.wait(w=200)
        self.assertRegex(t.screen(), "session 1 'The town council.* run 1/3")
        for run in (2, 3):
            t.keys("}")
            t.wait(run=run)
        t.keys("}")
        t.wait(lambda s: s["message"] == "this is the last run")
        t.keys("s")
        t.wait(view="sessions")
        self.assertRegex(t.screen(), r" 1 .* 3 +60 ")

    def test_compare_begins_a_session(self) -> None:
        t = self.start("-n", "20")
        t.idle(focus="prompt")
        self.home.document()
        t.type("/load doc.txt")
        t.keys("Enter")
        t.wait(lambda s: "Enter summarizes" in s["message"])
        t.type("/compare masked")
        t.keys("Enter")
        t.wait(view="compare", compared=True, busy=False, session=1)
        t.keys("q")
        t.wait(view="main", focus="prompt")
        self.assertIn("session 1 'The town council", t.screen())
        t.keys("Escape")
        t.wait(focus="output")
        t.keys("{")
        t.wait(run=2)

    def test_choice_by_dialog(self) -> None:
        t = self.start("-n", "20", self.home.document())
        t.written()
        t.keys("Escape")
        t.wait(focus="output")
        t.keys("c")
        t.wait(dialog=True)
        t.keys("m")
        t.wait(view="compare", compared=True, busy=False)
        t.keys("q")
        t.wait(view="main")
        t.keys("B")
        t.wait(lambda s: s["message"].startswith("B does nothing here"))
        t.keys("2")
        t.wait(view="compare", message="")


class Documents(TuiTest):
    def long(self) -> Tui:
        t = self.start("-n", "20", self.home.document(words=150))
        t.wait(dialog=True)
        self.assertRegex(t.screen(), r"has \d+ tokens; this model reads 256")
        return t

    def test_long_document_in_chunks(self) -> None:
        t = self.long()
        t.keys("c")
        t.wait(lambda s: s["tokens"] and s["message"].startswith("read "), busy=False)
        kinds = [k for k, in self.home.sql("select kind from run order by id")]
        self.assertGreaterEqual(kinds.count("map"), 3)
        self.assertEqual(kinds, ["map"] * (len(kinds) - 1) + ["summary"])
        self.assertRegex(t.screen(), r"chosen of all: chunk \d/\d")
        read, total = self.home.sql("select tok_read, tok_total from summary")[0]
        self.assertEqual(read, total)
        self.assertRegex(t.screen(), r"read (\d+) of \1 tokens")

    def test_progress_only_grows(self) -> None:
        t = self.start("-n", "20", "--chunk", "100", self.home.document(words=600))
        t.wait(dialog=True)
        t.keys("r")
        t.wait(lambda s: s["tokens"] and s["message"].startswith("read "), busy=False)
        bars = [s["progress"] for s in t.states if s["message"].startswith("part ")]
        self.assertEqual(bars, sorted(bars))
        self.assertGreater(len(set(bars)), 3)

    def test_long_document_map_reduced(self) -> None:
        t = self.long()
        t.keys("m")
        t.wait(lambda s: s["tokens"] and s["message"].startswith("read "), busy=False)
        kinds = [k for k, in self.home.sql("select kind from run order by id")]
        self.assertEqual(kinds[-1], "reduce")

    def test_colon_begins_a_command_in_the_prompt_too(self) -> None:
        t = self.start("-n", "20")
        t.idle(focus="prompt")
        self.home.document()
        t.type(":load doc.txt")
        t.keys("Enter")
        t.wait(lambda s: "fits, nothing dropped" in s["message"], tokens=0)
        t.type(": no command")
        t.keys("Enter")
        t.written()
        self.assertIn("> : no command", t.screen())

    def test_long_document_cut(self) -> None:
        t = self.long()
        promised = int(re.search(r"only the first (\d+) tokens", t.screen()).group(1))
        t.keys("t")
        t.written()
        read, total = self.home.sql("select tok_read, tok_total from summary")[0]
        self.assertLess(read, total)
        self.assertEqual(read, promised)
        self.assertIn(f"read {read} of {total} tokens", t.screen())
        self.assertIn(f"doc.txt: only the first {read} of {total} tokens", t.screen())
        t.keys("Escape")
        t.wait(focus="output")
        t.keys("g", "W")  # a branch reads what its parent read
        t.wait(run=2, busy=False)
        rows = self.home.sql("select n_read, n_in from run")
        self.assertEqual(rows, [(read, total)] * 2)
        t.close()
        t = self.start("-c")
        t.wait(lambda s: s["session"] == 1, busy=False)
        t.keys("5")
        t.wait(view="page")
        self.assertIn(f"{read} of {total} tokens of the text were read", t.screen())

    def test_all_counts_agree(self) -> None:
        t = self.start("-n", "20")
        t.idle(focus="prompt")
        self.home.document()
        t.type("/load doc.txt")
        t.keys("Enter")
        t.wait(lambda s: "fits, nothing dropped" in s["message"])
        total = int(re.search(r"(\d+) tokens, the model", t.poll()["message"]).group(1))
        t.keys("Enter")
        t.written()
        self.assertIn(f"doc.txt: all {total} tokens", t.screen())
        self.assertIn(f"read {total} of {total} tokens", t.screen())
        self.assertEqual(self.home.sql("select n_read, n_in from run"), [(total, total)])
        self.assertEqual(self.home.sql("select n_tok from document"), [(total,)])

    def test_long_document_cancelled(self) -> None:
        t = self.long()
        t.keys("?")
        t.wait(lambda s: "arrows and Enter" in s["message"], dialog=True)
        t.keys("Escape")
        t.wait(dialog=False)
        self.assertEqual(self.home.sql("select count(*) from run"), [(0,)])

    def test_load_counts_and_runs_nothing(self) -> None:
        t = self.start("-n", "20")
        t.idle(focus="prompt")
        self.home.document()
        t.type("/load doc.txt")
        t.keys("Enter")
        t.wait(lambda s: "fits, nothing dropped" in s["message"], tokens=0)
        t.keys("Enter")
        t.written()

    def line(self, t: Tui, text: str) -> None:
        """A line for the prompt, wherever the keys go now."""
        if t.poll()["focus"] != "prompt":
            t.keys("i")
            t.wait(focus="prompt")
        t.type(text)
        t.keys("Enter")

    def load(self, t: Tui, name: str) -> None:
        self.line(t, f"/load {name}")
        t.wait(lambda s: s["message"].startswith(f"{name}: "), busy=False)

    def reads(self) -> list[tuple[str | None, str]]:
        """The document that each run points at, and the start of what it read."""
        return [(name, text.decode()[:5]) for name, text in self.home.sql(
            "select d.name, r.prompt from run r left join document d on d.id = r.document_id "
            "order by r.id")]

    def test_what_was_loaded_last_is_what_runs(self) -> None:
        for name in ("first", "other"):
            (self.home.dir / f"{name}.txt").write_text(f"{name} {TEXT}\n")
        t = self.start("--beams", "1", "-n", "20")
        t.idle(focus="prompt")
        self.load(t, "first.txt")
        self.line(t, "")
        t.wait(run=1, busy=False)
        self.load(t, "other.txt")
        self.line(t, "/whatif")  # of the run on screen
        t.wait(run=2, busy=False)
        self.line(t, "/regenerate")
        t.wait(run=3, busy=False)
        self.line(t, "words that are typed " + TEXT)
        t.wait(run=4, busy=False)
        self.load(t, "first.txt")
        self.line(t, "/compare masked")
        t.wait(view="compare", compared=True, busy=False)
        self.line(t, "")
        t.wait(run=7, busy=False)
        self.line(t, "/whatif")
        t.wait(run=8, busy=False)
        self.assertEqual(self.reads(), [
            ("first.txt", "first"), (None, "first"), ("other.txt", "other"), (None, "words"),
            (None, "first"), (None, "first"), ("first.txt", "first"), ("first.txt", "first")])
        self.line(t, "/new")
        t.wait(tokens=0, session=0)
        self.line(t, "/regenerate")
        t.wait(lambda s: s["message"] == "nothing was run yet")

    def test_session_after_a_deleted_one_is_called_by_its_document(self) -> None:
        t = self.start("-n", "10", self.home.document())
        t.written()
        t.wait_screen("session 1 'doc.txt'")
        self.line(t, "/delete 1")
        t.wait(lambda s: "session 1 deleted" in s["message"])
        self.line(t, "")
        t.wait(session=2, run=2, busy=False)
        t.wait_screen("session 2 'doc.txt'")

    def test_keys_with_no_run_on_screen(self) -> None:
        t = self.start("-n", "10", self.home.document())
        t.written()
        self.line(t, "/new")
        t.wait(tokens=0, session=0)
        t.keys("Escape")
        t.wait(focus="output")
        t.keys("-")
        t.wait(lambda s: s["message"].startswith("replay at 1/2 "))
        t.keys("5")
        t.wait(view="page")
        self.assertNotIn("coverage", t.screen())

    def test_bad_documents(self) -> None:
        t = self.start("-n", "20")
        t.idle(focus="prompt")
        cases = {"empty.txt": b"", "blank.txt": b" \n\n ", "data.gz": b"\x1f\x8b\x08\0\0\0\0\0\0\3",
                 "latin.txt": b"\xe9\xe8\xea\xeb" * 100}
        for name, content in cases.items():
            (self.home.dir / name).write_bytes(content)
            t.type(f"/load {name}")
            t.keys("Enter")
            t.wait(
                lambda s, n=name: n in s["message"] and "reading" not in s["message"],
                busy=False,
            )
        t.type("/load missing.txt")
        t.keys("Enter")
        t.wait(lambda s: "missing.txt" in s["message"] and "such file" in s["message"].lower(),
               busy=False)

    def test_malformed_bytes_are_replaced_and_counted(self) -> None:
        (self.home.dir / "mixed.txt").write_bytes(TEXT.encode() + b"\xff\xfe\x1b]0;title\x07\n")
        t = self.start("-n", "20", "mixed.txt")
        t.written()
        self.assertEqual(self.home.sql("select fixes > 0 from document"), [(1,)])

    def test_endless_pipe_can_be_stopped(self) -> None:
        os.mkfifo(self.home.dir / "pipe")
        t = self.start("-n", "20")
        t.idle(focus="prompt")
        t.type("/load pipe")
        t.keys("Enter")
        t.wait(state="READING")
        t.keys("Escape")
        t.idle()


class Copying(TuiTest):
    def test_reply_goes_to_the_tmux_buffer(self) -> None:
        t = self.start("-n", "20", self.home.document())
        t.written()
        t.keys("Escape")
        t.wait(focus="output")
        t.keys("y")
        t.wait(lambda s: "tmux buffer" in s["message"] or "clipboard" in s["message"])
        output = self.home.sql("select output from run")[0][0].decode()
        self.assertEqual(t.tmux("show-buffer"), output)

    def test_text_given_back_as_it_is(self) -> None:
        t = self.start("-n", "20", self.home.document())
        t.written()
        t.type("Hello.")
        t.keys("Enter")
        t.wait(lambda s: "as it is" in s["message"], tokens=0, run=0, token=-1)
        t.keys("Escape")
        t.wait(focus="output")
        t.keys("y")
        t.wait(lambda s: "tmux buffer" in s["message"])
        self.assertEqual(t.tmux("show-buffer"), "Hello.")
        t.keys("Space")
        t.wait(lambda s: s["message"] == "this run has no tokens to play")
        self.assertIn("> Hello.", t.screen())
        t.keys("W")
        t.wait(lambda s: "nothing was run yet" in s["message"])
        t.keys("{")  # the stored run is still there
        t.wait(run=1, tokens=20)


if __name__ == "__main__":
    unittest.main()
