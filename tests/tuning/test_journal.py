"""The journal: what is broken at its end is cut off and kept; what is whole is never touched."""

import json

import pytest

pytest.importorskip("optuna")

from charlm.errors import ModelError
from charlm.tuning.journal import Journal

LINES = [{"op_code": 4, "study_id": 0, "number": k, "name": "né"} for k in range(5)]
WHOLE = "".join(json.dumps(line) + "\n" for line in LINES).encode()
BROKEN = [
    b'{"op_code": 8, "wor',
    b'{"op_code": 8}',  # whole, but for the end of the line
    b'{"op_code": 8, "wor\n',
    b"\0" * 300,
    b"\xff\xfe\n",
    b"17\n",
    b'{"op_code": 8{"op_code": 8}\n',
]


@pytest.fixture
def journal(tmp_path):
    told = []
    journal = Journal(tmp_path / "journal.jsonl", told.append)
    journal.append_logs(LINES)
    journal.told = told
    assert journal.path.read_bytes() == WHOLE
    return journal


def copies(journal):
    return {p.name: p.read_bytes() for p in sorted(journal.path.parent.glob("*.broken-*"))}


@pytest.mark.parametrize("tail", BROKEN)
def test_a_broken_end_is_cut_off_and_kept(journal, tail):
    journal.path.write_bytes(WHOLE + tail)
    journal.mend()
    assert journal.path.read_bytes() == WHOLE
    assert copies(journal) == {"journal.jsonl.broken-1": tail}
    assert len(journal.told) == 1 and f"last {len(tail):,} bytes" in journal.told[0]
    journal.mend()
    assert list(journal.read_logs(0)) == LINES and len(journal.told) == 1


@pytest.mark.parametrize("tail", BROKEN)
def test_nothing_is_written_behind_a_broken_line(journal, tail):
    journal.path.write_bytes(WHOLE + tail)
    journal.append_logs([{"op_code": 1}])
    assert list(journal.read_logs(0)) == [*LINES, {"op_code": 1}]
    assert list(copies(journal).values()) == [tail]


def test_a_second_broken_end_is_kept_beside_the_first(journal):
    for tail in (b"one", b"two"):
        journal.path.write_bytes(WHOLE + tail)
        journal.mend()
    assert list(copies(journal).values()) == [b"one", b"two"]


def test_from_a_broken_line_in_the_middle_all_is_set_aside(journal):
    journal.path.write_bytes(WHOLE + b"what?\n" + WHOLE)
    fresh = Journal(journal.path, journal.told.append)
    with pytest.raises(ModelError, match="is damaged"):
        list(fresh.read_logs(0))
    fresh.mend()
    assert list(Journal(journal.path, print).read_logs(0)) == LINES
    assert list(copies(journal).values()) == [b"what?\n" + WHOLE]


def test_a_whole_journal_is_left_alone_and_others_lines_are_seen(journal):
    other = Journal(journal.path, journal.told.append)
    assert list(other.read_logs(0)) == LINES
    journal.append_logs([{"op_code": 1}, {"op_code": 2}])
    assert list(other.read_logs(5)) == [{"op_code": 1}, {"op_code": 2}]
    other.mend()
    assert not copies(journal) and not journal.told
    assert not journal.path.with_name("journal.jsonl.lock").exists()


def test_a_long_last_line_is_found_whole(journal):
    long = {"op_code": 8, "options": "x" * 200_000}
    journal.append_logs([long])
    journal.append_logs([{"op_code": 1}])
    assert list(journal.read_logs(5)) == [long, {"op_code": 1}] and not copies(journal)
