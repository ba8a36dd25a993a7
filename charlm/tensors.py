"""Files of tensors (safetensors), checked before anything of their size is allocated.

    8 bytes   length of the header, little-endian
    header    JSON: {name: {"dtype": ..., "shape": [...], "data_offsets": [start, end]}}
    data      the tensors, one behind the other

A file may come from anywhere. At most MAX_HEADER bytes of it are read before all it says has been
compared with its size: a header cannot ask for memory that the file does not pay for on disk.
The form: https://huggingface.co/docs/safetensors.
"""

import json
import math
import mmap
import stat
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np

from charlm.errors import CharlmError

LENGTH = 8  # bytes that say how long the header is
MAX_HEADER = 1024 * 1024
MAX_RANK = 32  # dimensions of a tensor, which is what NumPy has always taken
MAX_BYTES = 2**63 - 1
METADATA = "__metadata__"
PIECE = 1 << 20  # elements that are written at a time
NUMPY_TYPES: dict[str, "np.dtype[Any]"] = {
    name: np.dtype(kind)
    for name, kind in [
        *[("BOOL", "|b1"), ("U8", "|u1"), ("U16", "<u2"), ("U32", "<u4"), ("U64", "<u8")],
        *[("I8", "|i1"), ("I16", "<i2"), ("I32", "<i4"), ("I64", "<i8")],
        *[("F16", "<f2"), ("F32", "<f4"), ("F64", "<f8"), ("C64", "<c8")],
    ]
}
ITEM_SIZES = {name: kind.itemsize for name, kind in NUMPY_TYPES.items()}
ITEM_SIZES |= {"BF16": 2, "F8_E4M3": 1, "F8_E5M2": 1, "F8_E8M0": 1}  # not NumPy's
FOREIGN = [  # how files begin that stand under the wrong name: beginning, what it is, what to do
    (b"version https://git-lfs", "a git-lfs pointer, not the file itself", "run git lfs pull"),
    (b"PK\x03\x04", "a zip archive, as torch.save writes", "charlm reads safetensors only"),
    (b"\x80", "a pickle", "charlm reads safetensors only, and never unpickles"),
    (b"\x1f\x8b", "compressed with gzip", "unpack it first"),
    (b"<!doctype", "an HTML page", "download the file itself, not the page about it"),
    (b"<html", "an HTML page", "download the file itself, not the page about it"),
    (b"<?xml", "an XML page, perhaps a server's error", "download the file again"),
]

Error = type[CharlmError]


@dataclass(frozen=True)
class TensorFacts:
    """What a header says of one tensor; start and end are positions in the file."""

    dtype: str
    shape: tuple[int, ...]
    start: int
    end: int


def check_header(path: Path, error: Error) -> dict[str, TensorFacts]:
    """Read and check a file's header; raise `error` with what is wrong.

    The tensors come in the order of their data.
    """
    with _open(path, error) as stream:
        return _checked_header(stream, path, error)


def read_arrays(path: Path, error: Error) -> dict[str, np.ndarray]:
    """Read every tensor of a file, checked; raise `error` with what is wrong.

    The arrays own their memory: the file may change afterwards.
    """
    with _open(path, error) as stream:
        facts = _checked_header(stream, path, error)
        _must_be_numpys(facts, path, error)
        return {name: _read(stream, tensor, path, error) for name, tensor in facts.items()}


def map_arrays(path: Path, error: Error) -> dict[str, np.ndarray]:
    """Map every tensor of a file into memory, read-only; raise `error` with what is wrong.

    What is looked at is read then, and only once where several processes look at it. The file may
    be replaced or removed meanwhile, as charlm does it, but not become shorter.
    """
    with _open(path, error) as stream:
        facts = _checked_header(stream, path, error)
        _must_be_numpys(facts, path, error)
        try:
            data = mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)
        except (OSError, ValueError) as fault:
            raise error(f"cannot read {path}: {fault}") from fault
    if any(tensor.end > len(data) for tensor in facts.values()):
        raise error(f"{path} became shorter while it was read")
    return {
        name: np.ndarray(tensor.shape, NUMPY_TYPES[tensor.dtype], data, tensor.start)
        for name, tensor in facts.items()
    }


