"""A compressed file is read strictly: any change of it, any other file is refused, and quickly."""

import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from charlm.compression.container import MAGIC, Header, content_digest, pack, unpack
from charlm.errors import CorpusError

HEADER = Header(b"model!", 7, b"arit", content_digest(b"x"), 1_115_394, "2.4.6 x86_64 Haswell")
PAYLOAD = bytes(range(40))
WHOLE = pack(HEADER, PAYLOAD)

headers = st.builds(
    Header,
    model=st.binary(min_size=6, max_size=6),
    predictor=st.integers(0, 255),
    fingerprint=st.binary(min_size=4, max_size=4),
    content=st.binary(min_size=8, max_size=8),
    length=st.integers(0, (1 << 63) - 1),
    machine=st.text(st.characters(max_codepoint=127), max_size=255),
)


@given(headers, st.binary(max_size=50))
def test_what_is_packed_is_unpacked(header, payload):
    assert unpack(pack(header, payload), "f") == (header, payload)


def test_a_header_takes_less_than_sixty_bytes():
    assert len(WHOLE) - len(PAYLOAD) < 60


def test_every_flipped_bit_is_found():
    for place in range(len(WHOLE)):
        for bit in range(8):
            damaged = bytearray(WHOLE)
            damaged[place] ^= 1 << bit
            with pytest.raises(CorpusError, match=r"^f "):
                unpack(bytes(damaged), "f")


def test_every_cut_is_found_and_so_is_what_was_put_behind():
    for size in range(len(WHOLE)):
        with pytest.raises(CorpusError, match=r"^f is (cut off|not a file)"):
            unpack(WHOLE[:size], "f")
    with pytest.raises(CorpusError, match="damaged"):
        unpack(WHOLE + b"\0", "f")


@pytest.mark.parametrize("other", [b"", b"PK\3\4", b"some text\n", bytes(100), b"\xff"])
def test_other_files_are_refused(other):
    with pytest.raises(CorpusError, match=r"not a file that|cut off"):
        unpack(other, "f")


def test_a_later_format_is_named():
    with pytest.raises(CorpusError, match="format 9; this charlm reads format 1"):
        unpack(MAGIC + b"\x09" + WHOLE[5:], "f")


@given(st.binary(max_size=300), st.sampled_from([0, 19, 24]))
def test_a_forged_file_with_a_right_checksum_is_read_or_refused(rest, kept):
    body = MAGIC + b"\1" + WHOLE[5 : 5 + kept] + rest
    data = body + zlib.crc32(body).to_bytes(4, "big")
    try:
        header, payload = unpack(data, "f")
    except CorpusError:
        return
    assert 0 <= header.length < 1 << 63 and len(payload) <= len(data)


@pytest.mark.parametrize(
    "length", [bytes([255]) * 9, bytes([255]) * 200, b"", b"\x05", b"\x05\xff"]
)
def test_impossible_lengths_are_refused(length):
    body = WHOLE[:24] + length
    with pytest.raises(CorpusError, match="not as charlm compress writes it"):
        unpack(body + zlib.crc32(body).to_bytes(4, "big"), "f")
