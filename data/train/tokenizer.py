# SPDX-License-Identifier: MIT
"""Byte-level BPE: training, encoding, decoding, and the tokenizer.json file.

Text is cut into words by the GPT-2 rule (contractions, letters, digits, other, white space; one
space sticks to the word behind it), words become bytes, bytes are joined by merges. Nothing is
normalised and every byte has a token, so decode(encode(text)) == text.

Ids: 0 <pad> (also the decoder's start), 1 </s>, control words, sentinels, 256 bytes, merges.
"""

from __future__ import annotations

import hashlib
import json
import re
import sys
import unicodedata
from collections import Counter
from functools import lru_cache
from heapq import heapify, heappop, heappush
from pathlib import Path
from typing import Iterable

PAD, EOS = 0, 1
CONTROLS = ("title", "description", "synopsis", "tldr", "continue", "fill")
SENTINELS = 24
N_SPECIAL = 2 + len(CONTROLS) + SENTINELS
CONTROL = {name: 2 + i for i, name in enumerate(CONTROLS)}
SENTINEL0 = 2 + len(CONTROLS)

SPACES = r"\t-\r \x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"


def _ranges(major: str) -> str:
    """A character class body with all code points of a major Unicode category."""
    out, start = [], -1
    for c in range(sys.maxunicode + 2):
        inside = c <= sys.maxunicode and unicodedata.category(chr(c))[0] == major
        if inside and start < 0:
            start = c
        elif not inside and start >= 0:
            out.append(f"\\U{start:08x}-\\U{c - 1:08x}")
            start = -1
    return "".join(out)


@lru_cache(maxsize=1)
def word_pattern() -> re.Pattern[str]:
    letter, number = _ranges("L"), _ranges("N")
    return re.compile(
        f"'(?:s|t|re|ve|m|ll|d)| ?[{letter}]+| ?[{number}]+| ?[^{SPACES}{letter}{number}]+"
        f"|[{SPACES}]+(?![^{SPACES}])|[{SPACES}]+"
    )


def byte_alphabet() -> list[str]:
    """The printable character that stands for each byte in the file."""
    keep = [*range(33, 127), *range(161, 173), *range(174, 256)]
    extra = iter(range(256, 512))
    return [chr(b) if b in keep else chr(next(extra)) for b in range(256)]


def special_tokens() -> list[str]:
    controls = [f"<{name}>" for name in CONTROLS]
    return ["<pad>", "</s>", *controls, *(f"<s{i}>" for i in range(SENTINELS))]


