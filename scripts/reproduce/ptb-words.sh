#!/usr/bin/env bash
# Words of Penn Treebank in eight minutes, with what the plan chooses, mixed with counts and a cache;
# perplexity on the test text, 82,430 words with one <eos> a line.
#
# Source:   beside it, Zaremba et al. 2014 (arXiv 1409.2329): 82.7 (medium), 78.4 (large), networks alone
# Expected: network 89.2 within 4, with counts 82.9 within 4, with both 76.4 within 4: one run on
#           machine D of docs/benchmarks.md, half of it with other work beside it
# Time:     10 minutes on two cores
source "$(dirname "$0")/experiment"

needs ptb/ptb.train.txt ptb/ptb.valid.txt ptb/ptb.test.txt
train "$data/ptb/ptb.train.txt" --valid "$data/ptb/ptb.valid.txt" \
    --tokenizer word --unknown unk --minutes 8
score --cache "$data/ptb/ptb.test.txt"
figure network word_perplexity 89.2 4
figure network+counts word_perplexity 82.9 4
figure network+counts+cache word_perplexity 76.4 4
finish
