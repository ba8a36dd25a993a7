#!/usr/bin/env bash
# AWD-LSTM on the characters of Penn Treebank, 500 passes; bits per character, blanks that part
# them not counted and one <eos> a line.
#
# Source:   Merity et al. 2018 (arXiv 1803.08240): 1.175 bits per character on the test text
# Expected: not yet run
# Time:     not yet run: for a GPU; on one core of machine D of docs/benchmarks.md, with other work
#           beside it, 9 steps of about 134,000 and a validation took 112 s
source "$(dirname "$0")/experiment"

needs ptb-char/ptb.char.train.txt ptb-char/ptb.char.valid.txt ptb-char/ptb.char.test.txt
train "$data/ptb-char/ptb.char.train.txt" --valid "$data/ptb-char/ptb.char.valid.txt" --preset char-ptb
score "$data/ptb-char/ptb.char.valid.txt"
figure network bits_per_token
score "$data/ptb-char/ptb.char.test.txt"
figure network bits_per_token
figure network+cache bits_per_token
finish
