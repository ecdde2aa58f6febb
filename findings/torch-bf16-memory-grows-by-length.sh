#!/bin/sh
# PyTorch 2.13.0 on a CPU with bf16: two linear layers take over a megabyte of memory for every length of a
# batch that they have not met, and keep it; in float32 they take nothing.
#
# Expected: inference over batches of any length runs in flat memory once the longest has been seen. Seen:
# 200 lengths of two 384 x 1536 layers grow the process by 170 to 320 MB in bfloat16 and by 6 MB in float32; the
# same lengths again add nothing, and new ones that are shorter than the longest do. Setting
# ONEDNN_PRIMITIVE_CACHE_CAPACITY=8 took a part of it away, so oneDNN's cache of compiled primitives is one
# of the places (inferred, not read). Padding batches to multiples of 8 divides the growth by 8.
grep -qE 'avx512_bf16|amx_bf16' /proc/cpuinfo || { echo "skipped: this processor has no bf16"; exit 77; }
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check torch==2.13.0 numpy==2.4.6
cd "$work"
OMP_NUM_THREADS=1 "$work/venv/bin/python" - <<'PYTHON'
import sys

import torch

torch.set_num_threads(1)
layers = torch.nn.Sequential(torch.nn.Linear(384, 1536), torch.nn.Linear(1536, 384)).eval()


def resident_mb():
    with open("/proc/self/status") as status:
        return int(next(line for line in status if line.startswith("VmRSS")).split()[1]) / 1000


def growth(lengths, dtype):
    before = resident_mb()
    with torch.inference_mode():
        for length in lengths:
            layers(torch.zeros(2, length, 384, dtype=dtype))
    return resident_mb() - before


found = {}
for dtype in (torch.float32, torch.bfloat16):
    layers.to(dtype)
    growth([300], dtype)
    new, again = growth(range(16, 216), dtype), growth(range(16, 216), dtype)
    found[dtype] = new
    print(f"{dtype}: 200 new lengths +{new:.0f} MB ({new / 200:.2f} each), the same again +{again:.0f} MB")
as_written = found[torch.bfloat16] > 60 and found[torch.float32] < 30
sys.exit(0 if as_written else "changed")
PYTHON
