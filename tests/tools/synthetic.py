# SPDX-License-Identifier: MIT
"""Made-up checkpoints: every configuration that terra-model(5) can express.

Extends the reference's Config and layout by the attention types and positions that it
lacks, draws weights, and writes checkpoint files with a config.gin that describes them.
"""

from __future__ import annotations

import gzip
import io
import pickle
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import terraformer_ref as ref

Layout = list[tuple[str, tuple[int, ...]]]

# Attention types by a short name: what the reference computes once the tensors that a
# type lacks are filled in (see `complete`), and what gin calls it.
GIN_NAMES = {
    "dense": "CausalAttention",
    "mult": "MultiplicativeCausalAttention",
    "multmod": "MultiplicativeModularCausalAttention",
    "modular": "ModularCausalAttention",
    "conv": "ConvCausalAttention",
    "lowrank": "LowRankCausalAttention",
    "self": "SelfAttention",
    "self-onekey": "SelfAttention",
    "multconv": "MultiplicativeConvCausalAttention",
    "multconv-onekey": "MultiplicativeConvCausalAttention",
    "dense-sharedqk": "PureLSHSelfAttentionWrapper",
    "dense-sharedqk-onekey": "PureLSHSelfAttentionWrapper",
    "multconv-sharedqk": "PureLSHSelfAttentionWrapper",
    "multconv-sharedqk-onekey": "PureLSHSelfAttentionWrapper",
    "dense-lsh": "PureLSHSelfAttentionWrapper",
    "multconv-lsh": "PureLSHSelfAttentionWrapper",
    "multconv-lsh-onekey": "PureLSHSelfAttentionWrapper",
    "dense-mixed": "PureLSHSelfAttentionWrapper",
    "multconv-mixed": "PureLSHSelfAttentionWrapper",
    "self-lsh-onekey": "LSHSelfAttention",
}
MIXED_LENGTH = 1000  # std_length of Mixed attention, above every test sequence


@dataclass
class RefConfig(ref.Config):
    """pos may also be 'axial' or 'sin-cos'; the attention types are those of GIN_NAMES."""

    dec_attn_list: tuple[str, ...] = ()  # one entry per block, repeated; () means dec_attn
    kernel: int = 1  # over modules, of modular and conv
    rank: int = 6  # of lowrank
    d_key: int = 0  # of self in the decoder; 0 means d_model // n_heads
    d_value: int = 0
    axial_shape: tuple[int, ...] = ()
    axial_widths: tuple[int, ...] = ()
    ff_in_words: str = ""  # ff_sparsity as gin text, if not just the block size
    buckets: tuple[int, ...] = (4, 2)  # of LSH, with chunk and n_hashes of the reference
    before: int = 1  # LSH chunks
    after: int = 1  # in the encoder; none in the decoder
    std_length: int = 30  # of mixed attention

    def kinds(self) -> tuple[str, ...]:
        return self.dec_attn_list or (self.dec_attn,)

    def has_lsh(self) -> bool:
        """Lengths then matter: expectations come from whole, padded sequences."""
        return any("lsh" in k or "mixed" in k for k in (*self.kinds(), self.enc_attn))

    def decoder_kind(self, block: int) -> str:
        return self.kinds()[block % len(self.kinds())]


# ---------------------------------------------------------------- layout


def attention_layout(c: RefConfig, n: str, d: int, kind: str, decoder: bool) -> Layout:
    """Tensors of one attention layer without its norm, in checkpoint order."""
    out: Layout = []
    modules, m = c.modules, d // c.modules
    queries = "qv" if "onekey" in kind else "qkv"

    def dense(x: str, i: int, o: int) -> None:
        out.extend([(f"{n}.{x}.w", (i, o)), (f"{n}.{x}.b", (o,))])

    def gated(x: str) -> None:
        out.extend([(f"{n}.{x}.gate", (modules, d)), (f"{n}.{x}.proj", (d, m))])

    def conv(x: str, taps: int, i: int) -> None:
        if modules == 1:
            dense(x, i, m)
        else:
            out.extend([(f"{n}.{x}.w", (c.len_kernel, taps, i, m)), (f"{n}.{x}.b", (m,))])

    if kind.startswith("self"):
        d_key = (c.d_key if decoder else 0) or d // c.n_heads
        d_value = (c.d_value if decoder else 0) or d // c.n_heads
        for x in queries:
            out.append((f"{n}.{x}.w", (c.n_heads, d, d_value if x == "v" else d_key)))
        out.append((f"{n}.o.w", (c.n_heads, d_value, d)))
    elif kind.startswith("multconv"):
        gated("mult")
        out.append((n + ".mult.b", (d,)))
        for x in queries:
            wide = 2 if x == "v" and c.v_concat != "none" else 1
            conv(x, 1 if x == "v" else 3, wide * m)
        if "mult" in c.out_layer:
            gated("omult")
            out.append((n + ".omult.b", (d,)))
        if "conv" in c.out_layer:
            conv("oconv", 3, m)
    else:
        for x in queries + "o":
            if kind == "mult" or kind == "multmod":
                gated(x)
                if kind == "multmod":
                    out.append((f"{n}.{x}.mod", (modules, m, m)))
                out.append((f"{n}.{x}.b", (d,)))
            elif kind == "modular" and modules > 1:
                out.append((f"{n}.{x}.w", (modules, c.kernel, m, m)))
                out.append((f"{n}.{x}.b", (modules, m)))
            elif kind == "conv" and modules > 1:
                out.extend([(f"{n}.{x}.w", (1, c.kernel, m, m)), (f"{n}.{x}.b", (m,))])
            elif kind == "lowrank":
                dense(x + ".a", d, c.rank)
                dense(x + ".c", c.rank, d)
            else:
                dense(x, d, d)
    return out


