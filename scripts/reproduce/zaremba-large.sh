#!/usr/bin/env bash
# The large network of Zaremba et al. on the words of Penn Treebank, 55 passes; perplexity.
#
# Source:   Zaremba et al. 2014 (arXiv 1409.2329): 82.2 validation, 78.4 test
# Expected: not yet run
# Time:     not yet run: for a GPU
source "$(dirname "$0")/experiment"

needs ptb/ptb.train.txt ptb/ptb.valid.txt ptb/ptb.test.txt
train "$data/ptb/ptb.train.txt" --valid "$data/ptb/ptb.valid.txt" --preset zaremba-large
score "$data/ptb/ptb.valid.txt"
figure network word_perplexity
score "$data/ptb/ptb.test.txt"
figure network word_perplexity
figure network+cache word_perplexity
finish
