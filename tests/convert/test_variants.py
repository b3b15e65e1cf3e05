# SPDX-License-Identifier: MIT
"""Synthetic checkpoints of every configuration: conversion, and the oracle's own check."""

from __future__ import annotations

import json
import tempfile
import unittest
from dataclasses import replace
from pathlib import Path

import numpy as np
from common import FolderTest, read_config  # first: it sets the path

import terraformer_ref as ref
from make_ref_fixtures import choices
from model_folder import read_tensors, to_trax
from oracle import RefNet
from synthetic import (
    MIXED_LENGTH,
    RefConfig,
    full_layout,
    gin_text,
    random_weights,
    variants,
    write_checkpoint,
)
from test_golden import MODELS, reference_config

from data.convert import trax
from data.convert.errors import ConvertError
from data.convert.gin import parse_gin
from data.convert.hyper import read_hyper
from data.convert.layout import Matcher

ATTENTION = {  # what config.json has to say about each type of synthetic.py
    "dense": {"type": "dense"},
    "mult": {"type": "mult"},
    "multmod": {"type": "multmod"},
    "modular": {"type": "modular"},
    "conv": {"type": "conv"},
    "lowrank": {"type": "lowrank", "rank": 6},
    "self": {"type": "self", "share_qk": False, "chunk": 0},
    "self-onekey": {"type": "self", "share_qk": True, "chunk": 0},
    "multconv": {"type": "multconv", "share_qk": False},
    "multconv-onekey": {"type": "multconv", "share_qk": True},
    "dense-sharedqk": {"type": "dense", "core": "mixed", "std_length": MIXED_LENGTH},
    "dense-sharedqk-onekey": {"type": "dense", "core": "mixed", "share_qk": True},
    "multconv-sharedqk": {"type": "multconv", "core": "mixed", "buckets": [4, 2]},
    "multconv-sharedqk-onekey": {"type": "multconv", "core": "mixed", "share_qk": True},
    "dense-lsh": {"type": "dense", "core": "lsh"},
    "multconv-lsh": {"type": "multconv", "core": "lsh", "buckets": [4, 2], "hashes": 2},
    "multconv-lsh-onekey": {"type": "multconv", "core": "lsh", "share_qk": True},
    "dense-mixed": {"type": "dense", "core": "mixed", "std_length": 30, "chunk": 8},
    "multconv-mixed": {"type": "multconv", "core": "mixed", "std_length": 30, "after": 0},
    "self-lsh-onekey": {"type": "self", "core": "lsh", "share_qk": True, "after": 0},
}


