# SPDX-License-Identifier: MIT
"""Writes a checkpoint as a model folder of terra-model(5), and reads one back.

python export.py RUN/last.pt DATA/tokenizer.json OUT --dtype int8
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from data.convert.folder import write_model_folder  # noqa: E402

from model import Config, Net, count_parameters  # noqa: E402
from tokenizer import CONTROL  # noqa: E402

STYLES = ("title", "description", "synopsis", "tldr", "continue")


def config_json(c: Config, vocabulary: bool = True) -> dict[str, Any]:
    multconv = {
        "type": "multconv",
        "modules": c.attention_modules,
        "length_kernel": c.length_kernel,
        "output": c.attention_output,
    }
    out: dict[str, Any] = {
        "name": c.name,
        "vocab_size": c.vocab_size,
        "d_model": c.d_model,
        "d_ff": c.d_ff,
        "n_heads": c.n_heads,
        "n_encoder_layers": c.n_encoder_layers,
        "n_decoder_layers": c.n_decoder_layers,
        "n_decoder_attention_layers": c.n_decoder_attention_layers,
        "reversible_encoder": c.reversible_encoder,
        "ff_block": c.ff_block,
        "ff_sru": list(c.ff_sru),
        "loss_modules": c.loss_modules,
        "positions": {"type": "table", "max": c.positions},
        "encoder_attention": {"type": "dense"},
        "decoder_attention": multconv if c.attention_modules else {"type": "dense"},
        "max_source": c.max_source,
        "max_target": c.max_target,
    }
    if c.ff_block:
        out["ff_rank"] = c.ff_rank
    if vocabulary:
        out["vocabulary"] = {"type": "bpe"}
        out["control"] = {name: CONTROL[name] for name in STYLES}
    return out


def export(net: Net, folder: Path, vocabulary: Path | None, dtype: str) -> None:
    tensors = {n: t.detach().float().cpu().numpy() for n, t in net.state_dict().items()}
    config = config_json(net.c, vocabulary is not None)
    write_model_folder(folder, config, tensors, dtype, vocabulary, controller="f32")


def load_folder(folder: Path) -> dict[str, Tensor]:
    """The tensors of a model folder as float32; int8 rows are scaled back."""
    stored = load_file(folder / "model.safetensors")
    out = {}
    for name, t in stored.items():
        if not name.endswith(".qscale"):
            scale = stored.get(name + ".qscale")
            out[name] = t.float() if scale is None else t.float() * scale[..., None]
    return out


def load_checkpoint(path: Path) -> Net:
    data = torch.load(path, map_location="cpu")
    net = Net(Config(**data["config"]))
    net.load_state_dict(data["model"])
    return net.eval()


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    p.add_argument("checkpoint", type=Path)
    p.add_argument("vocabulary", type=Path)
    p.add_argument("out", type=Path)
    p.add_argument("--dtype", default="int8", choices=("f32", "bf16", "int8"))
    p.add_argument("--name", help="the model's name in config.json")
    a = p.parse_args()
    net = load_checkpoint(a.checkpoint)
    net.c.name = a.name or net.c.name
    export(net, a.out, a.vocabulary, a.dtype)
    size = sum(f.stat().st_size for f in a.out.iterdir())
    print(f"{a.out}: {count_parameters(net.c):,} parameters, {a.dtype}, {size / 2**20:.1f} MiB")


if __name__ == "__main__":
    main()
