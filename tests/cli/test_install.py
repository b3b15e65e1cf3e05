#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""`make install` into a folder of one's own, as any user: all files, and the program works."""

from __future__ import annotations

import os
import subprocess
import unittest
from pathlib import Path

from common import ROOT, TERRA, TEXT, Case

FILES = {
    "bin/terra",
    "share/bash-completion/completions/terra",
    "share/doc/terra/MODEL.md",
    "share/fish/vendor_completions.d/terra.fish",
    "share/man/man1/terra.1",
    "share/man/man5/terra-db.5",
    "share/man/man5/terra-model.5",
    "share/zsh/site-functions/_terra",
} | {
    f"share/terra/models/{model}/{name}"
    for model in ("terra-small", "terra-small-dense")
    for name in ("config.json", "model.safetensors", "tokenizer.json")
}


class Install(Case):
    def setUp(self) -> None:
        super().setUp()
        del self.env["TERRA_MODEL"]
        self.root = self.tmp / "root"
        self.program = self.root / "usr/bin/terra"
        self.make("install")

    def make(self, target: str) -> None:
        """Another PREFIX would compile everything again: -o takes the program as it is."""
        build = os.path.dirname(TERRA)
        done = subprocess.run(
            ["make", "-o", TERRA, f"B={build}", f"DESTDIR={self.root}", "PREFIX=/usr", target],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=self.env,
            cwd=ROOT,
            umask=0o077,
            text=True,
        )
        self.assertEqual(done.returncode, 0, done.stdout)

    def files(self) -> set[str]:
        return {str(p.relative_to(self.root / "usr")) for p in self.paths() if p.is_file()}

    def paths(self) -> list[Path]:
        return [*self.root.rglob("*")]

    def test_files(self) -> None:
        self.assertEqual(self.files(), FILES)
        empty = [str(p) for p in self.paths() if p.stat().st_size == 0]
        self.assertEqual(empty, [])

    def test_everyone_may_read(self) -> None:
        """Whatever the umask of the one who installs."""
        for path in self.paths():
            wanted = 0o755 if path.is_dir() or path == self.program else 0o644
            self.assertEqual(oct(path.stat().st_mode & 0o777), oct(wanted), path)

    def test_program_finds_its_model(self) -> None:
        model = self.works("inspect", "--json").of("model")[0]
        self.assertEqual(model["path"], str(self.root / "usr/share/terra/models/terra-small"))
        document = self.write("cat.txt", TEXT)
        done = self.works("summarize", "-n", "8", "--beams", "1", document)
        self.assertTrue(done.out.strip(), done.err)

    def test_uninstall(self) -> None:
        other = self.root / "usr/share/man/man1/other.1"
        other.write_text("not terra's\n")
        self.make("uninstall")
        self.assertEqual(self.files(), {"share/man/man1/other.1"})


if __name__ == "__main__":
    unittest.main()
