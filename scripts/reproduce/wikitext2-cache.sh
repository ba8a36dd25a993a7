#!/usr/bin/env bash
# Words of WikiText-2 in eight minutes, and what a cache over the last 2,000 words takes off; the
# test text, 245,569 words with one <eos> a line.
#
# Source:   Grave et al. 2017 (arXiv 1612.04426): 99.3 without a cache, 68.9 with one of 2,000
# Expected: network 116.8 within 5, with cache 85.1 within 4, with counts too 80.5 within 4: one run
#           on machine D of docs/benchmarks.md, with other work beside it
# Time:     10 minutes on two cores
source "$(dirname "$0")/experiment"

needs wikitext-2/train.txt wikitext-2/valid.txt wikitext-2/test.txt
train "$data/wikitext-2/train.txt" --valid "$data/wikitext-2/valid.txt" \
    --tokenizer word --unknown unk --minutes 8
score --cache "$data/wikitext-2/test.txt"
figure network word_perplexity 116.8 5
figure network+cache word_perplexity 85.1 4
figure network+counts+cache word_perplexity 80.5 4
finish
