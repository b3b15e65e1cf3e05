# SPDX-License-Identifier: MIT
"""Makes tests/fixtures/torch_tiny: small random models with what PyTorch computes for them.

    python tests/train/make_torch_tiny.py

Each folder (sparse, dense) is a model folder plus expect.json and .npy files in the layout of the
golden fixtures, for `terra parity FOLDER FOLDER`. The seed is the first one whose controller and
greedy choices have no near-tie, so that a correct float32 engine must choose the same.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import torch

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "data" / "train"))

from export import export  # noqa: E402
from model import Config, FeedForward, Net  # noqa: E402
from tokenizer import N_SPECIAL, train_bpe  # noqa: E402

OUT = ROOT / "tests" / "fixtures" / "torch_tiny"
VOCAB = N_SPECIAL + 256 + 16
STEPS = 24
TEXT = "the model reads the source and then the target; the other tokens are in between. " * 3


class Recorder:
    """Collects the controllers' values of every feed-forward call, in call order."""

    def __init__(self, net: Net):
        self.rows: list[torch.Tensor] = []
        for module in net.modules():
            if isinstance(module, FeedForward) and module.block:
                module.register_forward_hook(self.hook)

    def hook(self, ff: FeedForward, args: tuple, _: torch.Tensor) -> None:
        x = ff.ln(args[0])
        z = (x @ ff.ctl1.T) @ ff.ctl2.flatten(0, 1).T + ff.ctlb.flatten()
        self.rows.append(z.unflatten(-1, ff.ctlb.shape)[0])


def margin(z: torch.Tensor) -> float:
    top = z.topk(2, -1).values
    return float((top[..., 0] - top[..., 1]).min())


def run(
    net: Net, source: list[int], target: list[int]
) -> tuple[np.ndarray, np.ndarray | None, float]:
    """Logits of one case, the live units (layers, rows, K), and the smallest margin."""
    record = Recorder(net) if net.c.ff_block else None
    with torch.no_grad():
        logits = net(torch.tensor([source]), torch.tensor([target or [0]]))[0]
    if record is None:
        return logits.numpy(), None, 1.0
    n = sum(i != 0 for i in source)
    rows = n + len(logits)
    n_enc = net.c.n_encoder_layers
    choice = np.full((len(record.rows), rows, net.c.d_ff // net.c.ff_block), -1, np.int32)
    least = 1.0
    for layer, z in enumerate(record.rows):
        z = z[: n if layer < n_enc else rows]
        choice[layer, : len(z)] = z.argmax(-1).numpy()
        least = min(least, margin(z))
    for module in net.modules():
        module._forward_hooks.clear()
    return logits.numpy(), choice, least


def greedy(net: Net, source: list[int]) -> tuple[list[int], float]:
    """The ids of argmax decoding, not cut at the end symbol, and the smallest margin."""
    out: list[int] = []
    least = 1.0
    for _ in range(STEPS):
        logits, _, m = run(net, source, out + [0])
        last = torch.from_numpy(logits[-1])
        out.append(int(last.argmax()))
        least = min(least, margin(last), m)
    return out, least


def make(config: Config, seed: int) -> tuple[Net, list[dict], dict[str, np.ndarray], float]:
    torch.manual_seed(seed)
    net = Net(config).eval()
    for p in net.parameters():
        p.data += torch.randn_like(p) * (0.3 if p.dim() == 1 else 0.1)
    rng = np.random.default_rng(seed)
    ids = lambda n: [int(i) for i in rng.integers(2, config.vocab_size, n)]
    inputs = {
        "plain": (ids(12), ids(8)),
        "padded_source": (ids(9) + [0, 0, 0], [*ids(3), 1, 0, 0]),
        "empty_target": (ids(7), []),
        "one_token_source": (ids(1), ids(4)),
        "long_source": (ids(40), ids(6)),
    }
    cases, arrays, least = [], {}, 1.0
    for name, (source, target) in inputs.items():
        logits, choice, m = run(net, source, target)
        tokens, g = greedy(net, source)
        least = min(least, m, g)
        case = dict(name=name, source=source, target=target, logits_file=f"{name}.logits.npy")
        case["ff_choice_file"] = None if choice is None else f"{name}.ff_choice.npy"
        case.update(greedy=tokens, greedy_mode="predict")
        cases.append(case)
        arrays[case["logits_file"]] = logits.astype(np.float32)
        if choice is not None:
            arrays[case["ff_choice_file"]] = choice
    return net, cases, arrays, least


def main() -> None:
    sparse = Config(
        "torch-tiny", VOCAB, 24, 24, 4, ff_block=4, ff_rank=4, ff_sru=[1, 8],
        attention_modules=4, positions=44, max_source=40, max_target=24,
    )  # fmt: skip
    tok = train_bpe([TEXT], VOCAB)
    for kind, config in (("sparse", sparse), ("dense", sparse.dense_twin())):
        folder = OUT / kind
        folder.mkdir(parents=True, exist_ok=True)
        seed = 0
        while (made := make(config, seed))[3] < 5e-4:
            seed += 1
        net, cases, arrays, least = made
        tok.save(folder / "tokenizer.json")
        export(net, folder, folder / "tokenizer.json", "f32")
        for name, array in arrays.items():
            np.save(folder / name, array)
        expect = dict(format=1, tolerance=2e-4, greedy_mode="predict", cases=cases)
        (folder / "expect.json").write_text(json.dumps(expect) + "\n")
        size = sum(f.stat().st_size for f in folder.iterdir())
        print(f"{folder.relative_to(ROOT)}: seed {seed}, least margin {least:.4f}, {size} bytes")


if __name__ == "__main__":
    main()
