#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Converts a trax checkpoint of a ConfigurableTerraformer into a model folder.

    python3 data/convert/trax.py model_1.pkl.gz --config config.gin \\
        --vocab en_16k.subword --reserved 100 --dtype int8 -o MODEL

The weights may be inside the pickle or beside it (model_1.weights.npy.gz). Exit status:
0 done, 2 wrong usage, 3 files that cannot be used, with one line on stderr.
"""

from __future__ import annotations

import argparse
import sys
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

if __package__ in (None, ""):
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from data.convert.checkpoint import load_weights
from data.convert.errors import ConvertError
from data.convert.folder import MODEL_DTYPES, write_model_folder
from data.convert.gin import read_gin
from data.convert.hyper import read_hyper
from data.convert.layout import Matcher


def parse_arguments(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="trax.py", description="Convert a trax Terraformer checkpoint to a terra model."
    )
    parser.add_argument("checkpoint", type=Path, metavar="CHECKPOINT.pkl.gz")
    parser.add_argument("--config", type=Path, required=True, metavar="FILE", help="its config.gin")
    parser.add_argument("--vocab", type=Path, metavar="FILE", help="T2T subword vocabulary")
    parser.add_argument(
        "--reserved",
        type=int,
        metavar="N",
        help="number added to every vocabulary id (default: n_reserved_ids of config.gin, or 0)",
    )
    parser.add_argument("--source-eos", action="store_true", help="sources end with id 1")
    parser.add_argument("--dtype", choices=tuple(MODEL_DTYPES), default="f32")
    parser.add_argument(
        "--controller",
        choices=tuple(MODEL_DTYPES),
        default="f32",
        help="for int8 models: dtype of the feed-forward controllers (default: f32)",
    )
    parser.add_argument(
        "--rest",
        choices=tuple(MODEL_DTYPES),
        default="f32",
        help="for int8 models: dtype of embeddings, positions, encoder attention and the "
        "matrices into and out of SRUs, gates (default: f32)",
    )
    parser.add_argument("--rotations", type=Path, metavar="FILE", help="npz, one array per layer")
    parser.add_argument("--max-source", type=int, metavar="N", help="context in source tokens")
    parser.add_argument("--max-target", type=int, metavar="N", help="context in target tokens")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="MODEL")
    return parser.parse_args(argv)


def read_rotations(path: Path) -> dict[str, np.ndarray]:
    try:
        with np.load(path, allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}
    except OSError as e:
        raise ConvertError(f"{path}: {e.strerror or e}") from e
    except (ValueError, EOFError, AttributeError, KeyError, zipfile.BadZipFile) as e:
        raise ConvertError(f"{path}: not an npz file of numbers") from e


def count_subtokens(path: Path) -> int:
    """Lines of a T2T vocabulary."""
    try:
        text = path.read_bytes().decode("utf-8")
    except OSError as e:
        raise ConvertError(f"{path}: {e.strerror}") from e
    except UnicodeDecodeError as e:
        raise ConvertError(f"{path}: not a subword vocabulary (not UTF-8)") from e
    return text.count("\n") + (not text.endswith("\n") and text != "")


def _limit(config: dict[str, Any], key: str, wanted: int | None) -> None:
    if wanted is None:
        return
    rows = config["positions"].get("max")
    if wanted < 1 or rows and wanted > rows:
        raise ConvertError(f"{key}: {wanted}, expected 1 to {rows or 'any number'}", 2)
    config[key] = wanted


def convert(args: argparse.Namespace) -> str:
    """Runs the conversion; returns one line about the result."""
    if args.reserved is not None and (args.vocab is None or args.reserved < 0):
        raise ConvertError("--reserved needs --vocab and a number from 0", 2)
    gin = read_gin(args.config)
    hyper = read_hyper(gin)
    flat = load_weights(args.checkpoint)
    matcher = Matcher(flat, hyper)
    try:
        config, tensors = matcher.run()
        given = read_rotations(args.rotations) if args.rotations else None
        made = matcher.rotations(given)
    except ConvertError as e:
        raise ConvertError(f"{args.checkpoint}: {e}", e.status) from e
    _limit(config, "max_source", args.max_source)
    _limit(config, "max_target", args.max_target)
    if args.source_eos:
        config["source_eos"] = True
    if args.vocab is not None:
        reserved = hyper.reserved_ids if args.reserved is None else args.reserved
        rows, lines = config["vocab_size"], count_subtokens(args.vocab)
        if lines + reserved > rows:
            text = f"{lines} subtokens + {reserved} reserved ids, the embedding has {rows} rows"
            raise ConvertError(f"{args.vocab}: {text}")
        config["vocabulary"] = {"type": "t2t", "reserved": reserved}
    write_model_folder(
        args.output, config, tensors, args.dtype, args.vocab, args.controller, args.rest
    )
    weights = sum(x.size for x in flat)
    line = f"{args.output}: {len(flat)} tensors, {weights} weights, {args.dtype}"
    return line + (f"; rotations of {len(made)} LSH layers drawn here" if made else "")


def main(argv: Sequence[str] | None = None) -> int:
    args = parse_arguments(argv)
    try:
        print(convert(args))
    except ConvertError as e:
        print(f"trax.py: {e}", file=sys.stderr)
        return e.status
    except MemoryError:
        print(f"trax.py: {args.checkpoint}: not enough memory", file=sys.stderr)
        return 3
    return 0


if __name__ == "__main__":
    sys.exit(main())
