# SPDX-License-Identifier: MIT
"""Everything that disagrees ends with one line that names it, and no model."""

from __future__ import annotations

import hashlib
import re
import unittest
from collections.abc import Callable
from pathlib import Path

import numpy as np
from common import GOLDEN, FolderTest, checkpoint_arrays, read_config  # first: it sets the path

from data.convert.errors import ConvertError
from data.convert.folder import (
    OPTIONAL_KEYS,
    REQUIRED_KEYS,
    bf16_bits,
    quantise,
    row_scales,
    write_model_folder,
)
from synthetic import write_checkpoint

Change = Callable[[list[np.ndarray]], object]


class Disagreements(FolderTest):
    """The golden c4_medium_tiny with one thing changed."""

    def golden(self, name: str = "c4_medium_tiny") -> tuple[list[np.ndarray], str]:
        folder = GOLDEN / name
        return checkpoint_arrays(folder), (folder / "config.gin").read_text()

    def changed(
        self,
        pattern: str,
        change: Change = lambda flat: None,
        lines: str = "",
        name: str = "c4_medium_tiny",
        more: tuple[object, ...] = (),
    ) -> None:
        flat, text = self.golden(name)
        change(flat)
        checkpoint = write_checkpoint(self.folder, flat, inside=True)
        config = self.folder / "config.gin"
        config.write_text(text + lines)
        self.refused(pattern, checkpoint, "--config", config, *more)

    def test_shapes(self) -> None:
        def put(i: int, *shape: int) -> Change:
            return lambda flat: flat.__setitem__(i, np.zeros(shape, np.float32))

        def drop(i: int) -> Change:
            return lambda flat: flat.pop(i)

        self.changed(
            r"tensor 5 \(enc.0.attn.q.w\): shape \(64, 32\), expected \(64, 64\)", put(5, 64, 32)
        )
        self.changed(r"tensor 0 \(emb\): shape \(320,\), expected \(\?, \?\)", put(0, 320))
        self.changed(r"tensor 1 \(pos_e\)", put(1, 128))
        self.changed(r"tensor 16 \(enc.0.ff.ctl2\): shape \(9, 16, 16\), exp", put(16, 9, 16, 16))
        self.changed(r"the checkpoint ends after 135 tensors, before loss.b", drop(-1))
        self.changed(r"tensor 4 \(enc.0.attn.ln.bias\): shape \(64, 64\)", drop(3))
        self.changed(r"the checkpoint ends after 0 tensors, before emb", lambda f: f.clear())
        self.changed(
            r"tensor 136: shape \(7, 2\) is left over after the loss, with 1 more",
            lambda flat: flat.extend([np.zeros((7, 2), np.float32), np.zeros(3, np.float32)]),
        )

    def test_sizes_stated_twice(self) -> None:
        model = "ConfigurableTerraformer."
        for line, pattern in (
            ("d_model = 128", "d_model: 64 in tensor 0, 128 in config.gin"),
            ("input_vocab_size = 321", "input_vocab_size: 320 in tensor 0, 321"),
            ("max_len = 64", "max_len: 128 in tensor 1, 64"),
            ("d_ff = 128", r"d_ff: 256 in tensor \d+, 128"),
            ("ff_sparsity = 32", r"enc.0.ff.ctl2\): shape \(16, 16, 16\), expected \(16, \?, 32\)"),
            ("ff_sparsity = (16, 8)", r"enc.0.ff: controller rank: 16 in tensor 15, 8"),
            ("ff_sparsity = 0", r"tensor 16 \(enc.0.ff.in.b\)"),
            ("ff_use_sru = (2, 8)", r"enc.0.ff.sru.1.w"),
            ("ff_use_sru = 1", r"\(enc.0.ff.sru.in.w\): shape \(64, 8\), expected \(64, 32\)"),
            ("ff_use_sru = 0", r"tensor 23 \(enc.1.attn.q.w\)"),
            ("loss_sparsity = 8", r"loss: modules: 4 in tensor 133, 8"),
            ("loss_sparsity = 0", r"tensor 133 \(loss.w\): shape \(4, 64\)"),
            ("n_encoder_layers = 3", "tensor"),
            ("n_decoder_layers = 1", "tensor"),
            ("n_decoder_attention_layers = 3", "tensor"),
            ("reversible_encoder = False", r"enc.merge.w"),
            ("output_vocab_size = 320", "output_vocab_size: 128 in tensor 2, 320"),
            ("half_before_layer = 1", "d_model: 128 in tensor 0, 64"),
            ("n_heads = 5", "n_heads: 5 does not divide the width 64"),
            ("pos_type = 'fixed-base'", r"tensor 1 \(pos_e.11.0\)"),
            ("pos_type = 'no'", r"tensor 1 \(enc.0.attn.ln.scale\)"),
        ):
            with self.subTest(line):
                self.changed(pattern, lines=f"\n{model}{line}\n")
        self.changed(
            r"dec.0.attn0.mult: modules: 4 in tensor \d+, 8",
            lines="\nMultiplicativeConvCausalAttention.sparsity = 8\n",
        )
        self.changed(
            r"dec.0.attn0.q.w\): shape \(3, 3, 16, 16\), expected \(5, 3, 16, 16\)",
            lines="\nMultiplicativeConvCausalAttention.length_kernel_size = 5\n",
        )
        self.changed(
            r"dec.0.attn0.v.w\): shape \(3, 1, 16, 16\), expected \(3, 1, 32, 16\)",
            lines="\nMultiplicativeConvCausalAttention.v_concat_type = 'fixed'\n",
        )
        self.changed("PositionalEncoding.d_feature", lines="\nPositionalEncoding.d_feature = 8\n")

    def test_settings_that_cannot_be(self) -> None:
        model = "ConfigurableTerraformer."
        for line, pattern in (
            (model + "d_model = 'big'", r"config.gin:\d+: .*d_model: 'big', expected an integer"),
            (model + "d_model = %none", "macro %none is not defined"),
            (model + "two = @", "expected a name"),
            (model + "n_heads = -1", "expected an integer from 1"),
            (model + "n_decoder_layers = 10000000", "expected at most"),
            (model + "reversible_encoder = 'yes'", "expected True or False"),
            (model + "encoder_attention_type = @Favor", "'Favor', expected an attention type"),
            (model + "encoder_attention_type = 'Attention'", "expected a reference to a layer"),
            (model + "encoder_decoder_attention_type = @Attention", "'Attention', expected"),
            (model + "encoder_decoder_attention_type = []", "0 entries"),
            (model + "encoder_decoder_attention_type = [@A, @B, @C]", "divides n_decoder_layers"),
            (model + "ff_sparsity = (1, 2, 3)", r"\(1, 2, 3\), expected N, "),
            (model + "ff_sparsity = 'many'", "'many', expected N"),
            (model + "ff_use_sru = (1, 2, 3)", "expected a number of layers"),
            (model + "loss_sparsity_type = 'local'", "'local', expected 'mult'"),
            (model + "pos_type = 'infinite'", "cannot be used for decoding"),
            (model + "pos_type = 7", "expected a string or None"),
            (model + "input_vocab_size = None", "float sources are not supported"),
            ("LayerNorm.epsilon = 1e-5", "LayerNorm.epsilon: 1e-05, expected 1e-06"),
            ("MultiplicativeConvCausalAttention.v_concat_type = 'no'", "expected none or fixed"),
        ):
            with self.subTest(line):
                self.changed(pattern, lines=f"\n{line}\n")

    def test_lsh(self) -> None:
        lines = "\nPureLSHSelfAttention.n_buckets = {}\n"
        self.changed("n_buckets is None", lines=lines.format(None), name="lsh")
        self.changed("7, expected an even number", lines=lines.format(7), name="lsh")
        rotations = self.folder / "r.npz"
        with np.load(GOLDEN / "lsh" / "rotations.npz") as archive:
            given = {name: archive[name] for name in archive.files}
        for change, pattern in (
            ({"enc.0.attn": np.zeros((2, 16, 2, 5), np.float32)}, r"\(2, 16, 2, 5\) of float32"),
            ({"enc.0.attn": np.zeros((2, 16, 2, 4), np.int32)}, "of int32"),
            ({"enc.9.attn": np.zeros(1)}, "enc.9.attn is not an LSH layer"),
        ):
            np.savez(rotations, **{**given, **change})
            self.changed(pattern, name="lsh", more=("--rotations", rotations))
        given.pop("dec.1.attn1")
        np.savez(rotations, **given)
        self.changed("dec.1.attn1 is missing", name="lsh", more=("--rotations", rotations))
        rotations.write_bytes(b"PK not really")
        self.changed("not an npz file", name="lsh", more=("--rotations", rotations))
        self.changed("none.npz: No such file", name="lsh", more=("--rotations", "none.npz"))

    def test_values(self) -> None:
        def spoil(flat: list[np.ndarray]) -> None:
            flat[7] = flat[7].copy()
            flat[7][3, 3] = np.nan

        self.changed("enc.0.attn.k.w: NaN or infinity among the weights", spoil)

    def test_files(self) -> None:
        folder = GOLDEN / "one_swap"
        good = (folder / "model_1.pkl.gz", "--config", folder / "config.gin")
        self.refused("none.pkl.gz: No such file", "none.pkl.gz", *good[1:])
        self.refused("none.gin: No such file", good[0], "--config", "none.gin")
        self.refused("not a gzip'd checkpoint", folder / "config.gin", *good[1:])
        self.refused("not UTF-8", good[0], "--config", good[0])
        self.refused("Is a directory|directory", folder, *good[1:])
        blocked = self.folder / "file"
        blocked.write_text("")
        status, text = self.convert(*good, "-o", blocked / "model")
        self.assertEqual((status, text.count("\n")), (3, 1), text)

    def test_no_model_in_the_file(self) -> None:
        config = self.folder / "config.gin"
        config.write_text("Transformer.d_model = 64\n")
        checkpoint = GOLDEN / "one_swap" / "model_1.pkl.gz"
        self.refused("no line of ConfigurableTerraformer", checkpoint, "--config", config)

    def test_flipped_bytes_never_make_a_traceback(self) -> None:
        rs = np.random.RandomState(5)
        folder = GOLDEN / "old_pickle"
        whole = bytearray((folder / "model_1.pkl.gz").read_bytes())
        text = (folder / "config.gin").read_text()
        for _ in range(60):
            data, words = bytearray(whole[: rs.randint(1, 4000)]), list(text)
            data[rs.randint(len(data))] ^= 1 << rs.randint(8)
            words[rs.randint(len(words))] = '(]@%=.\\"\t'[rs.randint(9)]
            (self.folder / "model_1.pkl.gz").write_bytes(data)
            (self.folder / "config.gin").write_text("".join(words))
            checkpoints = (self.folder / "model_1.pkl.gz", folder / "model_1.pkl.gz")
            for checkpoint, config in zip(checkpoints, (folder, self.folder)):
                arguments = (checkpoint, "--config", config / "config.gin")
                status, errors = self.convert(*arguments, "-o", self.folder / "m")
                self.assertIn((status, errors.count("\n")), ((0, 0), (3, 1)), errors)


