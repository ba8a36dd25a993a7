"""Errors name options as they are given: with dashes on the command line, as keywords in Python."""

import pickle

import pytest

from charlm.cli.main import complain
from charlm.errors import ModelError, UsageError
from charlm.generation.options import BeamOptions, SamplingOptions
from charlm.language.fit import train

SAID = [
    ("--max-copy must be 1 or more, not 0", "max_copy must be 1 or more, not 0"),
    ("give one of --regex, --prefix and --words", "give one of regex, prefix and words"),
    ("skipped 3 rows (--strict refuses them)", "skipped 3 rows (strict refuses them)"),
    ("'a--b' and -- and x--y are no options", "'a--b' and -- and x--y are no options"),
    ("for --plot: charlm eval M --plot a.png", "for plot: charlm eval M --plot a.png"),
]


@pytest.mark.parametrize(("said", "in_python"), SAID)
def test_an_error_names_options_as_its_reader_gives_them(said, in_python, capsys):
    error = UsageError(said, "or leave out --seed")
    assert str(error) == in_python
    complain(error)
    assert capsys.readouterr().err == f"error: {said}\nhint: or leave out --seed\n"


def test_what_python_raises_names_keywords():
    wrong = [
        lambda: SamplingOptions(max_copy=0),
        lambda: SamplingOptions(no_repeat_ngram_size=-1),
        lambda: BeamOptions(length_penalty=1e9),
        lambda: train("book.txt", weight_decay=-1.0),
        lambda: train("book.txt", bptt_start=9, bptt=4, steps=1),
    ]
    for make in wrong:
        with pytest.raises(UsageError) as caught:
            make()
        assert "--" not in str(caught.value) and "--" in caught.value.message


def test_an_error_goes_from_one_process_to_another():
    error = pickle.loads(pickle.dumps(ModelError("--state is damaged")))
    assert (error.message, str(error)) == ("--state is damaged", "state is damaged")
