# SPDX-License-Identifier: MIT
"""The Terraformer in PyTorch, as the engine computes it (terra-model(5)), plus its training form.

Parameters have the names and shapes of the model folder, so state_dict() is the export. The
streams, swaps, joining and layers follow the published model; what differs only while training
is the sparse feed-forward's controller (soft in 70% of the calls, quantised straight-through in
30%) and the initial values: what writes into the streams starts at zero, so that a token's
embedding is not drowned, and the controller starts selective.

Supported: sparse or dense feed-forward, sparse (multconv) or dense decoder attention, sparse or
dense loss, SRU branch, reversible or merged encoder, position tables.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field
from typing import Any, Union

import torch
import torch.nn.functional as F
from torch import Tensor, nn

# Per feed-forward layer, encoder first: is this pass quantised? As a tensor under torch.compile.
Quantised = Union["list[bool]", Tensor]


@dataclass
class Config:
    """Names as in config.json."""

    name: str = "terra"
    vocab_size: int = 4096
    d_model: int = 192
    d_ff: int = 768
    n_heads: int = 6
    n_encoder_layers: int = 2
    n_decoder_layers: int = 2
    n_decoder_attention_layers: int = 2
    reversible_encoder: bool = True
    ff_block: int = 16
    ff_rank: int = 48
    ff_sru: list[int] = field(default_factory=lambda: [1, 32])
    loss_modules: int = 2
    attention_modules: int = 6  # 0: dense decoder attention
    length_kernel: int = 3
    attention_output: str = "mult"  # of sparse attention: "none" or "mult"
    positions: int = 256
    max_source: int = 160
    max_target: int = 40
    quantised_share: float = 0.3

    def dense_twin(self) -> "Config":
        """The dense model whose parameter count comes closest to this one's."""
        twin = Config(**asdict(self))
        twin.name = self.name + "-dense"
        twin.ff_block = twin.ff_rank = twin.loss_modules = twin.attention_modules = 0
        want = count_parameters(self)
        twin.d_ff = 8
        per_unit = (count_parameters(_with(twin, d_ff=16)) - count_parameters(twin)) // 8
        twin.d_ff = max(8, 8 + round((want - count_parameters(twin)) / per_unit / 8) * 8)
        return twin


def _with(c: Config, **changes: int) -> Config:
    return Config(**{**asdict(c), **changes})


def count_parameters(c: Config) -> int:
    with torch.random.fork_rng(devices=[]):
        return sum(p.numel() for p in Net(c).parameters())


def xavier(*shape: int, fans: tuple[int, int] | None = None, gain: float = 1.0) -> nn.Parameter:
    out, inn = fans or shape
    limit = gain * math.sqrt(6 / (inn + out))
    return nn.Parameter(torch.empty(*shape).uniform_(-limit, limit))


def zeros(*shape: int) -> nn.Parameter:
    return nn.Parameter(torch.zeros(*shape))


class Norm(nn.Module):
    def __init__(self, d: int):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(d))
        self.bias = zeros(d)

    def forward(self, x: Tensor) -> Tensor:
        return F.layer_norm(x, x.shape[-1:], self.scale, self.bias, 1e-6)


class Dense(nn.Module):
    def __init__(self, inn: int, out: int, zero: bool = False):
        super().__init__()
        self.w = zeros(out, inn) if zero else xavier(out, inn)
        self.b = zeros(out)

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, self.w, self.b)


