# SPDX-License-Identifier: MIT
"""From text files to packed token arrays, and from those to training batches.

Input is JSON lines with `document` and `summary` (optionally `source` and `style`), plain text
(documents parted by blank lines or by a line `<|doc|>`), either one also as .zst.
"""

from __future__ import annotations

import json
import random
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Iterator

import numpy as np

from tokenizer import CONTROL, CONTROLS, EOS, SENTINEL0, SENTINELS, Tokenizer

PHRASES = ("debian package descriptions", "man pages", "github/explore")
TITLES = ("acl-anthology", "arxiv", "golang/vulndb", "rubysec/", "rustsec/")
LONG = (
    "allenai/scitldr", "Yale-LILY/QMSum", "GSA/", "18F/", "python/peps", "rust-lang/rfcs",
    "kubernetes/enhancements", "OWASP/",
)  # fmt: skip
REFERENCE = (
    "MicrosoftDocs/win32", "MicrosoftDocs/windows-driver-docs-ddi", "MicrosoftDocs/winrt-api",
    "MicrosoftDocs/VBA-Docs", "microsoftgraph/", "MicrosoftDocs/windows-driver-docs",
    "MicrosoftDocs/office-developer-client-docs", "MicrosoftDocs/office-docs-powershell",
    "MicrosoftDocs/windows-powershell-docs", "MicrosoftDocs/azure-docs-powershell",
    "MicrosoftDocs/sccm-docs-powershell-ref", "MicrosoftDocs/dynamics365smb-devitpro-pb",
)  # fmt: skip


def style_of(source: str) -> str:
    """The control word that a source of the corpus is trained under."""
    if source.startswith(PHRASES):
        return "synopsis"
    if source.startswith(TITLES):
        return "title"
    return "tldr" if source.startswith(LONG) else "description"


def weight_of(source: str, late: bool = False) -> float:
    """How often a pair of this source is drawn; `late` favours the small careful sources."""
    if source.startswith(REFERENCE):
        return 0.2 if late else 0.35
    if source.startswith("arxiv"):
        return 0.7
    if source.startswith(LONG) or source.startswith("github/explore"):
        return 3.0
    return 1.0


def lines_of(path: Path) -> Iterator[str]:
    """Lines of a plain or zstd file."""
    if path.suffix != ".zst":
        with open(path, encoding="utf-8") as f:
            yield from f
        return
    cmd = ["zstd", "-dcq", "--long=27", str(path)]
    with subprocess.Popen(cmd, stdout=subprocess.PIPE, encoding="utf-8") as p:
        assert p.stdout is not None
        yield from p.stdout
    if p.returncode:
        raise OSError(f"{path}: zstd failed")


def is_pairs(path: Path) -> bool:
    return ".jsonl" in path.suffixes


def pairs_of(path: Path) -> Iterator[dict]:
    for number, line in enumerate(lines_of(path), 1):
        pair = json.loads(line)
        if not isinstance(pair.get("document"), str) or not isinstance(pair.get("summary"), str):
            raise ValueError(f"{path}:{number}: needs `document` and `summary`")
        yield pair


def documents_of(path: Path) -> Iterator[str]:
    """Documents of a plain text file: parted by `<|doc|>` lines, else by blank lines."""
    part: list[str] = []
    marked = False
    for line in lines_of(path):
        if line.rstrip("\n") == "<|doc|>" or (not marked and not line.strip()):
            marked = marked or line.startswith("<|doc|>")
            text = "".join(part).strip()
            if text:
                yield text
            part = []
        else:
            part.append(line)
    if "".join(part).strip():
        yield "".join(part).strip()


@dataclass
class Packed:
    """Token arrays of one split; documents keep their order of packing."""

    doc: np.ndarray  # uint16, all documents
    doc_at: np.ndarray  # int64 (n + 1)
    tgt: np.ndarray  # uint16, all summaries, without </s>
    tgt_at: np.ndarray  # int64 (n + 1)
    source: np.ndarray  # uint16 (n), index of `sources`
    style: np.ndarray  # uint8 (n), control token id
    text: np.ndarray  # uint16, running text
    text_at: np.ndarray  # int64
    sources: list[str]

    FIELDS = ("doc", "doc_at", "tgt", "tgt_at", "source", "style", "text", "text_at")

    def save(self, path: Path) -> None:
        arrays = {f: getattr(self, f) for f in self.FIELDS}
        with open(path, "wb") as f:
            np.savez(f, sources=np.array(self.sources or [""]), **arrays)

    @staticmethod
    def load(path: Path) -> "Packed":
        with np.load(path) as z:
            return Packed(**{f: z[f] for f in Packed.FIELDS}, sources=z["sources"].tolist())

    def __len__(self) -> int:
        return len(self.source)

    def document(self, i: int, cut: int) -> np.ndarray:
        a = self.doc_at[i]
        return self.doc[a : min(self.doc_at[i + 1], a + cut)]

    def summary(self, i: int) -> np.ndarray:
        return self.tgt[self.tgt_at[i] : self.tgt_at[i + 1]]


