# SPDX-License-Identifier: MIT
"""Trains a Terraformer or its dense twin on packed data (see pack.py and README.md).

    python train.py DATA RUN --config small --time-budget 90m
    python train.py DATA RUN-dense --config small --dense --follow RUN

The schedule is a function of progress, 0 to 1: the share of --time-budget (or --steps) used. The
clock counts the process's own steps, so a stopped process loses nothing. --follow takes each
step's progress from another run, so that both see the same batches at the same rates. A RUN
folder that has a checkpoint is resumed.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import struct
import sys
import time
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from corpus import Example, Packed, Sampler, Stage, collate
from model import Config, Net, Quantised, count_parameters
from optim import Optimizer
from rouge import rouge_l
from tokenizer import EOS, Tokenizer


@dataclass
class Recipe:
    model: Config
    stages: list[tuple[float, Stage]]  # (progress at which it ends, what is drawn)
    tokens_per_step: int  # of padded source and target
    lr_matrix: float = 0.006
    lr_adam: float = 2e-3
    warmup: int = 60  # steps
    decay_from: float = 0.45  # progress at which the rates start to fall to zero


def stages(c: Config, begun: bool = False) -> list[tuple[float, Stage]]:
    """Copying first, on short pieces; then pairs, with documents that grow to the longest.

    A model that was trained before (`begun`) can copy: it starts at the second stage.
    """
    longest, target = c.max_source, c.max_target
    l1, l2, l3 = longest * 2 // 5, longest * 3 // 5, longest * 4 // 5
    t1 = target * 4 // 5
    first, second = (0.0, 0.25) if begun else (0.05, 0.40)
    return [
        (first, Stage(l1, t1, pairs=0.6, fill=0.1, copy=0.1, follow=0.2, go_on=0)),
        (second, Stage(l2, t1, pairs=0.86, fill=0.04, copy=0.04, follow=0.06, go_on=0)),
        (0.75, Stage(l3, target, pairs=0.92, fill=0.02, copy=0.01, follow=0.02, go_on=0.03)),
        (0.90, Stage(longest, target, pairs=0.94, fill=0.02, copy=0, follow=0.01, go_on=0.03)),
        (9.99, Stage(longest, target, 0.95, fill=0.02, copy=0, follow=0, go_on=0.03, late=True)),
    ]


def recipe(name: str) -> Recipe:
    if name == "toy":
        c = Config("toy", 512, 64, 128, 4, ff_block=8, ff_rank=16, attention_modules=4)
        c.ff_sru, c.n_encoder_layers, c.n_decoder_layers = [1, 8], 1, 1
        c.positions, c.max_source, c.max_target = 128, 64, 24
        return Recipe(c, stages(c), 1024, warmup=20)
    if name == "small":
        return Recipe(Config(), stages(Config()), 1920)
    if name == "wide":
        c = Config("wide", d_model=384, d_ff=1536, ff_rank=64, max_source=256)
        return Recipe(c, stages(c), 2880, lr_matrix=0.005, lr_adam=1.5e-3)
    if name == "base":
        c = Config("base", 8192, 384, 2048, 6, 4, 4, ff_block=32, ff_rank=64, attention_modules=12)
        c.positions, c.max_source, c.max_target = 512, 384, 64
        return Recipe(c, stages(c), 16384, lr_matrix=0.005, lr_adam=1.5e-3, warmup=200)
    if name == "gpu":
        c = Config("gpu", 8192, 640, 5120, 10, 6, 6, ff_block=32, ff_rank=96, attention_modules=20)
        c.positions, c.max_source, c.max_target = 1024, 512, 64
        return Recipe(c, stages(c), 98304, lr_matrix=0.004, lr_adam=1e-3, warmup=300)
    raise ValueError(f"no such configuration: {name}")


def seconds(text: str) -> float:
    return float(text[:-1]) * {"s": 1, "m": 60, "h": 3600}[text[-1]]


class Progress:
    """progress.f64: the progress at the start of each step, one double a step."""

    def __init__(self, folder: Path):
        self.path = folder / "progress.f64"

    def append(self, step: int, value: float) -> None:
        with open(self.path, "r+b" if self.path.exists() else "w+b") as f:
            f.seek(8 * step)
            f.truncate()
            f.write(struct.pack("<d", value))

    def wait(self, step: int) -> float:
        while not self.path.exists() or self.path.stat().st_size < 8 * (step + 1):
            time.sleep(0.2)
        with open(self.path, "rb") as f:
            f.seek(8 * step)
            return struct.unpack("<d", f.read(8))[0]


class Trainer:
    def __init__(self, a: argparse.Namespace):
        self.a = a
        self.recipe = recipe(a.config)
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.bf16 = a.dtype == "bf16"
        self.tok = Tokenizer.load(a.data / "tokenizer.json")
        self.sampler = Sampler(Packed.load(a.data / "train.npz"), a.seed)
        valid = a.data / "valid.npz"
        self.valid = Packed.load(valid) if valid.exists() else None
        c = self.recipe.model
        c.vocab_size = -(-self.tok.size // 64) * 64
        self.config = c.dense_twin() if a.dense else c
        torch.manual_seed(a.seed)
        self.net = Net(self.config).to(self.device)
        if a.init:
            from export import load_folder

            self.net.load_state_dict(load_folder(a.init))
            self.recipe.stages = stages(c, begun=True)
        r = self.recipe
        self.opt = Optimizer(self.net.named_parameters(), r.lr_matrix, r.lr_adam)
        self.step, self.clock, self.tokens, self.examples = 0, 0.0, 0, 0
        self.sums: dict[str, list[float]] = {}
        a.run.mkdir(parents=True, exist_ok=True)
        self.progress = Progress(a.run)
        self.checkpoint = a.run / "last.pt"
        if self.checkpoint.exists():
            self.load()
        self.forward = self.net
        self.compiled = hasattr(torch, "compile") and (self.device.type == "cuda" or a.compile)
        if self.compiled:
            self.forward = torch.compile(self.net, dynamic=False)

    # ---- checkpoints and the log
    def save(self) -> None:
        keep = ("step", "clock", "tokens", "examples")
        data = {k: getattr(self, k) for k in keep}
        data.update(
            config=asdict(self.config), model=self.net.state_dict(), opt=self.opt.state_dict()
        )
        part = self.checkpoint.with_suffix(".part")
        torch.save(data, part)
        os.replace(part, self.checkpoint)

    def load(self) -> None:
        data = torch.load(self.checkpoint, map_location="cpu")
        if data["config"] != asdict(self.config):
            raise SystemExit(f"{self.checkpoint}: made with another configuration")
        self.net.load_state_dict(data["model"])
        self.opt.load_state_dict(data["opt"])
        for k in ("step", "clock", "tokens", "examples"):
            setattr(self, k, data[k])

    def log(self, **entry: object) -> None:
        entry = {"step": self.step, "clock": round(self.clock, 1), "tokens": self.tokens, **entry}
        with open(self.a.run / "log.jsonl", "a") as f:
            f.write(json.dumps(entry) + "\n")

    # ---- one step
    def now(self) -> float:
        """Progress at this step."""
        if self.a.follow:
            return Progress(self.a.follow).wait(self.step)
        if self.a.steps:
            return self.step / self.a.steps
        return self.clock / self.a.time_budget

    def autocast(self) -> AbstractContextManager:
        if not self.bf16:
            return nullcontext()
        return torch.autocast(self.device.type, dtype=torch.bfloat16)

    def losses(self, source: Tensor, target: Tensor, quantised: Quantised | None) -> Tensor:
        """Negative log-likelihood per token, (B, L2); 0 at padding."""
        net = self.net if quantised is None else self.forward
        with self.autocast():
            logits = net(source, target, quantised)
        nll = F.cross_entropy(logits.flatten(0, 1).float(), target.flatten(), reduction="none")
        return nll.view(target.shape) * (target != 0)

    def tensors(self, batch: list, shape: tuple[int, int] = (0, 0)) -> tuple[Tensor, Tensor]:
        src, tgt = collate(batch, shape)
        return torch.from_numpy(src).to(self.device), torch.from_numpy(tgt).to(self.device)

    def train_step(self, progress: float) -> None:
        stage = next(s for end, s in self.recipe.stages if progress < end)
        size = max(4, self.recipe.tokens_per_step // (stage.max_source + stage.max_target) // 4 * 4)
        batch, kinds = self.sampler.batch(self.step, size, stage)
        fixed = (stage.max_source, stage.max_target) if self.compiled else (0, 0)
        source, target = self.tensors(batch, fixed)
        torch.manual_seed(self.a.seed * 1_000_003 + self.step)
        rng = random.Random(self.step)
        layers = self.config.n_encoder_layers + self.config.n_decoder_layers
        share = self.config.quantised_share
        quantised: Quantised = [rng.random() < share for _ in range(layers)]
        if self.compiled:
            quantised = torch.tensor(quantised, device=self.device)
        nll = self.losses(source, target, quantised)
        count = (target != 0).sum(1)
        (nll.sum() / count.sum()).backward()
        r = self.recipe
        scale = min(1.0, (self.step + 1) / r.warmup, (1 - progress) / (1 - r.decay_from))
        self.opt.step(max(0.0, scale))
        for kind, n, s in zip(kinds, count.tolist(), nll.detach().sum(1).tolist()):
            self.sums.setdefault(kind, [0.0, 0])
            self.sums[kind][0] += s
            self.sums[kind][1] += n
        self.tokens += int((source != 0).sum() + (target != 0).sum())
        self.examples += size

    # ---- evaluation
    @torch.no_grad()
    def evaluate(self, count: int = 128, generate: int = 0) -> dict:
        """Loss per token on the first pairs of the validation split in a fixed shuffle."""
        if self.valid is None:
            return {}
        c, v = self.recipe.model, self.valid
        order = random.Random(1).sample(range(len(v)), min(count, len(v)))
        self.net.eval()
        total: dict[int, list[float]] = {}
        for at in range(0, len(order), 32):
            batch = [self.valid_pair(i) for i in order[at : at + 32]]
            source, target = self.tensors(batch)
            nll, n = self.losses(source, target, None).sum(1), (target != 0).sum(1)
            for s, a, b in zip(source[:, 0].tolist(), nll.tolist(), n.tolist()):
                total.setdefault(s, [0.0, 0])
                total[s][0] += a
                total[s][1] += b
        names = {i: t for i, t in enumerate(self.tok_names())}
        out: dict = {names[s]: round(a / b, 4) for s, (a, b) in sorted(total.items())}
        out["valid"] = round(
            sum(a for a, _ in total.values()) / sum(b for _, b in total.values()), 4
        )
        if generate:
            chosen = order[:generate]
            source, _ = self.tensors([self.valid_pair(i) for i in chosen])
            texts = [self.tok.decode(t) for t in self.greedy(source, c.max_target)]
            golds = [self.tok.decode(v.summary(i).tolist()) for i in chosen]
            scores = [rouge_l(g, t) for g, t in zip(golds, texts)]
            out["rouge_l"] = round(100 * sum(scores) / len(scores), 2)
            out["distinct"] = len(set(texts))
            out["samples"] = [[g.strip(), t.strip()] for g, t in zip(golds, texts)][:12]
        self.net.train()
        return out

    def tok_names(self) -> list[str]:
        from tokenizer import special_tokens

        return [s.strip("<>") for s in special_tokens()]

    def valid_pair(self, i: int) -> Example:
        v, c = self.valid, self.recipe.model
        source = np.concatenate([[int(v.style[i])], v.document(i, c.max_source - 1)])
        return source, np.concatenate([v.summary(i), [EOS]])[: c.max_target]

    def greedy(self, source: Tensor, length: int) -> list[list[int]]:
        """Argmax decoding without caches."""
        out = torch.zeros(len(source), length, dtype=torch.long, device=self.device)
        done = torch.zeros(len(source), dtype=torch.bool, device=self.device)
        for t in range(length):
            with self.autocast():
                pick = self.net(source, out[:, : t + 1])[:, t].argmax(-1)
            out[:, t] = torch.where(done, torch.zeros_like(pick), pick)
            done |= pick == EOS
            if bool(done.all()):
                break
        return [[i for i in row if i > EOS] for row in out.tolist()]

    # ---- the loop
    def run(self) -> None:
        print(
            f"{self.config.name}: {count_parameters(self.config):,} parameters, {self.device}, "
            f"{torch.get_num_threads()} threads, from step {self.step}",
            flush=True,
        )
        began = saved = evaluated = self.clock
        generated = -1e9
        shown = time.monotonic()
        self.net.train()
        while True:
            progress = self.now()
            if not self.a.follow:
                self.progress.append(self.step, progress)  # also the last one, for followers
            if progress >= 1.0:
                break
            if self.clock - began >= self.a.stop_after:
                self.save()
                return
            start = time.monotonic()
            self.train_step(progress)
            self.step += 1
            self.clock += min(5.0, time.monotonic() - start)
            if self.step % self.a.log_every == 0:
                loss = {k: round(s / max(1, n), 4) for k, (s, n) in self.sums.items()}
                self.sums = {}
                self.log(progress=round(progress, 5), examples=self.examples, loss=loss)
                bar = "#" * int(20 * progress)
                speed = self.a.log_every / max(1e-9, time.monotonic() - shown)
                shown = time.monotonic()
                print(f"[{bar:<20}] {self.step} {speed:.2f} steps/s {loss}", flush=True)
            if self.clock - saved >= self.a.save_every:
                self.save()
                saved = self.clock
            if self.clock - evaluated >= self.a.eval_every:
                many = 32 if self.clock - generated >= 3 * self.a.eval_every else 0
                generated = self.clock if many else generated
                entry = self.evaluate(generate=many)
                self.log(progress=round(progress, 5), eval=entry)
                evaluated = self.clock
                print(json.dumps(entry)[:1000], flush=True)
        self.save()
        entry = self.evaluate(10**9, generate=64)
        self.log(progress=1.0, eval=entry)
        print(json.dumps(entry, indent=1), flush=True)
        (self.a.run / "done").write_text("")


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    p.add_argument("data", type=Path, help="folder written by pack.py")
    p.add_argument("run", type=Path, help="folder for checkpoints and the log")
    p.add_argument("--config", default="small", choices=("toy", "small", "wide", "base", "gpu"))
    p.add_argument("--dense", action="store_true", help="train the dense twin")
    p.add_argument("--time-budget", type=seconds, default=seconds("90m"), help="90m, 4h, 300s")
    p.add_argument("--steps", type=int, default=0, help="length in steps instead of time")
    p.add_argument("--follow", type=Path, help="take the schedule from this run")
    p.add_argument("--init", type=Path, help="start from an exported model folder")
    p.add_argument("--dtype", default="bf16", choices=("bf16", "f32"))
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--threads", type=int, default=0)
    p.add_argument("--compile", action="store_true", help="torch.compile also on a CPU")
    p.add_argument("--stop-after", type=seconds, default=1e18, help="end this command then")
    p.add_argument("--log-every", type=int, default=50, help="steps")
    p.add_argument("--save-every", type=seconds, default=seconds("3m"))
    p.add_argument("--eval-every", type=seconds, default=seconds("5m"))
    a = p.parse_args()
    torch.set_flush_denormal(True)
    if a.threads:
        torch.set_num_threads(a.threads)
    Trainer(a).run()


if __name__ == "__main__":
    sys.exit(main())
