#!/usr/bin/env bash
# Dynamic evaluation on text that nothing was tuned on: a model of each corpus, trained for a minute
# by the plan's own choice; how it adapts is tuned on the last part of the training text, and then
# the test text is read once.
#
# Source:   Krause et al. 2018 (arXiv 1709.07432): with adaptation 51.1 in place of 58.8 on PTB's words,
#           44.3 in place of 65.6 on WikiText-2's, 1.19 in place of 1.24 bits on the characters of text8
# Expected: fewer bits per byte with adaptation than without, on every corpus
# Time:     20 minutes on two cores
source "$(dirname "$0")/experiment"

needs tinyshakespeare/input.txt russian-onegin/onegin.txt nottingham-abc/jigs.abc \
    ptb/ptb.train.txt ptb/ptb.valid.txt ptb/ptb.test.txt \
    ptb-char/ptb.char.train.txt ptb-char/ptb.char.valid.txt ptb-char/ptb.char.test.txt \
    wikitext-2/train.txt wikitext-2/valid.txt wikitext-2/test.txt

# judge [FILE]: tune how the model adapts, and score FILE, or the text held out, with and without
judge() {
    adapt
    score --adapt "$@"
    figure network bits_per_byte
    figure network+adapt bits_per_byte below network
}

part tinyshakespeare
train "$data/tinyshakespeare/input.txt" --minutes 1
judge
part russian-onegin
train "$data/russian-onegin/onegin.txt" --minutes 1
judge
part nottingham-abc
train "$data/nottingham-abc" --minutes 1
judge
part ptb
train "$data/ptb/ptb.train.txt" --valid "$data/ptb/ptb.valid.txt" --minutes 1
judge "$data/ptb/ptb.test.txt"
part ptb-char
train "$data/ptb-char/ptb.char.train.txt" --valid "$data/ptb-char/ptb.char.valid.txt" --minutes 1
judge "$data/ptb-char/ptb.char.test.txt"
part wikitext-2
train "$data/wikitext-2/train.txt" --valid "$data/wikitext-2/valid.txt" --minutes 1
judge "$data/wikitext-2/test.txt"
finish