def _joined(parts: list[list[int]]) -> tuple[np.ndarray, np.ndarray]:
    at = np.cumsum([0] + [len(p) for p in parts], dtype=np.int64)
    out = np.empty(int(at[-1]), np.uint16)
    for p, a in zip(parts, at):
        out[a : a + len(p)] = p
    return out, at


def pack(
    tok: Tokenizer, pair_files: list[Path], text_files: list[Path], max_doc: int, max_tgt: int,
    text_tokens: int, keep: float = 1.0, seed: int = 0,
) -> Packed:  # fmt: skip
    """Tokenizes; documents are cut at max_doc tokens, summaries over max_tgt are left out."""
    rng = random.Random(seed)
    docs, tgts, source, style, sources = [], [], [], [], {}
    for path in pair_files:
        for pair in pairs_of(path):
            if keep < 1.0 and rng.random() >= keep:
                continue
            name = pair.get("source", path.name)
            control = pair.get("style") or style_of(name)
            summary = pair["summary"].strip()
            target = tok.encode(" " + summary) if summary else []
            document = tok.encode(pair["document"][: 6 * max_doc])[:max_doc]
            if not document or not 0 < len(target) <= max_tgt or control not in CONTROL:
                continue
            docs.append(document)
            tgts.append(target)
            source.append(sources.setdefault(name, len(sources)))
            style.append(CONTROL[control])
    texts: list[list[int]] = []
    total = 0
    for path in text_files:
        for text in documents_of(path):
            ids = tok.encode(text[:6000])
            if len(ids) >= 48:
                texts.append(ids)
                total += len(ids)
            if total >= text_tokens:
                break
    doc, doc_at = _joined(docs)
    tgt, tgt_at = _joined(tgts)
    text, text_at = _joined(texts)
    names = list(sources)
    return Packed(
        doc, doc_at, tgt, tgt_at, np.array(source, np.uint16), np.array(style, np.uint8),
        text, text_at, names,
    )  # fmt: skip


# ------------------------------------------------------------------ examples

Example = tuple[np.ndarray, np.ndarray]  # source with its control token, target with </s>


def _pair(control: int, source: np.ndarray, target: np.ndarray) -> Example:
    head = np.array([control], np.int64)
    return np.concatenate([head, source]), np.concatenate([target, [EOS]]).astype(np.int64)


def fill(ids: np.ndarray, rng: random.Random, max_target: int) -> Example:
    """Span corruption: sentinels in the source, sentinel + span for each in the target."""
    ids = ids.astype(np.int64)
    src: list[np.ndarray] = []
    tgt: list[np.ndarray] = []
    at, room, k = 0, max_target - 1, 0
    while k < SENTINELS:
        start = at + 1 + int(rng.expovariate(1 / 16))
        span = 1 + min(9, int(rng.expovariate(1 / 3)))
        if start + span > len(ids) or span + 1 > room:
            break
        mark = np.array([SENTINEL0 + k])
        src += [ids[at:start], mark]
        tgt += [mark, ids[start : start + span]]
        at, room, k = start + span, room - span - 1, k + 1
    src.append(ids[at:])
    return _pair(CONTROL["fill"], np.concatenate(src), np.concatenate(tgt or [ids[:0]]))