def position_layout(c: RefConfig, n: str) -> Layout:
    if c.pos != "axial":
        return []
    ones = [1] * len(c.axial_shape)
    out: Layout = []
    for a, (size, width) in enumerate(zip(c.axial_shape, c.axial_widths)):
        shape = (1, *ones[:a], size, *ones[a + 1 :], width)
        out.append((f"{n}.axis{a}", shape))
    return out


def full_layout(c: RefConfig) -> Layout:
    """[(name, shape)] in checkpoint order: the reference's, with our layers put in."""
    plain = "no" if c.pos in ("axial", "sin-cos") else c.pos
    skeleton = replace(c, pos=plain, enc_attn="dense", dec_attn="dense")
    out: Layout = []
    widths: dict[str, int] = {}
    for name, shape in ref.layout(skeleton):
        layer, _, rest = name.partition(".attn")
        number, _, rest = rest.partition(".")
        full = f"{layer}.attn{number}"
        if not rest or rest.startswith("ln."):
            if name == "enc.0.attn.ln.scale":
                out += position_layout(c, "pos_d")
            out.append((name, shape))
            widths[full] = shape[0]
            if name == "emb":
                out += position_layout(c, "pos_e")
        elif rest == "q.w":
            decoder = layer.startswith("dec")
            kind = c.decoder_kind(int(layer.split(".")[1])) if decoder else c.enc_attn
            out += attention_layout(c, full, widths[full], kind, decoder)
    return out


def random_weights(c: RefConfig, seed: int) -> dict[str, np.ndarray]:
    """float32, so that a file holds exactly what the oracle computes with."""
    rs, w = np.random.RandomState(seed), {}
    for name, shape in full_layout(c):
        fan = shape[-2] if len(shape) > 1 else 10
        if len(shape) == 4:
            fan *= shape[0] * shape[1] if name.endswith("v.w") else 4
        if name.startswith("pos") or name.endswith(".gate"):
            fan = 4
        x = rs.randn(*shape) / np.sqrt(fan)
        w[name] = (x + 1 if name.endswith(".scale") else x).astype(np.float32)
    return w


