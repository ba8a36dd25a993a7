#!/usr/bin/env bash
# The small network of Zaremba et al. on the words of Penn Treebank, 13 passes; perplexity.
#
# Source:   Zaremba et al. 2014 (arXiv 1409.2329): 120.7 validation, 114.5 test
# Expected: 113.1 validation within 2, 108.7 test within 2, with a cache 96.2 within 2 (one run,
#           2026-11-26, machine D of docs/benchmarks.md)
# Time:     half an hour on two cores with much other work on them
source "$(dirname "$0")/experiment"

needs ptb/ptb.train.txt ptb/ptb.valid.txt ptb/ptb.test.txt
train "$data/ptb/ptb.train.txt" --valid "$data/ptb/ptb.valid.txt" --preset zaremba-small
score "$data/ptb/ptb.valid.txt"
figure network word_perplexity 113.1 2
score "$data/ptb/ptb.test.txt"
figure network word_perplexity 108.7 2
figure network+cache word_perplexity 96.2 2
finish
