# SPDX-License-Identifier: MIT
"""Muon for the matrices, Adam for everything else, in one object with one state."""

from __future__ import annotations

import math
from typing import Iterable

import torch
from torch import Tensor


def orthogonal(g: Tensor, steps: int = 5) -> Tensor:
    """The nearest (semi-)orthogonal matrices to g (n, rows, columns), by Newton-Schulz in bf16."""
    a, b, c = 3.4445, -4.7750, 2.0315
    x = g.bfloat16()
    tall = x.shape[1] > x.shape[2]
    x = x.mT if tall else x
    x = x / (torch.linalg.vector_norm(x, dim=(1, 2), keepdim=True) + 1e-7)
    for _ in range(steps):
        s = x @ x.mT
        x = torch.baddbmm(x, torch.baddbmm(s, s, s, beta=b, alpha=c), x, beta=a)
    return (x.mT if tall else x).to(g.dtype)


def as_matrix(name: str, p: Tensor) -> tuple[int, int] | None:
    """The (rows, columns) under which Muon sees a parameter, or None for Adam."""
    part = name.split(".")
    if part[0] in ("emb", "pos_e", "pos_d", "loss") or part[-1] in ("gate", "ctlb", "b", "bias"):
        return None
    if part[-1] in ("w1", "w2", "ctl2"):
        return p.shape[0] * p.shape[1], p.shape[2]
    if p.dim() == 4:  # convolution: every tap's outputs are rows
        return p.shape[0] * p.shape[1] * p.shape[2], p.shape[3]
    return (p.shape[0], p.shape[1]) if p.dim() == 2 else None


class Optimizer:
    def __init__(
        self,
        named: Iterable[tuple[str, Tensor]],
        lr_matrix: float,
        lr_adam: float,
        decay: float = 0.0,
        betas: tuple[float, float] = (0.9, 0.97),
        momentum: float = 0.95,
    ):
        self.named = list(named)
        self.lr_matrix, self.lr_adam, self.decay = lr_matrix, lr_adam, decay
        self.betas, self.momentum = betas, momentum
        self.shape = {n: as_matrix(n, p) for n, p in self.named}
        self.groups: dict[tuple[int, int], list[tuple[str, Tensor]]] = {}
        for n, p in self.named:
            if self.shape[n] is not None:
                self.groups.setdefault(self.shape[n], []).append((n, p))
        self.state: dict[str, Tensor] = {}
        for n, p in self.named:
            self.state[n] = torch.zeros_like(p)
            if self.shape[n] is None:
                self.state[n + "/2"] = torch.zeros_like(p)
        self.t = 0

    @torch.no_grad()
    def step(self, scale: float) -> None:
        """One update with the learning rates times `scale`; clears the gradients."""
        self.t += 1
        b1, b2 = self.betas
        adam = [(n, p) for n, p in self.named if self.shape[n] is None and p.grad is not None]
        g = [p.grad for _, p in adam]
        m, v = [self.state[n] for n, _ in adam], [self.state[n + "/2"] for n, _ in adam]
        torch._foreach_mul_(m, b1)
        torch._foreach_add_(m, g, alpha=1 - b1)
        torch._foreach_mul_(v, b2)
        torch._foreach_addcmul_(v, g, g, 1 - b2)
        den = torch._foreach_sqrt(v)
        torch._foreach_div_(den, math.sqrt(1 - b2**self.t))
        torch._foreach_add_(den, 1e-8)
        step = -self.lr_adam * scale / (1 - b1**self.t)
        torch._foreach_addcdiv_([p for _, p in adam], m, den, step)
        for (rows, columns), group in self.groups.items():  # equal shapes in one product
            some = [(n, p) for n, p in group if p.grad is not None]
            if not some:
                continue
            g, params = [p.grad for _, p in some], [p for _, p in some]
            m = [self.state[n] for n, _ in some]
            torch._foreach_mul_(m, self.momentum)
            torch._foreach_add_(m, g, alpha=1 - self.momentum)
            ahead = torch._foreach_mul(m, self.momentum)
            torch._foreach_add_(ahead, g, alpha=1 - self.momentum)
            o = orthogonal(torch.stack([x.reshape(rows, columns) for x in ahead]))
            lr = self.lr_matrix * scale * max(1.0, rows / columns) ** 0.5
            if self.decay:
                torch._foreach_mul_(params, 1 - self.decay * scale)
            torch._foreach_add_(params, [x.view_as(p) for x, p in zip(o, params)], alpha=-lr)
        for _, p in self.named:
            p.grad = None

    def state_dict(self) -> dict:
        return {"t": self.t, "state": self.state}

    def load_state_dict(self, saved: dict) -> None:
        self.t = saved["t"]
        for n, s in saved["state"].items():
            self.state[n].copy_(s)
