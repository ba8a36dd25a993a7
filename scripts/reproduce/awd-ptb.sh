#!/usr/bin/env bash
# AWD-LSTM on the words of Penn Treebank, 500 passes; perplexity on validation and test text.
#
# Source:   Merity et al. 2018 (arXiv 1708.02182); the figures of their repository's README, without
#           the second run that fine-tunes: about 61.2 validation, 58.8 test. Their last layer is
#           narrower than ours (charlm/language/presets.py).
# Expected: not yet run
# Time:     not yet run: for a GPU
source "$(dirname "$0")/experiment"

needs ptb/ptb.train.txt ptb/ptb.valid.txt ptb/ptb.test.txt
train "$data/ptb/ptb.train.txt" --valid "$data/ptb/ptb.valid.txt" --preset awd-ptb
score "$data/ptb/ptb.valid.txt"
figure network word_perplexity
score "$data/ptb/ptb.test.txt"
figure network word_perplexity
figure network+cache word_perplexity
finish
