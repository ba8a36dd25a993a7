"""Reading on without a look at what is predicted on the way, as a prompt is read.

The plain way, for any predictor, is to score and forget the scores. Some know a faster one: they
have a method `read` that takes ids (S, N) and a state, and gives the state after; a test compares
both. Legend: S streams, N ids of each.
"""

import numpy as np

from charlm.predict.predictor import Predictor, State


def read(predictor: Predictor, ids: np.ndarray, state: State) -> State:
    """Give the state after ids (S, N), by the predictor's own way if it has one."""
    own = getattr(predictor, "read", None)
    return predictor.score(ids, state)[1] if own is None else own(ids, state)


def settled(predictor: Predictor, state: State) -> State:
    """Give a state of one stream as reading at once would have left it: quicker to go on from.

    It differs in how it is laid out alone; who knows of no difference has no method `settled`.
    """
    own = getattr(predictor, "settled", None)
    return state if own is None else own(state)
