"""Parquet tables: one column of one file, read in small batches."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, BinaryIO

from charlm.errors import CorpusError
from charlm.storage import disk_errors
from charlm.text.formats import PARQUET_MAGIC
from charlm.text.reading import decompressed, read_bytes
from charlm.text.rows import Row, no_column, text_row

BATCH = 64  # rows held at a time
BUFFER = 1 << 20  # bytes read at a time


def parquet_rows(stream: BinaryIO, where: str, column: str) -> Iterator[Row]:
    """Read the texts of one column; raise CorpusError if the file or the column is not right."""
    import pyarrow
    import pyarrow.parquet

    with _seekable(stream, where) as file:
        if file.read(len(PARQUET_MAGIC)) != PARQUET_MAGIC:
            raise CorpusError(f"{where} is not a Parquet table, for all its name")
        file.seek(0)
        with _refusing_damage(where):
            table = pyarrow.parquet.ParquetFile(file, buffer_size=BUFFER, pre_buffer=False)
            _check_column(table, where, column)
            number = 0
            for batch in table.iter_batches(BATCH, columns=[column], use_threads=False):
                # as bytes: Arrow does not check that its strings are UTF-8
                for value in batch.column(0).cast(pyarrow.large_binary()).to_pylist():
                    number += 1
                    yield _row(number, value, column)


def _row(number: int, value: bytes | None, column: str) -> Row:
    if value is None:
        return text_row(number, None, column)
    text = value.decode("utf-8", "replace")
    if "\ufffd" in text and text.encode() != value:
        return Row(number, None, f"'{column}' is not UTF-8")
    return text_row(number, text, column)


def _check_column(table: Any, where: str, column: str) -> None:  # noqa: ANN401
    """Raise CorpusError unless the table has rows and a column of strings of that name."""
    import pyarrow

    schema = table.schema_arrow
    strings = [field.name for field in schema if _is_text(field.type)]
    if column not in schema.names:
        raise no_column(where, column, schema.names, strings)
    if column not in strings:
        kind = schema.field(column).type
        raise CorpusError(
            f"the column '{column}' of {where} holds {kind}, not strings",
            f"those with strings: {', '.join(strings[:8]) or 'none'} (--text-column NAME)",
        )
    assert isinstance(schema, pyarrow.Schema)
    if table.metadata.num_rows == 0:
        raise CorpusError(f"there are no rows in {where}")


def _is_text(kind: Any) -> bool:  # noqa: ANN401
    from pyarrow import types

    if types.is_dictionary(kind):
        kind = kind.value_type
    return bool(types.is_string(kind) or types.is_large_string(kind))


@contextmanager
def _refusing_damage(where: str) -> Iterator[None]:
    import pyarrow

    try:
        yield
    except (pyarrow.ArrowException, OSError, ValueError, EOFError) as fault:
        why = str(fault).splitlines()[0][:200] if str(fault) else type(fault).__name__
        raise CorpusError(f"{where} is a damaged Parquet table: {why}") from fault


def _seekable(stream: BinaryIO, where: str) -> IO[bytes]:
    """Unpack a compressed file beside: a Parquet table is read from its end."""
    unpacked = decompressed(stream, where)
    if unpacked is stream:
        return stream
    with disk_errors(Path(tempfile.gettempdir())):
        file = tempfile.TemporaryFile(prefix="charlm-")  # noqa: SIM115  (whoever asked closes it)
        for data in read_bytes(unpacked, where):
            file.write(data)
        file.seek(0)
    return file
