"""Streams: every prediction once an epoch, in order, resumable, with documents and restarts."""

import itertools
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from charlm.batches.batch import Position
from charlm.batches.streams import Restarts, Streams
from charlm.batches.windows import Windows

shapes = st.tuples(st.integers(2, 90), st.integers(1, 9), st.integers(1, 12))


def streams_of(length, batch_size, window, **keywords):
    return Streams(
        np.arange(length, dtype=np.uint16),
        batch_size=batch_size,
        **{"seed": 3, "windows": Windows(window, window)} | keywords,
    )


def epoch_of(streams, number):
    """Collect the batches of one epoch."""
    found = []
    for batch, position in streams.batches(Position(number, 0)):
        found.append(batch)
        if position.epoch != number:
            return found
    raise AssertionError


@given(shapes, st.integers(0, 3))
def test_each_epoch_holds_every_prediction_exactly_once(shape, number):
    streams = streams_of(*shape)
    batches = epoch_of(streams, number)
    seen = Counter()
    for batch in batches:
        real = np.ones(batch.inputs.shape, bool) if batch.mask is None else batch.mask
        assert (batch.targets[real] == batch.inputs[real] + 1).all()
        seen.update(batch.inputs[real].tolist())
        assert batch.num_targets == real.sum()
    assert seen == Counter(range(shape[0] - 1))
    length, batch_size, window = shape
    longest = -(-(length - 1) // min(batch_size, length - 1))
    assert len(batches) == -(-longest // window)


@given(shapes, st.integers(1, 12), st.integers(0, 40))
def test_growing_windows_hold_every_prediction_once_and_go_on_from_any_position(shape, more, at):
    length, batch_size, first = shape
    streams = Streams(
        np.arange(length, dtype=np.uint16),
        batch_size=batch_size,
        windows=Windows(first, first + more),
        seed=3,
    )

    def walk(start, position):
        steps = itertools.count(start)
        return streams.batches(position, lambda: next(steps) / 40)

    first_epoch = list(itertools.takewhile(lambda pair: pair[1].epoch == 0, walk(0, None)))
    widths = [batch.inputs.shape[1] for batch, _ in first_epoch]
    assert widths == sorted(widths) and all(first <= w <= first + more for w in widths)
    whole = list(itertools.islice(walk(0, None), at + 4))
    resumed = walk(at + 1, whole[at][1])
    for (batch, position), (again, where) in zip(whole[at + 1 :], resumed, strict=False):
        assert position == where and np.array_equal(batch.inputs, again.inputs)


@given(shapes, st.integers(0, 3))
def test_each_stream_goes_on_where_its_last_window_ended(shape, number):
    streams = streams_of(*shape)
    for before, after in itertools.pairwise(epoch_of(streams, number)):
        # the corpus is a circle: what follows its last target is its first input
        ended = before.targets[:, -1] % streams.num_targets
        assert (after.inputs[:, 0] == ended).all()
        assert before.mask is None and not after.fresh


@settings(max_examples=40)
@given(shapes, st.integers(0, 30))
def test_going_on_from_any_position_gives_the_same_batches(shape, at):
    streams = streams_of(*shape, restarts=restarts(shape[0]))
    walk = list(itertools.islice(streams.batches(), at + 5))
    position = Position.from_json(walk[at][1].to_json())
    for (batch, after), (expected, expected_after) in zip(
        streams.batches(position), walk[at + 1 :], strict=False
    ):
        assert np.array_equal(batch.inputs, expected.inputs)
        assert np.array_equal(batch.targets, expected.targets)
        for name in ("mask", "resets"):
            ours, theirs = getattr(batch, name), getattr(expected, name)
            assert (ours is None) == (theirs is None)
            assert ours is None or np.array_equal(ours, theirs)
        assert (batch.fresh, after) == (expected.fresh, expected_after)


def test_only_the_first_window_of_an_epoch_is_fresh():
    flags = [batch.fresh for batch in epoch_of(streams_of(50, 4, 3), 1)]
    assert flags == [True] + [False] * (len(flags) - 1)


def test_later_epochs_begin_elsewhere_and_the_seed_decides_where():
    first = [epoch_of(streams_of(1000, 4, 5), n)[0].inputs.tolist() for n in range(3)]
    assert first[0] != first[1] != first[2]
    other = epoch_of(streams_of(1000, 4, 5, seed=4), 1)[0].inputs.tolist()
    assert other != first[1] == epoch_of(streams_of(1000, 4, 5), 1)[0].inputs.tolist()


def test_a_short_corpus_has_fewer_streams():
    assert streams_of(4, 16, 8).batch_size == 3


def test_resets_stand_at_the_documents_beginnings():
    boundaries = np.array([0, 10, 11, 40, 59])
    streams = streams_of(60, 4, 7, boundaries=boundaries, reset_at_documents=True)
    for number in (0, 2):
        for batch in epoch_of(streams, number):
            assert np.array_equal(batch.resets, np.isin(batch.inputs, boundaries[:-1]))


@given(shapes, st.sets(st.integers(1, 88), max_size=8), st.integers(0, 2))
def test_each_document_is_reset_once_an_epoch_at_its_first_input(shape, inner, number):
    last = shape[0] - 1
    boundaries = np.array(sorted({0, last, *(place for place in inner if place < last)}))
    streams = streams_of(*shape, boundaries=boundaries, reset_at_documents=True)
    found = []
    for batch in epoch_of(streams, number):
        real = np.ones(batch.inputs.shape, bool) if batch.mask is None else batch.mask
        found += batch.inputs[batch.resets & real].tolist()
    assert sorted(found) == boundaries[:-1].tolist()


def test_restarts_add_to_the_documents_resets():
    keywords = {"boundaries": np.array([0, 7, 300, 599]), "reset_at_documents": True}
    plain = epoch_of(streams_of(600, 4, 10, **keywords), 0)
    both = epoch_of(streams_of(600, 4, 10, **keywords, restarts=restarts(600)), 0)
    for before, after in zip(plain, both, strict=True):
        restarted = before.inputs != after.inputs
        assert np.array_equal(after.resets, before.resets | restarted)
    assert sum(int(batch.resets.sum()) for batch in both) > 3


def restarts(length, rate=0.05):
    """Let texts begin after a fifth of the ids, taken at random."""
    after = np.zeros(length + 1, dtype=bool)
    after[np.random.default_rng(1).permutation(length)[: length // 5]] = True
    return Restarts(boundary_id=length, after=after, share=0.2, rate=rate)


def test_a_restart_reads_the_boundary_where_a_text_might_begin():
    settings = restarts(6000, rate=0.004)
    plain = epoch_of(streams_of(6000, 8, 10), 0)
    restarted = epoch_of(streams_of(6000, 8, 10, restarts=settings), 0)
    count = 0
    for before, after in zip(plain, restarted, strict=True):
        assert np.array_equal(before.targets, after.targets)
        changed = before.inputs != after.inputs
        if after.resets is None:
            assert not changed.any()
            continue
        assert np.array_equal(changed, after.resets)
        assert (after.inputs[changed] == 6000).all()
        assert settings.after[before.inputs[changed]].all()
        assert not changed[:, 1:].any()  # windows are read in one piece
        count += int(changed.sum())
    assert count == pytest.approx(0.004 * 6000, rel=0.5)


def test_restarts_stay_rare_where_places_to_begin_are():
    rare = Restarts(600, np.ones(601, dtype=bool), share=0.01, rate=0.01)
    assert [rare.chance(steps) for steps in (0, 1, 64)] == [0.0, 0.5, 0.5]
    usual = Restarts(600, np.ones(601, dtype=bool), share=0.1, rate=0.001)
    assert usual.chance(10) == pytest.approx(0.1)


def test_without_a_place_to_begin_there_is_no_restart():
    never = Restarts(600, np.zeros(601, dtype=bool), share=0.0, rate=1.0)
    assert all(b.resets is None for b in epoch_of(streams_of(600, 4, 10, restarts=never), 0))


def random_streams(length=3_000, seed=3):
    return streams_of(length, 4, 1, windows=Windows(30, 30, random=True), seed=seed)


def test_windows_at_random_hold_every_prediction_once_too():
    streams = random_streams()
    for number in range(3):
        seen = Counter()
        for batch in epoch_of(streams, number):
            real = np.ones(batch.inputs.shape, bool) if batch.mask is None else batch.mask
            seen.update(batch.inputs[real].tolist())
        assert seen == Counter(range(2_999))


def test_windows_at_random_go_on_from_any_position_as_they_were():
    whole = list(itertools.islice(random_streams().batches(), 80))
    lengths = {batch.inputs.shape[1] for batch, _ in whole}
    assert len(lengths) > 8 and whole[-1][1].epoch > 1
    for number in (0, 1, 17, 40, 78):
        again = next(random_streams().batches(whole[number][1]))
        batch, after = whole[number + 1]
        assert after == again[1] and np.array_equal(batch.inputs, again[0].inputs)
        assert batch.rate_factor == again[0].rate_factor
    other = next(iter(random_streams(seed=4).batches()))[0]
    assert other.inputs.shape != whole[0][0].inputs.shape


def test_a_window_at_random_has_a_rate_as_large_as_it_is_long():
    for batch, _ in itertools.islice(random_streams().batches(), 50):
        assert batch.rate_factor == batch.inputs.shape[1] / 30
        assert all(part.rate_factor == batch.rate_factor for part in batch.split(2))
    assert next(streams_of(100, 2, 7).batches())[0].rate_factor == 1.0
