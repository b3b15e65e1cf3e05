# SPDX-License-Identifier: MIT
"""Walks the flat weight list of a checkpoint and gives every tensor its name and form.

The kinds of layers come from config.gin (hyper.py), the sizes from the shapes. Whatever
both of them state has to agree, every tensor has to be used, and none may be missing;
anything else ends with one line that names the tensor and both values.

Matrices leave here with the input axis last (terra-model(5)); they are views, copied
only when they are written.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from data.convert.errors import ConvertError
from data.convert.hyper import SRU_WIDTH, UNSET, Attention, Hyper

Shape = tuple[int | None, ...]  # None: any size but 0
Transform = Callable[[np.ndarray], np.ndarray]

FIXED_BASES = (11, 13, 14, 15)
FIXED_DIGITS = 8
DEFAULT_MAX_LEN = 2048  # trax's, for positions without a table


def _text(shape: Shape) -> str:
    sizes = ["?" if n is None else str(n) for n in shape]
    return "(" + ", ".join(sizes) + ("," if len(sizes) == 1 else "") + ")"


def _same(x: np.ndarray) -> np.ndarray:
    return x


def _transpose(x: np.ndarray) -> np.ndarray:
    return x.T


def _swap_last(x: np.ndarray) -> np.ndarray:
    return x.swapaxes(-1, -2)


def forget_cuts(items: int, every: int) -> set[int]:
    """After how many items of a stack a forgetting layer follows."""
    cuts = set()
    done = 0
    while every and items - done > every + 1:
        done += every
        cuts.add(done)
    return cuts


class _Flat:
    """The list being read: checks and names one tensor after the other."""

    def __init__(self, arrays: Sequence[np.ndarray]) -> None:
        self.arrays, self.at = arrays, 0
        self.tensors: dict[str, np.ndarray] = {}

    def shape(self, ahead: int = 0) -> tuple[int, ...]:
        """Shape of a tensor to come; () past the end."""
        i = self.at + ahead
        return self.arrays[i].shape if i < len(self.arrays) else ()

    def left(self) -> int:
        return len(self.arrays) - self.at

    def skip(self, name: str, *expected: int | None) -> np.ndarray:
        """The next tensor, which must look as expected; it is not kept."""
        if not self.left():
            raise ConvertError(f"the checkpoint ends after {self.at} tensors, before {name}")
        x = self.arrays[self.at]
        if len(x.shape) != len(expected) or any(
            n != e if e is not None else n == 0 for n, e in zip(x.shape, expected)
        ):
            here = f"tensor {self.at} ({name})"
            raise ConvertError(f"{here}: shape {_text(x.shape)}, expected {_text(expected)}")
        self.at += 1
        return x

    def take(self, name: str, *expected: int | None, form: Transform = _same) -> tuple[int, ...]:
        """The next tensor becomes `name`; returns the shape that the checkpoint has."""
        x = self.skip(name, *expected)
        self.tensors[name] = form(x)
        return x.shape

    def agree(self, what: str, actual: int, stated: int | None) -> int:
        """`actual` from the tensor read last, unless config.gin states something else."""
        if stated is not None and actual != stated:
            i = self.at - 1
            raise ConvertError(f"{what}: {actual} in tensor {i}, {stated} in config.gin")
        return actual

    # -- layers that occur everywhere

    def norm(self, name: str, d: int) -> None:
        self.take(name + ".scale", d)
        self.take(name + ".bias", d)

    def dense(self, name: str, d_in: int | None, d_out: int | None) -> tuple[int, ...]:
        shape = self.take(name + ".w", d_in, d_out, form=_transpose)
        self.take(name + ".b", shape[1])
        return shape

    def factored(self, name: str, d_in: int, d_out: int, modules: int | None) -> int:
        """FactoredDense; returns its number of modules."""
        count = self.take(name + ".gate", None, d_in)[0]
        self.agree(f"{name}: modules", count, modules)
        if d_out % count:
            raise ConvertError(f"{name}: {count} modules do not divide {d_out} outputs")
        self.take(name + ".proj", d_in, d_out // count, form=_transpose)
        self.take(name + ".b", d_out)
        return count


class Matcher:
    """One checkpoint against one Hyper. `run` returns config.json and the tensors."""

    def __init__(self, arrays: Sequence[np.ndarray], hyper: Hyper) -> None:
        self.flat, self.hyper = _Flat(arrays), hyper
        self.attention_keys: dict[int, dict[str, Any]] = {}  # by id of the Attention
        self.lsh_layers: list[tuple[str, Attention, int]] = []  # name, kind, head width
        self.ranks: list[tuple[int, int]] = []  # rank, F // N of every sparse feed-forward
        self.sru: tuple[int, int] | None = hyper.sru
        self.ff_block: int | None = hyper.ff_block
        self.d_ff = 0
        self.d_model = 0

    # ---- embeddings

    def embedding(self, name: str, what: str, stated: int | None, width: int | None) -> int:
        rows, d = self.flat.take(name, None, width)
        self.flat.agree(what, rows, stated)
        if width is None:
            half = 2 if self.hyper.half_before else 1
            self.d_model = self.flat.agree("d_model", d * half, self.hyper.d_model)
        return rows

    def position_kind(self, d: int) -> str:
        stated, shape = self.hyper.pos_type, self.flat.shape()
        if stated is None:
            return "table"
        if stated is UNSET:
            if shape == (1, d // FIXED_DIGITS):
                return "fixed-base"
            if len(shape) == 2 or len(shape) == 3 and shape[0] == 1:
                return "table"
            return "axial" if len(shape) > 3 else "fixed-base"
        if stated in ("no", "sin-cos", "fixed-base"):
            return "none" if stated == "no" else str(stated)
        if stated in ("infinite", "infinite-affine", "time-bin"):
            raise ConvertError(f"pos_type {stated!r} cannot be used for decoding")
        return "axial"

    def position(self, name: str, d: int) -> dict[str, Any]:
        kind = self.position_kind(d)
        if kind == "table":
            return self.position_table(name, d)
        if kind == "fixed-base":
            return self.fixed_base(name, d)
        if kind == "axial":
            return self.axial(name, d)
        return {"type": kind}

    def position_table(self, name: str, d: int) -> dict[str, Any]:
        lead = (1,) if len(self.flat.shape()) == 3 else ()  # as old checkpoints have it
        shape = self.flat.take(name, *lead, None, None, form=lambda x: x.reshape(x.shape[-2:]))
        rows, width = shape[-2:]
        self.flat.agree("max_len", rows, self.hyper.max_len)
        if self.hyper.pos_width is None and width == d:
            return {"type": "table", "max": rows}
        self.flat.agree("PositionalEncoding.d_feature", width, self.hyper.pos_width)
        self.flat.take(name + ".ff", width, d, form=_transpose)
        return {"type": "factored", "max": rows, "width": width}

    def fixed_base(self, name: str, d: int) -> dict[str, Any]:
        if d % FIXED_DIGITS:
            raise ConvertError(f"{name}: fixed-base positions of width {d}, not a multiple of 8")
        part = d // FIXED_DIGITS
        rows = [
            self.flat.skip(f"{name}.{base}.{i}", 1, part)
            for base in FIXED_BASES
            for i in range(FIXED_DIGITS)
        ]
        self.flat.tensors[name + ".base"] = np.stack(rows).reshape(
            len(FIXED_BASES), FIXED_DIGITS, part
        )
        self.flat.take(name + ".start", 1, 1, d, form=lambda x: x.reshape(d))
        return {"type": "fixed-base"}

    def axial(self, name: str, d: int) -> dict[str, Any]:
        axes = len(self.hyper.axial_shape) or len(self.flat.shape()) - 2
        if axes < 1:
            here = f"tensor {self.flat.at} ({name}.axis0)"
            raise ConvertError(f"{here}: shape {_text(self.flat.shape())} is not axial")
        sizes: list[int] = []
        widths: list[int] = []
        for a in range(axes):
            expected: list[int | None] = [1] * axes
            expected[a] = None
            shape = self.flat.take(
                f"{name}.axis{a}", 1, *expected, None, form=lambda x: x.reshape(-1, x.shape[-1])
            )
            sizes.append(shape[a + 1])
            widths.append(shape[-1])
        for what, actual, stated in (
            ("pos_axial_shape", sizes, self.hyper.axial_shape),
            ("pos_d_axial_embs", widths, self.hyper.axial_widths),
        ):
            if stated and tuple(actual) != stated:
                raise ConvertError(f"{what}: {actual} in {name}, {list(stated)} in config.gin")
        if sum(widths) != d:
            raise ConvertError(f"{name}: axial widths {widths} do not add up to {d}")
        return {"type": "axial", "shape": sizes, "widths": widths}

    # ---- attention

    def attention(self, name: str, d: int, kind: Attention) -> None:
        self.flat.norm(name + ".ln", d)
        keys = {"type": kind.type, **kind.keys, **_READERS[kind.type](self, name, d, kind)}
        if kind.type == "self":
            d_head = keys["d_key"]
        else:
            d_head = d // self.hyper.n_heads
        if kind.core in ("lsh", "mixed"):
            self.lsh_layers.append((name, kind, d_head))
        known = self.attention_keys.setdefault(id(kind), keys)
        for key, value in keys.items():
            if known[key] != value:
                first = f"{known[key]} in an earlier layer of the same type"
                raise ConvertError(f"{name}: {key} {value}, but {first}")

    def att_dense(self, name: str, d: int, kind: Attention) -> dict[str, Any]:
        for x in "qvo" if kind.keys.get("share_qk") else "qkvo":
            self.flat.dense(f"{name}.{x}", d, d)
        return {}

    def att_mult(self, name: str, d: int, kind: Attention) -> dict[str, Any]:
        modules = kind.modules
        for x in "qkvo":
            modules = self.flat.factored(f"{name}.{x}", d, d, modules)
        return {"modules": modules}

    def att_multmod(self, name: str, d: int, kind: Attention) -> dict[str, Any]:
        count = 0
        for x in "qkvo":
            full = f"{name}.{x}"
            count = self.flat.take(full + ".gate", None, d)[0]
            m = self.module_width(full, d, count, kind.modules)
            self.flat.take(full + ".proj", d, m, form=_transpose)
            self.flat.take(full + ".mod", count, m, m, form=_swap_last)
            self.flat.take(full + ".b", d)
        return {"modules": count}

    def module_width(self, name: str, d: int, count: int, stated: int | None) -> int:
        self.flat.agree(f"{name}: modules", count, stated)
        if count < 1 or d % count:
            raise ConvertError(f"{name}: {count} modules do not divide width {d}")
        return d // count

    def att_modular(self, name: str, d: int, kind: Attention) -> dict[str, Any]:
        if len(self.flat.shape()) == 2:
            return self.one_module(name, d, kind)
        count = kernel = 0
        for x in "qkvo":
            full = f"{name}.{x}"
            shape = self.flat.take(full + ".w", None, None, None, None, form=_swap_last)
            count, kernel = shape[:2]
            self.module_kernel(full, d, count, shape, kind)
            self.flat.take(full + ".b", count, shape[3])
        return {"modules": count, "module_kernel": kernel}

    def att_conv(self, name: str, d: int, kind: Attention) -> dict[str, Any]:
        if len(self.flat.shape()) == 2:
            return self.one_module(name, d, kind)
        count = kernel = 0
        for x in "qkvo":
            full = f"{name}.{x}"
            shape = self.flat.take(full + ".w", 1, None, None, None, form=_swap_last)
            count, kernel = d // shape[3], shape[1]
            self.module_kernel(full, d, count, shape, kind)
            self.flat.take(full + ".b", shape[3])
        return {"modules": count, "module_kernel": kernel}

    def module_kernel(
        self, name: str, d: int, count: int, shape: tuple[int, ...], kind: Attention
    ) -> None:
        """Checks (.., taps over modules, in, out) of a kernel just read."""
        m = self.module_width(name, d, count, kind.modules)
        if shape[1] % 2 == 0 or shape[2:] != (m, m):
            here = f"tensor {self.flat.at - 1} ({name}.w)"
            wanted = f"an odd kernel and modules of {m} by {m}"
            raise ConvertError(f"{here}: shape {_text(shape)}, expected {wanted}")
        self.flat.agree(f"{name}: kernel_size", shape[1], kind.module_kernel)

    def one_module(self, name: str, d: int, kind: Attention) -> dict[str, Any]:
        """Convolutions over a single module are plain dense layers."""
        self.flat.agree(f"{name}: modules", 1, kind.modules)
        self.att_dense(name, d, kind)
        return {"modules": 1, "module_kernel": 1}

    def att_lowrank(self, name: str, d: int, kind: Attention) -> dict[str, Any]:
        rank = kind.rank
        for x in "qkvo":
            rank = self.flat.dense(f"{name}.{x}.a", d, rank)[1]
            self.flat.dense(f"{name}.{x}.c", rank, d)
        return {"rank": rank}

    def att_multconv(self, name: str, d: int, kind: Attention) -> dict[str, Any]:
        count = self.flat.factored(name + ".mult", d, d, kind.modules)
        m = self.module_width(name, d, count, None)
        length: int | None = kind.length_kernel
        if count == 1:
            length = 1
        wide = 2 if kind.keys.get("v_concat", "none") != "none" else 1
        output = kind.keys.get("output", "none")
        for x in "qv" if kind.keys.get("share_qk") else "qkv":
            taps, d_in = (1, wide * m) if x == "v" else (3, m)
            length = self.convolution(f"{name}.{x}", length, taps, d_in, m, count)
        if "mult" in output:
            self.flat.factored(name + ".omult", d, d, count)
        if "conv" in output:
            self.convolution(name + ".oconv", length, 3, m, m, count)
        return {"modules": count, "length_kernel": length}

    def convolution(
        self, name: str, length: int | None, taps: int, d_in: int, d_out: int, modules: int
    ) -> int | None:
        """Over length and modules; returns the number of length taps."""
        if modules == 1:  # trax makes a plain dense layer of it
            self.flat.dense(name, d_in, d_out)
            return length
        shape = self.flat.take(name + ".w", length, taps, d_in, d_out, form=_swap_last)
        self.flat.take(name + ".b", d_out)
        return shape[0]

    def att_self(self, name: str, d: int, kind: Attention) -> dict[str, Any]:
        h = self.hyper.n_heads
        stated = {"d_key": kind.d_key, "d_value": kind.d_value}
        sizes: dict[str, int] = {}

        def heads_first(x: np.ndarray) -> np.ndarray:  # (h, d, e) to (h e, d)
            return x.transpose(0, 2, 1).reshape(-1, d)

        for x in "qv" if kind.keys.get("share_qk") else "qkv":
            key = "d_value" if x == "v" else "d_key"
            full = stated[key] or self.d_model // h  # of the full width, as config.gin has it
            actual = self.flat.take(f"{name}.{x}.w", h, d, None, form=heads_first)[2]
            sizes[key] = self.flat.agree(f"{name}: {key}", actual, full * d // self.d_model)
        self.flat.take(name + ".o.w", h, sizes["d_value"], d, form=lambda x: x.reshape(-1, d).T)
        return sizes

    # ---- feed-forward

    def feed_forward(self, name: str, d: int) -> None:
        flat = self.flat
        flat.norm(name + ".ln", d)
        if self.ff_block is None:  # silent: a controller is followed by a tensor of rank 3
            self.ff_block = flat.shape(1)[-1] if len(flat.shape(1)) == 3 else 0
        if self.ff_block:
            width = self.sparse(name, d, self.ff_block)
        else:
            width = flat.dense(name + ".in", d, None)[1]
            flat.dense(name + ".out", width, d)
        scaled = width * self.d_model // d
        flat.agree("d_ff", scaled, self.hyper.d_ff)
        if self.d_ff and scaled != self.d_ff:
            raise ConvertError(f"{name}: d_ff {scaled}, but {self.d_ff} in earlier blocks")
        self.d_ff = scaled
        if self.sru is None:
            self.sru = self.guess_sru(d)
        if self.sru[0]:
            self.sru_branch(name + ".sru", d, *self.sru)

    def sparse(self, name: str, d: int, n: int) -> int:
        """The sparse feed-forward with blocks of n units; returns its width."""
        flat = self.flat
        rank = flat.take(name + ".ctl1", d, None, form=_transpose)[1]
        flat.agree(f"{name}: controller rank", rank, self.hyper.ff_rank)
        k = flat.take(name + ".ctl2", rank, None, n, form=lambda x: x.transpose(1, 2, 0))[1]
        if self.hyper.ff_block and not self.hyper.ff_rank and rank != k:
            alone = f"ff_sparsity = {n} alone makes it d_ff / {n} = {k}"
            raise ConvertError(f"{name}: controller rank {rank} in the checkpoint, but {alone}")
        flat.take(name + ".ctlb", k, n)
        flat.take(name + ".w1", d, k, n, form=lambda x: x.transpose(1, 2, 0))
        flat.take(name + ".w2", n, k, d, form=lambda x: x.transpose(1, 0, 2))
        flat.take(name + ".b2", d)
        self.ranks.append((rank, k))
        return k * n

    def guess_sru(self, d: int) -> tuple[int, int]:
        """Layers and width of an SRU branch that comes next, if one does."""
        flat = self.flat
        if flat.shape() != (d,) or flat.shape(1) != (d,) or len(flat.shape(2)) != 2:
            return 0, SRU_WIDTH
        s, layers = flat.shape(2)[1], 0
        while flat.shape(4 + 2 * layers) == (s, 3 * s):
            layers += 1
        return (layers, s) if layers else (0, SRU_WIDTH)

    def sru_branch(self, name: str, d: int, layers: int, s: int) -> None:
        flat = self.flat
        flat.norm(name + ".ln", d)
        flat.dense(name + ".in", d, s)
        for i in range(layers):
            flat.dense(f"{name}.{i}", s, 3 * s)
        flat.dense(name + ".out", s, d)

    # ---- stacks

    def encoder(self, d: int) -> None:
        cuts = forget_cuts(self.hyper.n_enc, self.hyper.forget)
        for i in range(self.hyper.n_enc):
            self.attention(f"enc.{i}.attn", d, self.hyper.enc_attn)
            self.feed_forward(f"enc.{i}.ff", d)
            if i + 1 in cuts and self.hyper.forget_dense:
                self.flat.dense(f"enc.forget{i + 1}", d, d)
        if not self.hyper.reversible_encoder:
            self.flat.dense("enc.merge", d, d)
            self.flat.norm("enc.ln", d)

    def decoder(self) -> int:
        """Returns the width of the final streams."""
        hy, d = self.hyper, self.d_model
        final = 2 * d if hy.double_after else d
        widen_after = [hy.half_before - 1] if hy.half_before else []
        widen_after += [hy.double_after] if hy.double_after else []
        items = hy.n_dec + sum(i < hy.n_dec for i in widen_after)
        cuts, done = forget_cuts(items, hy.forget), 0
        for i in range(hy.n_dec):
            width = d
            if hy.half_before and i < hy.half_before:
                width = d // 2
            if hy.double_after and i > hy.double_after:
                width = 2 * d
            kind = hy.dec_attn[i % len(hy.dec_attn)]
            for a in range(hy.n_dec_attn):
                self.attention(f"dec.{i}.attn{a}", width, kind)
            self.feed_forward(f"dec.{i}.ff", width)
            for _ in range(1 + widen_after.count(i)):  # the block, and widening layers
                done += 1
                if done in cuts and hy.forget_dense:
                    self.flat.dense(f"dec.forget{done}", final, final)
        return final

    def loss(self, d: int, outputs: int) -> int:
        """Returns the number of modules, 0 for a dense loss."""
        flat, hy = self.flat, self.hyper
        twin = 2 if hy.loss_has_dense_twin else 0
        kind = hy.loss_kind or ("mult" if flat.left() - twin == 3 else "dense")
        modules = 0
        if kind == "mult":
            modules = flat.factored("loss", d, outputs, hy.loss_modules)
        elif kind == "einsum":
            flat.take("loss.w", outputs, d)
            flat.take("loss.b", outputs)
        else:
            flat.dense("loss", d, outputs)
        if twin and kind != "dense":  # trained beside the sparse one, not used afterwards
            flat.skip("dense loss, weight", d, outputs)
            flat.skip("dense loss, bias", outputs)
        return modules

    # ---- the whole

    def run(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        hy, flat = self.hyper, self.flat
        vocab = self.embedding("emb", "input_vocab_size", hy.vocab, None)
        d1 = self.d_model // 2 if hy.half_before else self.d_model
        if self.d_model % hy.n_heads or d1 % hy.n_heads:
            raise ConvertError(f"n_heads: {hy.n_heads} does not divide the width {d1}")
        positions = self.position("pos_e", d1)
        out_vocab = 0
        if hy.out_vocab is not None:
            out_vocab = self.embedding("out_emb", "output_vocab_size", hy.out_vocab, d1)
        if self.position("pos_d", d1) != positions:
            raise ConvertError("pos_e and pos_d: source and target positions differ in size")
        self.encoder(d1)
        d2 = self.decoder()
        flat.norm("ln_out", d2)
        modules = self.loss(d2, out_vocab or vocab)
        if flat.left():
            shape = _text(flat.shape())
            raise ConvertError(
                f"tensor {flat.at}: shape {shape} is left over after the loss, "
                f"with {flat.left() - 1} more; compare the numbers of layers in config.gin"
            )
        length = positions.get("max") or hy.max_len or DEFAULT_MAX_LEN
        if positions["type"] == "axial":
            length = int(np.prod(positions["shape"], dtype=np.int64))
        decoder = [self.attention_config(k) for k in hy.dec_attn]
        sru = self.sru or (0, SRU_WIDTH)
        config: dict[str, Any] = {
            "vocab_size": vocab,
            "output_vocab_size": out_vocab,
            "d_model": self.d_model,
            "d_ff": self.d_ff or hy.d_ff or 0,
            "n_heads": hy.n_heads,
            "n_encoder_layers": hy.n_enc,
            "n_decoder_layers": hy.n_dec,
            "n_decoder_attention_layers": hy.n_dec_attn,
            "reversible_encoder": hy.reversible_encoder,
            "two_swaps": hy.two_swaps,
            "center_layernorm": hy.center,
            "n_layers_forget": hy.forget,
            "forget_dense": hy.forget_dense,
            "half_before_layer": hy.half_before,
            "double_after_layer": hy.double_after,
            "ff_block": self.ff_block or 0,
            "ff_rank": self.ff_rank(),
            "ff_sru": list(sru if sru[0] else (0, SRU_WIDTH)),
            "loss_modules": modules,
            "positions": positions,
            "encoder_attention": self.attention_config(hy.enc_attn),
            "decoder_attention": decoder[0] if len(decoder) == 1 else decoder,
            "max_source": length,
            "max_target": length,
        }
        return config, flat.tensors

    def attention_config(self, kind: Attention) -> dict[str, Any]:
        return self.attention_keys.get(id(kind), {"type": kind.type, **kind.keys})

    def ff_rank(self) -> int:
        ranks = {rank for rank, _ in self.ranks}
        if len(ranks) < 2:
            return ranks.pop() if ranks else 0
        if all(rank == k for rank, k in self.ranks):
            return 0
        raise ConvertError(f"controller ranks {sorted(ranks)} differ between blocks")

    # ---- LSH

    def rotations(self, given: Mapping[str, np.ndarray] | None) -> list[str]:
        """Adds the rotations of LSH layers; returns the names of those made up here.

        trax draws them anew on every call, so any draw is as right as another: without a
        file they come from a generator seeded by the layer's name.
        """
        made = []
        names = {name for name, *_ in self.lsh_layers}
        for name in given or {}:
            if name not in names:
                raise ConvertError(f"rotations: {name} is not an LSH layer of this model")
        for name, kind, d_head in self.lsh_layers:
            x = given.get(name) if given is not None else None
            buckets = kind.keys["buckets"]
            total = sum(buckets) if isinstance(buckets, list) else buckets
            if not total:
                if kind.core == "mixed" and x is None:
                    continue  # usable up to std_length
                raise ConvertError(
                    f"{name}: n_buckets is None, so that hashes depend on the length; "
                    f"bind it in config.gin"
                )
            want = (self.hyper.n_heads, d_head, kind.keys["hashes"], total // 2)
            if x is None:
                if given is not None:
                    raise ConvertError(f"rotations: {name} is missing")
                seed = zlib.crc32(name.encode())
                x = np.random.default_rng(seed).standard_normal(want, np.float32)
                made.append(name)
            if x.shape != want or x.dtype.kind != "f":
                shape = f"{_text(x.shape)} of {x.dtype}"
                raise ConvertError(f"rotations: {name} is {shape}, expected {_text(want)} floats")
            self.flat.tensors[name + ".rotations"] = x
        return made


_READERS: dict[str, Callable[[Matcher, str, int, Attention], dict[str, Any]]] = {
    "dense": Matcher.att_dense,
    "mult": Matcher.att_mult,
    "multmod": Matcher.att_multmod,
    "modular": Matcher.att_modular,
    "conv": Matcher.att_conv,
    "lowrank": Matcher.att_lowrank,
    "multconv": Matcher.att_multconv,
    "self": Matcher.att_self,
}
