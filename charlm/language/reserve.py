"""The reserve: the last part of the training text, which the network does not learn from.

What stands beside the weights, such as the shares of a mixture, is tuned on it: on text that
nothing was made from, and that no score is told of.
"""

import numpy as np

from charlm.text.store import TokenPart

SHARE, FEWEST, MOST = 0.01, 2_000, 6_000  # of the tokens; at least and at most so many tokens,
LARGEST_SHARE = 0.05  # but no more than this of a small text,
TOO_FEW = 500  # and none where that is too little to tune on


def divide(train: TokenPart) -> tuple[TokenPart, np.ndarray]:
    """Give what the network learns from, and the ids of the reserve, (N,), perhaps none."""
    tokens = len(train.ids) - 1
    wanted = int(min(max(SHARE * tokens, FEWEST), MOST, LARGEST_SHARE * tokens))
    if wanted < TOO_FEW:
        return train, np.zeros(0, dtype=train.ids.dtype)
    learned = train.until(tokens - wanted, wanted)
    return learned, train.ids[len(learned.ids) :]
