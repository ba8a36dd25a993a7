"""How the bytes of a file become text: what it is recognised as, and how it is decoded.

Text is UTF-8 unless another encoding is named. A byte-order mark is dropped, line ends are kept,
single invalid bytes become U+FFFD and are counted. What is no text is refused with the remedy.
"""

import codecs
import gzip
import lzma
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import IO, Any, BinaryIO

from charlm.errors import CorpusError, UsageError

PIECE = 1 << 20  # bytes read at a time
HEAD = 1 << 16  # bytes looked at to recognise a file
MAX_INVALID = 0.001  # share of invalid bytes above which a file is refused
REPLACEMENT = "\ufffd".encode()
MIN_BLANKS = 0.02  # share of spaces and line feeds by which wide characters are recognised
MAX_CONTROL = 0.02  # share of control characters above which a file is not text

COMPRESSED = {b"\x1f\x8b": "gzip", b"\xfd7zXZ\x00": "xz", b"\x28\xb5\x2f\xfd": "zstd"}
FOREIGN = {
    b"%PDF-": "a PDF document",
    b"PK\x03\x04": "a zip archive (or an office document)",
    b"PAR1": "a Parquet table",
    **{f"BZh{level}1AY&SY".encode(): "a bzip2 file" for level in range(1, 10)},
    b"7z\xbc\xaf": "a 7-zip archive",
    b"\x89PNG": "a PNG picture",
    b"\xff\xd8\xff": "a JPEG picture",
    b"GIF8": "a GIF picture",
    b"\x7fELF": "a program",
    b"MZ\x90\x00": "a program",
    b"SQLite format 3": "an SQLite database",
    b"GGUF": "a model in GGUF form",
}
GIT_LFS = b"version https://git-lfs"
NOT_FOR_FILES = ("idna", "punycode", "undefined", "unicode-escape", "raw-unicode-escape")
BYTE_ORDER_MARKS = {
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}


class Decoding:
    """Decodes one file piece by piece and counts what had to be replaced."""

    def __init__(self, encoding: str, where: str) -> None:
        self.where = where
        self.invalid_bytes = 0
        self.first_invalid: tuple[int, int] | None = None  # byte offset, line
        self.byte_order_mark = False
        self.size = 0
        self._lines = 1
        self._left = b""
        self._encoding = encoding
        self._utf8 = codecs.lookup(encoding).name == "utf-8"
        self._decoder = codecs.getincrementaldecoder(encoding)("replace")

    def decode(self, data: bytes, final: bool = False) -> str:
        """Decode the next bytes; half a character waits for the next call."""
        self.size += len(data)
        text = self._decode_utf8(data, final) if self._utf8 else self._decode_other(data, final)
        self._lines += text.count("\n")
        return text

    @property
    def invalid_share(self) -> float:
        """Give the share of invalid bytes in what was read so far."""
        return self.invalid_bytes / max(self.size, 1)

    @property
    def place(self) -> str:
        """Say where in the file the first invalid byte is."""
        offset, line = self.first_invalid or (0, 1)
        return f"line {line}, byte offset {offset}"

    def refusal(self) -> CorpusError:
        """Make the error for a file with too many invalid bytes, or for any where that is asked."""
        hint = "leave out --strict to have them replaced"
        if self.invalid_share > MAX_INVALID:
            one, other, *_ = (e for e in ("utf-8", "latin-1", "cp1251") if e != self._encoding)
            hint = f"pass its real encoding, such as --encoding {one} or --encoding {other}"
        return CorpusError(
            f"{self.where} is not {self._encoding.upper()}: {self.invalid_bytes:,} invalid bytes "
            f"in the first {self.size:,}, the first at {self.place}",
            hint,
        )

    def _decode_utf8(self, data: bytes, final: bool) -> str:
        buffer = self._left + data
        start = self.size - len(buffer)  # where the buffer begins in the file
        if start == 0 and buffer.startswith(codecs.BOM_UTF8):
            self.byte_order_mark = True
            buffer, start = buffer[3:], 3
        try:
            text, used = codecs.utf_8_decode(buffer, "strict", final)
        except UnicodeDecodeError as fault:
            text, used = codecs.utf_8_decode(buffer, "replace", final)
            replaced = text.count("\ufffd") - buffer[:used].count(REPLACEMENT)
            valid = len(text.encode()) - len(REPLACEMENT) * replaced
            lines = buffer[: fault.start].count(b"\n")
            self._note(used - valid, start + fault.start, self._lines + lines)
        self._left = buffer[used:]
        return text

    def _decode_other(self, data: bytes, final: bool) -> str:
        before, state = self._decoder.getstate()
        try:
            text = self._decoder.decode(data, final)
        except UnicodeError as fault:  # UTF-16 and UTF-32 that do not begin with their mark
            raise CorpusError(
                f"{self.where} is not {self._encoding.upper()}: {fault}",
                f"pass its real encoding, such as utf-8 or {self._encoding}-le",
            ) from fault
        if self.size == len(data) and text.startswith("\ufeff"):
            self.byte_order_mark = True
            text = text[1:]
        if "\ufffd" in text:
            strict = codecs.getincrementaldecoder(self._encoding)("strict")
            strict.setstate((before, state))
            try:
                strict.decode(data, final)
            except UnicodeDecodeError as fault:
                start = self.size - len(data) - len(before)
                lines = text[: text.index("\ufffd")].count("\n")
                self._note(text.count("\ufffd"), start + fault.start, self._lines + lines)
        return text

    def _note(self, count: int, offset: int, line: int) -> None:
        self.invalid_bytes += count
        if self.first_invalid is None:
            self.first_invalid = (offset, line)


