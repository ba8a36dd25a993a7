#!/usr/bin/env bash
# Characters of tiny shakespeare in two minutes, with what the plan chooses; the last tenth, read as
# one stream, in nats per character.
#
# Source:   nanoGPT's README has 1.4697 on a GPU (best of its validations, windows of 256 characters)
# Expected: network 1.42, with counts 1.375, with both 1.355, within 0.03: four seeds on machine D of
#           docs/benchmarks.md gave 1.416 to 1.426, 1.371 to 1.378 and 1.352 to 1.358. Slower machines learn less in
#           the time (B, without bfloat16: 1.47 for the network).
# Time:     2.5 minutes on two cores
source "$(dirname "$0")/experiment"

needs tinyshakespeare/input.txt
train "$data/tinyshakespeare/input.txt" --minutes 2
score --cache
figure network nats_per_character 1.42 0.03
figure network+counts nats_per_character 1.375 0.03
figure network+counts+cache nats_per_character 1.355 0.03
finish
