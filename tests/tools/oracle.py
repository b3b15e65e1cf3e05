# SPDX-License-Identifier: MIT
"""The reference's forward pass for the configurations of synthetic.py, in float64.

Written from the equations: types that project q, k, v and o in their own way share the
reference's dense attention, whose `dense` is replaced here; SelfAttention has its own
scores. Chosen units and their margins are recorded on the way.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import terraformer_ref as ref
from synthetic import RefConfig

Cache = dict[str, np.ndarray] | None

# The reference's own name of the function that a type computes.
_SAME_FUNCTION = {
    "multconv": "multconv",
    "multconv-onekey": "multconv",
    "multconv-sharedqk": "multconv-sharedqk",
    "multconv-sharedqk-onekey": "multconv",
    "multconv-lsh-onekey": "multconv-lsh",
}


def lsh_head(
    qk: np.ndarray,
    v: np.ndarray,
    rotation: np.ndarray,
    c: RefConfig,
    causal: bool,
    valid: np.ndarray | None,
) -> tuple[np.ndarray, float]:
    """One head: qk (L, dh), v (L, dv), rotation (dh, hashes, n). Also the least hash margin.

    Sorts (bucket, t) pairs in plain Python and attends chunk by chunk.
    """
    length, rounds, margin = len(qk), rotation.shape[1], np.inf
    entries: list[tuple[int, int, int]] = []  # sort key, round, t
    extra = 0 if valid is None else 1
    total = int(np.prod(c.buckets)) + extra
    for r in range(rounds):
        z = qk @ rotation[:, r]
        bucket, scale, at = np.zeros(length, int), 1, 0
        for factor in c.buckets:
            part = z[:, at : at + factor // 2]
            both = np.concatenate([part, -part], -1)
            top = np.sort(both, -1)
            gaps = top[:, -1] - top[:, -2]
            margin = min(margin, float((gaps if valid is None else gaps[valid]).min()))
            bucket += scale * both.argmax(-1)
            scale, at = scale * factor, at + factor // 2
        for t in range(length):
            b = bucket[t] if valid is None or valid[t] else total - extra
            entries.append((int(length * (b + r * total) + t), r, t))
    entries.sort()
    keys = qk / np.sqrt((qk * qk).mean(-1, keepdims=True) + 1e-6) / np.sqrt(qk.shape[-1])
    chunks = len(entries) // c.chunk
    out = np.zeros((rounds, *v.shape))
    weight = np.zeros((rounds, length, 1))
    for i in range(chunks):
        near: list[int] = []
        for other in range(i - c.before, i + (0 if causal else c.after) + 1):
            first = other % chunks * c.chunk
            near += [t for _, _, t in entries[first : first + c.chunk]]
        seen = np.array(near)
        info = seen + 1 if valid is None else np.where(valid[seen], seen, -seen) + 1
        mine = entries[i * c.chunk : (i + 1) * c.chunk]
        r, t = np.array([e[1] for e in mine]), np.array([e[2] for e in mine])
        s = qk[t] @ keys[seen].T
        s = s - 1e5 * (info == t[:, None] + 1)
        if causal:
            s = s - 1e9 * (info > t[:, None] + 1)
        if valid is not None:
            s = s - 1e9 * (info < 0)
        weight[r, t] = ref.logsumexp(s)
        out[r, t] = ref.softmax(s) @ v[seen]
    return (out * ref.softmax(weight, 0)).sum(0), margin


def complete(c: RefConfig, w: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """float64 weights; keys that share the queries' tensors, one module as a kernel."""
    out = {name: x.astype(np.float64) for name, x in w.items()}
    for name in list(out):
        if name.endswith((".q.w", ".q.b")):
            key = name[:-3] + "k" + name[-2:]
            out.setdefault(key, out[name])
    for name in list(out):
        if c.modules == 1 and name.endswith(".w") and name[:-4] + ".mult.gate" in out:
            kernel = np.zeros((1, 1 if name.endswith("v.w") else 3, *out[name].shape))
            kernel[0, kernel.shape[1] // 2] = out[name]
            out[name] = kernel
    return out


class _Projections(ref.Net):
    """Net whose dense layers may be any drop-in of the specification's 2.6."""

    hash_margins: list[float]

    def __init__(self, c: RefConfig, w: dict[str, np.ndarray], like: _Projections | None) -> None:
        super().__init__(c, w, like.rot if like else None)
        self.hash_margins = like.hash_margins if like else []

    def lsh(
        self,
        n: str,
        qk: np.ndarray,
        v: np.ndarray,
        causal: bool,
        valid: np.ndarray | None = None,
    ) -> np.ndarray:
        """qk and v (B, h, L, e); rotations of a layer are shared by the examples."""
        out = np.zeros_like(v)
        for b, j in np.ndindex(qk.shape[:2]):
            ok = None if valid is None else valid[b]
            head = lsh_head(qk[b, j], v[b, j], self.rot[n][j], self.c, causal, ok)
            out[b, j], margin = head
            self.hash_margins.append(margin)
        return out

    def dense(self, n: str, x: np.ndarray) -> np.ndarray:
        w = self.w
        if n + ".mod" in w:  # y[j] = R[j]^T (E^T (x * G[j]))
            u = (x[..., None, :] * w[n + ".gate"]) @ w[n + ".proj"]
            y = np.einsum("...ji,jio->...jo", u, w[n + ".mod"])
            return y.reshape(x.shape) + w[n + ".b"]
        if n + ".gate" in w:
            return self.factored(n, x)
        if n + ".a.w" in w:
            low = x @ w[n + ".a.w"] + w[n + ".a.b"]
            return low @ w[n + ".c.w"] + w[n + ".c.b"]
        if w[n + ".w"].ndim == 2:
            return super().dense(n, x)
        if w[n + ".b"].ndim == 2:
            return self.locally_connected(n, x)
        return ref.conv_modules(x, w[n + ".w"], w[n + ".b"], self.c.modules)

    def locally_connected(self, n: str, x: np.ndarray) -> np.ndarray:
        """Neighbouring modules wrap around; the kernel belongs to the module it reads."""
        w, b = self.w[n + ".w"], self.w[n + ".b"]
        modules, kernel = w.shape[:2]
        parts = x.reshape(*x.shape[:-1], modules, -1)
        y = np.zeros_like(parts)
        for j in range(modules):
            for i in range(kernel):
                source = (j - (kernel - 1) // 2 + i) % modules
                y[..., j, :] += parts[..., source, :] @ w[source, i]
            y[..., j, :] += b[j]
        return y.reshape(x.shape)


class RefNet(_Projections):
    """Forward pass of a RefConfig. `records` collects (layer, choices, margins)."""

    def __init__(
        self,
        c: RefConfig,
        w: Mapping[str, np.ndarray],
        rotations: Mapping[str, np.ndarray] | None = None,
    ) -> None:
        super().__init__(c, complete(c, w), None)
        self.rot = {n: x.astype(np.float64) for n, x in (rotations or {}).items()}
        self.records: list[tuple[str, np.ndarray, np.ndarray]] = []
        self.multconv = {
            kind: _Projections(replace(c, dec_attn=kind), self.w, self)
            for kind in ("multconv", "multconv-sharedqk", "multconv-lsh")
        }
        self.encoders = {
            kind: _Projections(replace(c, enc_attn=kind), self.w, self)
            for kind in ("dense", "dense-sharedqk", "lsh")
        }

    def settled(self, kind: str, rows: int) -> str:
        """The type whose function is computed for a call of that many rows."""
        if "mixed" in kind:
            kind = kind.replace("mixed", "lsh" if rows > self.c.std_length else "sharedqk")
        return _SAME_FUNCTION.get(kind, kind)

    def positions(self, n: str, start: int, length: int, d: int) -> np.ndarray | float:
        c, p = self.c, np.arange(start, start + length)
        if c.pos == "sin-cos":
            angle = p[:, None] * 10000.0 ** (-2.0 * np.arange(d // 2) / d)
            return np.concatenate([np.sin(angle), np.cos(angle)], -1)
        if c.pos == "axial":
            index = np.unravel_index(p, c.axial_shape)
            parts = [self.w[f"{n}.axis{a}"] for a in range(len(index))]
            rows = [x.reshape(-1, x.shape[-1])[i] for x, i in zip(parts, index)]
            return np.concatenate(rows, -1)
        return super().positions(n, start, length, d)

    def enc_attn(self, n: str, x: np.ndarray, valid: np.ndarray) -> np.ndarray:
        kind = self.settled(self.c.enc_attn, x.shape[1])
        if kind == "self-lsh-onekey":
            return self.self_lsh(n, x, False, valid)
        if kind.startswith("self"):
            return self.self_attention(n, x, x, 0, False, kind.endswith("onekey"), valid)
        kind = {"dense-lsh": "lsh", "dense-sharedqk-onekey": "dense"}.get(kind, kind)
        return self.encoders[kind].enc_attn(n, x, valid)

    def dec_attn(self, n: str, x: np.ndarray, st: Cache = None) -> np.ndarray:
        kind = self.settled(self.c.decoder_kind(int(n.split(".")[1])), x.shape[1])
        if kind == "self-lsh-onekey":
            return self.self_lsh(n, x, True, None)
        if kind.startswith("self"):
            memory = x
            if st is not None:
                past = st.get(n + ".x", x[:, :0])
                memory = st[n + ".x"] = np.concatenate([past, x], 1)
            start = memory.shape[1] - x.shape[1]
            return self.self_attention(n, x, memory, start, True, kind.endswith("onekey"))
        if kind.startswith("multconv"):
            return self.multconv[kind].dec_attn(n, x, st)
        return self.dense_attention(n, kind, x, st)

    def dense_attention(self, n: str, kind: str, x: np.ndarray, st: Cache) -> np.ndarray:
        """q, k, v and o through one of the drop-in layers."""
        q, k, v = (ref.split_heads(self.dense(f"{n}.{t}", x), self.c.n_heads) for t in "qkv")
        if "sharedqk" in kind or "lsh" in kind:
            q = k = (q + k) / 2
        if st is not None:
            if n + ".k" in st:
                k = np.concatenate([st[n + ".k"], k], 2)
                v = np.concatenate([st[n + ".v"], v], 2)
            st[n + ".k"], st[n + ".v"] = k, v
        rows, total = x.shape[1], k.shape[2]
        mask = np.arange(total)[None, :] <= np.arange(total - rows, total)[:, None]
        o = self.lsh(n, q, v, True) if "lsh" in kind else self.attend(q, k, v, mask)
        return self.dense(n + ".o", ref.merge_heads(o))

    def self_lsh(self, n: str, x: np.ndarray, causal: bool, valid: np.ndarray | None) -> np.ndarray:
        """LSHSelfAttention: its own projections around the same core."""
        qk = np.einsum("bld,hde->bhle", x, self.w[n + ".q.w"])
        v = np.einsum("bld,hde->bhle", x, self.w[n + ".v.w"])
        o = self.lsh(n, qk, v, causal, valid)
        return np.einsum("bhle,hed->bld", o, self.w[n + ".o.w"])

    def self_attention(
        self,
        n: str,
        x: np.ndarray,
        memory: np.ndarray,
        start: int,
        causal: bool,
        one_key: bool,
        valid: np.ndarray | None = None,
    ) -> np.ndarray:
        """SelfAttention, unchunked: masks are added to the scores, never put in place."""
        w = self.w
        q = np.einsum("bld,hde->bhle", x, w[n + ".q.w"])
        k = np.einsum("bld,hde->bhle", memory, w[n + ".k.w"])
        v = np.einsum("bld,hde->bhle", memory, w[n + ".v.w"])
        if one_key:
            k = k / np.sqrt((k * k).mean(-1, keepdims=True) + 1e-6)
        s = q @ (k / np.sqrt(k.shape[-1])).swapaxes(-1, -2)
        info = start + np.arange(x.shape[1])[:, None] + 1
        j = np.arange(memory.shape[1])
        sign = np.ones((len(x), len(j))) if valid is None else np.where(valid, 1, -1)
        k_info = (j * sign + 1)[:, None, None, :]  # an invalid key 0 or 1 is not negative
        if causal:
            s = s - 1e9 * (info < k_info)
        if one_key:
            s = s - 1e5 * (info == k_info)
        if valid is not None:
            s = s - 1e9 * (k_info < 0)
        return np.einsum("bhle,hed->bld", ref.softmax(s) @ v, w[n + ".o.w"])

    def choose(self, n: str, x: np.ndarray) -> np.ndarray:
        z = np.tensordot(x @ self.w[n + ".ctl1"], self.w[n + ".ctl2"], 1) + self.w[n + ".ctlb"]
        top = np.sort(z, -1)
        chosen = z.argmax(-1)
        self.records.append((n, chosen[0], (top[..., -1] - top[..., -2])[0]))
        return chosen
