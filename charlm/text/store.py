"""The token store: a corpus as ids on disk, with where its documents begin and what they measure.

    NAME.bin             ids, little-endian, of the smallest type that fits:  b doc1 b doc2 ... b
    NAME.documents.bin   int64 rows, one for each document, and one for the end (see COLUMNS)

b is the boundary. Document k is predicted as ids[p_k + 1 : p_(k+1) + 1] from ids[p_k : p_(k+1)],
where p_k is the position of the boundary before it. In the closed word form a document that ends
its last line needs no boundary after it: the <eos> is one.
"""

import mmap
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from charlm import storage
from charlm.errors import CharlmError, CorpusError
from charlm.storage import DirectoryWriter
from charlm.text.documents import Piece
from charlm.text.loading import load_tokenizer
from charlm.text.tokenizers import Encoder, Ids, Tokenizer
from charlm.text.units import UnitCounter, Units

STORE = "store.json"
TRAIN = "train.bin"  # the ids of the training text
FORMAT = 1
COLUMNS = ("position", "bytes", "characters", "words", "lines", "tokens", "unknown_tokens")
BUFFER = 1 << 20  # ids held before they are written
COUNTED_IDS = 1 << 21  # tell how frequent each id is


@dataclass(frozen=True)
class Counts:
    """What a text measures, in every unit."""

    documents: int
    bytes: int
    characters: int
    words: int
    lines: int
    tokens: int
    unknown_tokens: int


@dataclass(frozen=True)
class TokenPart:
    """One part of a corpus: its ids and its documents.

    ids:       (L,) memory-mapped, beginning and ending with a boundary
    documents: (n + 1, 7) int64, a row for each document and one for the end, as COLUMNS says
    """

    ids: np.ndarray
    documents: np.ndarray

    @property
    def boundaries(self) -> np.ndarray:
        """Give the position of the boundary before each document, and of the last one, (n + 1,)."""
        return self.documents[:, 0]

    def until(self, position: int, tolerance: int = 0) -> "TokenPart":
        """Give the part up to and including an id, or to a boundary at most `tolerance` before it.

        In the latter case the table of documents, which may be large, stays mapped; its last row
        is then that of the document left out.
        """
        whole = int(np.searchsorted(self.boundaries, position))
        boundary = int(self.boundaries[max(whole - 1, 0)])
        if self.boundaries[whole] == position:
            boundary, whole = position, whole + 1
        if boundary > 0 and position - boundary <= tolerance:
            return TokenPart(self.ids[: boundary + 1], self.documents[:whole])
        end = np.zeros((1, len(COLUMNS)), dtype=np.int64)
        end[0, 0] = position
        return TokenPart(
            self.ids[: position + 1], np.concatenate([self.documents[:whole], end], axis=0)
        )

    def counts(self) -> Counts:
        """Measure the whole part."""
        return Counts(len(self.documents) - 1, *self.documents[:, 1:].sum(axis=0).tolist())

    def id_counts(self, vocab_size: int, most: int = COUNTED_IDS) -> "np.ndarray[Any, Any]":
        """Count how often each id, (V,), is a target among the first `most`."""
        return np.bincount(self.ids[1 : most + 1], minlength=vocab_size)

    def release(self) -> None:
        """Give the memory of the pages read so far back; they are read again when needed.

        Without it they stay with the process for as long as the system has room for them.
        """
        for array in (self.ids, self.documents):
            pages: object = array
            while isinstance(pages, np.ndarray):  # a slice's base is the array that it is of
                pages = pages.base
            if isinstance(pages, mmap.mmap) and hasattr(mmap, "MADV_DONTNEED"):
                pages.madvise(mmap.MADV_DONTNEED)


@dataclass(frozen=True)
class TokenStore:
    """A prepared corpus: its tokenizer, the text to learn from, and the text held out."""

    directory: Path
    tokenizer: Tokenizer
    train: TokenPart
    valid: TokenPart | None
    info: dict[str, Any]