class Factored(nn.Module):
    """y[j, i] = b[j, i] + sum_c x[c] gate[j, c] proj[i, c], run as one (out, in) product."""

    def __init__(self, modules: int, inn: int, out: int, zero: bool = False):
        super().__init__()
        self.gate = nn.Parameter(torch.randn(modules, inn))
        self.proj = zeros(out // modules, inn) if zero else xavier(out // modules, inn)
        self.b = zeros(out)

    def forward(self, x: Tensor) -> Tensor:
        w = self.gate[:, None, :] * self.proj[None]
        return F.linear(x, w.flatten(0, 1), self.b)


class Conv(nn.Module):
    """Kernel over length (causal) and modules (zero padded); weights of one q, k or v."""

    def __init__(self, length: int, modules: int, m: int):
        super().__init__()
        w = torch.randn(length, modules, m, m) * (0.3 / math.sqrt(m * length * modules))
        w[-1, modules // 2] += xavier(m, m).detach()
        self.w = nn.Parameter(w)
        self.b = zeros(m)


class Neighbours(torch.autograd.Function):
    """own[j] + before[j - 1] + after[j + 1] over the modules (axis 2), zero outside.

    By hand, because autograd fills a tensor with zeros for every slice it goes back through.
    """

    @staticmethod
    def forward(ctx: Any, before: Tensor, own: Tensor, after: Tensor) -> Tensor:
        y = own.clone(memory_format=torch.contiguous_format)
        y[:, :, 1:] += before[:, :, :-1]
        y[:, :, :-1] += after[:, :, 1:]
        return y

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        none = torch.zeros_like(g[:, :, :1])
        return torch.cat([g[:, :, 1:], none], 2), g, torch.cat([none, g[:, :, :-1]], 2)


class SparseAttention(nn.Module):
    """One factored layer, then a length x module convolution each for q, k and v."""

    def __init__(self, c: Config):
        super().__init__()
        d, self.modules, self.length = c.d_model, c.attention_modules, c.length_kernel
        m = d // self.modules
        self.ln = Norm(d)
        self.mult = Factored(self.modules, d, d)
        self.q, self.k = Conv(self.length, 3, m), Conv(self.length, 3, m)
        self.v = Conv(self.length, 1, m)
        if c.attention_output == "mult":
            self.omult = Factored(self.modules, d, d, zero=True)
        else:  # the values go straight into the stream: start small
            self.omult = None
            self.v.w.data *= 0.1

    def qkv(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        u = self.mult(x)
        B, L, d = u.shape
        M, m, taps = self.modules, d // self.modules, self.length
        past = F.pad(u, (0, 0, taps - 1, 0)).view(B, L + taps - 1, M, m)
        rows = torch.cat([past[:, a : a + L] for a in range(taps)], -1)  # (B, L, M, taps m)
        flat = lambda w: w.permute(1, 2, 0, 3).flatten(2)  # (modules, m, taps m)
        q3, k3, v1 = flat(self.q.w), flat(self.k.w), flat(self.v.w)
        weights = [torch.cat([q3[e], k3[e]]) for e in range(3)]  # of the module before, own, after
        weights[1] = torch.cat([weights[1], v1[0]])
        before, own, after = (F.linear(rows, w) for w in weights)
        qk = Neighbours.apply(before, own[..., : 2 * m], after)
        q, k, v = qk[..., :m] + self.q.b, qk[..., m:] + self.k.b, own[..., 2 * m :] + self.v.b
        return q.flatten(2), k.flatten(2), v.flatten(2)

    def output(self, o: Tensor) -> Tensor:
        return o if self.omult is None else self.omult(o)


class DenseAttention(nn.Module):
    def __init__(self, c: Config):
        super().__init__()
        d = c.d_model
        self.ln = Norm(d)
        self.q, self.k, self.v = Dense(d, d), Dense(d, d), Dense(d, d)
        self.o = Dense(d, d, zero=True)

    def qkv(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        w = torch.cat([self.q.w, self.k.w, self.v.w])
        return F.linear(x, w, torch.cat([self.q.b, self.k.b, self.v.b])).chunk(3, -1)

    def output(self, o: Tensor) -> Tensor:
        return self.o(o)


def attend(layer: nn.Module, x: Tensor, heads: int, mask: Tensor | None) -> Tensor:
    """Attention over the normed x; without a mask it is causal."""
    B, L, d = x.shape
    split = lambda t: t.reshape(B, L, heads, d // heads).transpose(1, 2)
    q, k, v = (split(t) for t in layer.qkv(layer.ln(x)))
    if x.is_cuda and hasattr(F, "scaled_dot_product_attention"):
        o = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, is_causal=mask is None)
    else:  # short rows: two products and a softmax are faster than the CPU's fused kernels
        if mask is None:
            mask = torch.ones(L, L, dtype=torch.bool, device=x.device).tril()
        hide = torch.zeros(mask.shape, dtype=q.dtype).masked_fill_(~mask, -1e9)
        with torch.autocast(x.device.type, enabled=False):  # would make copies in f32
            s = q @ (k * (d // heads) ** -0.5).transpose(-1, -2) + hide
            o = torch.softmax(s, -1) @ v
    return layer.output(o.transpose(1, 2).reshape(B, L, d))


class Scan(torch.autograd.Function):
    """c[t] = f[t] c[t-1] + b[t] over axis 1, c[-1] = 0, in log2(L) parallel steps."""

    @staticmethod
    def run(f: Tensor, b: Tensor) -> Tensor:
        a, c, step = f.clone(), b.clone(), 1
        while step < c.shape[1]:
            c[:, step:] += a[:, step:] * c[:, :-step].clone()
            a[:, step:] *= a[:, :-step].clone()
            step *= 2
        return c

    @staticmethod
    def forward(ctx: Any, f: Tensor, b: Tensor) -> Tensor:
        c = Scan.run(f, b)
        ctx.save_for_backward(f, c)
        return c

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor, Tensor]:
        f, c = ctx.saved_tensors
        after = torch.cat([f[:, 1:], torch.zeros_like(f[:, :1])], 1)
        db = Scan.run(after.flip(1), g.flip(1)).flip(1)
        df = torch.cat([torch.zeros_like(c[:, :1]), db[:, 1:] * c[:, :-1]], 1)
        return df, db


class SRULayer(nn.Module):
    def __init__(self, s: int):
        super().__init__()
        self.w = xavier(3 * s, s)
        self.b = zeros(3 * s)

    def forward(self, x: Tensor) -> Tensor:
        r, f, y = F.linear(x, self.w, self.b).float().chunk(3, -1)
        r, f = torch.sigmoid(r), torch.sigmoid(f)
        c = Scan.apply(f, (1 - f) * y)
        return c * r + x * (1 - r) * math.sqrt(3)


class SRU(nn.Module):
    def __init__(self, d: int, layers: int, s: int):
        super().__init__()
        self.ln = Norm(d)
        self.add_module("in", Dense(d, s))
        for j in range(layers):
            self.add_module(str(j), SRULayer(s))
        self.out = Dense(s, d, zero=True)
        self.layers = layers

    def forward(self, x: Tensor) -> Tensor:
        x = getattr(self, "in")(self.ln(x))
        for j in range(self.layers):
            x = getattr(self, str(j))(x)
        return self.out(x)


class FeedForward(nn.Module):
    def __init__(self, c: Config):
        super().__init__()
        d, N, r = c.d_model, c.ff_block, c.ff_rank
        self.block, self.share = N, c.quantised_share
        self.ln = Norm(d)
        if N:
            K = c.d_ff // N
            self.ctl1 = xavier(r, d)
            self.ctl2 = xavier(K, N, r, fans=(c.d_ff, r), gain=5)  # selective from the start
            self.ctlb = zeros(K, N)
            self.w1 = xavier(K, N, d, fans=(c.d_ff, d))
            self.w2 = zeros(K, N, d)
            self.b2 = zeros(d)
        else:
            self.add_module("in", Dense(d, c.d_ff))
            self.out = Dense(c.d_ff, d, zero=True)
        self.sru = SRU(d, *c.ff_sru) if c.ff_sru[0] else None

    @staticmethod
    def choose(p: Tensor) -> Tensor:
        """The live unit of each block, with Gumbel noise of temperature 0.1."""
        u = torch.empty_like(p).uniform_(1e-6, 1 - 1e-6)
        return (torch.log(p) - 0.1 * torch.log(-torch.log(u))).argmax(-1, keepdim=True)

    def sparse(self, x: Tensor, quantised: bool | Tensor) -> Tensor:
        """A tensor as `quantised` keeps one graph for both passes, for torch.compile."""
        h = F.linear(x, self.w1.flatten(0, 1)).unflatten(-1, self.w1.shape[:2])
        with torch.autocast(x.device.type, enabled=False):
            c = F.linear(x.float(), self.ctl1.float())
            z = F.linear(c, self.ctl2.flatten(0, 1).float(), self.ctlb.flatten().float())
            z = z.unflatten(-1, self.ctlb.shape)
        if not self.training:
            one = z.argmax(-1, keepdim=True)
            mid = torch.zeros_like(h).scatter_(-1, one, F.relu(h.gather(-1, one)))
        elif isinstance(quantised, Tensor):
            p = torch.softmax(z, -1)
            with torch.no_grad():
                one = self.choose(p)
                hard = torch.zeros_like(p).scatter_(-1, one, 1.0)
            q = torch.where(quantised, hard + p - p.detach(), p)
            mid = F.relu(h * q.to(h.dtype))
        elif quantised:
            p = torch.softmax(z, -1)
            with torch.no_grad():
                one = self.choose(p)
            q = p.gather(-1, one)
            live = F.relu(h.gather(-1, one) * (1 + q - q.detach()).to(h.dtype))
            mid = torch.zeros_like(h).scatter(-1, one, live)
        else:
            mid = F.relu(h * torch.softmax(z, -1).to(h.dtype))
        return mid.flatten(-2) @ self.w2.flatten(0, 1).to(mid.dtype) + self.b2

    def forward(self, x: Tensor, quantised: bool | Tensor = False) -> Tensor:
        z = self.ln(x)
        y = self.sparse(z, quantised) if self.block else self.out(F.relu(getattr(self, "in")(z)))
        return y + self.sru(x) if self.sru else y


class EncoderBlock(nn.Module):
    def __init__(self, c: Config):
        super().__init__()
        self.attn = DenseAttention(c)
        self.ff = FeedForward(c)


class DecoderBlock(nn.Module):
    def __init__(self, c: Config):
        super().__init__()
        for a in range(c.n_decoder_attention_layers):
            kind = SparseAttention if c.attention_modules else DenseAttention
            self.add_module(f"attn{a}", kind(c))
        self.ff = FeedForward(c)


def position_table(rows: int, d: int) -> nn.Parameter:
    """sin and cos interleaved, smaller than the embeddings."""
    angle = torch.arange(rows)[:, None] * 10000.0 ** (-torch.arange(0, d, 2) / d)
    table = torch.stack([torch.sin(angle), torch.cos(angle)], -1).flatten(1)
    return nn.Parameter(table[:, :d] * 0.3 / math.sqrt(d))


class Net(nn.Module):
    def __init__(self, c: Config):
        super().__init__()
        self.c = c
        d = c.d_model
        self.emb = nn.Parameter(torch.randn(c.vocab_size, d) / math.sqrt(d))
        self.pos_e, self.pos_d = position_table(c.positions, d), position_table(c.positions, d)
        self.enc, self.dec = nn.Module(), nn.Module()
        for i in range(c.n_encoder_layers):
            self.enc.add_module(str(i), EncoderBlock(c))
        if not c.reversible_encoder:
            self.enc.merge, self.enc.ln = Dense(d, d), Norm(d)
        for i in range(c.n_decoder_layers):
            self.dec.add_module(str(i), DecoderBlock(c))
        self.ln_out = Norm(d)
        S = c.loss_modules
        self.loss = Factored(S, d, c.vocab_size) if S else Dense(d, c.vocab_size)
        with torch.no_grad():
            self.start_as_copier()

    def start_as_copier(self) -> None:
        """Initial values that pass tokens on, which small models need long to find.

        The output weights start as the embeddings, and decoder attention starts with identity
        values: a row averages what it attends to. With convolutions the first layer's keys are
        the tokens before, so that it finds what followed the current token earlier on. Without
        convolutions the encoder's last SRU brings the token before.
        """
        c, d = self.c, self.c.d_model
        if c.loss_modules:
            gate, proj = torch.randn_like(self.loss.gate).sign(), torch.randn_like(self.loss.proj)
            self.loss.gate.copy_(gate)
            self.loss.proj.copy_(proj * 0.6 / math.sqrt(d))
            self.emb.copy_((gate[:, None] * proj).flatten(0, 1) / math.sqrt(d))
        else:
            self.loss.w.copy_(self.emb * 0.6)
        for i in range(c.n_decoder_layers):
            for j in range(c.n_decoder_attention_layers):
                layer = getattr(getattr(self.dec, str(i)), f"attn{j}")
                first = i == 0 and j == 0
                if not c.attention_modules:
                    layer.v.w.copy_(torch.eye(d) + layer.v.w * 0.1)
                    layer.o.w.copy_(torch.eye(d) * (0.3 if first else 0.1))
                    if first:
                        self.remember_token_before(layer)
                    continue
                m = d // c.attention_modules
                blocks = torch.eye(c.attention_modules).repeat_interleave(m, 1)
                tiles = torch.eye(m).repeat(1, c.attention_modules)
                for f in (layer.mult, layer.omult):
                    if f is not None:
                        f.gate.copy_(blocks + torch.randn_like(blocks) * 0.1)
                        f.proj.copy_(tiles + torch.randn_like(tiles) * 0.02)
                if layer.omult is not None:
                    layer.omult.proj.mul_(0.3 if first else 0.1)
                layer.v.w.mul_(0.1)
                layer.v.w[-1, 0] += torch.eye(m) * (1.0 if layer.omult is not None else 0.1)
                if first and c.length_kernel > 1:
                    for conv, tap in ((layer.q, -1), (layer.k, -2)):
                        conv.w.mul_(0.1)
                        conv.w[tap, 1] += torch.eye(m)

    def remember_token_before(self, layer: DenseAttention) -> None:
        """Dense attention: an SRU with gates of 1/2 and y = -sqrt(3) x has no current token in it.

        c r + sqrt(3) (1 - r) x = -sqrt(3)/8 (x[t-1] + x[t-2]/2 + ...), which k reads and q matches.
        """
        c, d, s = self.c, self.c.d_model, self.c.ff_sru[1]
        dh = d // c.n_heads
        if c.ff_sru[0] != 1 or not c.n_encoder_layers or s > d:
            return
        sru = getattr(self.enc, str(c.n_encoder_layers - 1)).ff.sru
        rows = torch.linalg.qr(torch.randn(d, 2 * s if 2 * s <= d else s))[0].T
        read, write = rows[:s], rows[-s:]
        getattr(sru, "in").w.copy_(read)
        cell = getattr(sru, "0").w
        cell.mul_(0.1)
        cell[2 * s :] -= math.sqrt(3) * torch.eye(s)
        sru.out.w.copy_(-0.8 * write.T)
        n = min(s, dh)
        for h in range(c.n_heads):
            layer.q.w[h * dh : h * dh + n] = read[:n]
            layer.k.w[h * dh : h * dh + n] = write[:n]

    def embed(self, tokens: Tensor, positions: Tensor) -> Tensor:
        return F.embedding(tokens, self.emb) + positions[: tokens.shape[1]]

    def encode(self, source: Tensor, quantised: Quantised) -> tuple[Tensor, Tensor]:
        a = b = self.embed(source, self.pos_e)
        mask = (source != 0)[:, None, None, :]
        for i in range(self.c.n_encoder_layers):
            block = getattr(self.enc, str(i))
            a = a + attend(block.attn, b, self.c.n_heads, mask)
            b = b + block.ff(a, quantised[i])
        if not self.c.reversible_encoder:
            a = b = self.enc.ln(self.enc.merge((a + b) / 2))
        return a, b

    def decode(self, a: Tensor, b: Tensor, quantised: Quantised) -> Tensor:
        """Both streams through the decoder blocks; returns the normed average."""
        for i in range(self.c.n_decoder_layers):
            block = getattr(self.dec, str(i))
            for j in range(self.c.n_decoder_attention_layers):
                layer = getattr(block, f"attn{j}")
                a, b = b, a + attend(layer, b, self.c.n_heads, None)
            a, b = b, a + block.ff(b, quantised[self.c.n_encoder_layers + i])
        return self.ln_out((a + b) / 2)

    def forward(self, source: Tensor, target: Tensor, quantised: Quantised | None = None) -> Tensor:
        """Logits (B, L2, V): row t scores target[:, t]. Sources are padded at the end with 0."""
        L1, L2 = source.shape[1], target.shape[1]
        if quantised is None:
            quantised = [True] * (self.c.n_encoder_layers + self.c.n_decoder_layers)
        v = self.embed(F.pad(target[:, :-1], (1, 0)), self.pos_d)
        n = (source != 0).sum(1, keepdim=True)
        t = torch.arange(L1 + L2, device=source.device)[None]
        place = torch.where(t < n, t, L1 + (t - n).clamp(0, L2 - 1))  # into [source, target] rows
        rows = torch.arange(len(source), device=source.device)[:, None]
        a, b = (
            torch.cat([s.to(v.dtype), v], 1)[rows, place] for s in self.encode(source, quantised)
        )
        y = self.decode(a, b, quantised)
        return self.loss(y[rows, n + t[:, :L2]])
