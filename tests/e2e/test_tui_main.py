# SPDX-License-Identifier: MIT
"""The main view: sizes, streaming, keys, scrubbing, help."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import unittest

from tui import TERRA, Tui, TuiTest, models, wait_for


class Sizes(TuiTest):
    def test_80x24(self) -> None:
        t = self.start("-n", "100", self.home.document())
        state = t.written()
        self.assertEqual((state["w"], state["h"]), (80, 24))
        self.assertEqual(state["tokens"], 100)
        lines = t.screen().split("\n")
        self.assertTrue(lines[0].startswith("terra  session 1 'doc.txt'"), lines[0])
        screen = "\n".join(lines)
        for part in ("FF choice: surprise", "lat ms", "bw ", "description> ", "? help", "L05"):
            self.assertIn(part, screen)
        self.assertIn("saved as run 1", screen)
        self.assertRegex(screen, r"read (\d+) of \1 tokens")

    def test_160x48(self) -> None:
        t = self.start("-n", "100", self.home.document(), size=(160, 48))
        t.written()
        screen = t.screen()
        for part in ("-- output", "FF choice", "-- latency", "top 5", "agreement", "uses per unit"):
            self.assertIn(part, screen)
        self.assertIn("6 layers x 64 blocks x 16 units", screen)

    def test_resize_while_streaming(self) -> None:
        t = self.start("-n", "1500", self.home.document())
        t.wait(lambda s: s["tokens"] > 5)
        t.resize(40, 10)
        t.wait(w=40, h=10)
        t.resize(31, 8)
        t.wait(w=31, h=8)
        self.assertIn("need 40x10", t.wait_screen("have 31x8"))
        t.resize(160, 48)
        t.wait(w=160, h=48)
        self.assertEqual(t.written()["tokens"], 1500)
        self.assertIn("FF choice", t.screen())
        t.resize(40, 10)
        t.wait(w=40, h=10)
        screen = t.screen()
        self.assertNotIn("FF choice", screen)
        self.assertIn("description>", screen)
        self.assertIn("? help", screen)

    def test_many_sizes(self) -> None:
        t = self.start("-n", "1500", self.home.document(), "--temp", "1")
        t.wait(lambda s: s["tokens"] > 0)
        for i in range(40):
            t.resize(10 + i * 37 % 200, 3 + i * 13 % 60)
        t.resize(80, 24)
        before = t.wait(w=80, h=24)["tokens"]
        t.wait(lambda s: s["tokens"] > before or not s["busy"])  # it went on writing
        t.kill(signal.SIGINT)
        self.assertEqual(t.exit_status(), 128 + signal.SIGINT)
        self.assertTrue(t.tty_restored())


class Running(TuiTest):
    def test_prompt_runs_and_escape_stops(self) -> None:
        t = self.start("-n", "4000")
        t.idle(focus="prompt")
        t.type("A short text about a bridge.")
        t.keys("Enter")
        t.wait(lambda s: s["tokens"] > 3)
        t.keys("Escape")
        state = t.written()
        self.assertLess(state["tokens"], 4000)
        self.assertIn("stopped", state["message"])
        t.keys("C-d")
        self.assertEqual(t.exit_status(), 0)
        rows = self.home.sql("select status, n_out, kind, cast(prompt as text) from run")
        prompt = "A short text about a bridge."
        self.assertEqual(rows, [("cancelled", state["tokens"], "chat", prompt)])

    def test_ctrl_c_stops_then_tells_how_to_quit(self) -> None:
        t = self.start("-n", "4000", self.home.document())
        t.wait(lambda s: s["tokens"] > 3)
        t.keys("C-c")
        t.written()
        t.keys("C-c")
        t.wait(lambda s: "C-d" in s["message"])
        t.type("typed")
        t.keys("C-c")
        t.wait_screen("description>")
        t.keys("C-d")
        self.assertEqual(t.exit_status(), 0)

    def test_typing_while_a_reply_is_written(self) -> None:
        t = self.start("-n", "4000", self.home.document())
        t.wait(lambda s: s["tokens"] > 3)
        t.type("next text")
        t.wait_screen("> next text")
        t.keys("Enter")
        t.wait(lambda s: "still running" in s["message"])
        self.assertIn("> next text", t.screen())  # not lost

    def test_history_is_kept_across_runs(self) -> None:
        t = self.start("-n", "10")
        t.idle(focus="prompt")
        t.type("remember these words")
        t.keys("Enter")
        t.written()
        t.keys("C-d")
        t.exit_status()
        t.close()
        t = self.start("-n", "10")
        t.idle(focus="prompt")
        t.keys("Up")
        t.wait_screen("> remember these words")

    def test_wide_and_combining_characters(self) -> None:
        t = self.start("-n", "10")
        t.idle(focus="prompt")
        t.type("\u6771\u4eac e\u0301te\u0301 \U0001f600")
        t.wait_screen("\u6771\u4eac e\u0301te\u0301 \U0001f600")
        t.keys("Enter")
        t.written()
        self.assertIn("> \u6771\u4eac e\u0301te\u0301", t.screen())

    def test_multi_line_prompt(self) -> None:
        t = self.start("-n", "10")
        t.idle(focus="prompt")
        t.type("first line")
        t.keys("M-Enter")
        t.type("second line")
        t.wait_screen("second line")
        self.assertEqual(t.poll()["tokens"], 0)
        t.keys("Enter")
        t.written()
        self.assertEqual(self.home.sql("select prompt from run"), [(b"first line\nsecond line",)])

    def test_paste_of_a_megabyte(self) -> None:
        t = self.start("-n", "10")
        t.idle(focus="prompt")
        text = self.home.dir / "big.txt"
        text.write_text("words of a long paste\n" * 50000)
        t.tmux("load-buffer", str(text))
        t.tmux("paste-buffer", "-p")
        t.wait_screen("1.10 MB")
        self.assertEqual(t.poll()["tokens"], 0)  # a paste never sends
        t.keys("C-_")  # one undo step
        t.wait_screen("type or paste a text")
        t.keys("C-d")
        self.assertEqual(t.exit_status(), 0)

    def test_mistyped_command_is_not_sent(self) -> None:
        t = self.start("-n", "10")
        t.idle(focus="prompt")
        t.type("/sumarize")
        t.keys("Enter")
        t.wait(lambda s: "summarize" in s["message"], tokens=0)
        t.keys("C-c")
        t.wait_screen("type or paste a text")
        t.type("//etc is a folder")
        t.keys("Enter")
        t.written()
        self.assertEqual(self.home.sql("select prompt from run"), [(b"/etc is a folder",)])

    def test_styles_and_settings(self) -> None:
        t = self.start("-n", "20", self.home.document())
        t.written()
        for line in ("/set max_tokens 30", "/summarize title"):
            t.type(line)
            t.keys("Enter")
            t.wait(lambda s: "now 30" in s["message"] or s["tokens"] == 30)
        t.wait(tokens=30, busy=False)
        params = self.home.sql("select params from run order by id")
        self.assertIn('"style":"title"', params[1][0].replace(" ", ""))
        t.type("/set temp nonsense")
        t.keys("Enter")
        t.wait(lambda s: "temp" in s["message"] and "nonsense" in s["message"])

    def test_settings_that_nothing_could_run_with(self) -> None:
        t = self.start("-n", "20", self.home.document())
        t.written()
        for line, answer in (
            ("set length off", "length: 'off' is not like 80w, 5s, 300t or 10%"),
            ("set length", "length is none (default)"),
            ("set chunk 3", "chunk: 3 is less than 8 tokens; 0 is what fits"),
            ("set chunk 300", "chunk 300: the model takes 255 tokens of text at once"),
            ("set overlap 9999", "overlap 9999 must be less than the chunk of 255 tokens"),
            ("set overlap", "overlap is 0 (default)"),
            ("set style nosuch", "the model has no style 'nosuch'; it has title, description, "
                                 "tldr"),
            ("style nosuch", "the model has no style 'nosuch'"),
            ("set length 10t", "length is now 10t"),
            ("set length none", "length is now none"),
        ):
            self.say(t, line)
            t.wait(lambda s, a=answer: s["message"].startswith(a))
        self.command(t, "summarize", 2)
        self.assertEqual(t.poll()["tokens"], 20)

    def test_settings_of_the_file_can_be_mended(self) -> None:
        folder = self.home.dir / "config/terra"
        folder.mkdir(parents=True)
        (folder / "config.json").write_text('{"length": "off", "overlap": 900}')
        self.home.document()
        t = self.start("-n", "20")
        t.idle(focus="prompt")
        self.say(t, "load doc.txt")
        t.wait(lambda s: s["message"].startswith("doc.txt: "))
        self.say(t, "summarize")
        t.wait(lambda s: "length: 'off' is not like" in s["message"])
        self.say(t, "set overlap 0")
        t.wait(lambda s: s["message"] == "overlap is now 0")
        self.say(t, "set length none")
        t.wait(lambda s: s["message"] == "length is now none")
        self.command(t, "summarize", 1)

    def tokens(self, run: int) -> list[int]:
        rows = self.home.sql(f"SELECT id FROM token WHERE run_id = {run} ORDER BY pos")
        return [r[0] for r in rows]

    def after(self, run: int) -> tuple[int, dict]:
        """A run's parent and parameters."""
        parent, params = self.home.sql(f"SELECT parent_id, params FROM run WHERE id = {run}")[0]
        return parent, json.loads(params)

    def say(self, t: Tui, line: str) -> None:
        if t.idle()["focus"] != "prompt":
            t.keys("i")
            t.wait(focus="prompt")
        t.type(f"/{line}")
        t.keys("Enter")

    def command(self, t: Tui, line: str, run: int) -> None:
        self.say(t, line)
        wait_for(
            lambda: self.home.sql(f"SELECT 1 FROM run WHERE id = {run} AND end_ms IS NOT NULL"),
            lambda: f"no run {run}\n{t.screen()}",
        )
        t.idle()

    def test_continue_is_the_longer_run(self) -> None:
        t = self.start("--beams", "1", "-n", "20", self.home.document())
        t.written()
        self.command(t, "continue", 2)
        self.command(t, "continue", 3)
        self.assertIn("saved as run 3", t.screen())
        self.assertIn("going on after token 40", t.screen())
        self.say(t, "set max_tokens 60")
        self.command(t, "regenerate", 4)
        long = self.tokens(4)
        self.assertEqual(len(long), 60)
        self.assertEqual(self.tokens(1) + self.tokens(2) + self.tokens(3), long)
        self.assertEqual([self.after(r)[0] for r in (1, 2, 3)], [None, 1, 2])
        self.assertEqual([self.after(r)[1].get("after") for r in (1, 2, 3)], [None, 20, 40])
        t.keys("C-d")

    def test_nothing_to_continue(self) -> None:
        t = self.start("-n", "20")
        t.idle(focus="prompt")
        self.say(t, "continue")
        t.wait_screen("nothing was run yet")
        self.say(t, "whatif many")
        t.wait_screen("'many' is not the number of a unit")

    def test_what_if_branches(self) -> None:
        t = self.start("--beams", "1", "-n", "20", self.home.document())
        t.written()
        for line in ("goto 7", "layer 2", "block 5"):
            self.say(t, line)
        self.command(t, "whatif", 2)
        t.wait_screen("what if layer 2 block 5 took unit")
        parent, params = self.after(2)
        pin = params["pin"]
        self.assertEqual((parent, params["after"]), (1, 7))
        self.assertEqual((pin["layer"], pin["block"]), (2, 5))
        self.assertNotEqual(pin["unit"], pin["was"])  # the controller's second choice
        self.assertNotIn("kept", params)
        trace = self.units(2, 2, 5)
        self.assertEqual(set(trace), {pin["unit"]})  # the block obeyed, for every token
        self.assertEqual(self.units(1, 2, 5)[7], pin["was"])
        # From the stored run: what was chosen anyway changes the token not.
        t.keys("Escape")
        t.wait(focus="output")
        t.keys("{")
        t.idle(tokens=20)
        self.say(t, "goto 7")
        self.command(t, f"whatif {pin['was']}", 3)
        self.assertEqual(self.tokens(3)[0], self.tokens(1)[7])
        self.assertEqual(self.after(3)[0], 1)
        self.say(t, "whatif 16")
        t.wait_screen("a block has 16 units")

    def test_what_if_is_the_first_run_of_the_program(self) -> None:
        t = self.start("--beams", "1", "-n", "20", self.home.document())
        t.written()
        t.keys("C-d")
        self.assertEqual(t.exit_status(), 0)
        t = self.start("--beams", "1", "-n", "20", "--session", "1")
        t.wait(run=1, tokens=20)
        t.wait_screen("model e2e")
        self.say(t, "goto 7")
        self.command(t, "whatif", 2)
        self.assertEqual(self.after(2)[0], 1)

    def test_branch_of_a_branch_keeps_its_pins(self) -> None:
        t = self.start("--beams", "1", "-n", "20", self.home.document())
        t.written()
        for line in ("goto 7", "layer 2", "block 5"):
            self.say(t, line)
        self.command(t, "whatif", 2)
        for line in ("goto 4", "layer 1", "block 3"):
            self.say(t, line)
        self.command(t, "whatif 9", 3)
        t.wait_screen("1 earlier pin")
        first = self.after(2)[1]["pin"]["unit"]
        kept = {"at": 7, "layer": 2, "block": 5, "unit": first}
        parent, params = self.after(3)
        self.assertEqual((parent, params["after"], params["kept"]), (2, 11, [kept]))
        self.assertEqual(set(self.units(3, 2, 5)), {first})
        self.assertEqual(set(self.units(3, 1, 3)), {9})
        # From the store: the pins are found there, and what is chosen anyway changes nothing.
        t.keys("Escape")
        t.wait(focus="output")
        t.keys("{")
        t.idle(run=2)
        t.keys("}")
        t.idle(run=3)
        for line in ("goto 5", "layer 0", "block 0"):
            self.say(t, line)
        self.command(t, f"whatif {self.units(3, 0, 0)[5]}", 4)
        self.assertEqual([k["at"] for k in self.after(4)[1]["kept"]], [7, 11])
        self.assertEqual(set(self.units(4, 2, 5)), {first})
        self.assertEqual(set(self.units(4, 1, 3)), {9})
        self.assertEqual(self.tokens(4)[0], self.tokens(3)[5])
        rows = self.lens(3, 5)  # the look inside obeys them too
        self.assertEqual((rows[2]["units"][5], rows[1]["units"][3]), (first, 9))

    def lens(self, run: int, token: int) -> list[dict]:
        """What the command line says of a token, a row for each layer."""
        line = [str(TERRA), "-m", str(models() / "e2e"), "trace", str(run)]
        line += ["--lens", str(token), "--json", "--db", str(self.home.db)]
        done = subprocess.run(
            line, capture_output=True, text=True, check=True, env=self.home.env()
        )
        rows = [json.loads(row) for row in done.stdout.splitlines()]
        return [r for r in rows if r["type"] == "lens"]

    def test_lens(self) -> None:
        t = self.start("-n", "20", self.home.document())
        t.written()
        for token in (7, 19):
            self.say(t, f"lens {token}" if token == 7 else "lens")
            t.wait_screen(f"token {token} '")
            t.idle(view="page")
            rows = re.findall(r"^ +(\d+) +(\d+)  '(.*?)' (\d+)%", t.screen(), re.MULTILINE)
            want = self.lens(1, token)
            self.assertEqual([(int(r[0]), int(r[1])) for r in rows],
                             [(w["layer"], w["rank"]) for w in want])
            for row, w in zip(rows, want):
                self.assertEqual(row[2], w["text"])
                self.assertAlmostEqual(int(row[3]) / 100, w["p"], delta=0.006)
            t.keys("q")
            t.wait(view="main")
        self.assertEqual(self.home.sql("SELECT count(*) FROM run"), [(1,)])
        self.say(t, "lens 20")
        t.wait_screen("there is no such token")
        self.say(t, "lens one")
        t.wait_screen("'one' is not the number of a token")

    def test_lens_needs_a_run_and_its_model(self) -> None:
        t = self.start("-n", "20")
        t.idle(focus="prompt")
        self.say(t, "lens")
        t.wait_screen("no token to look into")
        t.keys("C-d")
        t.exit_status()
        t.close()
        t = self.start("-n", "20", self.home.document())
        t.written()
        t.keys("C-d")
        t.exit_status()
        t.close()
        for model, why in (("/nonexistent", "no model is open"),
                           (models() / "e2e-dense", "written by another model")):
            t = self.start("--session", "1", model=model)
            t.idle(tokens=20)
            self.say(t, "lens 3")
            t.wait_screen(why)
            t.close()

    def test_like_searches_all_runs(self) -> None:
        t = self.start("-n", "20", self.home.document())
        t.written()
        self.say(t, "like")
        screen = t.wait_screen("like token 19 of run 1")
        self.assertIn("19 tokens compared; chance alone makes 6.2% of the blocks agree", screen)
        t.wait(view="page")  # the screen is drawn before it is reported
        self.command(t, "regenerate", 2)
        self.say(t, "goto 3")
        self.say(t, "like")
        screen = t.wait_screen("like token 3 of run 2")
        self.assertIn("39 tokens compared", screen)
        first = screen.split("agreement  session")[1].split("\n")[1]
        self.assertEqual(first.split()[:4], ["100.0%", "1", "1", "3"])  # its twin

    def units(self, run: int, layer: int, block: int) -> list[int]:
        """What a block chose in every token of a stored run."""
        done = subprocess.run(
            [str(TERRA), "trace", str(run), "--layer", str(layer), "--db", str(self.home.db)],
            capture_output=True,
            text=True,
            check=True,
            env=self.home.env(),
        )
        rows = [line.split(",") for line in done.stdout.splitlines()[1:]]
        return [int(r[5]) for r in rows if int(r[4]) == block]

    def test_regenerate_keeps_the_old_run(self) -> None:
        t = self.start("-n", "20", self.home.document())
        t.written()
        t.keys("Escape")
        t.wait(focus="output")
        t.keys("R")
        t.wait(run=2, busy=False)
        self.assertEqual(self.home.sql("select count(*) from run"), [(2,)])
        t.keys("{")
        t.wait(run=1)
        t.keys("}")
        t.wait(run=2)


