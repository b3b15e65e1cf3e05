#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Flags, help, completion, configuration, and the small commands."""

from __future__ import annotations

import json
import subprocess
import unittest
from pathlib import Path

from common import DENSE, FIXTURES, PLAIN, SPARSE, TERRA, TEXT, Case

COMMANDS = (
    "tui summarize run chat compare logs replay trace stats inspect parity eval rouge bench "
    "doctor completion help version"
).split()


class Options(Case):
    def test_unknown_flag_names_the_nearest(self) -> None:
        self.assertIn("--length", self.fails(2, "summarize", "--lenght", "5s", "x"))
        self.assertIn("--threads", self.fails(2, "run", "--thread", "4", "x"))
        self.assertIn("unknown option --zzzzzz", self.fails(2, "run", "--zzzzzz", "x"))
        self.assertIn("-Z", self.fails(2, "run", "-Z", "x"))

    def test_flag_of_another_command(self) -> None:
        self.assertIn("terra summarize", self.fails(2, "run", "--dry-run", "x"))

    def test_unknown_command_names_the_nearest(self) -> None:
        self.assertIn("summarize", self.fails(2, "sumarize", "x"))
        self.assertIn("terra help", self.fails(2, "qqqqqqqq"))

    def test_bad_values(self) -> None:
        for option in (
            "--threads=0",
            "--threads=two",
            "--threads=",
            "--temp=-1",
            "--temp=hot",
            "--temp=nan",
            "--top-p=2",
            "--max-tokens=0",
            "--mode=dense",
            "--trace=some",
            "--quiet=yes",
            "--seed=1e3",
            "--seed=9007199254740993",
            "--seed=9000000000000000001",
            "--max-tokens=99999999999999999999",
        ):
            self.assertIn(option.split("=")[0], self.fails(2, "run", option, "x"), option)
        self.works("run", "-n", "2", "--seed", "9007199254740992", "x")
        self.assertIn("needs a value", self.fails(2, "run", "--model"))
        self.assertIn("needs a value", self.fails(2, "run", "-m"))

    def test_operands(self) -> None:
        self.assertIn("usage", self.fails(2, "summarize"))
        self.assertIn("usage", self.fails(2, "summarize", "a", "b"))
        self.assertIn("usage", self.fails(2, "rouge", "a"))

    def test_spellings(self) -> None:
        expected = self.works("run", "--max-tokens", "3", "hello").out
        for args in (["-n3", "hello"], ["-n", "3", "hello"], ["--max-tokens=3", "hello"]):
            self.assertEqual(self.works("run", *args).out, expected)
        self.assertEqual(self.works("-n3", "run", "hello").out, expected)
        self.assertEqual(self.works("run", "hello", "-qn3").out, expected)

    def test_text_behind_two_dashes(self) -> None:
        first = self.works("run", "-n", "3", "--", "--help", "me").out
        self.assertNotIn("usage", first)
        self.works("run", "-n", "3", "--", "-x")

    def test_help_goes_to_stdout(self) -> None:
        done = self.works("--help")
        self.assertEqual(done.err, "")
        for name in COMMANDS:
            self.assertIn(f"\n  {name} ", done.out)
            text = self.works("help", name)
            self.assertIn(f"usage: terra {name}", text.out)
            self.assertEqual(self.works(name, "--help").out, text.out)
            self.assertEqual(self.works(name, "-h").out, text.out)
            for line in text.out.splitlines():
                self.assertLessEqual(len(line), 110)
        self.assertIn("did you mean", self.fails(2, "help", "summarise"))

    def test_version(self) -> None:
        done = self.works("--version")
        for word in ("terra ", "SQLite", "ncurses", "readline", "BLAS", "CPU", "kernels"):
            self.assertIn(word, done.out)
        self.assertEqual(self.works("version", "--json").of("version")[0]["v"], 1)

    def test_blas_uses_what_the_cpu_has(self) -> None:
        chosen = self.works("version", "--json").of("version")[0]
        self.env["OPENBLAS_CORETYPE"] = "Prescott"  # the person has the last word
        asked = self.works("version", "--json").of("version")[0]
        if chosen["blas"] == "none":
            self.assertEqual(asked, chosen)
        elif "avx2" in chosen["kernels"]:
            self.assertNotIn("(Prescott)", chosen["blas"])
            self.assertIn("(Prescott)", asked["blas"])

    def test_completion(self) -> None:
        script = self.write("terra.bash", self.works("completion", "bash").out)
        probe = (
            f". {script}; COMP_WORDS=(terra summarize --me); COMP_CWORD=2; _terra;"
            ' echo "${COMPREPLY[*]}";'
            "COMP_WORDS=(terra summarize --method ma); COMP_CWORD=3; _terra;"
            ' echo "${COMPREPLY[*]}";'
            "COMP_WORDS=(terra lo); COMP_CWORD=1; _terra;"
            ' echo "${COMPREPLY[*]}"'
        )
        done = subprocess.run(["bash", "-c", probe], stdout=subprocess.PIPE, text=True, check=True)
        self.assertEqual(done.stdout.splitlines(), ["--method", "map-reduce", "logs"])
        self.complete_words_and_files(script)
        zsh, fish = self.works("completion", "zsh").out, self.works("completion", "fish").out
        self.assertTrue(zsh.startswith("#compdef terra"))
        for name in COMMANDS:
            self.assertIn(name, zsh)
            self.assertIn(f" -a {name} ", fish)
        self.assertEqual(zsh.count("'") % 2, 0)
        self.fails(2, "completion", "tcsh")

    def complete_words_and_files(self, script: str) -> None:
        """Only what is a file is completed as one: a folder 'logs' is not the command."""
        (self.tmp / "logs").mkdir()
        (self.tmp / "story.txt").touch()
        probe = f". {script}; compopt() {{ echo \"compopt $*\"; }}; complete -p terra;"
        for words in ("lo", "sto", "summarize sto", "summarize --ref sto", "summarize --re"):
            count = len(words.split())
            probe += (
                f" COMP_WORDS=(terra {words}); COMP_CWORD={count}; COMPREPLY=(); _terra;"
                " printf '%s\\n' \"${COMPREPLY[@]}\" | sort -u;"
            )
        done = subprocess.run(
            ["bash", "-c", probe], stdout=subprocess.PIPE, text=True, check=True, cwd=self.tmp
        )
        file = ["compopt -o filenames", "story.txt"]
        self.assertEqual(
            done.stdout.splitlines(),
            ["complete -F _terra terra", "logs", *file, *file, *file, "--ref"],
        )

    def test_doctor_tells_what_won(self) -> None:
        config = Path(self.env["HOME"]) / ".config/terra"
        config.mkdir(parents=True)
        (config / "config.json").write_text('{"temp": 0.5, "top_k": 7}\n')
        done = self.works("doctor", "--temp", "0.25")
        self.assertRegex(done.out, r"temp = 0\.25 .*--temp")
        self.assertRegex(done.out, r"top_k = 7 .*config\.json")
        self.assertRegex(done.out, r"model = .*TERRA_MODEL")
        self.assertRegex(done.out, r"threads = 1 .*TERRA_THREADS")

    def test_doctor_fails_without_a_model(self) -> None:
        done = self.terra("doctor", TERRA_MODEL="/no/such/model")
        self.assertEqual(done.status, 1)
        self.assertRegex(done.out, r"BAD +model")

    def test_config_errors_do_not_stop(self) -> None:
        config = self.write("config.json", '{\n"temp": "warm",\n"colour": 1}\n')
        done = self.works("run", "-n", "2", "--config", config, "hello")
        self.assertRegex(done.err, r"config\.json:2.*temp")
        self.assertRegex(done.err, r"config\.json:3.*colour")
        self.assertIn("config", self.fails(2, "run", "--config", "/no/such/file", "x"))

    def test_parity_needs_its_folder(self) -> None:
        self.fails(4, "parity", SPARSE, self.tmp)
        self.works("parity", SPARSE, SPARSE)
        self.fails(1, "parity", DENSE, SPARSE)

    def test_rouge(self) -> None:
        a, b = self.write("a", "the cat sat on the mat\n"), self.write("b", "the cat lay\n")
        done = self.works("rouge", a, b)
        self.assertRegex(done.out, r"rouge1 +precision 0\.3333.* recall 0\.6666")
        line = self.works("rouge", "--json", a, b).of("rouge")[0]
        self.assertAlmostEqual(line["rouge2"]["recall"], 0.5)

    def test_eval(self) -> None:
        rows = [
            {"document": TEXT, "summary": "The cat ran.", "source": "x", "style": "title"},
            {"document": TEXT, "summary": "A dog came in.", "source": "y"},
        ]
        pairs = self.write("p.jsonl", "".join(json.dumps(r) + "\n" for r in rows))
        done = self.works("eval", pairs)
        total = done.of("eval")[0]
        self.assertEqual(total["pairs"], 2)
        self.assertEqual([s["source"] for s in done.of("source")], ["x", "y"])
        nats = sum(s["nats_per_token"] * s["target_tokens"] for s in done.of("source"))
        self.assertAlmostEqual(nats / total["target_tokens"], total["nats_per_token"], places=3)
        self.assertEqual(total["controller"]["units"], 4)
        self.assertEqual(total["controller"]["rows"], total["target_tokens"])
        self.assertGreater(total["lead1"]["rouge1"], 0)
        self.assertLess(total["document_read"], 1)
        masked = self.works("eval", "--mode", "masked", "--no-generate", pairs).of("eval")[0]
        self.assertAlmostEqual(masked["nats_per_token"], total["nats_per_token"], places=4)
        self.assertNotIn("method", total)
        whole = self.works("eval", "-v", "--method", "select", pairs)
        line = whole.of("eval")[0]
        self.assertEqual((line["method"], line["document_read"]), ("select", 1))
        self.assertEqual(line["nats_per_token"], total["nats_per_token"])
        summary = self.works("summarize", "--style", "title", self.write("doc", TEXT)).out
        self.assertEqual(whole.of("output")[0]["text"], summary.rstrip("\n"))
        dense = self.works("eval", "-m", str(DENSE), pairs).of("eval")[0]
        self.assertNotIn("controller", dense)
        self.assertIn(":2", self.fails(4, "eval", self.write("bad.jsonl", "\n[1]\n")))

    def test_eval_names_the_pair(self) -> None:
        """What is wrong with one pair is told with its file and line."""
        rows = [{"document": TEXT, "summary": "The cat ran."} for _ in range(3)]
        rows[2]["style"] = "nope"
        pairs = self.write("p.jsonl", "".join(json.dumps(r) + "\n" for r in rows))
        done = self.terra("eval", "--no-generate", pairs)
        self.assertEqual(done.status, 4)
        self.assertIn("p.jsonl:3: the model has no style 'nope'", done.err)
        self.assertNotIn("--style", done.err)
        self.assertEqual(done.of("eval")[0]["pairs"], 2)
        self.assertNotIn("p.jsonl", self.fails(2, "eval", "--style", "nope", pairs))

    def test_compare(self) -> None:
        done = self.works("compare", "--json", "--check", "-n", "8", "--prompt", "a short prompt")
        line = done.of("compare")[0]
        self.assertIn(line["badge"], ("BIT", "TOK"))
        self.assertEqual(line["same"], line["compared"])
        self.assertEqual(line["a"]["text"], line["b"]["text"])
        self.assertIn("same function", line["relation"])
        done = self.works("compare", "-n", "8", "--against", "open", "--prompt", "a short prompt")
        self.assertNotIn("same function", done.out)
        done = self.works("compare", "--against", f"model:{DENSE}", "--prompt", "a short prompt")
        self.assertIn("another model", done.out)
        self.fails(2, "compare", "--against", "half", "--prompt", "x")
        self.fails(2, "compare", "-m", str(DENSE), "--prompt", "x")
        long = self.write("long", TEXT * 5)
        done = self.works("compare", "-n", "4", long)
        self.assertRegex(done.err, r"read \d+ of \d+ tokens: the first part that fits")
        line = self.works("compare", "--json", "-n", "4", long).of("compare")[0]
        self.assertLess(line["tokens_read"], line["tokens_total"])
        stored = self.works("logs", "list", "--json").of("session")
        self.assertEqual({s["runs"] for s in stored}, {2})

    def test_compare_claims_only_what_is_so(self) -> None:
        for against in ("masked", "open"):
            line = self.fails(2, "compare", "--mode", "open", "--against", against, "--prompt", "x")
            self.assertIn("mode open", line)
        prompt = ("--prompt", "a short prompt")
        done = self.works("compare", "--mode", "open", "--against", f"model:{SPARSE}", *prompt)
        self.assertIn("A  torch-tiny open", done.out)
        self.works("compare", "--mode", "masked", "--check", *prompt)

    def test_compare_of_nothing_prints_nothing(self) -> None:
        short = ("--no-log", "-m", str(FIXTURES / "lsh"), "--ids", "--prompt", "1 2 3")
        done = self.terra("compare", *short)
        self.assertEqual((done.status, done.out), (4, ""))
        self.assertEqual(len(done.err.splitlines()), 1)
        done = self.terra("compare", "--json", *short)
        self.assertEqual([x["type"] for x in done.lines], ["error"])

    def test_compare_prints_ids(self) -> None:
        prompt = ("--ids", "-n", "4", "--no-log", "-m", str(PLAIN))
        ids = self.works("run", *prompt, "1 2 3").out.strip()
        self.assertEqual(len(ids.split()), 4)
        text = self.works("compare", *prompt, "--prompt", "1 2 3").out.splitlines()
        self.assertEqual((text[1], text[3]), (f"   {ids}", f"   {ids}"))
        done = self.works("compare", "--json", *prompt, "--prompt", "1 2 3")
        line = done.of("compare")[0]
        self.assertEqual(line["a"]["ids"], [int(i) for i in ids.split()])
        self.assertEqual(line["b"]["ids"], line["a"]["ids"])

    def test_compare_check_fails_on_other_tokens(self) -> None:
        options = ("--against", f"model:{DENSE}", "--check", "--prompt", "a short prompt")
        done = self.terra("compare", *options)
        self.assertEqual(done.status, 1)
        self.assertIn("tokens differ", done.err)

    def test_wording(self) -> None:
        doc = self.write("doc", TEXT * 9)
        self.assertIn("--max-document", self.fails(4, "summarize", "--max-document", "100", doc))
        huge = "99999999999999999999"
        self.assertIn("too large", self.fails(2, "run", "-n", huge, "hello"))
        self.assertIn("prompt is empty", self.fails(4, "run", ""))
        self.assertNotIn("No such file", self.fails(3, "run", "-m", "no/such", "hello"))
        self.works("run", "-n", "2", "hello")
        self.assertIn("no run", self.fails(1, "replay", huge))
        self.assertIn("no session", self.fails(1, "logs", "show", huge))
        self.assertIn("the clock", self.works("run", "--help").out)

    def test_bench_without_work(self) -> None:
        self.assertIn("-n 0", self.fails(2, "bench", "--preset", "tiny", "-n", "0"))
        done = self.works("bench", "--preset", "tiny", "-n", "0", "-p", "8", "-r", "1")
        self.assertIn("pp8", done.out)
        self.assertNotIn("\r", done.err)

    def test_bench_is_there(self) -> None:
        done = self.works("bench", "--preset", "tiny", "-n", "4", "-r", "2", "-o", "jsonl")
        self.assertTrue(done.lines)

    def test_bench_of_a_model_folder(self) -> None:
        """What a folder cannot do is refused, not measured as something else."""
        bench = ("bench", "-m", SPARSE, "-n", "2", "-r", "1")
        for mode in ("dense", "sparse,dense6144"):
            self.assertIn("-m", self.fails(2, *bench, "--modes", mode))
        for option in (["--preset", "tiny"], ["--dtype", "f32"], ["--blocks", "1"], ["--layer"]):
            self.assertIn(option[0], self.fails(2, *bench, *option))
        for more, modes in ([], ["sparse", "masked"]), (["--mode", "open"], ["open"]):
            rows = self.works(*bench, *more, "--json").lines
            self.assertEqual([row["mode"] for row in rows], modes)
        self.assertIn("-m: sparse,masked", self.works("help", "bench").out)

    def test_bench_output(self) -> None:
        """As other commands: silent if the reader has gone, and never over a file."""
        bench = ("bench", "--preset", "tiny", "-n", "2", "-r", "1")
        pipe = f"'{TERRA}' {' '.join(bench)} | true; exit ${{PIPESTATUS[0]}}"
        done = subprocess.run(["bash", "-c", pipe], env=self.env, stderr=subprocess.PIPE)
        self.assertEqual((done.returncode, done.stderr), (141, b""))
        full = f"'{TERRA}' {' '.join(bench)} > /dev/full"
        done = subprocess.run(["bash", "-c", full], env=self.env, stderr=subprocess.PIPE)
        self.assertEqual(done.returncode, 6)
        self.assertIn(b"No space left", done.stderr)
        rows, picture = self.tmp / "rows.md", self.write("plot.svg", "an older one")
        self.works(*bench, "--output", rows, "--svg", picture)
        before = rows.read_text()
        self.assertIn("| tiny |", before)
        self.assertIn("<svg", Path(picture).read_text())
        self.assertIn("rows.md: File exists", self.fails(6, *bench, "--output", rows))
        self.assertEqual(rows.read_text(), before)
        self.fails(2, *bench, "--modes", "none", "--output", self.tmp / "none.md")
        self.assertFalse((self.tmp / "none.md").exists())  # nothing was measured
        self.assertIn("No such file", self.fails(6, *bench, "--svg", "/no/such/folder/x"))

    def test_bench_longer_than_the_positions(self) -> None:
        for option in (["-d", "5000"], ["-p", "5000"], ["-n", "5000"]):
            message = self.fails(2, "bench", "--preset", "tiny", "-r", "1", *option)
            self.assertRegex(message, rf"{option[0]}: .*positions end at 1024")
        small = ("bench", "-m", SPARSE, "-r", "1", "-n", "2")
        self.assertRegex(self.fails(2, *small, "-d", "5000"), r"-d: .*positions end at \d+")
        self.assertRegex(self.fails(2, *small, "--sweep"), r"--sweep: .*positions end at \d+")

    def test_default_command_without_a_terminal(self) -> None:
        path = self.write("doc.txt", TEXT)
        self.assertEqual(self.works(path).out, self.works("summarize", path).out)
        piped = self.works("-n", "3", stdin=b"hello")
        self.assertEqual(piped.out, self.works("run", "-n", "3", "hello").out)
        self.fails(2)
        self.assertEqual(subprocess.run([TERRA, "x y z"], capture_output=True).returncode, 2)


if __name__ == "__main__":
    unittest.main()
