# SPDX-License-Identifier: MIT
"""The trainer's data side, which needs NumPy but no PyTorch: vocabulary, packing, examples."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
TRAIN = ROOT / "data" / "train"
sys.path.insert(0, str(TRAIN))

import corpus  # noqa: E402
from rouge import rouge_l  # noqa: E402
from tokenizer import CONTROL, EOS, N_SPECIAL, SENTINEL0, Tokenizer, train_bpe  # noqa: E402

TEXT = (
    "The pager keeps a screen of text. It's 100 % calm;\n\n a second screen\u00a0waits "
    "\u4e2d\u6587 \u00e9. "
)
ODD = [
    "",
    " ",
    "  two  spaces ",
    "don't 'quote' I'll",
    "tab\tand\r\nlines",
    "\x00\x1f\x85",
    "a\u0301 \U0001f40c 1\u00b2",
]


def small_tokenizer() -> Tokenizer:
    return train_bpe([TEXT] * 3, N_SPECIAL + 256 + 60)


class Vocabulary(unittest.TestCase):
    def test_every_text_comes_back(self) -> None:
        tok = small_tokenizer()
        for text in [TEXT, *ODD]:
            self.assertEqual(tok.decode(tok.encode(text)), text)

    def test_merges_shorten(self) -> None:
        tok = small_tokenizer()
        self.assertLess(len(tok.encode(TEXT)), 0.6 * len(TEXT.encode()))

    def test_most_frequent_pair_first_and_ties_to_lower_ids(self) -> None:
        tok = train_bpe(["abab cdcd abab"], N_SPECIAL + 256 + 2)
        self.assertEqual(tok.bytes[N_SPECIAL + 256], b"ab")
        tied = train_bpe(["zy ba zy ba"], N_SPECIAL + 256 + 1)
        self.assertEqual(tied.bytes[N_SPECIAL + 256], b" b")

    def test_words_are_not_merged_across(self) -> None:
        tok = train_bpe(["a,b a,b a,b a,b"], N_SPECIAL + 256 + 50)
        self.assertNotIn(b"a,", tok.bytes)

    def test_file_round_trip_and_ids(self) -> None:
        tok = small_tokenizer()
        with tempfile.TemporaryDirectory() as name:
            path = Path(name) / "tokenizer.json"
            tok.save(path)
            again = Tokenizer.load(path)
            vocab = json.loads(path.read_text("utf-8"))["model"]["vocab"]
        self.assertEqual(again.merges, tok.merges)
        self.assertEqual(vocab["<pad>"], 0)
        self.assertEqual(vocab["</s>"], EOS)
        self.assertEqual(vocab["<title>"], CONTROL["title"])
        self.assertEqual(sorted(vocab.values()), list(range(tok.size)))

    def test_foreign_file_is_refused(self) -> None:
        with tempfile.TemporaryDirectory() as name:
            path = Path(name) / "tokenizer.json"
            path.write_text(json.dumps({"model": {"vocab": {"a": 0}, "merges": []}}))
            self.assertRaises(ValueError, Tokenizer.load, path)


class Examples(unittest.TestCase):
    def test_fill_can_be_put_back(self) -> None:
        ids = np.arange(400, 480)
        for seed in range(20):
            source, target = corpus.fill(ids, random.Random(seed), 40)
            self.assertEqual(source[0], CONTROL["fill"])
            self.assertEqual(target[-1], EOS)
            self.assertLessEqual(len(target), 40)
            spans: dict[int, list[int]] = {}
            for t in target[:-1]:
                if t < N_SPECIAL:
                    spans[int(t)] = last = []
                else:
                    last.append(int(t))
            whole = [x for t in source[1:] for x in spans.get(int(t), [int(t)])]
            self.assertEqual(whole, ids.tolist())

    def test_copy_target_is_between_the_marks(self) -> None:
        source, target = corpus.copy(np.arange(400, 450), random.Random(3), 20)
        marks = np.flatnonzero((source >= SENTINEL0) & (source < N_SPECIAL))
        self.assertEqual(source[marks[0] + 1 : marks[1]].tolist(), target[:-1].tolist())

    def test_follow_goes_on_behind_the_cue(self) -> None:
        for seed in range(8):
            source, target = corpus.follow(np.arange(400, 450), random.Random(seed), 20)
            mark = int(np.flatnonzero((source >= SENTINEL0) & (source < N_SPECIAL))[0])
            row, cue = source[1:mark].tolist(), source[mark + 1 :].tolist()
            want = cue + target[:-1].tolist()
            found = any(row[i : i + len(want)] == want for i in range(len(row)))
            self.assertTrue(found, (row, want))

    def test_batches_depend_on_seed_and_number_only(self) -> None:
        tok = small_tokenizer()
        pairs = [dict(document=TEXT * 3, summary=f"calm {i}") for i in range(5)]
        with tempfile.TemporaryDirectory() as name:
            jsonl, plain = Path(name) / "p.jsonl", Path(name) / "t.txt"
            jsonl.write_text("".join(json.dumps(p) + "\n" for p in pairs))
            plain.write_text((TEXT * 6).replace("\n", " ") + "\n\n" + (TEXT * 6).replace("\n", " "))
            data = corpus.pack(tok, [jsonl], [plain], 50, 20, 10**6)
            data.save(Path(name) / "train.npz")
            again = corpus.Packed.load(Path(name) / "train.npz")
        stage = corpus.Stage(48, 16, 0.4, 0.2, 0.2, 0.2, 0.2)
        one, two, other = (corpus.Sampler(d, s) for d, s in ((data, 1), (again, 1), (data, 2)))
        a, b = one.batch(7, 16, stage), two.batch(7, 16, stage)
        self.assertEqual(a[1], b[1])
        for (s, t), (u, v) in zip(a[0], b[0]):
            self.assertEqual((s.tolist(), t.tolist()), (u.tolist(), v.tolist()))
            self.assertLessEqual(len(s), 48)
            self.assertLessEqual(len(t), 16)
        self.assertNotEqual(
            [s.tolist() for s, _ in a[0]], [s.tolist() for s, _ in other.batch(7, 16, stage)[0]]
        )
        source, _ = corpus.collate(a[0], (60, 20))
        self.assertEqual(source.shape, (16, 60))

    def test_documents_of_marked_and_plain_text(self) -> None:
        with tempfile.TemporaryDirectory() as name:
            path = Path(name) / "t.txt"
            path.write_text("<|doc|>\none\n\nstill one\n<|doc|>\ntwo\n")
            self.assertEqual(list(corpus.documents_of(path)), ["one\n\nstill one", "two"])
            path.write_text("one\n\n\ntwo\nlines\n")
            self.assertEqual(list(corpus.documents_of(path)), ["one", "two\nlines"])

    def test_bad_pair_names_file_and_line(self) -> None:
        with tempfile.TemporaryDirectory() as name:
            path = Path(name) / "p.jsonl"
            path.write_text('{"document": "a", "summary": "b"}\n{"document": 1}\n')
            with self.assertRaisesRegex(ValueError, r"p\.jsonl:2: "):
                list(corpus.pairs_of(path))


class Tools(unittest.TestCase):
    def test_pieces(self) -> None:
        data = random.Random(0).randbytes(3_000_000)
        with tempfile.TemporaryDirectory() as name:
            work = Path(name)
            (work / "a").write_bytes(data)
            tool = [sys.executable, str(TRAIN / "pieces.py")]
            subprocess.run([*tool, "split", work / "a", work / "out", "--size", "1"], check=True)
            self.assertEqual(len(list((work / "out").glob("piece.*"))), 3)
            subprocess.run([*tool, "join", work / "out", work / "b"], check=True)
            self.assertEqual((work / "b").read_bytes(), data)
            (work / "out" / "piece.001").write_bytes(b"x")
            broken = subprocess.run([*tool, "join", work / "out", work / "b"], capture_output=True)
            self.assertNotEqual(broken.returncode, 0)
            self.assertEqual((work / "b").read_bytes(), data)

    def test_rouge_l(self) -> None:
        self.assertAlmostEqual(rouge_l("the cat sat", "The cat, sat!"), 1.0)
        self.assertAlmostEqual(rouge_l("a b c d", "a c x"), 2 * 2 / 7)
        self.assertEqual(rouge_l("a", ""), 0.0)


if __name__ == "__main__":
    unittest.main()