def random_rotations(c: RefConfig, seed: int) -> dict[str, np.ndarray]:
    """(h, dh, hashes, sum of buckets / 2) for every layer that may hash."""
    rs = np.random.RandomState(seed)
    layers = {f"enc.{i}.attn": c.enc_attn for i in range(c.n_enc)}
    for i in range(c.n_dec):
        layers |= {f"dec.{i}.attn{a}": c.decoder_kind(i) for a in range(c.n_dec_attn)}
    shape = (c.n_heads, c.d_model // c.n_heads, c.n_hashes, sum(c.buckets) // 2)
    names = [n for n, kind in layers.items() if "lsh" in kind or "mixed" in kind]
    return {n: rs.randn(*shape).astype(np.float32) for n in names}


# ---------------------------------------------------------------- config.gin


def _attention_lines(c: RefConfig, scope: str, kind: str) -> list[str]:
    n = scope + GIN_NAMES[kind]
    lines = []
    if kind in ("mult", "multmod", "modular", "conv", "multconv", "multconv-onekey"):
        lines.append(f"{n}.sparsity = {c.modules}")
    if kind in ("modular", "conv"):
        lines.append(f"{n}.kernel_size = {c.kernel}")
    if kind == "lowrank":
        lines.append(f"{n}.lowrank = {c.rank}")
    if GIN_NAMES[kind] == "SelfAttention":
        lines.append(f"{n}.share_qk = {'onekey' in kind}")
        lines.append(f"{n}.chunk_len = None  # full attention")
    if kind in ("multconv", "multconv-onekey"):
        lines.append(f"{n}.length_kernel_size = {c.len_kernel}")
        lines.append(f"{n}.v_concat_type = '{c.v_concat}'")
        lines.append(f"{n}.output_layer_type = '{c.out_layer}'")
        lines.append(f"{n}.share_qk = {'onekey' in kind}")
    if GIN_NAMES[kind] == "PureLSHSelfAttentionWrapper":
        inner = "PureLSHSelfAttention" if "lsh" in kind else "MixedLSHSelfAttention"
        lines.append(f"{n}.weights_format = '{'sparse' if 'multconv' in kind else 'model'}'")
        lines.append(f"{n}.num_weights = {2 if 'onekey' in kind else 3}")
        lines.append(f"{n}.pure_lsh_implementation = @{scope}{inner}")
        if kind.startswith("multconv"):
            lines.append(f"{n}.sparsity = {c.modules}")
        if "lsh" not in kind:
            length = c.std_length if "mixed" in kind else MIXED_LENGTH
            lines.append(f"{scope}MixedLSHSelfAttention.std_length = {length}")
        n = scope + "PureLSHSelfAttention"
    if "lsh" in kind or "mixed" in kind or "sharedqk" in kind:
        lines.append(f"{n}.n_buckets = {list(c.buckets)}")
        lines.append(f"{n}.n_hashes = {c.n_hashes}")
        lines.append(f"{n}.chunk_len = {c.chunk}")
        lines.append(f"{n}.n_chunks_before = {c.before}")
        lines.append(f"{n}.n_chunks_after = {c.after if scope == 'encoder/' else 0}")
    return lines


def gin_text(c: RefConfig) -> str:
    """A config.gin as an author might write it."""
    enc = "Attention" if c.enc_attn == "dense" else GIN_NAMES[c.enc_attn]
    scoped = [f"@dec{i}/trax.layers.{GIN_NAMES[k]}" for i, k in enumerate(c.kinds())]
    decoder = scoped[0] if len(scoped) == 1 else "[" + ",\n  ".join(scoped) + ",\n]"
    lines = ["import trax.models", "", f"d_model = {c.d_model}", f"dec_type = {decoder}", ""]
    values = {
        "d_attention_key": c.d_key or None,
        "d_attention_value": c.d_value or None,
        "input_vocab_size": c.vocab,
        "output_vocab_size": c.out_vocab or None,
        "d_model": "%d_model",
        "d_ff": c.d_ff,
        "n_heads": c.n_heads,
        "n_encoder_layers": c.n_enc,
        "n_decoder_layers": c.n_dec,
        "n_decoder_attention_layers": c.n_dec_attn,
        "encoder_attention_type": f"@encoder/{enc}",
        "encoder_decoder_attention_type": "%dec_type",
        "pos_type": None if c.pos in ("table", "factored") else repr(c.pos),
        "pos_axial_shape": c.axial_shape,
        "pos_d_axial_embs": c.axial_widths or None,
        "ff_use_sru": c.sru or 0,
        "ff_sparsity": c.ff_in_words or c.ff_block,
        "loss_sparsity": c.loss_modules,
        "reversible_encoder": c.reversible_encoder,
        "use_two_swaps_per_encoder_block": c.two_swaps,
        "center_layernorm": c.center,
        "n_layers_forget": c.forget,
        "forget_dense": c.forget_dense,
        "half_before_layer": c.half_before or None,
        "double_after_layer": c.double_after or None,
    }
    if c.pos in ("table", "factored"):
        values["max_len"] = c.max_len
    if c.pos == "factored":
        lines.append(f"PositionalEncoding.d_feature = {c.d_pos}")
    lines += [f"trax.models.ConfigurableTerraformer.{k} = {v}" for k, v in values.items()]
    if c.enc_attn != "dense":
        lines += _attention_lines(c, "encoder/", c.enc_attn)
    for i, kind in enumerate(c.kinds()):
        lines += _attention_lines(c, f"dec{i}/", kind)
    return "\n".join(lines) + "\n"


# ---------------------------------------------------------------- files


def write_checkpoint(folder: Path, flat: list[np.ndarray], inside: bool = False) -> Path:
    """model_1.pkl.gz with the weights inside, or model_1.weights.npy.gz beside it."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "model_1.pkl.gz"
    content: dict[str, object] = {"step": 1, "flat_weights": flat if inside else 2, "history": {}}
    path.write_bytes(gzip.compress(pickle.dumps(content, 4), 1, mtime=0))
    if not inside:
        records = io.BytesIO()
        for x in flat:
            np.save(records, x)
        packed = gzip.compress(records.getvalue(), 1, mtime=0)
        (folder / "model_1.weights.npy.gz").write_bytes(packed)
    return path


# ---------------------------------------------------------------- variants


def variants() -> dict[str, RefConfig]:
    """What tests/golden does not have."""
    base = RefConfig(vocab=60, max_len=96)
    lean = replace(base, n_enc=1, n_dec=2)  # for what only concerns the decoder's attention
    lsh = replace(base, n_heads=2, n_enc=1, n_dec=2, n_dec_attn=1, chunk=8)
    return {
        "no_sru": replace(base, sru=()),
        "two_srus": replace(base, sru=(2, 6)),
        "dense_ff_with_sru": replace(base, ff_block=0, sru=(1, 8)),
        "ff_pair": replace(base, ff_in_words="(8, 5)", d_lowrank=5),
        "ff_words": replace(base, ff_in_words="'8 6 0.1 0.3'", d_lowrank=6),
        "dense_loss": replace(base, loss_modules=0),
        "concat_original": replace(base, v_concat="original", out_layer="conv"),
        "output_mult": replace(base, v_concat="fixed", out_layer="mult", len_kernel=2),
        "fixed_base": replace(base, pos="fixed-base", center=False),
        "factored_narrow": replace(base, pos="factored", d_pos=8, out_vocab=44),
        "sin_cos": replace(base, pos="sin-cos"),
        "axial": replace(base, pos="axial", axial_shape=(8, 12), axial_widths=(20, 12)),
        "no_positions": replace(base, pos="no"),
        "rms_norm": replace(base, center=False, reversible_encoder=False),
        "forget": replace(base, n_enc=5, n_dec=5, forget=2),
        "forget_nothing": replace(base, n_enc=4, n_dec=4, forget=1, forget_dense=False),
        "growing": replace(base, n_dec=5, half_before=2, double_after=2),
        "halved_dense": replace(base, n_dec=3, half_before=1, ff_block=0, sru=()),
        "doubled": replace(base, n_dec=3, double_after=1),
        "two_vocabularies": replace(base, out_vocab=24),
        "one_attention": replace(base, n_dec_attn=1, two_swaps=False),
        "three_attentions": replace(base, n_dec_attn=3),
        "share_qk": replace(base, dec_attn="multconv-onekey"),
        "one_module": replace(lean, modules=1, len_kernel=1, v_concat="fixed"),
        "mult": replace(lean, dec_attn="mult"),
        "multmod": replace(lean, dec_attn="multmod"),
        "modular": replace(lean, dec_attn="modular"),
        "modular_wide": replace(lean, dec_attn="modular", kernel=3),
        "conv": replace(lean, dec_attn="conv"),
        "conv_wide": replace(lean, dec_attn="conv", kernel=3, modules=8),
        "lowrank": replace(lean, dec_attn="lowrank"),
        "self": replace(base, enc_attn="self", dec_attn="self"),
        "self_onekey": replace(base, enc_attn="self-onekey", dec_attn="self-onekey"),
        "self_sizes": replace(lean, dec_attn="self", d_key=6, d_value=10),
        "mixed_short": replace(
            base, enc_attn="dense-sharedqk-onekey", dec_attn="multconv-sharedqk-onekey"
        ),
        "mixed_model": replace(base, enc_attn="dense-sharedqk", dec_attn="dense-sharedqk"),
        "lsh_list": replace(lsh, enc_attn="dense-lsh", dec_attn="multconv-lsh"),
        "lsh_dense": replace(lsh, dec_attn="dense-lsh", buckets=(6,), n_hashes=1, before=2),
        "lsh_one_key": replace(lsh, dec_attn="multconv-lsh-onekey", buckets=(2, 4, 2)),
        "lsh_self": replace(lsh, enc_attn="self-lsh-onekey", dec_attn="self-lsh-onekey", after=0),
        "mixed_long": replace(lsh, enc_attn="dense-mixed", dec_attn="multconv-mixed"),
        "attention_list": replace(
            base, n_dec=4, dec_attn_list=("multconv", "dense", "self", "multconv-sharedqk")
        ),
    }
