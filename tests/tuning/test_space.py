"""Spaces: defaults, neighbours, and what counts only beside something else."""

from random import Random

from hypothesis import given
from hypothesis import strategies as some

from charlm.tuning.sampling import first_trials
from charlm.tuning.space import Choice, Number, counts, defaults, neighbour

SPACE = [
    Choice("tokenizer", ("char", "bpe"), "char"),
    Choice("size", (None, 512, 1024), None, ("tokenizer", "bpe")),
    Number("rate", 0.1, 10.0, 1.0, log=True),
    Number("layers", 1, 3, 1, whole=True),
]


def is_of(values, space):
    """Tell whether each parameter that counts has one of its values, and no other has any."""
    there = [parameter for parameter in space if counts(parameter, values)]
    right = [
        values[p.name] in p.values
        if isinstance(p, Choice)
        else p.low <= values[p.name] <= p.high and isinstance(values[p.name], int) >= p.whole
        for p in there
    ]
    return all(right) and set(values) == {p.name for p in there}


def test_what_depends_on_another_value_is_no_default():
    assert defaults(SPACE) == {"tokenizer": "char", "rate": 1.0, "layers": 1}
    assert is_of(defaults(SPACE), SPACE)


@given(some.integers(0, 10**9))
def test_a_neighbour_is_of_the_space_and_not_the_default(seed):
    values = neighbour(SPACE, Random(seed))
    assert is_of(values, SPACE)
    assert values != defaults(SPACE)


def test_neighbours_keep_most_of_the_default():
    wide, random = [Number(name, 0.0, 2.0, 1.0) for name in "abcdefghij"], Random(0)
    kept = [list(neighbour(wide, random).values()).count(1.0) for _ in range(200)]
    assert 6.5 < sum(kept) / 200 < 7.5 and max(kept) == 9


def test_a_search_begins_with_the_plan_and_repeats_it_with_another_seed():
    trials = first_trials(SPACE, 3)
    plans = [(values, more) for values, more in trials if more.get("plan")]
    assert trials[0] == (defaults(SPACE), {"plan": True})
    assert plans[1] == (defaults(SPACE), {"plan": True, "repeat": 1})
    assert len(plans) == 2 and len(trials) == 7
    assert first_trials(SPACE, 3) == trials != first_trials(SPACE, 4)


def test_where_nothing_is_left_to_search_there_is_the_plan_alone():
    assert [values for values, _ in first_trials([], 1)] == [{}, {}]
    assert neighbour([], Random(1)) == {}
