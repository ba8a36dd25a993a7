"""The coder: every symbol comes back, in the bits that its probability is worth."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from charlm.compression.arithmetic import MAX_TOTAL, REGISTER, RangeDecoder, RangeEncoder

extreme = st.sampled_from([1, 2, 255, 256, MAX_TOTAL >> 9, (MAX_TOTAL >> 9) - 1])
tables = st.lists(st.one_of(st.integers(1, 1000), extreme), min_size=1, max_size=300)
messages = st.lists(st.tuples(tables, st.integers(0, 299)), max_size=60).map(
    lambda parts: [(counts, choice % len(counts)) for counts, choice in parts]
)


def part(counts, symbol):
    return sum(counts[:symbol]), counts[symbol], sum(counts)


def written(message):
    coder = RangeEncoder()
    for counts, symbol in message:
        coder.write(*part(counts, symbol))
    return coder.finish()


def symbol_at(counts, aim):
    for symbol, count in enumerate(counts):
        aim -= count
        if aim < 0:
            return symbol
    raise AssertionError("the aim lies behind all counts")


def read(data, tables):
    coder, found = RangeDecoder(data), []
    for counts in tables:
        found.append(symbol_at(counts, coder.aim(sum(counts))))
        coder.read(*part(counts, found[-1]))
    return found, coder


@settings(deadline=None)
@given(messages)
def test_what_is_written_is_read(message):
    found, coder = read(written(message), [counts for counts, _ in message])
    assert found == [symbol for _, symbol in message]
    assert not coder.exhausted


@settings(deadline=None)
@given(messages)
def test_the_size_is_the_information_and_less_than_two_bytes(message):
    bits = sum(math.log2(sum(counts) / counts[symbol]) for counts, symbol in message)
    assert len(written(message)) < bits / 8 + 2


@pytest.mark.parametrize("count, times", [(1, 200), ((1 << 40) - 1, 20_000)])
def test_the_most_and_the_least_probable_cost_what_they_must(count, times):
    table = [count, (1 << 40) - count]
    data = written([(table, 0)] * times)
    assert read(data, [table] * times)[0] == [0] * times
    assert len(data) <= -times * math.log2(count / (1 << 40)) / 8 + 2


def test_a_carry_runs_through_all_bytes_that_are_full():
    thirds = [1, 1, 1]
    coder = RangeEncoder()
    for _ in range(36):  # the middle third each time: ever closer under a half
        coder.write(*part(thirds, 1))
    assert coder._bytes == b"\x7f" + b"\xff" * 6
    coder.write(*part(thirds, 2))
    assert coder._bytes[:7] == b"\x80" + bytes(6)
    message = [*[(thirds, 1)] * 36, (thirds, 2), *[(thirds, 1)] * 100]
    assert read(written(message), [thirds] * 137)[0] == [symbol for _, symbol in message]


@given(st.binary(max_size=40), st.integers(2, 300))
def test_any_bytes_are_read_as_something_and_come_to_an_end(data, size):
    coder, table, symbols = RangeDecoder(data), [1] * size, 0
    while not coder.exhausted:
        symbol = symbol_at(table, coder.aim(size))
        coder.read(*part(table, symbol))
        symbols += 1
    assert symbols <= (len(data) + REGISTER + 2) * 8
