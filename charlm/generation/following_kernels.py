"""The tokens to follow from spellings, compiled: for `charlm.generation.following_compiled`.

What is computed is told in `charlm.generation.following`, whose NumPy it is tested against. numba
keeps what it compiled until this file changes. n spellings, V vocabulary, B tokens followed.
"""

OPTIONS = {"error_model": "numpy", "nogil": True}


def follow(probs, places, may_follow, ending, faint, tokens, shares, tails, counts, rest, ends):
    """Fill tokens and shares (n, B), tails (n, B + 1), and counts, rest and ends (n,)."""
    most = tokens.shape[1]
    for row in range(len(probs)):
        mask, own, kept = may_follow[places[row]], probs[row], shares[row]
        total, ended, count = 0.0, 0.0, 0
        for token in range(len(own)):
            ended += own[token] * ending[token]
            share = own[token] * mask[token]
            total += share
            if share <= faint or (count == most and share <= kept[most - 1]):
                continue
            place = count if count < most else most - 1
            while place > 0 and kept[place - 1] < share:
                kept[place] = kept[place - 1]
                tokens[row, place] = tokens[row, place - 1]
                place -= 1
            kept[place] = share
            tokens[row, place] = token
            count = min(count + 1, most)
        tails[row, count] = 0.0
        for place in range(count - 1, -1, -1):
            tails[row, place] = tails[row, place + 1] + kept[place]
        counts[row], ends[row] = count, ended
        rest[row] = max(total - tails[row, 0], 0.0)