def check_encoding(encoding: str) -> None:
    """Raise UsageError for an encoding that Python does not know or that is not for text."""
    try:
        known: Any = codecs.lookup(encoding)
    except (LookupError, ValueError):
        known = None
    if known is None or not known._is_text_encoding or known.name in NOT_FOR_FILES:
        raise UsageError(f"there is no encoding '{encoding}'", "such as utf-8, latin-1 or cp1251")


@contextmanager
def read_errors(where: str) -> Iterator[None]:
    """Turn the system's errors while reading into CorpusError."""
    try:
        yield
    except OSError as fault:
        raise CorpusError(f"cannot read {where}: {fault.strerror or fault}") from fault


def decompressed(stream: BinaryIO, where: str) -> IO[bytes]:
    """Look through compression, recognised by its first bytes, whatever the file is called."""
    with read_errors(where):
        head = stream.read(max(map(len, COMPRESSED)))
        stream.seek(0)
    kind = next((name for magic, name in COMPRESSED.items() if head.startswith(magic)), None)
    if kind == "gzip":
        unpacked: IO[bytes] = gzip.GzipFile(fileobj=stream)  # type: ignore[assignment]
        return unpacked
    if kind == "xz":
        return lzma.open(stream)
    if kind == "zstd":
        try:
            import zstandard
        except ImportError:
            raise UsageError(
                "reading zstd needs the package zstandard", "pip install 'charlm-toolkit[zstd]'"
            ) from None
        opened: IO[bytes] = ZstdFile(stream, zstandard.ZstdDecompressor())  # type: ignore[assignment]
        return opened
    return stream


