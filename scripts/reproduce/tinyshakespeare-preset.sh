#!/usr/bin/env bash
# Characters of tiny shakespeare in eight passes: the same on every machine, however long it takes.
#
# Source:   the preset tinyshakespeare (charlm/language/presets.py)
# Expected: network 1.408, with counts 1.366, with both 1.350, within 0.02 (one run, 2026-11-26, bfloat16,
#           machine D of docs/benchmarks.md); float32 or another seed changes the last digits
# Time:     two minutes or so on two cores with nothing else on them
source "$(dirname "$0")/experiment"

needs tinyshakespeare/input.txt
train "$data/tinyshakespeare/input.txt" --preset tinyshakespeare
score --cache
figure network nats_per_character 1.408 0.02
figure network+counts nats_per_character 1.366 0.02
figure network+counts+cache nats_per_character 1.350 0.02
finish
