"""Damaged files are refused in a sentence: a short form of scripts/fuzz."""

import pytest

from tests.faults.fuzz import Parsers, fuzz

FILES = 500  # of each kind: the same ones every time, on any machine


@pytest.fixture(scope="session")
def parsers(tmp_path_factory):
    return Parsers(tmp_path_factory.mktemp("fuzz"))


@pytest.mark.parametrize(
    "name", ["safetensors", "config", "tokenizer", "manifest", "record", "jsonl", "csv"]
)
def test_a_damaged_file_is_refused_in_a_sentence(parsers, name):
    tries, faults = fuzz(parsers, name, most=FILES)
    assert not faults and tries == FILES