class Vocabulary(FolderTest):
    def run_with(self, *more: object) -> tuple[int, str]:
        folder = GOLDEN / "c4_medium_tiny"
        arguments = (folder / "model_1.pkl.gz", "--config", folder / "config.gin")
        return self.convert(*arguments, "-o", self.folder / "m", *more)

    def test_copied_with_its_hash(self) -> None:
        vocab = self.folder / "small.subword"
        vocab.write_text("'<pad>_'\n'<EOS>_'\n'a'\n'b_'\n", encoding="utf-8")
        self.assertEqual(self.run_with("--vocab", vocab, "--reserved", "100"), (0, ""))
        got = read_config(self.folder / "m")["vocabulary"]
        sha256 = hashlib.sha256(vocab.read_bytes()).hexdigest()
        expected = {"type": "t2t", "file": "small.subword", "reserved": 100, "sha256": sha256}
        self.assertEqual(got, expected)
        copy = self.folder / "m" / "small.subword"
        self.assertEqual(copy.read_bytes(), vocab.read_bytes())

    def test_too_many_ids(self) -> None:
        status, text = self.run_with("--vocab", GOLDEN / "vocab" / "en_1k.subword")
        self.assertEqual((status, text.count("\n")), (3, 1))
        self.assertRegex(text, r"\d+ subtokens \+ 0 reserved ids, the embedding has 320 rows")
        vocab = self.folder / "v"
        vocab.write_text("a\n" * 221)
        self.assertEqual(self.run_with("--vocab", vocab, "--reserved", "99"), (0, ""))
        self.assertEqual(self.run_with("--vocab", vocab, "--reserved", "100")[0], 3)

    def test_usage(self) -> None:
        self.assertEqual(self.run_with("--reserved", "5")[0], 2)
        self.assertEqual(self.run_with("--vocab", "missing")[0], 3)
        self.assertEqual(self.run_with("--max-source", "129")[0], 2)
        self.assertEqual(self.run_with("--max-source", "100", "--max-target", "28")[0], 0)
        config = read_config(self.folder / "m")
        self.assertEqual((config["max_source"], config["max_target"]), (100, 28))
        self.assertNotIn("vocabulary", config)
        with self.assertRaises(SystemExit) as caught:
            self.run_with("--dtype", "int4")
        self.assertEqual(caught.exception.code, 2)


