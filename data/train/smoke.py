# SPDX-License-Identifier: MIT
"""Trains a toy and its dense twin on this repository's own words, in under two minutes.

    python data/train/smoke.py [--steps 300]

Pairs come from the contract comments of the C headers (first line <- rest), running text from
the manual pages. Fails unless both losses fall, the exported folders hold what was trained, and
a model made twice as wide computes what it did.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch

from export import load_checkpoint, load_folder
from grow import grow
from model import Config, Net

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]


def header_pairs() -> list[dict[str, str]]:
    out = []
    for path in sorted(ROOT.glob("[adeu]*/**/*.h")):
        match = re.match(r"/\* (\S+) - (.+?)\n \*\n(.+?)\*/", path.read_text("utf-8"), re.S)
        if match:
            body = re.sub(r"\n \* ?", "\n", match[3])
            summary = re.sub(r"\s*\n \* ?", " ", match[2])
            out.append(dict(document=match[1] + "\n" + body, summary=summary, style="title"))
    return out


def run(*args: object) -> None:
    subprocess.run([sys.executable, *map(str, args)], check=True)


def losses(run_folder: Path) -> list[float]:
    """The mean loss of the example kinds of each log entry."""
    entries = map(json.loads, (run_folder / "log.jsonl").read_text().splitlines())
    return [float(np.mean(list(e["loss"].values()))) for e in entries if "loss" in e]


def check_growth(net: Net) -> None:
    """The wide model's logits are the narrow one's."""
    c = Config(**vars(net.c))
    c.d_model, c.d_ff, c.ff_rank = 2 * c.d_model, 2 * c.d_ff, 2 * c.ff_rank
    wide = Net(c)
    wide.load_state_dict(grow(net.state_dict(), wide, net.c.d_model))
    source, target = torch.randint(2, 500, (4, 40)), torch.randint(2, 500, (4, 12))
    with torch.no_grad():
        want, got = net.eval()(source, target), wide.eval()(source, target)
    off = float((got - want).abs().max() / want.std())
    if off > 1e-3:
        raise SystemExit(f"{net.c.name}: {off:.2g} standard deviations off when twice as wide")


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    p.add_argument("--steps", type=int, default=300, help="of each of the two toys")
    a = p.parse_args()
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        pairs = header_pairs()
        text = "\n\n".join(q.read_text("utf-8") for q in sorted(ROOT.glob("man/*.[15]")))
        (work / "text.txt").write_text(text, encoding="utf-8")
        (work / "pairs.jsonl").write_text("".join(json.dumps(q) + "\n" for q in pairs))
        files = [work / "pairs.jsonl", work / "text.txt"]
        run(HERE / "pack.py", work / "data", "--train", *files, "--vocab", 512)
        common = ["--config", "toy", "--dtype", "f32", "--threads", 1, "--log-every", 20]
        twin = [*common, "--dense", "--follow", work / "toy"]
        run(HERE / "train.py", work / "data", work / "toy", *common, "--steps", a.steps)
        run(HERE / "train.py", work / "data", work / "toy-dense", *twin)
        for kind in ("toy", "toy-dense"):
            loss = losses(work / kind)
            out, checkpoint = work / f"model-{kind}", work / kind / "last.pt"
            run(HERE / "export.py", checkpoint, work / "data/tokenizer.json", out, "--dtype", "f32")
            exported, trained = load_folder(out), load_checkpoint(checkpoint).state_dict()
            if any(not exported[n].equal(t) for n, t in trained.items()):
                raise SystemExit(f"{kind}: the export differs from the checkpoint")
            check_growth(load_checkpoint(checkpoint))
            print(f"{kind}: loss {loss[0]:.2f} -> {loss[-1]:.2f} on {len(pairs)} pairs")
            if not loss[-1] < loss[0] - 0.3:
                raise SystemExit(f"{kind}: the loss does not fall")


if __name__ == "__main__":
    main()
