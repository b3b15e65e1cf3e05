# SPDX-License-Identifier: MIT
"""Every golden checkpoint converts, and nothing of it is lost or changed."""

from __future__ import annotations

import json
import re
import unittest
from pathlib import Path

import numpy as np
from common import GOLDEN, FolderTest, checkpoint_arrays, read_config  # first: it sets the path

import terraformer_ref as ref
from model_folder import read_safetensors, read_tensors, to_trax

MODELS = sorted(path.parent for path in GOLDEN.glob("*/config.gin"))
CORES = {
    "dense": ("dense", "standard"),
    "multconv": ("multconv", "standard"),
    "dense-sharedqk": ("dense", "mixed"),
    "multconv-sharedqk": ("multconv", "mixed"),
    "lsh": ("dense", "lsh"),
    "multconv-lsh": ("multconv", "lsh"),
}


def reference_config(folder: Path) -> ref.Config:
    """The configuration in plain words that comes with a fixture."""
    words = json.loads((folder / "expect.json").read_text())["config"]
    known = {k: v for k, v in words.items() if k in ref.Config.__dataclass_fields__}
    return ref.Config(**{**known, "sru": tuple(known["sru"])})


class Golden(FolderTest):
    def model(self, folder: Path, *more: str) -> Path:
        out = self.folder / "".join((folder.name, *more))
        arguments = [folder / "model_1.pkl.gz", "--config", folder / "config.gin", "-o", out]
        if (folder / "rotations.npz").exists():
            arguments += ["--rotations", folder / "rotations.npz"]
        self.assertEqual(self.convert(*arguments, *more), (0, ""))
        return out

    def test_every_tensor_comes_back(self) -> None:
        self.assertEqual(len(MODELS), 10)
        for folder in MODELS:
            with self.subTest(folder.name):
                tensors = read_tensors(self.model(folder) / "model.safetensors")
                flat, layout = checkpoint_arrays(folder), ref.layout(reference_config(folder))
                self.assertEqual(len(flat), len(layout))
                for original, (name, shape) in zip(flat, layout):
                    back = to_trax(name, shape, tensors)
                    np.testing.assert_array_equal(back, original.reshape(shape), name)

    def test_config_says_what_the_fixture_says(self) -> None:
        for folder in MODELS:
            with self.subTest(folder.name):
                c, got = reference_config(folder), read_config(self.model(folder))
                expected = {
                    "format": "terra-1",
                    "vocab_size": c.vocab,
                    "output_vocab_size": c.out_vocab,
                    "d_model": c.d_model,
                    "d_ff": c.d_ff,
                    "n_heads": c.n_heads,
                    "n_encoder_layers": c.n_enc,
                    "n_decoder_layers": c.n_dec,
                    "n_decoder_attention_layers": c.n_dec_attn,
                    "reversible_encoder": c.reversible_encoder,
                    "two_swaps": c.two_swaps,
                    "center_layernorm": c.center,
                    "ff_block": c.ff_block,
                    "ff_rank": c.d_ff // c.ff_block if c.ff_block else 0,
                    "ff_sru": list(c.sru or (0, 32)),
                    "loss_modules": c.loss_modules,
                    "n_layers_forget": 0,
                    "half_before_layer": 0,
                    "double_after_layer": 0,
                }
                self.assertEqual({k: got[k] for k in expected}, expected)
                sides = (got["encoder_attention"], got["decoder_attention"])
                for side, kind in zip(sides, (c.enc_attn, c.dec_attn)):
                    self.assertEqual((side["type"], side.get("core", "standard")), CORES[kind])
                if c.dec_attn.startswith("multconv"):
                    self.assertEqual(sides[1]["modules"], c.modules)
                    self.assertEqual(sides[1].get("v_concat", "none"), c.v_concat)
                    self.assertEqual(sides[1].get("output", "none"), c.out_layer)
                    self.assertEqual(sides[1]["length_kernel"], c.len_kernel)
                self.assertEqual(got["positions"]["type"], c.pos)
                self.assertEqual(got["positions"]["max"], c.max_len)

    def test_rotations_are_kept(self) -> None:
        folder = GOLDEN / "lsh"
        tensors = read_tensors(self.model(folder) / "model.safetensors")
        with np.load(folder / "rotations.npz") as given:
            self.assertEqual(len(given.files), 6)
            for name in given.files:
                np.testing.assert_array_equal(tensors[name + ".rotations"], given[name])
        config = read_config(self.folder / "lsh")
        self.assertEqual(config["encoder_attention"]["after"], 1)
        self.assertEqual(config["decoder_attention"]["after"], 0)
        self.assertEqual(config["decoder_attention"]["buckets"], 8)

    def test_int8_is_within_half_a_step(self) -> None:
        folder = GOLDEN / "c4_medium_tiny"
        exact = read_tensors(self.model(folder) / "model.safetensors")
        path = self.model(folder, "--dtype", "int8", "--rest", "int8") / "model.safetensors"
        header, raw = read_safetensors(path)
        close = read_tensors(path)
        self.assertEqual(set(close), set(exact))
        for name, x in exact.items():
            if header[name]["dtype"] != "I8":
                np.testing.assert_array_equal(close[name], x, name)
                continue
            scale = raw[name + ".qscale"]
            top = np.abs(x).max(-1)
            np.testing.assert_array_equal(scale, np.where(top == 0, 1, top / np.float32(127)))
            self.assertTrue((np.abs(close[name] - x) <= scale[..., None] * 0.5001).all(), name)
            self.assertLessEqual(np.abs(raw[name].astype(int)).max(), 127)
        small = ("ctl1", "ctl2", "ctlb", "b", "b2", "scale", "bias", "qscale")
        for name, entry in header.items():
            if name.split(".")[-1] in small or re.search(r"\.sru\.\d", name):
                self.assertEqual(entry["dtype"], "F32", name)
        self.assertEqual(header["emb"]["dtype"], "I8")
        self.assertEqual(header["dec.0.ff.w1"]["dtype"], "I8")

    def test_int8_keeps_the_rest_as_asked(self) -> None:
        folder = GOLDEN / "c4_medium_tiny"
        bulk = ("dec.0.attn1.k.w", "dec.1.ff.w2", "enc.0.ff.w1", "loss.proj")
        rest = ("emb", "pos_d", "enc.1.attn.o.w", "loss.gate")
        rest += ("enc.0.ff.sru.in.w", "dec.1.ff.sru.out.w")
        for options, rest_kind, controller in (
            ((), "F32", "F32"),
            (("--rest", "bf16"), "BF16", "F32"),
            (("--rest", "int8", "--controller", "bf16"), "I8", "BF16"),
        ):
            path = self.model(folder, "--dtype", "int8", *options) / "model.safetensors"
            header, _ = read_safetensors(path)
            self.assertEqual({header[n]["dtype"] for n in bulk}, {"I8"})
            self.assertEqual({header[n]["dtype"] for n in rest}, {rest_kind})
            self.assertEqual(header["dec.0.ff.ctl2"]["dtype"], controller)

    def test_bf16_is_rounded_to_nearest(self) -> None:
        folder = GOLDEN / "one_swap"
        exact = read_tensors(self.model(folder) / "model.safetensors")
        close = read_tensors(self.model(folder, "--dtype", "bf16") / "model.safetensors")
        for name, x in exact.items():
            self.assertTrue((np.abs(close[name] - x) <= np.abs(x) * 2.0**-8).all(), name)

    def test_bfloat16_checkpoint_survives_bf16(self) -> None:
        folder = GOLDEN / "bfloat16"
        exact = read_tensors(self.model(folder) / "model.safetensors")
        close = read_tensors(self.model(folder, "--dtype", "bf16") / "model.safetensors")
        for name in ("emb", "pos_e", "enc.0.ff.w1", "dec.1.ff.ctl2", "loss.proj"):
            np.testing.assert_array_equal(close[name], exact[name], name)

    def test_large_tensors_are_aligned(self) -> None:
        path = self.model(GOLDEN / "c4_medium_tiny") / "model.safetensors"
        start = 8 + int.from_bytes(path.read_bytes()[:8], "little")
        self.assertEqual(start % 64, 0)
        header, raw = read_safetensors(path)
        for name, entry in header.items():
            size = 64 if raw[name].nbytes % 64 == 0 else 4
            self.assertEqual(entry["data_offsets"][0] % size, 0, name)

    def test_same_input_same_bytes(self) -> None:
        folder = GOLDEN / "shared_qk"
        first = (self.model(folder) / "model.safetensors").read_bytes()
        self.assertEqual((self.model(folder) / "model.safetensors").read_bytes(), first)


if __name__ == "__main__":
    unittest.main()