class Tokenizer:
    """Merges are pairs of ids in order of rank; rank r makes id N_SPECIAL + 256 + r."""

    def __init__(self, merges: list[tuple[int, int]]):
        self.merges = merges
        self.rank = {pair: r for r, pair in enumerate(merges)}
        self.pattern = word_pattern()
        self.bytes = [b""] * N_SPECIAL + [bytes([b]) for b in range(256)]
        for a, b in merges:
            self.bytes.append(self.bytes[a] + self.bytes[b])
        self.cache: dict[str, list[int]] = {}

    @property
    def size(self) -> int:
        return len(self.bytes)

    def _word(self, word: str) -> list[int]:
        ids = [N_SPECIAL + b for b in word.encode("utf-8", "replace")]
        base = N_SPECIAL + 256
        while len(ids) > 1:
            best = min((self.rank.get(p, 1 << 30), i) for i, p in enumerate(zip(ids, ids[1:])))
            if best[0] == 1 << 30:
                break
            pair, new, out, i = self.merges[best[0]], base + best[0], [], 0
            while i < len(ids):
                if i + 1 < len(ids) and (ids[i], ids[i + 1]) == pair:
                    out.append(new)
                    i += 2
                else:
                    out.append(ids[i])
                    i += 1
            ids = out
        return ids

    def encode(self, text: str) -> list[int]:
        out: list[int] = []
        cache = self.cache
        for word in self.pattern.findall(text):
            ids = cache.get(word)
            if ids is None:
                ids = cache[word] = self._word(word)
            out += ids
        return out

    def decode(self, ids: Iterable[int]) -> str:
        return b"".join(self.bytes[i] for i in ids if i < self.size).decode("utf-8", "replace")

    def save(self, path: Path) -> str:
        """Writes tokenizer.json; returns its sha256."""
        alphabet = byte_alphabet()
        show = lambda i: "".join(alphabet[b] for b in self.bytes[i])
        special = special_tokens()
        vocab = {s: i for i, s in enumerate(special)}
        vocab.update({show(i): i for i in range(N_SPECIAL, self.size)})
        flags = dict(single_word=False, lstrip=False, rstrip=False, normalized=False, special=True)
        level = dict(type="ByteLevel", add_prefix_space=False, trim_offsets=True, use_regex=True)
        data = {
            "version": "1.0",
            "truncation": None,
            "padding": None,
            "added_tokens": [{"id": i, "content": s, **flags} for i, s in enumerate(special)],
            "normalizer": None,
            "pre_tokenizer": level,
            "post_processor": None,
            "decoder": level,
            "model": {
                "type": "BPE",
                "dropout": None,
                "unk_token": None,
                "continuing_subword_prefix": None,
                "end_of_word_suffix": None,
                "fuse_unk": False,
                "byte_fallback": False,
                "vocab": vocab,
                "merges": [f"{show(a)} {show(b)}" for a, b in self.merges],
            },
        }
        raw = (json.dumps(data, ensure_ascii=False, indent=0) + "\n").encode()
        path.write_bytes(raw)
        return hashlib.sha256(raw).hexdigest()

    @staticmethod
    def load(path: Path) -> "Tokenizer":
        data = json.loads(path.read_text("utf-8"))
        vocab = data["model"]["vocab"]
        special = special_tokens()
        if [vocab.get(s) for s in special] != list(range(N_SPECIAL)):
            raise ValueError(f"{path}: not a vocabulary of this trainer (special tokens differ)")
        merges = [m.split(" ") if isinstance(m, str) else m for m in data["model"]["merges"]]
        return Tokenizer([(vocab[a], vocab[b]) for a, b in merges])


def train_bpe(texts: Iterable[str], size: int, min_count: int = 2) -> Tokenizer:
    """Merges the most frequent pair until the vocabulary has `size` tokens.

    Works on counted words; a heap with lazy deletion finds the next pair, and only the words that
    hold it are touched. Ties go to the lower pair of ids, so the result depends on nothing else.
    """
    pattern = word_pattern()
    counts: Counter[str] = Counter()
    for text in texts:
        counts.update(pattern.findall(text))
    words = [[N_SPECIAL + b for b in w.encode("utf-8", "replace")] for w in counts]
    freq = list(counts.values())
    pairs: Counter[tuple[int, int]] = Counter()
    where: dict[tuple[int, int], set[int]] = {}
    for i, ids in enumerate(words):
        for p in zip(ids, ids[1:]):
            pairs[p] += freq[i]
            where.setdefault(p, set()).add(i)
    heap = [(-n, p) for p, n in pairs.items()]
    heapify(heap)
    merges: list[tuple[int, int]] = []
    while heap and N_SPECIAL + 256 + len(merges) < size:
        n, pair = heappop(heap)
        if pairs.get(pair, 0) != -n:
            continue
        if -n < min_count:
            break
        new = N_SPECIAL + 256 + len(merges)
        merges.append(pair)
        changed = set()
        for i in where.pop(pair):
            ids, out, k = words[i], [], 0
            while k < len(ids):
                if k + 1 < len(ids) and (ids[k], ids[k + 1]) == pair:
                    out.append(new)
                    k += 2
                else:
                    out.append(ids[k])
                    k += 1
            for p in zip(ids, ids[1:]):
                pairs[p] -= freq[i]
                changed.add(p)
            for p in zip(out, out[1:]):
                pairs[p] += freq[i]
                where.setdefault(p, set()).add(i)
                changed.add(p)
            words[i] = out
        for p in changed:
            if pairs[p] > 0:
                heappush(heap, (-pairs[p], p))
            else:
                del pairs[p]
    return Tokenizer(merges)
