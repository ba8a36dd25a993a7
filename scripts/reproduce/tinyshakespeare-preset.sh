#!/usr/bin/env bash
# Characters of tiny shakespeare in eight passes: the same on every machine, however long it takes.
#
# Source:   the preset tinyshakespeare (charlm/language/presets.py)
# Expected: not yet run
# Time:     not yet run; some minutes on two cores
source "$(dirname "$0")/experiment"

needs tinyshakespeare/input.txt
train "$data/tinyshakespeare/input.txt" --preset tinyshakespeare
score
figure network nats_per_character
figure network+counts nats_per_character
figure network+counts+cache nats_per_character
finish
