"""What form a file's content has, told from its name: plain text, or a table with rows of text."""

from pathlib import PurePath
from typing import Literal

Format = Literal["text", "jsonl", "csv", "tsv", "parquet"]

COMPRESSIONS = (".gz", ".xz", ".zst")
BY_SUFFIX: dict[str, Format] = {
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".csv": "csv",
    ".tsv": "tsv",
    ".parquet": "parquet",
}
PARQUET_MAGIC = b"PAR1"  # at both ends of a Parquet file, whatever it is called


def format_of(name: str) -> Format:
    """Tell the form of a file from its name; what is not known as a table is text."""
    path = PurePath(name.lower())
    if path.suffix in COMPRESSIONS:
        path = path.with_suffix("")
    return BY_SUFFIX.get(path.suffix, "text")
