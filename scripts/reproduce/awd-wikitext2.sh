#!/usr/bin/env bash
# AWD-LSTM on the words of WikiText-2, 750 passes; perplexity on validation and test text.
#
# Source:   Merity et al. 2018 (arXiv 1708.02182); the figures of their repository's README, without
#           the second run that fine-tunes: about 68.7 validation, 65.6 test. What differs from theirs
#           is told in charlm/language/presets.py.
# Expected: not yet run
# Time:     not yet run: for a GPU; on one core of machine D of docs/benchmarks.md, with other work
#           beside it, 9 steps of about 288,000 and a validation took 114 s
source "$(dirname "$0")/experiment"

needs wikitext-2/train.txt wikitext-2/valid.txt wikitext-2/test.txt
train "$data/wikitext-2/train.txt" --valid "$data/wikitext-2/valid.txt" --preset awd-wikitext2
score "$data/wikitext-2/valid.txt"
figure network word_perplexity
score "$data/wikitext-2/test.txt"
figure network word_perplexity
figure network+cache word_perplexity
finish
