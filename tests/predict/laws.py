"""What holds of every Predictor, as functions that a test calls."""

import numpy as np
import pytest

from charlm.errors import UsageError
from charlm.predict.positions import at_positions, positions, step_through
from charlm.predict.reading import read


def check_laws(predictor, ids, tolerance=1e-4):
    """Check all laws on ids (S, N) read from the start."""
    check_that_steps_are_the_score(predictor, ids, tolerance)
    check_that_all_answers_agree(predictor, ids, tolerance)
    check_that_streams_are_apart(predictor, ids, tolerance)
    check_that_pieces_are_the_whole(predictor, ids, tolerance)
    check_that_positions_are_steps(predictor, ids, tolerance)
    check_that_to_read_is_to_score(predictor, ids, tolerance)
    check_that_what_is_no_id_is_refused(predictor, ids)


def check_that_steps_are_the_score(predictor, ids, tolerance):
    nats, end = predictor.score(ids, predictor.start(len(ids)))
    assert nats.shape == ids.shape and nats.dtype == np.float32
    state = predictor.start(len(ids))
    prediction = predictor.prediction(state)
    for step in range(ids.shape[1]):
        np.testing.assert_allclose(-prediction.of(ids[:, step]), nats[:, step], atol=tolerance)
        prediction, state = predictor.step(ids[:, step], state)
    for last in (predictor.prediction(end), predictor.prediction(state)):
        np.testing.assert_allclose(last.log_probs(), prediction.log_probs(), atol=tolerance)


def check_that_all_answers_agree(predictor, ids, tolerance):
    state = predictor.score(ids, predictor.start(len(ids)))[1]
    prediction = predictor.prediction(state)
    logs = prediction.log_probs()
    assert logs.shape == (len(ids), predictor.vocab_size)
    np.testing.assert_allclose(np.exp(logs.astype(np.float64)).sum(axis=1), 1.0, atol=tolerance)
    for each in range(0, predictor.vocab_size, 1 + predictor.vocab_size // 50):
        own = prediction.of(np.full(len(ids), each))
        np.testing.assert_allclose(own, logs[:, each], atol=tolerance)
    best, values = prediction.top(3)
    np.testing.assert_allclose(values, -np.sort(-logs, axis=1)[:, :3], atol=tolerance)
    np.testing.assert_allclose(np.take_along_axis(logs, best, axis=1), values, atol=tolerance)
    drawn = prediction.draw(lambda every: every, np.zeros(len(ids)))
    assert drawn.shape == (len(ids),) and np.isfinite(prediction.of(drawn)).all()


def check_that_streams_are_apart(predictor, ids, tolerance):
    together, state = predictor.score(ids, predictor.start(len(ids)))
    alone = [predictor.score(row[None], predictor.start(1)) for row in ids]
    for row, (nats, _) in zip(together, alone, strict=True):
        np.testing.assert_allclose(row, nats[0], atol=tolerance)
    turned = predictor.select(state, np.arange(len(ids))[::-1])
    stacked = predictor.stack([each for _, each in reversed(alone)])
    one, other = predictor.prediction(turned), predictor.prediction(stacked)
    np.testing.assert_allclose(one.log_probs(), other.log_probs(), atol=tolerance)


def check_that_pieces_are_the_whole(predictor, ids, tolerance):
    whole, _ = predictor.score(ids, predictor.start(len(ids)))
    cut = ids.shape[1] // 3
    state, pieces = predictor.start(len(ids)), []
    for part in (ids[:, :cut], ids[:, cut:cut], ids[:, cut:]):
        nats, state = predictor.score(part, state)
        pieces.append(nats)
    np.testing.assert_allclose(np.concatenate(pieces, axis=1), whole, atol=tolerance)


def check_that_positions_are_steps(predictor, ids, tolerance):
    for row in ids:
        _, state = predictor.score(row[None, :3], predictor.start(1))
        plain, end = step_through(predictor, row[None, 3:], state)
        spread, after = positions(predictor, row[None, 3:], state)
        np.testing.assert_allclose(spread.log_probs(), plain.log_probs(), atol=tolerance)
        one, other = predictor.prediction(end), predictor.prediction(after)
        np.testing.assert_allclose(other.log_probs(), one.log_probs(), atol=tolerance)
        pieces = list(at_positions(predictor, row[3:], state))
        assert np.concatenate([part for part, _, _ in pieces]).tolist() == row[3:].tolist()


def check_that_to_read_is_to_score(predictor, ids, tolerance):
    for some in (ids, ids[:1]):
        state = read(predictor, some, predictor.start(len(some)))
        end = predictor.score(some, predictor.start(len(some)))[1]
        one, other = predictor.prediction(state), predictor.prediction(end)
        np.testing.assert_allclose(one.log_probs(), other.log_probs(), atol=tolerance)


def check_that_what_is_no_id_is_refused(predictor, ids):
    state, long = predictor.start(1), np.resize(ids[:1], (1, 200))
    for wrong in (-1, predictor.vocab_size, 10**12, 0.5):
        row = long.astype(np.int64 if isinstance(wrong, int) else np.float64)
        row[0, 100] = wrong
        reading = {
            "step": lambda wrong=wrong: predictor.step(np.array([wrong]), state),
            "score": lambda row=row: predictor.score(row, state),
            "read": lambda row=row: read(predictor, row, state),
            "positions": lambda row=row: positions(predictor, row, state),
        }
        for name, do in reading.items():
            with pytest.raises(UsageError, match=r"is no id of this model|are whole numbers"):
                do()
                pytest.fail(f"{name} took {wrong}")