def copy(ids: np.ndarray, rng: random.Random, max_target: int) -> Example:
    """Two sentinels enclose a span of the source; the target is that span."""
    ids = ids.astype(np.int64)
    n = min(len(ids) // 2 + 1, rng.randint(3, max(3, max_target - 2)))
    a = rng.randint(0, max(0, len(ids) - n))
    open_, close = np.array([SENTINEL0 + SENTINELS - 2]), np.array([SENTINEL0 + SENTINELS - 1])
    src = np.concatenate([ids[:a], open_, ids[a : a + n], close, ids[a + n :]])
    return _pair(CONTROL["fill"], src, ids[a : a + n])


def follow(ids: np.ndarray, rng: random.Random, max_target: int) -> Example:
    """The target repeats what stands behind a short cue at the source's end (induction).

    Half of the sources are short rows of random tokens, in which nothing else helps.
    """
    ids = ids.astype(np.int64)
    if rng.random() < 0.5:
        n = rng.randint(min(6, len(ids)), min(32, len(ids)))
        ids = np.array([rng.randrange(SENTINEL0 + SENTINELS, int(ids.max()) + 1) for _ in range(n)])
    cue = rng.randint(2, 3)
    n = min(len(ids) // 2, rng.randint(4, max(4, max_target - 2)))
    a = rng.randint(0, max(0, len(ids) - n - cue))
    mark = np.array([SENTINEL0 + SENTINELS - 3])
    src = np.concatenate([ids, mark, ids[a : a + cue]])
    return _pair(CONTROL["fill"], src, ids[a + cue : a + cue + n])


def go_on(ids: np.ndarray, cut: int, rng: random.Random, max_target: int) -> Example:
    """Free text: the target continues the source."""
    n = max(8, min(len(ids) // 2, max_target - 1))
    ids = ids[: cut + n]
    return _pair(CONTROL["continue"], ids[: len(ids) - n], ids[len(ids) - n :])


@dataclass
class Stage:
    """What is drawn at one point of training. Shares need not add up to 1."""

    max_source: int
    max_target: int
    pairs: float
    fill: float
    copy: float
    follow: float
    go_on: float
    late: bool = False


class Sampler:
    """Draws batches; the n-th batch depends only on the seed, n and the stage."""

    def __init__(self, data: Packed, seed: int):
        self.data, self.seed = data, seed
        self.cumulative = {}
        for late in (False, True):
            w = np.array([weight_of(s, late) for s in data.sources])[data.source]
            self.cumulative[late] = np.cumsum(w)
        self.texts = len(data.text_at) - 1

    def _piece(self, rng: random.Random, cut: int) -> np.ndarray:
        """A stretch of at most `cut` tokens, from a pair's document or the running text."""
        d = self.data
        if self.texts > 0 and (len(d) == 0 or rng.random() < 0.4):
            ids, at, i = d.text, d.text_at, rng.randrange(self.texts)
        else:
            ids, at, i = d.doc, d.doc_at, rng.randrange(len(d))
        a, b = int(at[i]), int(at[i + 1])
        a += rng.randint(0, max(0, b - a - cut))
        return ids[a : min(b, a + cut)]

    def _summary(self, rng: random.Random, st: Stage) -> Example:
        d, c = self.data, self.cumulative[st.late]
        i = int(np.searchsorted(c, rng.random() * c[-1], side="right"))
        control, target = int(d.style[i]), d.summary(i)
        source, target = _pair(control, d.document(i, st.max_source - 1), target)
        return source, target[: st.max_target]

    def batch(self, n: int, size: int, st: Stage) -> tuple[list[Example], list[str]]:
        """Examples and the kind of each."""
        rng = random.Random((self.seed << 32) ^ n)
        kinds = ("pairs", "fill", "copy", "follow", "go_on")
        out = []
        drawn = rng.choices(kinds, [getattr(st, k) for k in kinds], k=size)
        for kind in drawn:
            cut, room = st.max_source - 5, st.max_target  # control word, mark and cue
            if kind == "pairs":
                out.append(self._summary(rng, st))
            elif kind == "go_on":
                out.append(go_on(self._piece(rng, cut + room), cut, rng, room))
            else:
                task = {"fill": fill, "copy": copy, "follow": follow}[kind]
                out.append(task(self._piece(rng, cut), rng, room))
        return out, drawn


def collate(batch: list[Example], least: tuple[int, int] = (0, 0)) -> tuple[np.ndarray, np.ndarray]:
    """Zero-padded (B, L1) and (B, L2) int64 arrays, of at least the given lengths."""
    src = np.zeros((len(batch), max(least[0], *(len(s) for s, _ in batch))), np.int64)
    tgt = np.zeros((len(batch), max(least[1], *(len(t) for _, t in batch))), np.int64)
    for i, (s, t) in enumerate(batch):
        src[i, : len(s)] = s
        tgt[i, : len(t)] = t
    return src, tgt