def in_pieces(arrays: dict[str, np.ndarray]) -> Iterator[bytes | memoryview]:
    """Give what a file of NumPy's tensors consists of, piece by piece, without a copy of it all.

    As the safetensors library lays them out: larger types first, so that all are aligned.
    """
    names = {kind: name for name, kind in NUMPY_TYPES.items()}
    ordered = sorted(arrays, key=lambda name: (-arrays[name].itemsize, name))
    header: dict[str, Any] = {METADATA: {"format": "np"}}
    at = 0
    for name in ordered:
        array = arrays[name]
        kind, places = names[array.dtype.newbyteorder("<")], [at, at + array.nbytes]
        header[name] = {"dtype": kind, "shape": list(array.shape), "data_offsets": places}
        at += array.nbytes
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % LENGTH)  # so that the data are aligned
    yield len(text).to_bytes(LENGTH, "little") + text
    for name in ordered:
        flat = arrays[name].reshape(-1)
        for start in range(0, len(flat), PIECE):
            piece = flat[start : start + PIECE]
            yield np.ascontiguousarray(piece, piece.dtype.newbyteorder("<")).data.cast("B")


def shown(value: Any) -> str:  # noqa: ANN401
    """Show what a file says in an error message: short, on one line, no control characters."""
    text = ascii(value) if isinstance(value, str) and not value.isprintable() else repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _open(path: Path, error: Error) -> IO[bytes]:
    try:
        if not stat.S_ISREG(path.stat().st_mode):  # a pipe would never end
            raise error(f"{path} is not a regular file")
        return path.open("rb")
    except FileNotFoundError:
        raise error(f"{path} is missing", "copy the whole directory") from None
    except OSError as fault:
        raise error(f"cannot read {path}: {fault.strerror}") from fault


def _must_be_numpys(facts: dict[str, TensorFacts], path: Path, error: Error) -> None:
    for name, tensor in facts.items():
        if tensor.dtype not in NUMPY_TYPES:
            raise error(f"{path}: {shown(name)} is of type {tensor.dtype}, unknown to NumPy")


def _read(stream: IO[bytes], tensor: TensorFacts, path: Path, error: Error) -> np.ndarray:
    array = np.empty(tensor.shape, NUMPY_TYPES[tensor.dtype])
    try:
        stream.seek(tensor.start)
        got = stream.readinto(array.reshape(-1).view(np.uint8))  # type: ignore[attr-defined]
    except OSError as fault:
        raise error(f"cannot read {path}: {fault.strerror}") from fault
    if got != array.nbytes:
        raise error(f"{path} became shorter while it was read")
    return array


def _checked_header(stream: IO[bytes], path: Path, error: Error) -> dict[str, TensorFacts]:
    try:
        size = stream.seek(0, 2)
        stream.seek(0)
        header = _header_bytes(stream, size, path, error)
    except OSError as fault:
        raise error(f"cannot read {path}: {fault.strerror}") from fault
    entries = _parse(header, path, error)
    data = LENGTH + len(header)
    facts = {
        name: _facts(entry, data, f"{path}: {shown(name)}", error)
        for name, entry in entries.items()
        if name != METADATA
    }
    ordered = dict(sorted(facts.items(), key=lambda item: (item[1].start, item[1].end)))
    _check_order(ordered, data, size, path, error)
    return ordered


def _header_bytes(stream: IO[bytes], size: int, path: Path, error: Error) -> bytes:
    """Read the header, and no more than MAX_HEADER bytes."""
    if size == 0:
        raise error(f"{path} is empty", "copy it again: it was never written whole")
    first = stream.read(LENGTH)
    length = int.from_bytes(first, "little")
    if len(first) < LENGTH or length > MAX_HEADER:
        _name_foreign(first + stream.read(64), path, error)
    if len(first) < LENGTH:
        raise error(f"{path} is cut off: it has {size} bytes, a header begins with {LENGTH}")
    if length > MAX_HEADER:
        raise error(
            f"{path} is no safetensors file: its header would have {length:,} bytes, "
            f"more than {MAX_HEADER:,}"
        )
    if length > size - LENGTH:
        missing = length - (size - LENGTH)
        raise error(f"{path} is cut off: {missing:,} bytes of its header are missing")
    header = stream.read(length)
    if not header.startswith(b"{"):
        raise error(f"{path} is no safetensors file: its header does not begin with '{{'")
    return header


