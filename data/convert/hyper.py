# SPDX-License-Identifier: MIT
"""What config.gin says about a ConfigurableTerraformer, with trax's defaults.

Sizes that the tensors show are None where the file is silent: layout.py takes them from
the shapes, and compares where both speak. Kinds of layers and counts of blocks are
always decided here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from data.convert.errors import ConvertError
from data.convert.gin import Gin, Reference

MODEL_NAMES = ("ConfigurableTerraformer", "Reformer2")  # the second is its name in 2020
SRU_WIDTH = 32
MAX_COUNT = 1 << 20


class Unset:
    """Not bound in the file, as opposed to bound to None."""


UNSET = Unset()


@dataclass(frozen=True)
class Attention:
    """One attention type: its terra-model name, settled keys, and sizes to compare."""

    label: str  # trax's name, for messages
    type: str
    keys: dict[str, Any] = field(default_factory=dict)  # go to config.json as they are
    modules: int | None = None
    length_kernel: int | None = None
    module_kernel: int | None = None
    rank: int | None = None
    d_key: int | None = None  # of the full width
    d_value: int | None = None

    @property
    def core(self) -> str:
        return self.keys.get("core", "standard")


@dataclass(frozen=True)
class Hyper:
    vocab: int | None
    out_vocab: int | None  # None: shared with the source
    d_model: int | None
    d_ff: int | None
    n_heads: int
    n_enc: int
    n_dec: int
    n_dec_attn: int
    max_len: int | None
    pos_type: str | None | Unset
    pos_width: int | None
    axial_shape: tuple[int, ...]
    axial_widths: tuple[int, ...]
    ff_block: int | None  # 0: dense
    ff_rank: int | None  # None: F // N of each block if ff_block says so, else unknown
    sru: tuple[int, int] | None  # (0, 32): none
    loss_kind: str | None  # dense, einsum, mult
    loss_modules: int | None
    loss_has_dense_twin: bool
    forget: int
    forget_dense: bool
    half_before: int
    double_after: int
    reversible_encoder: bool
    two_swaps: bool
    center: bool
    enc_attn: Attention
    dec_attn: tuple[Attention, ...]
    reserved_ids: int


class _Reader:
    """Typed access to the parameters of one function in one scope."""

    def __init__(self, gin: Gin, name: str, scopes: Sequence[str] = ()) -> None:
        self.gin, self.name, self.scopes = gin, name, tuple(scopes)

    def bad(self, param: str, expected: str, value: object) -> ConvertError:
        binding = self.gin.find(self.name, param, self.scopes)
        where = binding.where if binding else self.gin.source
        return ConvertError(f"{where}: {self.name}.{param}: {value!r}, expected {expected}")

    def value(self, param: str, default: object = None) -> object:
        return self.gin.get(self.name, param, default, self.scopes)

    def integer(self, param: str, default: int | None = None, low: int = 0) -> int | None:
        """An integer; None where the file is silent or says None, unless there is a default."""
        value = self.value(param)
        if value is None:
            return default
        if type(value) is not int or not low <= value < MAX_COUNT * 64:
            raise self.bad(param, f"an integer from {low}", value)
        return value

    def count(self, param: str, default: int, low: int = 0) -> int:
        value = self.integer(param, default, low)
        assert value is not None
        if value > MAX_COUNT:
            raise self.bad(param, f"at most {MAX_COUNT}", value)
        return value

    def flag(self, param: str, default: bool) -> bool:
        value = self.value(param, default)
        if value not in (True, False, None):
            raise self.bad(param, "True or False", value)
        return bool(value)

    def choice(self, param: str, default: str, allowed: tuple[str, ...]) -> str:
        value = self.value(param, default)
        if value not in allowed:
            raise self.bad(param, " or ".join(allowed), value)
        return str(value)

    def integers(self, param: str) -> tuple[int, ...]:
        value = self.value(param, ())
        if value is None:
            return ()
        if not isinstance(value, (list, tuple)) or not all(type(v) is int and v > 0 for v in value):
            raise self.bad(param, "a list of integers", value)
        return tuple(value)

    def inner(self, name: str, scopes: Sequence[str] | None = None) -> _Reader:
        return _Reader(self.gin, name, self.scopes if scopes is None else scopes)


# ---------------------------------------------------------------- feed-forward, loss


def _ff_sparsity(r: _Reader) -> tuple[int | None, int | None]:
    """(N, r) of ff_sparsity: an integer, a pair, a quadruple, or such a list in a string."""
    if r.gin.find(r.name, "ff_sparsity", r.scopes) is None:
        return None, None
    value = r.value("ff_sparsity")
    expected = "N, (N, rank), or (N, rank, temperature, probability)"
    if value is None or type(value) is int and value >= 0:
        return value or 0, None
    items: object = value
    if isinstance(value, str):
        try:
            words = value.replace(",", " ").split()
            items = [float(w) if "." in w else int(w) for w in words]
        except ValueError as e:
            raise r.bad("ff_sparsity", expected, value) from e
        if len(words) == 1:
            items = [*items, None]
    if not isinstance(items, (list, tuple)) or len(items) not in (2, 4):
        raise r.bad("ff_sparsity", expected, value)
    block, rank = items[:2]
    if type(block) is not int or block < 1 or not (rank is None or type(rank) is int and rank > 0):
        raise r.bad("ff_sparsity", expected, value)
    return block, rank


def _sru(r: _Reader) -> tuple[int, int] | None:
    if r.gin.find(r.name, "ff_use_sru", r.scopes) is None:
        return None
    value = r.value("ff_use_sru")
    pair = value if isinstance(value, (list, tuple)) else (value or 0, SRU_WIDTH)
    if len(pair) != 2 or not all(type(v) is int and v >= 0 for v in pair) or pair[1] < 1:
        raise r.bad("ff_use_sru", "a number of layers or (layers, width)", value)
    if pair[0] > MAX_COUNT:
        raise r.bad("ff_use_sru", f"at most {MAX_COUNT} layers", value)
    return pair[0], pair[1]


def _loss(r: _Reader) -> tuple[str | None, int | None]:
    modules = r.integer("loss_sparsity")
    kind = r.value("loss_sparsity_type", "mult")
    bound = r.gin.find(r.name, "loss_sparsity", r.scopes) is not None
    if kind in (None, "None") or bound and not modules:
        return "dense", 0
    if kind == "einsum":
        return "einsum", 0
    if kind != "mult":
        raise r.bad("loss_sparsity_type", "'mult', 'einsum' or None", kind)
    return ("mult", modules) if bound else (None, None)


# ---------------------------------------------------------------- attention


def _buckets(r: _Reader) -> object:
    value = r.value("n_buckets")
    if value is None:
        return 0
    items = value if isinstance(value, (list, tuple)) else [value]
    if not items or not all(type(v) is int and v > 0 and v % 2 == 0 for v in items):
        raise r.bad("n_buckets", "an even number or a list of even numbers", value)
    return list(value) if isinstance(value, (list, tuple)) else value


def _lsh_keys(readers: Sequence[_Reader]) -> dict[str, Any]:
    """Parameters of LSH; the first reader that binds one wins, as keyword arguments do."""

    def pick(param: str) -> _Reader:
        for r in readers:
            if r.gin.find(r.name, param, r.scopes) is not None:
                return r
        return readers[-1]

    return {
        "chunk": pick("chunk_len").integer("chunk_len", 128, 1),
        "hashes": pick("n_hashes").integer("n_hashes", 1, 1),
        "buckets": _buckets(pick("n_buckets")),
        "before": pick("n_chunks_before").integer("n_chunks_before", 1),
        "after": pick("n_chunks_after").integer("n_chunks_after", 0),
    }


def _wrapper(r: _Reader, label: str) -> Attention:
    weights = r.choice("weights_format", "model", ("model", "sparse"))
    count = r.integer("num_weights", 3)
    if count not in (2, 3):
        raise r.bad("num_weights", "2 or 3", count)
    for param, wanted in (("rotary_position_emb", False), ("bias", True)):
        if r.flag(param, wanted) is not wanted:
            raise r.bad(param, str(wanted), not wanted)
    target = r.value("pure_lsh_implementation")
    if not isinstance(target, Reference):
        raise r.bad("pure_lsh_implementation", "a reference", target)
    inner = r.inner(target.name, target.scopes or None)
    readers = [r, inner]
    keys: dict[str, Any] = {"share_qk": True} if count == 2 else {}
    if target.name == "MixedLSHSelfAttention":
        readers.append(r.inner("PureLSHSelfAttention", inner.scopes))
        outer = r.integer("std_length")
        length = outer if outer is not None else inner.integer("std_length")
        keys |= {"core": "mixed", "std_length": length} if length else {"core": "lsh"}
    elif target.name == "PureLSHSelfAttention":
        keys["core"] = "lsh"
    else:
        raise r.bad("pure_lsh_implementation", "Pure- or MixedLSHSelfAttention", target.name)
    keys |= _lsh_keys(readers)
    if weights == "model":
        return Attention(label, "dense", keys)
    return Attention(label, "multconv", keys, r.integer("sparsity", None, 1), 3)


def _self_attention(r: _Reader, label: str, d_key: int | None, d_value: int | None) -> Attention:
    if r.flag("bias", False):
        raise r.bad("bias", "False", True)
    if label == "LSHSelfAttention":
        keys = {"share_qk": True, "core": "lsh", **_lsh_keys([r])}
    else:
        keys = {"share_qk": r.flag("share_qk", False), "chunk": r.integer("chunk_len", 0)}
        if keys["chunk"]:
            keys["before"] = r.integer("n_chunks_before", 0)
            keys["after"] = r.integer("n_chunks_after", 0)
    return Attention(label, "self", keys, d_key=d_key, d_value=d_value)


def _multconv(r: _Reader, label: str, modules: int | None) -> Attention:
    keys: dict[str, Any] = {
        "v_concat": r.choice("v_concat_type", "none", ("none", "fixed", "original")),
        "output": r.choice("output_layer_type", "none", ("none", "mult", "conv", "multconv")),
        "share_qk": r.flag("share_qk", False),
    }
    return Attention(label, "multconv", keys, modules, r.integer("length_kernel_size", None, 1))


def _attention(gin: Gin, value: object, model: _Reader, n_heads: int, decoder: bool) -> Attention:
    where = "encoder_decoder_attention_type" if decoder else "encoder_attention_type"
    if not isinstance(value, Reference):
        raise model.bad(where, "a reference to a layer", value)
    label = value.name
    r = _Reader(gin, label, value.scopes)
    d_key = model.integer("d_attention_key", None, 1) if decoder else None
    d_value = model.integer("d_attention_value", None, 1) if decoder else None
    if label in ("SelfAttention", "LSHSelfAttention"):
        return _self_attention(r, label, d_key, d_value)
    if label == "PureLSHSelfAttentionWrapper":
        return _wrapper(r, label)
    if label == ("CausalAttention" if decoder else "Attention"):
        if r.flag("use_dconv", False):
            raise r.bad("use_dconv", "False", True)
        return Attention(label, "dense")
    if decoder:
        bound = gin.find(label, "sparsity", value.scopes)
        modules = r.integer("sparsity", n_heads if bound else None, 1)
        kernel = r.integer("kernel_size", None, 1)
        if label == "MultiplicativeConvCausalAttention":
            return _multconv(r, label, modules)
        if label == "MultiplicativeCausalAttention":
            return Attention(label, "mult", modules=modules)
        if label == "MultiplicativeModularCausalAttention":
            return Attention(label, "multmod", modules=modules)
        if label == "ModularCausalAttention":
            return Attention(label, "modular", modules=modules, module_kernel=kernel)
        if label == "ConvCausalAttention":
            return Attention(label, "conv", modules=modules, module_kernel=kernel)
        if label == "LowRankCausalAttention":
            return Attention(label, "lowrank", rank=r.integer("lowrank", None, 1))
    raise model.bad(where, "an attention type that terra supports here", label)


# ---------------------------------------------------------------- the model


def _check_norm(r: _Reader) -> None:
    """trax lets a config change every LayerNorm that sets nothing itself; terra does not."""
    for param, wanted in (("epsilon", 1e-6), ("center", True)):
        value = r.value(param, wanted)
        if value != wanted:
            raise r.bad(param, str(wanted), value)


def _reserved_ids(gin: Gin) -> int:
    for name in ("Tokenize", "tokenize"):
        value = gin.get(name, "n_reserved_ids", None)
        if type(value) is int and value >= 0:
            return value
    return 0


def read_hyper(gin: Gin) -> Hyper:
    """Settings of the model that the file describes. Raises ConvertError."""
    names = [n for n in MODEL_NAMES if gin.has(n)]
    if not names:
        raise ConvertError(f"{gin.source}: no line of {MODEL_NAMES[0]}")
    r = _Reader(gin, names[0])
    if gin.find(r.name, "input_vocab_size") and r.value("input_vocab_size") is None:
        raise r.bad("input_vocab_size", "a vocabulary (float sources are not supported)", None)
    _check_norm(r.inner("LayerNorm"))
    activation = r.value("ff_activation")
    ff_block, ff_rank = _ff_sparsity(r)
    if isinstance(activation, Reference) and activation.name != "Relu" and not ff_block:
        raise r.bad("ff_activation", "Relu", activation.name)
    n_heads = r.count("n_heads", 8, 1)
    default = Reference("SelfAttention")
    decoder = r.value("encoder_decoder_attention_type", default)
    kinds = decoder if isinstance(decoder, (list, tuple)) else [decoder]
    n_dec = r.count("n_decoder_layers", 6, 1)
    if not kinds or n_dec % len(kinds):
        text = f"a list whose length divides n_decoder_layers ({n_dec})"
        raise r.bad("encoder_decoder_attention_type", text, f"{len(kinds)} entries")
    pos_type = UNSET if gin.find(r.name, "pos_type") is None else r.value("pos_type") or None
    if pos_type is not UNSET and not isinstance(pos_type, (str, type(None))):
        raise r.bad("pos_type", "a string or None", pos_type)
    loss_kind, loss_modules = _loss(r)
    return Hyper(
        vocab=r.integer("input_vocab_size", None, 1),
        out_vocab=r.integer("output_vocab_size", None, 1),
        d_model=r.integer("d_model", None, 1),
        d_ff=r.integer("d_ff", None, 1),
        n_heads=n_heads,
        n_enc=r.count("n_encoder_layers", 6, 1),
        n_dec=n_dec,
        n_dec_attn=r.count("n_decoder_attention_layers", 2, 1),
        max_len=r.integer("max_len", None, 1),
        pos_type=pos_type,
        pos_width=r.inner("PositionalEncoding").integer("d_feature", None, 1),
        axial_shape=r.integers("pos_axial_shape"),
        axial_widths=r.integers("pos_d_axial_embs"),
        ff_block=ff_block,
        ff_rank=ff_rank,
        sru=_sru(r),
        loss_kind=loss_kind,
        loss_modules=loss_modules,
        loss_has_dense_twin=r.value("loss_sparsity_prob") is not None,
        forget=r.count("n_layers_forget", 0),
        forget_dense=r.flag("forget_dense", True),
        half_before=r.count("half_before_layer", 0),
        double_after=r.count("double_after_layer", 0),
        reversible_encoder=r.flag("reversible_encoder", False),
        two_swaps=r.flag("use_two_swaps_per_encoder_block", True),
        center=r.flag("center_layernorm", True),
        enc_attn=_attention(
            gin, r.value("encoder_attention_type", default), r, n_heads, decoder=False
        ),
        dec_attn=tuple(_attention(gin, k, r, n_heads, decoder=True) for k in kinds),
        reserved_ids=_reserved_ids(gin),
    )
