"""Tensor files: what is written is read back; every other file is refused by its header."""

import json
import struct
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy
from hypothesis import given, settings
from hypothesis import strategies as st

from charlm.errors import CorpusError, ModelError
from charlm.tensors import (
    MAX_HEADER,
    NUMPY_TYPES,
    check_header,
    in_pieces,
    map_arrays,
    read_arrays,
)

ARRAYS = {
    "a": np.arange(6, dtype=np.float32).reshape(2, 3),
    "empty": np.zeros((0, 5), dtype=np.float64),
    "scalar": np.array(7, dtype=np.int64),
    "flags": np.array([True, False]),
    "z é": np.arange(3, dtype=np.uint8),
}


def pack(header, data=b""):
    """Put a file together of a header, as JSON or as bytes, and its data."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def entry(dtype="F32", shape=(1,), offsets=(0, 4)):
    return {"dtype": dtype, "shape": list(shape), "data_offsets": list(offsets)}


@pytest.fixture
def file(tmp_path):
    return tmp_path / "x.safetensors"


def refusal(path: Path, data: bytes) -> ModelError:
    path.write_bytes(data)
    with pytest.raises(ModelError) as caught:
        check_header(path, ModelError)
    assert str(path) in caught.value.message
    assert len(caught.value.message.splitlines()) == 1
    for read in (read_arrays, map_arrays):
        with pytest.raises(ModelError):
            read(path, ModelError)
    return caught.value


def test_what_the_library_writes_is_read_back_exactly(file):
    safetensors.numpy.save_file(ARRAYS, file, metadata={"format": "pt"})
    read = read_arrays(file, ModelError)
    assert read.keys() == ARRAYS.keys()
    for name, array in ARRAYS.items():
        assert read[name].dtype == array.dtype and read[name].shape == array.shape
        assert (read[name] == array).all() and read[name].flags.writeable


def test_what_is_mapped_is_what_is_read_and_cannot_be_written_to(file):
    safetensors.numpy.save_file(ARRAYS, file)
    read, mapped = read_arrays(file, ModelError), map_arrays(file, ModelError)
    assert read.keys() == mapped.keys()
    for name, array in read.items():
        assert mapped[name].dtype == array.dtype and np.array_equal(mapped[name], array)
        assert not mapped[name].flags.writeable


def test_what_is_written_in_pieces_is_read_back_exactly(file, monkeypatch):
    monkeypatch.setattr("charlm.tensors.PIECE", 2)
    pieces = list(in_pieces(ARRAYS))
    assert len(pieces) == 1 + 3 + 0 + 1 + 1 + 2
    file.write_bytes(b"".join(pieces))
    for read in (read_arrays(file, ModelError), safetensors.numpy.load_file(file)):
        assert read.keys() == ARRAYS.keys()
        for name, array in ARRAYS.items():
            assert read[name].dtype == array.dtype and np.array_equal(read[name], array)


def test_what_is_written_in_pieces_is_what_the_library_writes():
    arrays = {"2.keys": np.arange(5), "1.logs": np.ones(3, np.float32), "2.logs": ARRAYS["a"]}
    whole = safetensors.numpy.save(arrays, metadata={"format": "np"})
    assert b"".join(in_pieces(arrays)) == whole


def test_the_facts_say_where_each_tensor_stands(file):
    safetensors.numpy.save_file(ARRAYS, file)
    data = file.read_bytes()
    for name, tensor in check_header(file, ModelError).items():
        assert data[tensor.start : tensor.end] == ARRAYS[name].tobytes()
        assert tensor.shape == ARRAYS[name].shape


@pytest.mark.parametrize("dtype", NUMPY_TYPES)
def test_every_type_that_numpy_has_is_read(file, dtype):
    size = NUMPY_TYPES[dtype].itemsize
    file.write_bytes(pack({"a": entry(dtype, (3,), (0, 3 * size))}, bytes(3 * size)))
    assert read_arrays(file, ModelError)["a"].tobytes() == bytes(3 * size)


def test_types_that_numpy_lacks_are_described_but_not_read(file):
    file.write_bytes(pack({"a": entry("BF16", (2,), (0, 4))}, bytes(4)))
    assert check_header(file, ModelError)["a"].dtype == "BF16"
    with pytest.raises(ModelError, match="BF16"):
        read_arrays(file, ModelError)


def test_the_error_is_the_callers(file):
    with pytest.raises(CorpusError, match="missing"):
        check_header(file, CorpusError)


def test_a_directory_is_not_read(tmp_path):
    with pytest.raises(ModelError, match="not a regular file"):
        check_header(tmp_path, ModelError)


BAD_HEADERS = {
    "a list": b"[]",
    "half an object": b'{"a": ',
    "not UTF-8": b'{"\xff": 1}',
    "nested": b'{"a":' + b"[" * 100_000,
    "huge number": b'{"a": ' + b"9" * 10_000 + b"}",
    "NaN": b'{"a": NaN}',
    "a key twice": b'{"a": 1, "a": 1}',
    "metadata of numbers": {"__metadata__": {"a": 1}},
    "metadata as text": {"__metadata__": "pt"},
    "entry is null": {"a": None},
    "entry lacks its offsets": {"a": {"dtype": "F32", "shape": [1]}},
    "entry says more": {"a": entry() | {"more": 1}},
    "unknown type": {"a": entry("F33")},
    "type is a list": {"a": entry() | {"dtype": ["F32"]}},
    "negative length": {"a": entry(shape=(-1,))},
    "length is true": {"a": entry(shape=(True,))},
    "length is a fraction": {"a": entry(shape=(1.0,))},
    "shape is a number": {"a": entry() | {"shape": 1}},
    "shape overflows": {"a": entry(shape=(2**32, 2**32))},
    "shape overflows behind a zero": {"a": entry(shape=(0, 2**40, 2**40), offsets=(0, 0))},
    "too many dimensions": {"a": entry(shape=(1,) * 33)},
    "size is not the shape's": {"a": entry(shape=(2,))},
    "type is not the size's": {"a": entry("F64")},
    "offsets turned round": {"a": entry(shape=(0,), offsets=(4, 0))},
    "negative offset": {"a": entry(offsets=(-4, 0))},
    "one offset": {"a": entry(offsets=(4,))},
    "a hole": {"a": entry(), "b": entry(offsets=(8, 12))},
    "a hole at the start": {"a": entry(offsets=(4, 8))},
    "an overlap": {"a": entry(shape=(2,), offsets=(0, 8)), "b": entry(offsets=(4, 8))},
    "the same place twice": {"a": entry(), "b": entry()},
    "beyond the end": {"a": entry(shape=(10**9,), offsets=(0, 4 * 10**9))},
}


@pytest.mark.parametrize("name", BAD_HEADERS)
def test_a_bad_header_is_refused(file, name):
    refusal(file, pack(BAD_HEADERS[name], bytes(12)))


def test_bytes_behind_the_last_tensor_are_refused(file):
    assert "3 bytes more" in refusal(file, pack({"a": entry()}, bytes(7))).message


def test_a_header_may_be_as_long_as_the_limit_and_no_longer(file):
    text = json.dumps({"a": entry()}).encode()
    file.write_bytes(pack(text.ljust(MAX_HEADER), bytes(4)))
    assert check_header(file, ModelError)
    assert "more than" in refusal(file, pack(text.ljust(MAX_HEADER + 1), bytes(4))).message


def test_names_are_shown_short_and_without_control_characters(file):
    message = refusal(file, pack({"\x1b[2J" + "x" * 10_000: 7})).message
    assert "\x1b" not in message and len(message) < 300 + len(str(file))


def or_refused(path: Path, data: bytes) -> None:
    """Read bytes: whatever they are, they are arrays of a sound file or a ModelError."""
    path.write_bytes(data)
    try:
        facts = check_header(path, ModelError)
    except ModelError:
        return
    assert sum(tensor.end - tensor.start for tensor in facts.values()) <= len(data)


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200))
def test_random_bytes_raise_nothing_else(tmp_path_factory, data):
    path = tmp_path_factory.getbasetemp() / "random"
    or_refused(path, data)
    or_refused(path, pack(data))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=6,
)


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(["a", "b", "__metadata__"]), st.sampled_from([*entry(), "all"]), JSON)
def test_random_values_in_a_header_raise_nothing_else(tmp_path_factory, name, key, value):
    header = {"a": entry(), "b": entry(offsets=(4, 8)), "__metadata__": {"format": "pt"}}
    header[name] = value if key == "all" else header[name] | {key: value}
    or_refused(tmp_path_factory.getbasetemp() / "values", pack(header, bytes(8)))


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_random_damage_to_a_sound_file_raises_nothing_else(tmp_path_factory, data):
    whole = bytearray(safetensors.numpy.save(ARRAYS))
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(whole) - 1))
        whole[at : at + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=3))
    or_refused(tmp_path_factory.getbasetemp() / "damage", bytes(whole))
