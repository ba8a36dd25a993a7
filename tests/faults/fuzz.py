"""Feeds damaged files to every parser of charlm's; anything but a CharlmError is a fault.

    scripts/fuzz 60            60 seconds for each parser
    scripts/fuzz 60 config     one of them

Files that charlm wrote are damaged at random: bytes flipped, cut out, doubled, replaced by what
breaks parsers. A fault is printed with its seed, and `fuzz(..., first=SEED)` finds it again.
"""

import argparse
import contextlib
import math
import random
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import charlm
from charlm import storage
from charlm.errors import CharlmError, ModelError
from charlm.language.request import TrainRequest
from charlm.runs.record import read_record
from charlm.tensors import check_header
from charlm.text.finding import open_corpus
from charlm.text.loading import load_tokenizer
from charlm.text.sources import ReadOptions

NASTY = [
    b"null", b"[]", b"{}", b"-1", b"1e999", b"NaN", b"9" * 5000, b"[" * 3000, b'"\\ud800"', b"\0",
    b"\xff", b"\xef\xbb\xbf", b"../", b"true", b'""', b"\r\n", b'"', b",", b"18446744073709551616",
]  # fmt: skip
TEXT = "the cat sat on the mat\n" * 30


def damaged(data: bytes, rng: random.Random) -> bytes:
    """Damage some bytes once or a few times."""
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        at = rng.randrange(len(data) + 1)
        length = rng.choice((0, 1, 1, 4, rng.randrange(64), rng.randrange(len(data) + 1)))
        new = rng.choice(
            (b"", rng.randbytes(max(length, 1)), rng.choice(NASTY), data[at : at + length] * 2)
        )
        data = data[:at] + new + data[at + length :]
    return data


class Parsers:
    """One valid file for each parser, and how it is read."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "book.txt").write_text(TEXT)
        words = {"steps": 2, "hidden": 8, "embed": 8, "tokenizer": "word", "threads": 1}
        charlm.train(folder / "book.txt", out=str(folder / "model"), **words)
        self.model = folder / "model"
        (folder / "rows.jsonl").write_text('{"text": "a b", "n": 1}\n' * 5)
        (folder / "rows.csv").write_text('n,text\n1,"a ""b"""\n2,"c\nd"\n' * 3)

    def all(self) -> dict[str, tuple[Path, Callable[[Path], object]]]:
        """Name the parsers: the file that each reads, and how."""
        return {
            "safetensors": (
                self.model / "model.safetensors",
                lambda path: check_header(path, ModelError),
            ),
            "config": (self.model / "config.json", lambda path: self.load()),
            "tokenizer": (self.model / "tokenizer.json", load_tokenizer),
            "manifest": (
                self.model / storage.MANIFEST,
                lambda path: storage.verify(self.model, ModelError, contents=False),
            ),
            "record": (self.model / "run.json", lambda path: read_record(self.model, TrainRequest)),
            "jsonl": (self.folder / "rows.jsonl", self.walk),
            "csv": (self.folder / "rows.csv", self.walk),
        }

    def load(self) -> None:
        """Load the model, its manifest made to fit whatever config.json is now."""
        path = self.model / storage.MANIFEST
        manifest = storage.read_json(path, ModelError)
        config = self.model / "config.json"
        facts = {"size": config.stat().st_size, "sha256": storage.file_sha256(config)}
        manifest["files"]["config.json"] = facts
        path.write_bytes(storage.json_bytes(manifest))
        charlm.load(self.model)

    def walk(self, path: Path) -> None:
        """Read a corpus to its end."""
        with open_corpus([str(path)], ReadOptions()) as corpus:
            for _ in corpus.pieces():
                pass


def fuzz(
    parsers: Parsers, name: str, seconds: float = math.inf, first: int = 0, most: float = math.inf
) -> tuple[int, list[str]]:
    """Try one parser for so long or so often; give the number of tries, and the faults."""
    path, read = parsers.all()[name]
    whole, faults, seed = path.read_bytes(), [], first
    manifest = (parsers.model / storage.MANIFEST).read_bytes()
    end = time.monotonic() + seconds
    while time.monotonic() < end and seed - first < most and len(faults) < 5:
        path.write_bytes(damaged(whole, random.Random(seed)))
        try:
            with contextlib.suppress(CharlmError):
                read(path)
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt):
                raise
            faults.append(f"{name}, seed {seed}: {error!r}"[:500])
        seed += 1
    path.write_bytes(whole)
    (parsers.model / storage.MANIFEST).write_bytes(manifest)
    return seed - first, faults


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("seconds", type=float, nargs="?", default=60.0)
    parser.add_argument("parsers", nargs="*")
    parser.add_argument("--first", type=int, default=0, help="first seed")
    arguments = parser.parse_args()
    folder, bad = Path(tempfile.mkdtemp()), False
    parsers = Parsers(folder)
    for name in arguments.parsers or parsers.all():
        tries, faults = fuzz(parsers, name, arguments.seconds, arguments.first)
        print(f"{name}: {tries:,} damaged files, {len(faults)} faults", flush=True)
        for fault in faults:
            print("   ", fault)
        bad = bad or bool(faults)
    shutil.rmtree(folder)
    return int(bad)


if __name__ == "__main__":
    sys.exit(main())
