#!/bin/sh
# bench.sh - what `make bench` runs: the medium model, its prefill, one layer, and the TUI.
# Close other programs first; every table names the machine and its measured limits.
#
#   tests/bench/bench.sh          about four minutes
#   tests/bench/bench.sh big      the 17 B model as well (20 GB of memory, five minutes)
#
# A model file twice as large as the memory is another matter: tests/bench/out_of_core.py, as root.
#
# SPDX-License-Identifier: MIT
set -eu
terra=${B:-build}/terra

echo "## Decoding, one token at a time"
"$terra" bench --preset medium --modes sparse,masked,dense,untraced -n 64 -r 5 --paper
echo
echo "## Reading a text of 1024 tokens, and of 4096"
"$terra" bench --preset medium --modes sparse,dense -n 0 -p 1024 -r 3
"$terra" bench --preset medium --modes sparse,dense -n 0 -p 4096 -r 1
echo
echo "## One feed-forward layer, dense against 1 of N"
"$terra" bench --layer -r 9
echo
echo "## The terminal application"
TERRA_BUILD=$(dirname "$terra") "${PYTHON:-python3}" tests/bench/tui.py
if [ "${1:-}" = big ]; then
    echo
    echo "## Decoding at 17 billion parameters"
    "$terra" bench --preset big --modes sparse,dense -n 16 -r 3 --paper
fi