class ZstdFile:
    """Reads zstd frames; the package's own reader takes a file cut short for a whole one."""

    INPUT = 2048  # bytes unpacked at a time, so that a few cannot become gigabytes

    def __init__(self, stream: BinaryIO, library: Any) -> None:  # noqa: ANN401
        self._stream = stream
        self._library = library
        self._frame: Any = None
        self._left = b""

    def read(self, size: int) -> bytes:
        """Give at least `size` bytes, less only at the end; raises EOFError in mid-frame."""
        output = bytearray()
        while len(output) < size:
            data = self._left or self._stream.read(self.INPUT)
            self._left = b""
            if not data:
                if self._frame is not None:
                    raise EOFError("the compressed file is cut short")
                break
            self._frame = self._frame or self._library.decompressobj()
            output += self._frame.decompress(data)
            if self._frame.eof:
                self._left = self._frame.unused_data
                self._frame = None
        return bytes(output)

    def close(self) -> None:
        """Close nothing: whoever opened the file closes it."""

    def __enter__(self) -> "ZstdFile":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def read_bytes(stream: IO[bytes], where: str) -> Iterator[bytes]:
    """Read in pieces; raise CorpusError where reading or decompressing fails."""
    with closing(stream):
        while True:
            try:
                data = stream.read(PIECE)
            except (OSError, EOFError, ValueError, lzma.LZMAError) as fault:
                raise CorpusError(f"cannot read {where}: {fault}") from fault
            except Exception as fault:
                if type(fault).__name__ not in ("error", "ZstdError"):  # zlib's and zstandard's
                    raise
                raise CorpusError(f"{where} is damaged: {fault}") from fault
            if not data:
                return
            yield data


def why_not_text(head: bytes, encoding: str) -> tuple[str, str] | None:
    """Say what a file is if it is no text in this encoding, and what to do; None if it may be."""
    for magic, name in FOREIGN.items():
        if head.startswith(magic):
            return (
                f"is {name}, not text",
                "extract its text first; a model of bytes (train --tokenizer byte) reads any file",
            )
    if head.startswith(GIT_LFS):
        return "is a git-lfs pointer, not the file itself", "run git lfs pull"
    if head[257:262] == b"ustar":
        return "is a tar archive, not text", "extract it first, and pass its directory"
    if codecs.lookup(encoding).name.startswith(("utf-16", "utf-32")):
        return None
    for mark, name in BYTE_ORDER_MARKS.items():
        if head.startswith(mark):
            return f"is {name.upper()} text", f"pass --encoding {name}"
    if guess := _unmarked_wide(head):
        return f"looks like {guess.upper()} text", f"pass --encoding {guess}"
    if encoding_is_single_byte(encoding):
        return None
    text = codecs.utf_8_decode(head, "replace", False)[0]
    control = _control_characters(text)
    broken = text.count("\ufffd") - head.count(b"\xef\xbf\xbd")
    if control > MAX_CONTROL * len(text) or (b"\0" in head and broken > MAX_INVALID * len(text)):
        return (
            "is a binary file, not text",
            "raw bytes are for --tokenizer byte in training, and the models it makes",
        )
    return None


def encoding_is_single_byte(encoding: str) -> bool:
    """Tell whether the encoding is one in which no byte is invalid for lack of a neighbour."""
    return codecs.lookup(encoding).name not in ("utf-8", "ascii")


def _unmarked_wide(head: bytes) -> str | None:
    """Recognise UTF-16 and UTF-32 without a mark.

    Read so, text has blanks, hardly a control character, and nearly all of it from two pages of
    256 code points, such as Latin's and Cyrillic's.
    """
    if b"\0" not in head:
        return None
    for name in ("utf-32-le", "utf-32-be", "utf-16-le", "utf-16-be"):
        try:
            text = codecs.getincrementaldecoder(name)("strict").decode(head)
        except UnicodeDecodeError:
            continue
        blanks = text.count(" ") + text.count("\n")
        pages = Counter(ord(character) >> 8 for character in text).most_common(2)
        usual = sum(count for _, count in pages) > 0.8 * len(text)
        controls = _control_characters(text)
        if usual and blanks > MIN_BLANKS * len(text) and controls <= MAX_CONTROL * len(text):
            return name
    return None


def _control_characters(text: str) -> int:
    return sum(text.count(chr(c)) for c in (*range(9), *range(14, 27), *range(28, 32)))