class PartWriter:
    """Encodes the pieces of one part and writes them as they come."""

    def __init__(self, writer: DirectoryWriter, name: str, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self._writer = writer
        self._name = name
        self._type = id_type(tokenizer.vocab_size)
        self._boundary = np.array([tokenizer.boundary_id])
        self._file = storage.HashingFile(writer.path / f"{name}.bin")
        self._table = storage.HashingFile(writer.path / f"{name}.documents.bin")
        self._buffer: list[np.ndarray] = []
        self._buffered = 0
        self._documents = 0
        self._bytes = 0
        self._length = 0
        self._last = -1
        self._unknown = 0
        self._rows: list[list[int]] = []
        self._start: int | None = None  # where the document's first id stands

    def add(self, piece: Piece) -> None:
        """Take the next piece of the text, and encode it."""
        starts = piece.starts_document or self._start is None
        encoder = self._tokenizer.encoder() if starts else self._encoder
        self.add_encoded(piece, encoder, encoder.push(piece.text))

    def add_encoded(self, piece: Piece, encoder: Encoder, ids: Ids) -> None:
        """Take the next piece and what the document's encoder made of it."""
        if piece.starts_document or self._start is None:
            self._end_document()
            self._begin_document()
            self._encoder = encoder
        self._units.add(piece.text)
        self._push(ids)

    def finish(self) -> dict[str, Any]:
        """End the part; give what store.json keeps of it."""
        self._end_document()
        self._mark_boundary()
        self._rows.append([self._length - 1, 0, 0, 0, 0, 0, 0])
        self._write_out()
        self._writer.add(f"{self._name}.bin", self._file.finish())
        self._writer.add(f"{self._name}.documents.bin", self._table.finish())
        return {
            "ids": self._length,
            "documents": self._documents,
            "bytes": self._bytes,
            "type": self._type.str,
        }

    def discard(self) -> None:
        """Give up; the files are removed."""
        self._file.discard()
        self._table.discard()

    def _begin_document(self) -> None:
        self._mark_boundary()
        self._units = UnitCounter()
        self._unknown = 0
        self._start = self._length

    def _end_document(self) -> None:
        if self._start is None:
            return
        self._push(self._encoder.flush())
        units: Units = self._units.total()
        row = [self._start - 1, units.bytes, units.characters, units.words, units.lines]
        self._rows.append([*row, self._length - self._start, self._unknown])
        self._documents += 1
        self._bytes += units.bytes
        self._start = None

    def _mark_boundary(self) -> None:
        if self._last != self._tokenizer.boundary_id:
            self._push(self._boundary)

    def _push(self, ids: Ids) -> None:
        if len(ids) == 0:
            return
        if self._tokenizer.unknown_id is not None:
            self._unknown += int(np.count_nonzero(ids == self._tokenizer.unknown_id))
        self._buffer.append(ids)
        self._buffered += len(ids)
        self._length += len(ids)
        self._last = int(ids[-1])
        if self._buffered >= BUFFER:
            self._write_out()

    def _write_out(self) -> None:
        if self._buffer:
            # written as one: documents may be as small as a line
            ids = np.concatenate(self._buffer, dtype=self._type, casting="unsafe")
            self._file.write(ids.data.cast("B"))
        self._buffer, self._buffered = [], 0
        self._table.write(np.array(self._rows, dtype="<i8").tobytes())
        self._rows = []


def id_type(vocab_size: int) -> "np.dtype[Any]":
    """Choose the smallest unsigned type that holds every id."""
    for name, limit in (("u1", 1 << 8), ("<u2", 1 << 16)):
        if vocab_size <= limit:
            return np.dtype(name)
    return np.dtype("<u4")


def open_part(directory: Path, name: str, info: Any, error: type[CharlmError]) -> TokenPart:  # noqa: ANN401
    """Map one part into memory; raise `error` if its files are not what `info` says."""
    try:
        kind, length, documents = np.dtype(info["type"]), int(info["ids"]), int(info["documents"])
        shape = (documents + 1, len(COLUMNS))
        ids = np.memmap(directory / f"{name}.bin", dtype=kind, mode="r", shape=(length,))
        rows = np.memmap(directory / f"{name}.documents.bin", dtype="<i8", mode="r", shape=shape)
    except (OSError, ValueError, TypeError, KeyError) as fault:
        raise error(f"{directory / name}.bin does not fit its description: {fault}") from fault
    return TokenPart(ids, rows)


def open_store(directory: Path, contents: bool = False) -> TokenStore:
    """Open a prepared corpus; raise CorpusError if it is damaged or of another format.

    With `contents` every byte is compared with the manifest, at some gigabytes a second.
    """
    storage.verify(directory, CorpusError, contents)
    info = storage.read_json(directory / STORE, CorpusError)
    if not isinstance(info, dict) or info.get("format") != FORMAT:
        raise CorpusError(f"{directory} was prepared by another version of charlm", "prepare anew")
    tokenizer = load_tokenizer(directory / "tokenizer.json")
    if tokenizer.sha256() != info.get("tokenizer_sha256"):
        raise CorpusError(f"{directory / 'tokenizer.json'} is not the one of this corpus")
    parts = info.get("parts")
    if not isinstance(parts, dict) or "train" not in parts:
        raise CorpusError(f"{directory / STORE} does not describe a corpus", "prepare anew")
    valid = None
    if "valid" in parts:
        valid = open_part(directory, "valid", parts["valid"], CorpusError)
    train = open_part(directory, "train", parts["train"], CorpusError)
    return TokenStore(directory, tokenizer, train, valid, info)
