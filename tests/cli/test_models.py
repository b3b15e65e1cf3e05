#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Models that are missing, damaged or something else: one line, exit 3, never a crash."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import struct
import unittest
from pathlib import Path

from common import DENSE, PLAIN, SPARSE, TEXT, Case


def split(path: Path) -> tuple[dict, bytes]:
    """Header and data of a safetensors file."""
    raw = path.read_bytes()
    n = struct.unpack("<Q", raw[:8])[0]
    return json.loads(raw[8 : 8 + n]), raw[8 + n :]


def join(path: Path, header: dict, data: bytes) -> None:
    text = json.dumps(header).encode()
    text += b" " * (-(8 + len(text)) % 64)
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)


class Models(Case):
    def refused(self, folder: Path | str) -> str:
        return self.fails(3, "run", "-m", folder, "hello")

    def test_missing(self) -> None:
        line = self.refused(self.tmp / "nothing")
        self.assertIn("no such file", line)
        self.assertIn("nothing", line)

    def test_unknown_name_lists_the_folders(self) -> None:
        self.assertIn("models", self.refused("no-such-model"))

    def test_no_model_at_all(self) -> None:
        del self.env["TERRA_MODEL"]
        program = os.readlink("/proc/self/exe")
        done = self.terra("run", "-m", program, "hello")
        self.assertEqual(done.status, 3)
        self.assertIn("a file; a model is a folder", done.err)

    def test_empty_folder(self) -> None:
        folder = self.tmp / "empty"
        folder.mkdir()
        self.assertIn("config.json", self.refused(folder))

    def test_weights_are_a_folder(self) -> None:
        folder = self.model()
        (folder / "model.safetensors").unlink()
        (folder / "model.safetensors").mkdir()
        self.assertIn("model.safetensors", self.refused(folder))

    def test_html(self) -> None:
        folder = self.model()
        (folder / "model.safetensors").write_text("<!DOCTYPE html><html><body>Not found")
        self.assertIn("HTML", self.refused(folder))

    def test_lfs_pointer(self) -> None:
        folder = self.model()
        pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 99\n"
        (folder / "model.safetensors").write_text(pointer)
        self.assertIn("git-lfs", self.refused(folder))
        shutil.copy(SPARSE / "model.safetensors", folder)
        config = json.loads((folder / "config.json").read_text())
        (folder / config["vocabulary"]["file"]).write_text(pointer)
        self.assertIn("git-lfs", self.refused(folder))

    def test_truncated_anywhere(self) -> None:
        folder = self.model()
        path = folder / "model.safetensors"
        whole = path.read_bytes()
        rng = random.Random(1)
        sizes = [0, 1, 7, 8, 9, 100, len(whole) - 1, *rng.sample(range(len(whole)), 20)]
        for size in sizes:
            path.write_bytes(whole[:size])
            self.assertIn("model.safetensors", self.refused(folder), size)

    def test_truncated_names_both_sizes(self) -> None:
        folder = self.model()
        path = folder / "model.safetensors"
        whole = path.read_bytes()
        path.write_bytes(whole[:-1])
        self.assertIn(str(len(whole) - 1), self.refused(folder))

    def test_flipped_bits_never_crash(self) -> None:
        folder = self.model()
        path = folder / "model.safetensors"
        whole = bytearray(path.read_bytes())
        header = 8 + struct.unpack("<Q", bytes(whole[:8]))[0]
        rng = random.Random(2)
        for _ in range(60):
            at, bit = rng.randrange(header), rng.randrange(8)
            whole[at] ^= 1 << bit
            path.write_bytes(whole)
            done = self.terra("run", "-m", folder, "-n", "2", "hello")
            self.assertIn(done.status, (0, 3, 7), f"byte {at} bit {bit}: {done.err}")
            whole[at] ^= 1 << bit

    def test_wrong_shape_names_tensor_and_both_values(self) -> None:
        line = self.refused(self.spoil_config(d_ff=48))
        self.assertRegex(line, r"(enc|dec)\.\d+\.ff")
        self.assertRegex(line, r"\d.*\d")

    def test_missing_tensor(self) -> None:
        folder = self.model()
        header, data = split(folder / "model.safetensors")
        header["other"] = header.pop("ln_out.scale")
        join(folder / "model.safetensors", header, data)
        self.assertIn("ln_out.scale", self.refused(folder))

    def test_unknown_dtype(self) -> None:
        folder = self.model()
        header, data = split(folder / "model.safetensors")
        header["emb"]["dtype"] = "F8"
        join(folder / "model.safetensors", header, data)
        line = self.refused(folder)
        self.assertIn("emb", line)
        self.assertIn("F8", line)

    def test_overlap(self) -> None:
        folder = self.model()
        header, data = split(folder / "model.safetensors")
        header["ln_out.scale"]["data_offsets"] = header["ln_out.bias"]["data_offsets"]
        join(folder / "model.safetensors", header, data)
        self.refused(folder)

    def test_control_characters_in_names_are_escaped(self) -> None:
        folder = self.model()
        header, data = split(folder / "model.safetensors")
        header["\x1b[31mred\n"] = header.pop("ln_out.bias")
        join(folder / "model.safetensors", header, data)
        self.refused(folder)  # checks the line for control characters

    def test_config_errors(self) -> None:
        folder = self.model()
        config = folder / "config.json"
        good = json.loads(config.read_text())
        bad = [
            ("", "config.json"),
            ("{", "config.json"),
            ("[" * 100_000, "config.json"),
            (json.dumps({**good, "colour": 1}), "colour"),
            (json.dumps({k: v for k, v in good.items() if k != "d_model"}), "d_model"),
            (json.dumps({**good, "d_model": -4}), "d_model"),
            (json.dumps({**good, "d_model": 4_000_000_000}), ""),
            (json.dumps({**good, "n_heads": 5}), ""),
            (json.dumps({**good, "ff_block": 7}), ""),
            (json.dumps({**good, "format": "terra-9"}), "terra-9"),
        ]
        for text, word in bad:
            config.write_text(text)
            self.assertIn(word, self.refused(folder), text[:80])

    def test_tokenizer_hash_differs(self) -> None:
        folder = self.model()
        config = json.loads((folder / "config.json").read_text())
        config["vocabulary"]["sha256"] = "0" * 64
        (folder / "config.json").write_text(json.dumps(config))
        self.assertIn("tokenizer.json", self.refused(folder))

    def test_no_vocabulary(self) -> None:
        self.assertIn("--ids", self.refused(PLAIN))
        done = self.works("run", "-m", PLAIN, "--ids", "-n", "3", "5 6 7")
        self.assertRegex(done.out, r"^\d+ \d+ \d+\n$")

    def test_nan_names_layer_and_part(self) -> None:
        folder = self.model()
        header, data = split(folder / "model.safetensors")
        at = header["dec.1.ff.b2"]["data_offsets"][0]
        spoilt = bytearray(data)
        spoilt[at : at + 4] = struct.pack("<f", float("nan"))
        join(folder / "model.safetensors", header, bytes(spoilt))
        line = self.fails(7, "run", "-m", folder, "hello there")
        self.assertRegex(line, "decoder block 1, feed-forward")

    def test_file_shrinks_while_in_use(self) -> None:
        folder = self.model()
        document = self.write("long.txt", TEXT * 20_000)
        process = self.start("summarize", "-m", folder, "-q", document)
        self.wait(lambda: self.stored() > 3, "some runs")
        self.assertIsNone(process.poll())
        with open(folder / "model.safetensors", "r+b") as f:
            f.truncate(0)
        _, err = process.communicate(timeout=60)
        self.assertEqual(process.returncode, 3, err)
        self.assertIn(b"shorter", err)
        self.assertEqual(err.count(b"\n"), 1)

    def test_lookup_order(self) -> None:
        home = Path(self.env["HOME"])
        models = home / ".local/share/terra/models"
        models.mkdir(parents=True)
        (models / "mine").symlink_to(DENSE)
        config = home / ".config/terra"
        config.mkdir(parents=True)
        (config / "config.json").write_text('{"model": "mine"}')

        def name(*options: str) -> str:
            return self.works("inspect", "--json", *options).of("model")[0]["name"]

        self.assertEqual(name(), "torch-tiny")  # environment before configuration
        del self.env["TERRA_MODEL"]
        self.assertEqual(name(), "torch-tiny-dense")
        self.assertEqual(name("-m", str(SPARSE)), "torch-tiny")
        self.assertEqual(name("-m", "mine"), "torch-tiny-dense")

    def test_inspect(self) -> None:
        done = self.works("inspect", "-v", str(SPARSE))
        self.assertIn("6 blocks of 4 units", done.out)
        self.assertIn("dec.0.ff.w1", done.out)
        lines = self.works("inspect", "--json", str(SPARSE))
        self.assertEqual(lines.of("model")[0]["ff_block"], 4)
        self.assertGreater(len(lines.of("tensor")), 100)

    def likes(self, token: int) -> Path:
        """A model that writes nothing but this token."""
        shutil.rmtree(self.tmp / "model", ignore_errors=True)
        folder = self.model()
        path = folder / "model.safetensors"
        header, data = split(path)
        at = header["loss.b"]["data_offsets"][0] + 4 * token
        join(path, header, data[:at] + struct.pack("<f", 1e6) + data[at + 4 :])
        return folder

    def test_empty_replies_are_explained(self) -> None:
        end, newline = 1, 42
        folder = self.likes(end)
        done = self.works("run", "-m", folder, "hello")
        self.assertEqual(done.out.strip(), "")
        self.assertIn("terra: the model ended the text at once\n", done.err)
        self.assertEqual(self.works("run", "-q", "-m", folder, "hello").err, "")
        self.assertNotIn("the model", self.works("run", "hello").err)
        blank = self.works("run", "-n", "4", "-m", self.likes(newline), "hello")
        self.assertEqual(blank.out.strip(), "")
        self.assertIn("terra: the model wrote nothing but blank lines\n", blank.err)

    def test_more_than_the_memory(self) -> None:
        """A hole makes the file large: nothing of it is read."""
        memory = Path("/proc/meminfo").read_text().split("MemTotal:")[1].split()[0]
        hole = int(memory) * 1024
        folder = self.model()
        path = folder / "model.safetensors"
        header, data = split(path)
        at = len(data)
        header["_pad"] = {"dtype": "I8", "shape": [hole], "data_offsets": [at, at + hole]}
        join(path, header, data)
        os.truncate(path, path.stat().st_size + hole)
        done = self.works("run", "-n", "2", "-m", folder, "hello")
        self.assertRegex(done.err, "terra: the model is .* and only .* of memory is free: it will")
        self.assertNotIn("of memory is free", self.works("run", "-n", "2", "hello").err)


if __name__ == "__main__":
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    unittest.main()
