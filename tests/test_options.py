"""Options: one line of a dataclass is a flag, a JSON key and a checked value."""

import argparse
import json
from dataclasses import dataclass
from typing import Literal

import pytest

from charlm.errors import UsageError
from charlm.options import (
    add_arguments,
    check,
    did_you_mean,
    from_arguments,
    from_json,
    option,
    to_json,
)


@dataclass(frozen=True)
class Sample:
    size: int = option(3, "how many")
    rate: float | None = option(None, "how fast", flag="--speed")
    cell: Literal["lstm", "gru"] = option("lstm", "which")
    tie: bool = option(True, "share")
    force: bool = option(False, "overwrite")
    cuts: tuple[int, ...] = ()

    def __post_init__(self):
        check(self.size > 0, f"--size must be above 0, not {self.size}")


def parse(*words):
    parser = argparse.ArgumentParser()
    add_arguments(parser, Sample)
    return from_arguments(Sample, parser.parse_args(words))


def test_flags_left_out_keep_the_dataclass_defaults():
    assert parse() == Sample()


def test_every_kind_of_option_has_a_flag():
    got = parse("--size", "5", "--speed", "0.5", "--cell", "gru", "--no-tie", "--force")
    assert got == Sample(size=5, rate=0.5, cell="gru", tie=False, force=True)


def test_json_round_trip_is_the_identity():
    value = Sample(size=9, rate=1.5, cell="gru", tie=False)
    assert from_json(Sample, to_json(value)) == value


def test_a_tuple_is_read_back_from_the_list_that_json_makes_of_it():
    value = Sample(cuts=(3, 7))
    assert from_json(Sample, json.loads(json.dumps(to_json(value)))) == value


@pytest.mark.parametrize(
    "values",
    [
        {"size": "3"},
        {"size": True},
        {"cell": "elman"},
        {"rate": "fast"},
        {"tie": 1},
        {"cuts": 3},
        {"cuts": ["3"]},
        {"cuts": [True]},
        {"cuts": {}},
        {"cuts": None},
    ],
)
def test_json_of_another_type_is_refused(values):
    with pytest.raises(UsageError):
        from_json(Sample, values)


def test_an_unknown_json_name_is_refused_with_the_nearest_one():
    with pytest.raises(UsageError) as caught:
        from_json(Sample, {"szie": 3})
    assert caught.value.hint == "did you mean 'size'?"


def test_values_are_checked_in_every_form():
    for make in (lambda: parse("--size", "0"), lambda: from_json(Sample, {"size": 0})):
        with pytest.raises(UsageError, match=r"^size must be above 0"):
            make()


def test_no_hint_is_given_where_nothing_is_close():
    assert did_you_mean("xyzzy", ["train", "eval"]) is None
