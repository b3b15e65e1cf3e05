# SPDX-License-Identifier: MIT
"""Makes a model twice as wide that computes the same function, to go on training from.

    python grow.py MODEL OUT --config wide [--dense]

Every feature of the streams gets a twin beside it: what writes a feature writes both, what reads
one reads half of each, plus a random difference of the two that is zero at first and lets them
part while training. New feed-forward units start with outputs of zero. MODEL is an exported
folder whose configuration differs from the new one in d_model (half), d_ff and ff_rank only.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import torch
from torch import Tensor

from export import export, load_folder
from model import Config, Net
from train import recipe

DIFFERENCE = 0.5  # of a reading weight's own standard deviation, halved like the weight


class Twins:
    """Where the features of the narrow model are in the wide one: twins within each module."""

    def __init__(self, d: int, modules: int):
        m = d // modules
        at = torch.arange(2 * d)
        self.old = at // (2 * m) * m + at % m
        self.sign = 1.0 - 2.0 * (at % (2 * m) // m)

    def write(self, w: Tensor) -> Tensor:
        """Rows (axis 0) are features."""
        return w[self.old]

    def read(self, w: Tensor) -> Tensor:
        """The last axis are features."""
        noise = torch.randn_like(w) * w.std() * DIFFERENCE
        return (w[..., self.old] + self.sign * noise[..., self.old]) / 2


def place(into: Tensor, part: Tensor) -> Tensor:
    """`into` with `part` at its beginning."""
    into[tuple(slice(n) for n in part.shape)] = part
    return into


def grow(old: dict[str, Tensor], net: Net, narrow: int) -> dict[str, Tensor]:
    """The weights for `net`, whose initial values stay where it has new units or ranks."""
    new = {n: t.detach().clone() for n, t in net.state_dict().items()}
    d, modules = narrow, net.c.n_heads
    stream, module = Twins(d, modules), Twins(d // modules, 1)
    heads = 2.0**-0.25  # on q and on k: heads are twice as wide, so products halve by a root
    out: dict[str, Tensor] = {}
    for name, w in old.items():
        parts = name.split(".")
        layer, last = ".".join(parts[:-1]), parts[-1]
        score = heads if parts[-2:-1] in (["q"], ["k"]) else 1.0
        if name in ("emb", "pos_e", "pos_d"):
            out[name] = w[:, stream.old]
        elif w.dim() == 4:  # convolution: (taps, modules, out, in)
            out[name] = module.read(w[:, :, module.old]) * score
        elif last == "gate":
            out[name] = w[:, stream.old]
        elif last == "proj":
            rows = w if layer == "loss" else module.write(w)
            out[name] = stream.read(rows)
        elif last == "ctl1":
            out[name] = place(new[name], stream.read(w))
        elif last == "ctl2":
            new[name][: w.shape[0], :, w.shape[2] :] = 0
            out[name] = place(new[name], w)
        elif last == "ctlb":
            out[name] = place(new[name], w)
        elif last == "w1":
            out[name] = place(new[name], stream.read(w))
        elif last == "w2":
            out[name] = place(new[name], w[..., stream.old])
        elif parts[-3:] == ["ff", "in", "w"]:  # the dense twin's units
            out[name] = place(new[name], stream.read(w))
        elif parts[-3:] == ["ff", "in", "b"]:
            out[name] = place(new[name], w)
        elif parts[-3:] == ["ff", "out", "w"]:
            new[name][:, w.shape[1] :] = 0
            out[name] = place(new[name], stream.write(w))
        elif new[name].shape == w.shape:  # within the SRU; the output's bias
            out[name] = w
        elif w.dim() == 1:
            out[name] = (stream if len(w) == d else module).write(w) * score
        else:
            wide = stream.write(w) if new[name].shape[0] == 2 * w.shape[0] else w
            wide = stream.read(wide) if new[name].shape[1] == 2 * w.shape[1] else wide
            out[name] = wide * score
        if out[name].shape != new[name].shape:
            raise SystemExit(f"{name}: {tuple(out[name].shape)} for {tuple(new[name].shape)}")
    missing = set(new) - set(out)
    if missing:
        raise SystemExit(f"not in the narrow model: {', '.join(sorted(missing))}")
    return out


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    p.add_argument("model", type=Path, help="the narrow model's folder")
    p.add_argument("out", type=Path, help="the wide model's folder, stored as f32")
    p.add_argument("--config", default="wide")
    p.add_argument("--dense", action="store_true", help="MODEL is the dense twin")
    p.add_argument("--seed", type=int, default=1)
    a = p.parse_args()
    torch.manual_seed(a.seed)
    narrow = json.loads((a.model / "config.json").read_text())
    c: Config = recipe(a.config).model
    c.vocab_size = narrow["vocab_size"]
    net = Net(c.dense_twin() if a.dense else c)
    if c.d_model != 2 * narrow["d_model"]:
        raise SystemExit(f"{a.model}: width {narrow['d_model']} is not half of {c.d_model}")
    net.load_state_dict(grow(load_folder(a.model), net, narrow["d_model"]))
    export(net, a.out, a.model / "tokenizer.json", "f32")
    print(f"{a.out}: width {narrow['d_model']} to {c.d_model}")


if __name__ == "__main__":
    main()
