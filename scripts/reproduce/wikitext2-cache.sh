#!/usr/bin/env bash
# Words of WikiText-2 in eight minutes, and what a cache over the last 2,000 words takes off; the
# test text, 245,569 words with one <eos> a line.
#
# Source:   Grave et al. 2017 (arXiv 1612.04426): 99.3 without a cache, 68.9 with one of 2,000
# Expected: not yet run
# Time:     not yet run; some 10 minutes on two cores
source "$(dirname "$0")/experiment"

needs wikitext-2/train.txt wikitext-2/valid.txt wikitext-2/test.txt
train "$data/wikitext-2/train.txt" --valid "$data/wikitext-2/valid.txt" \
    --tokenizer word --unknown unk --minutes 8
score --cache "$data/wikitext-2/test.txt"
figure network word_perplexity
figure network+cache word_perplexity
figure network+counts+cache word_perplexity
finish