def _name_foreign(beginning: bytes, path: Path, error: Error) -> None:
    """Refuse a file by the name of what it is, where its first bytes tell."""
    text = beginning.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    for start, what, hint in FOREIGN:
        if beginning.startswith(start) or text.startswith(start):
            raise error(f"{path} is {what}", hint)


def _parse(header: bytes, path: Path, error: Error) -> dict[str, Any]:
    try:
        entries = json.loads(
            header.decode("utf-8"), object_pairs_hook=_unique, parse_constant=_refuse_constant
        )
    except (ValueError, RecursionError) as fault:
        raise error(f"{path} has a damaged header: {str(fault)[:200]}") from fault
    metadata = entries.get(METADATA, {})
    if not isinstance(metadata, dict) or not all(isinstance(v, str) for v in metadata.values()):
        raise error(f"{path} has a damaged header: {METADATA} is not text by name")
    return dict(entries)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Refuse a key that stands twice: two readers could take different tensors for it."""
    found = dict(pairs)
    if len(found) < len(pairs):
        (twice, _), *_ = Counter(name for name, _ in pairs).most_common(1)
        raise ValueError(f"{shown(twice)} stands there twice")
    return found


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _facts(entry: Any, data: int, where: str, error: Error) -> TensorFacts:  # noqa: ANN401
    """Check one tensor's entry; `data` is where in the file the data begin."""
    if not isinstance(entry, dict) or entry.keys() != {"dtype", "shape", "data_offsets"}:
        raise error(f"{where} is not described by dtype, shape and data_offsets alone")
    dtype, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
    if not isinstance(dtype, str) or dtype not in ITEM_SIZES:
        raise error(f"{where} is of the unknown type {shown(dtype)}")
    if not _are_sizes(shape) or len(shape) > MAX_RANK:
        raise error(f"{where} has the impossible shape {shown(shape)}")
    if not _are_sizes(offsets) or len(offsets) != 2 or offsets[0] > offsets[1]:
        raise error(f"{where} has the impossible offsets {shown(offsets)}")
    # NumPy multiplies the dimensions without the zeros, so those must not overflow either
    if math.prod(length or 1 for length in shape) * ITEM_SIZES[dtype] > MAX_BYTES:
        raise error(f"{where} has the impossible shape {shown(shape)}")
    start, end = offsets
    if math.prod(shape) * ITEM_SIZES[dtype] != end - start:
        raise error(
            f"{where} is {dtype}{shown(shape)}, which {end - start:,} bytes of data cannot be"
        )
    return TensorFacts(dtype, tuple(shape), data + start, data + end)


def _are_sizes(value: Any) -> bool:  # noqa: ANN401
    """Tell whether a value is a list of whole numbers that a size in bytes can be."""
    return isinstance(value, list) and all(
        type(number) is int and 0 <= number <= MAX_BYTES for number in value
    )


def _check_order(
    facts: dict[str, TensorFacts], data: int, size: int, path: Path, error: Error
) -> None:
    """Check that the tensors lie one behind the other, from the header to the file's end."""
    at = data
    for name, tensor in facts.items():
        if tensor.start != at:
            what = "overlaps the one before it" if tensor.start < at else "begins behind a hole"
            raise error(f"{path}: {shown(name)} {what}, at offset {tensor.start - data:,}")
        at = tensor.end
    if at > size:
        raise error(f"{path} is cut off: {at - size:,} of its {at:,} bytes are missing")
    if at < size:
        raise error(f"{path} has {size - at:,} bytes more than its header describes")