class Folder(FolderTest):
    CONFIG = {
        "vocab_size": 4,
        "d_model": 2,
        "d_ff": 2,
        "n_heads": 1,
        "n_encoder_layers": 1,
        "n_decoder_layers": 1,
    }

    def test_config_is_checked(self) -> None:
        for config, pattern in (
            ({**self.CONFIG, "depth": 3}, "unknown key depth"),
            ({k: v for k, v in self.CONFIG.items() if k != "d_ff"}, "d_ff is missing"),
        ):
            with self.assertRaisesRegex(ConvertError, pattern):
                write_model_folder(self.folder / "m", config, {})

    def test_keys_are_those_of_the_manual(self) -> None:
        page = (Path(__file__).parents[2] / "man" / "terra-model.5").read_text()
        page = page.split(".Sh CONFIG.JSON")[1].split(".Ss Attention objects")[0]
        named: set[str] = set()
        for line in re.findall(r"^\.It Cm (.*)$", page, re.M):
            named |= set(line.split()) - {","}
        self.assertEqual(named, set(REQUIRED_KEYS) | set(OPTIONAL_KEYS))

    def test_rounding(self) -> None:
        x = np.array([[127, 0.5, 1.5, 2.5, -0.5], [0, 0, 0, 0, 0]], np.float32)
        scale = row_scales(x)
        self.assertEqual(scale.tolist(), [1.0, 1.0])
        self.assertEqual(quantise(x, scale).tolist(), [[127, 0, 2, 2, 0], [0] * 5])
        tie_down, tie_up = 1 + 2.0**-8, 1 + 3 * 2.0**-8
        values = np.array([1, tie_down, tie_up, np.inf, -np.inf, 3e38, -0.0], np.float32)
        bits = [0x3F80, 0x3F80, 0x3F82, 0x7F80, 0xFF80, 0x7F62, 0x8000]
        self.assertEqual(bf16_bits(values).tolist(), bits)
        self.assertEqual(bf16_bits(np.array([np.nan], np.float32))[0] & 0x7FC0, 0x7FC0)

    def test_a_failed_write_leaves_no_model(self) -> None:
        write_model_folder(self.folder / "m", self.CONFIG, {"emb": np.zeros((4, 2))})
        with self.assertRaises(ConvertError):
            write_model_folder(
                self.folder / "m",
                {**self.CONFIG, "vocabulary": {"type": "bpe"}},
                {"emb": np.zeros((4, 2))},
                vocab_file=self.folder / "missing.json",
            )
        self.assertFalse((self.folder / "m" / "config.json").exists())


if __name__ == "__main__":
    unittest.main()
