#!/usr/bin/env bash
# AWD-LSTM on the words of Penn Treebank, 500 passes; perplexity on validation and test text.
#
# Source:   Merity et al. 2018 (arXiv 1708.02182); the figures of their repository's README, without
#           the second run that fine-tunes: about 61.2 validation, 58.8 test. What differs from theirs
#           is told in charlm/language/presets.py.
# Expected: not yet run as a whole; its first 200 steps of about 340,000 came to a validation
#           perplexity of 627 (docs/benchmarks.md)
# Time:     not yet run: for a GPU; on one core of machine D, with other work beside it,
#           a step took 1.5 to 2.3 s
source "$(dirname "$0")/experiment"

needs ptb/ptb.train.txt ptb/ptb.valid.txt ptb/ptb.test.txt
train "$data/ptb/ptb.train.txt" --valid "$data/ptb/ptb.valid.txt" --preset awd-ptb
score "$data/ptb/ptb.valid.txt"
figure network word_perplexity
score "$data/ptb/ptb.test.txt"
figure network word_perplexity
figure network+cache word_perplexity
finish