class Variants(FolderTest):
    def converted(self, name: str, c: RefConfig) -> tuple[Path, dict[str, np.ndarray]]:
        weights, folder = random_weights(c, 1), self.folder / name
        flat = [weights[n] for n, _ in full_layout(c)]
        checkpoint = write_checkpoint(folder, flat, inside=True)
        (folder / "config.gin").write_text(gin_text(c))
        model = folder / "model"
        status = self.convert(checkpoint, "--config", folder / "config.gin", "-o", model)
        self.assertEqual(status, (0, ""))
        return model, weights

    def test_every_tensor_comes_back(self) -> None:
        for name, c in variants().items():
            with self.subTest(name):
                model, weights = self.converted(name, c)
                tensors = read_tensors(model / "model.safetensors")
                for n, shape in full_layout(c):
                    np.testing.assert_array_equal(to_trax(n, shape, tensors), weights[n], n)

    def test_nothing_is_added_but_rotations(self) -> None:
        for name, c in variants().items():
            with self.subTest(name):
                tensors = read_tensors(self.converted(name, c)[0] / "model.safetensors")
                expected = {n.removesuffix(".w") for n, _ in full_layout(c)}
                expected |= {f"{p}.base" for p in ("pos_e", "pos_d") if c.pos == "fixed-base"}
                for n in tensors:
                    if not n.endswith(".rotations"):
                        self.assertIn(n.removesuffix(".w"), expected)

    def test_config(self) -> None:
        for name, c in variants().items():
            with self.subTest(name):
                got = read_config(self.converted(name, c)[0])
                ranks = (c.d_lowrank or c.d_ff // c.ff_block) if c.ff_block else 0
                varied = c.ff_block and (c.half_before or c.double_after)
                expected = {
                    "vocab_size": c.vocab,
                    "output_vocab_size": c.out_vocab,
                    "d_model": c.d_model,
                    "d_ff": c.d_ff,
                    "n_heads": c.n_heads,
                    "n_decoder_attention_layers": c.n_dec_attn,
                    "reversible_encoder": c.reversible_encoder,
                    "two_swaps": c.two_swaps,
                    "center_layernorm": c.center,
                    "n_layers_forget": c.forget,
                    "forget_dense": c.forget_dense,
                    "half_before_layer": c.half_before,
                    "double_after_layer": c.double_after,
                    "ff_block": c.ff_block,
                    "ff_rank": 0 if varied else ranks,
                    "ff_sru": list(c.sru or (0, 32)),
                    "loss_modules": c.loss_modules,
                }
                self.assertEqual({k: got[k] for k in expected}, expected)
                sides = got["decoder_attention"]
                sides = sides if isinstance(sides, list) else [sides]
                self.assertEqual(len(sides), len(c.kinds()))
                kinds = [*c.kinds(), c.enc_attn]
                for side, kind in zip([*sides, got["encoder_attention"]], kinds):
                    self.assertLessEqual(ATTENTION[kind].items(), side.items())

    def test_positions(self) -> None:
        known = variants()
        for name, expected in {
            "axial": {"type": "axial", "shape": [8, 12], "widths": [20, 12]},
            "sin_cos": {"type": "sin-cos"},
            "no_positions": {"type": "none"},
            "fixed_base": {"type": "fixed-base"},
            "factored_narrow": {"type": "factored", "max": 96, "width": 8},
            "no_sru": {"type": "table", "max": 96},
        }.items():
            model, _ = self.converted(name, known[name])
            self.assertEqual(read_config(model)["positions"], expected)

    def test_old_tables_have_a_leading_axis(self) -> None:
        c = variants()["no_sru"]
        weights, folder = random_weights(c, 1), self.folder
        flat = [weights[n] for n, _ in full_layout(c)]
        flat[1:3] = [x[None] for x in flat[1:3]]
        write_checkpoint(folder, flat)
        (folder / "config.gin").write_text(gin_text(c))
        arguments = (folder / "model_1.pkl.gz", "--config", folder / "config.gin")
        self.assertEqual(self.convert(*arguments, "-o", folder / "m"), (0, ""))
        tensors = read_tensors(folder / "m" / "model.safetensors")
        np.testing.assert_array_equal(tensors["pos_e"], weights["pos_e"])

    def test_sizes_come_from_shapes_where_the_file_is_silent(self) -> None:
        silent = ("d_model", "d_ff", "vocab", "max_len", "sparsity", "ff_use_sru", "kernel")
        for name in ("two_srus", "dense_loss", "fixed_base", "concat_original", "modular_wide"):
            c = variants()[name]
            model, weights = self.converted(name, c)
            full = read_config(model)
            lines = gin_text(c).splitlines()
            kept = [x for x in lines if not any(s in x.split("=")[0] for s in silent)]
            kept = [x for x in kept if "pos_type" not in x]
            config = self.folder / name / "less.gin"
            config.write_text("\n".join(kept) + "\n")
            out = self.folder / name / "less"
            checkpoint = self.folder / name / "model_1.pkl.gz"
            self.assertEqual(self.convert(checkpoint, "--config", config, "-o", out), (0, ""))
            self.assertEqual(read_config(out), {**full, "max_source": full["max_source"]})

    def test_dense_twin_of_the_loss_is_dropped(self) -> None:
        c = variants()["no_sru"]
        weights, folder = random_weights(c, 1), self.folder
        flat = [weights[n] for n, _ in full_layout(c)]
        flat += [np.zeros((c.d_model, c.vocab), np.float32), np.zeros(c.vocab, np.float32)]
        write_checkpoint(folder, flat)
        text = gin_text(c) + "ConfigurableTerraformer.loss_sparsity_prob = 0.5\n"
        (folder / "config.gin").write_text(text)
        arguments = (folder / "model_1.pkl.gz", "--config", folder / "config.gin")
        self.assertEqual(self.convert(*arguments, "-o", folder / "m"), (0, ""))
        tensors = read_tensors(folder / "m" / "model.safetensors")
        np.testing.assert_array_equal(tensors["loss.gate"], weights["loss.gate"])

    def test_einsum_loss(self) -> None:
        c = variants()["dense_loss"]
        weights, folder = random_weights(c, 1), self.folder
        flat = [weights[n] for n, _ in full_layout(c)]
        flat[-2] = np.ascontiguousarray(flat[-2].T)
        write_checkpoint(folder, flat)
        text = gin_text(c) + "ConfigurableTerraformer.loss_sparsity_type = 'einsum'\n"
        text += "ConfigurableTerraformer.loss_sparsity = 4\n"
        (folder / "config.gin").write_text(text)
        arguments = (folder / "model_1.pkl.gz", "--config", folder / "config.gin")
        self.assertEqual(self.convert(*arguments, "-o", folder / "m"), (0, ""))
        tensors = read_tensors(folder / "m" / "model.safetensors")
        np.testing.assert_array_equal(tensors["loss.w"], flat[-2])

    def test_wrong_shapes_never_make_a_traceback(self) -> None:
        """One tensor of any configuration made larger, smaller, empty, flat or deep."""
        rs = np.random.RandomState(9)
        for name, c in variants().items():
            hyper = read_hyper(parse_gin(gin_text(c)))
            shapes = [shape for _, shape in full_layout(c)]
            for _ in range(40):
                changed, i = list(shapes), rs.randint(len(shapes))
                shape = list(shapes[i])
                axis = rs.randint(len(shape))
                change = rs.randint(6)
                if change < 4:
                    shape[axis] = (shape[axis] + 1, shape[axis] - 1, 0, 2 * shape[axis])[change]
                changed[i] = (*shape, 1) if change == 4 else tuple(shape)
                if change == 5:
                    changed.insert(i, (3,))
                if changed == shapes:
                    continue
                flat = [np.broadcast_to(np.float32(0), s) for s in changed]
                with self.assertRaises(ConvertError, msg=f"{name}: {shapes[i]} as {changed[i]}"):
                    Matcher(flat, hyper).run()


class Oracle(unittest.TestCase):
    def test_it_computes_what_trax_computed(self) -> None:
        """Golden logits from converted weights, for all fixtures."""
        for folder in MODELS:
            with self.subTest(folder.name), tempfile.TemporaryDirectory() as out:
                arguments = [str(folder / "model_1.pkl.gz"), "--config", str(folder / "config.gin")]
                trax.convert(trax.parse_arguments([*arguments, "-o", out]))
                tensors = read_tensors(Path(out) / "model.safetensors")
                c, rotations = RefConfig(**vars(reference_config(folder))), {}
                weights = {n: to_trax(n, s, tensors) for n, s in full_layout(c)}
                if folder.name == "lsh":
                    c = replace(c, enc_attn="dense-lsh", buckets=(8,))
                    with np.load(folder / "rotations.npz") as archive:
                        rotations = {n: archive[n] for n in archive.files}
                case = json.loads((folder / "expect.json").read_text())["cases"][1]
                rows = len(case["target"])
                pads = [0] * (case.get("target_padded_to", rows) - rows)
                net = RefNet(c, weights, rotations)
                got = net.forward(np.array([case["source"]]), np.array([case["target"] + pads]))
                expected = np.load(folder / case["logits_file"])
                self.assertLess(np.abs(got[0, :rows] - expected).max(), 1e-5 * expected.std())

    def test_int8_chooses_the_same_units(self) -> None:
        """At least 99% of the golden choices, encoder and decoder, in every fixture."""
        for folder in MODELS:
            if folder.name in ("lsh", "dense_twin"):
                continue
            with self.subTest(folder.name), tempfile.TemporaryDirectory() as out:
                arguments = [str(folder / "model_1.pkl.gz"), "--config", str(folder / "config.gin")]
                arguments += ["--dtype", "int8", "-o", out]
                trax.convert(trax.parse_arguments(arguments))
                tensors = read_tensors(Path(out) / "model.safetensors")
                c = RefConfig(**vars(reference_config(folder)))
                net = RefNet(c, {n: to_trax(n, s, tensors) for n, s in full_layout(c)})
                same = total = 0
                for case in json.loads((folder / "expect.json").read_text())["cases"]:
                    net.records = []
                    target = case["target"] or [0]
                    net.forward(np.array([case["source"]]), np.array([target]))
                    n_e = sum(t != 0 for t in case["source"])
                    got = choices(c, net, n_e, len(target))
                    expected = np.load(folder / case["ff_choice_file"])
                    same += ((got == expected) & (expected >= 0)).sum()
                    total += (expected >= 0).sum()
                self.assertGreaterEqual(same / total, 0.99)

    def test_cached_steps_equal_the_whole_sequence(self) -> None:
        rs = np.random.RandomState(3)
        for name, c in variants().items():
            if c.has_lsh():
                continue  # has no cached form that computes the same
            with self.subTest(name):
                net = RefNet(c, random_weights(c, 2))
                source = rs.randint(2, c.vocab, (1, 7))
                source[:, 5:] = 0
                target = rs.randint(2, c.out_vocab or c.vocab, (1, 5))
                whole = net.forward(source, target)[0]
                decoder, previous = ref.Decoder(net, source), 0
                for row, token in zip(whole, target[0]):
                    np.testing.assert_allclose(decoder.step(previous), row, rtol=1e-8, atol=1e-8)
                    previous = int(token)

    def test_every_part_matters(self) -> None:
        """A fixture whose logits did not depend on a tensor would prove nothing about it."""
        for name in ("self_onekey", "multmod", "modular_wide", "axial", "forget", "two_srus"):
            c = variants()[name]
            weights = random_weights(c, 2)
            tokens = np.array([[5, 9, 8, 3]]), np.array([[7, 2, 9]])
            before = RefNet(c, weights).forward(*tokens)
            for n in weights:
                if n.endswith(".k.b") or n.endswith(".k.c.b"):
                    continue  # softmax does not see what all keys have in common
                step = np.float32(0.05) * (1 + weights[n] ** 2)
                if ".ctl" in n:  # seen only through the units that it chooses
                    step = -4 * weights[n]
                changed = {**weights, n: weights[n] + step}
                after = RefNet(c, changed).forward(*tokens)
                self.assertGreater(np.abs(after - before).max(), 1e-6, f"{name}: {n}")


if __name__ == "__main__":
    unittest.main()