class Looking(TuiTest):
    def test_scrub_moves_text_and_map_together(self) -> None:
        t = self.start("-n", "50", self.home.document())
        t.written()
        t.keys("Escape")
        t.wait(focus="output")
        t.keys("h")
        t.wait(token=48, map=48)
        t.keys("Left", "h", "l")
        t.wait(token=47, map=47)
        t.keys("g")
        t.wait(token=0, map=0)
        t.keys("G")
        t.wait(token=49, map=49)
        t.keys(":")
        t.wait(input="command")
        t.type("goto 12")
        t.keys("Enter")
        t.wait(token=12, map=12, input="prompt")
        self.assertIn("tok 12", t.screen())
        for token, says in (("abc", "goto TOKEN: a number from 0 to 49"), ("5", "")):
            t.keys(":")
            t.wait(input="command")
            t.type(f"goto {token}")
            t.keys("Enter")
            t.wait(input="prompt", message=says)
        t.wait(token=5)

    def test_metrics_zoom_and_cursor(self) -> None:
        t = self.start("-n", "50", self.home.document())
        t.written()
        t.keys("Escape")
        t.wait(focus="output")
        for name in ("flip", "unit", "margin", "zero", "use", "p", "surprise"):
            t.keys("m")
            t.wait(metric=name)
        t.keys("Tab")
        t.wait(focus="map")
        t.keys("j", "j", "]", "]", "]", "k")
        t.wait(layer=1, block=3)
        t.keys("z")
        t.wait_screen("layer 1")
        t.keys("f")
        t.wait(lambda s: "layer 1 block 3 unit" in s["message"])
        t.keys("x")
        t.wait(lambda s: "pinned" in s["message"])
        t.keys("Enter")
        t.wait(view="inspect")
        t.keys("q")
        t.wait(view="main")

    def test_tokens_that_used_a_unit(self) -> None:
        t = self.start("-n", "50", self.home.document())
        t.written()
        t.keys("Escape")
        t.wait(focus="output")
        t.keys("Tab")
        t.wait(focus="map")
        t.keys("j", "]")
        t.wait(layer=1, block=1)
        t.keys("U")
        t.wait(view="page")
        head = re.search(r"layer 1 block 1 unit (\d+)\s+(\d+) of 50 tokens", t.screen())
        assert head, t.screen()
        trace = [TERRA, "trace", "1", "--layer", "1", "-f", "csv"]
        rows = subprocess.check_output(trace, env=self.home.env(), text=True).splitlines()
        used = [r.split(",")[2] for r in rows if re.match(rf"1,dec,\d+,1,1,{head[1]},", r)]
        self.assertEqual(int(head[2]), len(used))
        self.assertEqual(re.findall(r"(?m)^ +(\d+)  [\d.]+ ", t.screen()), used[:18])
        t.keys("g")
        t.keys("j")
        t.keys("Enter")
        t.wait(view="main", focus="map", token=int(used[1]))
        t.keys("n")  # and on from there
        t.wait(token=int(used[2]))
        t.keys("4")
        t.wait(view="inspect")
        t.keys("U")
        t.wait(view="page")
        t.keys("G")
        t.keys("Enter")
        t.wait(view="inspect", token=int(used[-1]))

    def test_map_ordered_by_co_selection(self) -> None:
        t = self.start("-n", "50", self.home.document(), size=(100, 30))
        t.written()
        t.keys("Escape")
        t.wait(focus="output")
        t.keys("Tab")
        t.wait(focus="map")
        t.keys("o")
        t.wait_screen("-- ordered by co-selection --")

        def blocks(key: str) -> list[int]:
            seen = [t.poll()["block"]]
            for _ in range(63):
                t.keys(key)
                seen.append(t.wait(lambda s: s["block"] != seen[-1])["block"])
            return seen

        t.keys(*["["] * 64)  # to the left end, wherever it was
        frame = t.poll()["frame"]
        t.keys("m")
        t.wait(lambda s: s["frame"] > frame, metric="flip")
        order = blocks("]")
        self.assertEqual(sorted(order), list(range(64)))
        self.assertNotEqual(order, sorted(order))
        t.keys("M")
        t.wait(lambda s: s["message"].startswith("mouse on"))
        lines = t.screen().split("\n")
        row = next(i for i, line in enumerate(lines) if line.startswith("L00"))
        t.type(f"\x1b[<0;{5 + 20};{row + 1}M\x1b[<0;{5 + 20};{row + 1}m")
        t.wait(layer=0, block=order[20])
        t.keys("o")
        t.wait(message="map: blocks by number")
        t.keys("[" if order[20] else "]")
        t.wait(block=order[20] - 1 if order[20] else 1)

    def test_frozen_screen_says_so(self) -> None:
        t = self.start("-n", "50", self.home.document())
        t.written()
        t.keys("Escape")
        t.wait(focus="output")
        t.keys("p")
        t.wait(lambda s: s["message"].startswith("frozen: any key"))
        t.resize(100, 30)
        frame = t.wait(lambda s: s["message"].startswith("frozen: any key"), w=100)["frame"]
        t.keys("h")
        state = t.wait(message="")
        self.assertEqual((state["frame"], state["token"]), (frame + 1, 49))

    def test_finding_and_pinning_are_of_the_decoder(self) -> None:
        t = self.start("-n", "20", "--trace", "all", self.home.document())
        t.written()
        t.keys("Escape")
        t.wait(focus="output")
        for key, says, legend in (
            ("f", "layer 0 block 0 unit", "FF choice: surprise"),
            ("n", "layer 0 block 0 unit", "FF choice: surprise"),
            ("x", "pinned", "differs from token"),
            ("d", "what differs from token 19", "differs from token"),
        ):
            t.keys("E")
            t.wait_screen("FF choice, encoder")
            t.keys(key)
            t.wait(lambda s, what=says: what in s["message"])
            t.wait_screen(legend)

    def test_metric_ends_the_differences(self) -> None:
        t = self.start("-n", "20", self.home.document())
        t.written()
        t.keys("Escape")
        t.wait(focus="output")
        t.keys("x")
        t.wait_screen("differs from token 19 same")
        t.keys("m")
        t.wait(metric="flip")
        t.wait_screen("FF choice: flip")
        t.keys("d")  # the pin stays
        t.wait_screen("differs from token 19 same")
        t.keys("4")
        t.wait(view="inspect")
        t.keys("d")
        t.wait(message="the map shows flip, no differences")

    def test_follow_stops_while_reading(self) -> None:
        t = self.start("-n", "4000", self.home.document())
        t.wait(lambda s: s["tokens"] > 1200)
        t.keys("PgUp")
        wait_for(lambda: re.search(r"\+\d+ new", t.screen()), t.screen)
        first = t.screen().split("\n")[1]
        before = t.poll()["tokens"]
        t.wait(lambda s: s["tokens"] > before + 300)
        self.assertRegex(t.screen(), r"\+\d+ new")
        self.assertEqual(t.screen().split("\n")[1][:60], first[:60])  # the text stays still
        t.keys("Escape")
        t.written()
        t.keys("Escape")
        t.wait(focus="output")
        t.keys("End")
        wait_for(lambda: not re.search(r"\+\d+ new", t.screen()), t.screen)

    def test_help_filters_and_runs_a_line(self) -> None:
        t = self.start("-n", "20", self.home.document())
        t.written()
        t.keys("F1")
        t.wait(help=True)
        t.type("session")
        t.wait_screen("filter: session")
        t.keys("Escape")
        t.wait(help=False, focus="prompt")
        t.keys("Escape")
        t.wait(focus="output")
        t.keys("?")
        t.wait(help=True)
        t.type("inspect")
        t.wait_screen("filter: inspect")
        t.keys("Down", "Up")
        screen = t.screen()
        self.assertIn("look inside the token", screen)
        t.keys("BSpace")
        t.keys("Escape")
        t.wait(help=False)

    def test_help_explains_numbers(self) -> None:
        t = self.start(size=(80, 24))
        t.idle(focus="prompt")
        t.keys("F1")
        t.wait(help=True)
        t.type("TTFT")
        screen = t.wait_screen("filter: TTFT")
        self.assertIn("numbers on the screen", screen)
        self.assertIn("time to first token: reading the text and one step", screen)
        t.keys("Enter")  # there is nothing to run
        t.type("x")
        t.wait_screen("nothing matches")
        t.keys("Escape")
        t.wait(help=False)
        numbers = subprocess.check_output([TERRA, "help", "numbers"], text=True)
        self.assertIn("p50 p90 p99: ", numbers)

    def test_every_pane_is_reached_with_tab(self) -> None:
        t = self.start("-n", "20", self.home.document(), size=(160, 48))
        t.written()
        for pane in ("output", "map", "latency", "strip", "prompt"):
            t.keys("Tab")
            t.wait(focus=pane)

    def test_numbers_in_words(self) -> None:
        t = self.start("-n", "20", self.home.document())
        t.written()
        t.keys("Escape")
        t.wait(focus="output")
        t.keys("5")
        t.wait(view="page")
        screen = t.screen()
        self.assertIn("tokens written      20", screen)
        self.assertRegex(screen, r"coverage\s+(\d+) of \1 tokens")

    def test_search_in_the_text(self) -> None:
        t = self.start("-n", "200", self.home.document())
        t.written()
        t.keys("Escape")
        t.wait(focus="output")
        t.keys("/")
        t.wait(input="find")
        output = self.home.sql("select output from run")[0][0].decode()
        t.type(output[60:66])
        t.keys("Enter")
        t.wait(lambda s: s["token"] < 199, input="prompt")
        t.keys("/")
        t.type("not in there at all")
        t.keys("Enter")
        t.wait(lambda s: "is not in the text" in s["message"])

    def test_mouse(self) -> None:
        t = self.start("-n", "50", "--mouse", self.home.document())
        t.written()
        row = next(i for i, line in enumerate(t.screen().split("\n")) if line.startswith("L02"))
        t.type(f"\x1b[<0;{5 + 7};{row + 1}M\x1b[<0;{5 + 7};{row + 1}m")
        t.wait(focus="map", layer=2, block=7)
        t.type("\x1b[<0;20;3M\x1b[<0;20;3m")
        t.wait(lambda s: 0 <= s["token"] < 49, focus="output")
        t.type("\x1b[<64;20;3M\x1b[<65;20;3M")
        t.keys("M")
        t.wait(lambda s: "mouse off" in s["message"])

    def test_map_as_data(self) -> None:
        t = self.start("-n", "20", self.home.document())
        t.written()
        for line in ("/map csv map.csv", "/map svg map.svg", "/map ppm map.ppm"):
            t.type(line)
            t.keys("Enter")
            t.wait(lambda s, name=line[9:]: s["message"].endswith(name))
        csv = (self.home.dir / "map.csv").read_text().splitlines()
        self.assertEqual(len(csv), 1 + 20 * 6 * 64)
        self.assertRegex(csv[1], r"^0,0,0,\d+,")
        t.type("/map p")
        t.keys("Tab")
        t.wait_screen("/map ppm")
        svg = (self.home.dir / "map.svg").read_text()
        self.assertEqual(len(re.findall("<rect ", svg)), 1 + 6 * 64)
        ppm = (self.home.dir / "map.ppm").read_bytes()
        head, pixels = ppm.split(b"\n255\n", 1)
        self.assertRegex(head, rb"^P6\n# token \d+: surprise, .*\n512 48$")
        self.assertEqual(len(pixels), 512 * 48 * 3)
        shades = [int(s, 16) for s in re.findall(r'height="11" fill="#(..)', svg)]
        corners = [pixels[(y * 512 + x) * 3] for y in range(0, 48, 8) for x in range(0, 512, 8)]
        self.assertEqual(corners, shades)


if __name__ == "__main__":
    unittest.main()
