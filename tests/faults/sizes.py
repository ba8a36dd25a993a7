"""Large texts: how fast they are prepared, and how much memory that and training take.

    scripts/sizes                                    200 MB and 2 GB, of lines and in one line
    scripts/sizes --megabytes 200 --tokenizers word  --text book.txt

prepare  the whole pipeline (read, learn the tokenizer, encode, count, write), a process of its own
train    200 steps, preparation included

The text is `--text`, its lines shuffled again and again with numbers put in. "largest" is the peak
resident size of the largest process, "all" that of the process and its helpers together (each
shared page counted once), with PyTorch and every touched page of mapped files.
"""

import argparse
import os
import random
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import NamedTuple

from charlm.text.finding import open_corpus

ROOT = Path(__file__).parents[2]
TOKENIZERS = {
    "byte": ["--tokenizer", "byte"],
    "char": ["--tokenizer", "char"],
    "word": ["--tokenizer", "word"],
    "closed": ["--tokenizer", "word", "--unknown", "unk"],
    "bpe": ["--tokenizer", "bpe"],
}
MEGABYTE = 1_000_000
INTERVAL = 0.1  # seconds between two looks at the memory


class Taken(NamedTuple):
    """What a command took: seconds by the clock and of the processors, bytes at most."""

    clock: float
    processor: float
    largest: int
    together: int


def write_text(path, size, one_line, base):
    """Write `size` bytes of lines taken from a text in ever other order."""
    lines = [line for line in base.split("\n") if line.strip()]
    rng = random.Random(1)
    written, end = 0, " " if one_line else "\n"
    with path.open("w", newline="") as file:
        while written < size:
            rng.shuffle(lines)
            block = end.join(f"{line} {rng.randrange(10_000)}" for line in lines) + end
            block = block.encode()[: size - written].decode(errors="ignore")
            written += len(block.encode())
            file.write(block)
            if len(block) < 2:
                break


def memory_of(process):
    """Give the peak of the largest of a process and those it started, and what all hold now."""
    largest, together, waiting = 0, 0, [process]
    while waiting:
        number = waiting.pop()
        try:
            largest = max(largest, _kilobytes(f"/proc/{number}/status", "VmHWM:"))
            together += _kilobytes(f"/proc/{number}/smaps_rollup", "Pss:")
            waiting += map(int, Path(f"/proc/{number}/task/{number}/children").read_text().split())
        except OSError:
            continue
    return largest * 1024, together * 1024


def _kilobytes(file, name):
    lines = Path(file).read_text().splitlines()
    return next((int(line.split()[1]) for line in lines if line.startswith(name)), 0)


def measure(*words, cache):
    """Run a charlm command line in a process of its own."""
    environment = os.environ | {"CHARLM_CACHE": str(cache), "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "charlm", *map(str, words)]
    peaks, ended = [(0, 0)], threading.Event()

    def watch(process):
        while not ended.wait(INTERVAL):
            peaks.append(memory_of(process))

    began = time.monotonic()
    log = cache / "log.txt"
    with log.open("wb") as stream:
        process = subprocess.Popen(command, env=environment, stdout=stream, stderr=stream)
    watcher = threading.Thread(target=watch, args=(process.pid,))
    watcher.start()
    _, status, usage = os.wait4(process.pid, 0)
    clock = time.monotonic() - began
    process.returncode = os.waitstatus_to_exitcode(status)
    ended.set()
    watcher.join()
    assert process.returncode == 0, f"{words}: {process.returncode}\n{log.read_text()}"
    largest, together = map(max, zip(*peaks, strict=True))
    return Taken(clock, usage.ru_utime + usage.ru_stime, largest, together)


def row(name, size, taken):
    """Lay out one line of the table."""
    speed = f"{size / taken.clock / MEGABYTE:.1f}"
    peaks = [f"{number / MEGABYTE:.0f} MB" for number in (taken.largest, taken.together)]
    cells = [name, f"{taken.clock:.1f} s", f"{taken.processor:.1f} s", speed, *peaks]
    return f"| {' | '.join(cells)} |"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--megabytes", type=int, nargs="+", default=[200, 2000])
    parser.add_argument("--tokenizers", nargs="*", default=list(TOKENIZERS), choices=TOKENIZERS)
    parser.add_argument("--forms", nargs="+", default=["lines", "line"], choices=["lines", "line"])
    parser.add_argument("--steps", type=int, default=200, help="0 trains nothing")
    parser.add_argument("--text", help="what the text is made of (default: the built-in corpus)")
    arguments = parser.parse_args()
    with open_corpus([arguments.text] if arguments.text else []) as corpus:
        base = "".join(str(piece.text) for piece in corpus.pieces())
    print("| command | clock | processor | MB/s | largest | all |\n| --- |" + " ---: |" * 5)
    for megabytes in arguments.megabytes:
        size = megabytes * MEGABYTE
        for form in arguments.forms:
            with tempfile.TemporaryDirectory() as name:
                folder = Path(name)
                path, out = folder / "text.txt", folder / "out"
                write_text(path, size, form == "line", base)
                what = f"{megabytes:,} MB {'in one line' if form == 'line' else 'of lines'}"
                for tokenizer in arguments.tokenizers:
                    words = ["prepare", path, *TOKENIZERS[tokenizer], "--out", out, "--force"]
                    taken = measure(*words, cache=folder)
                    print(row(f"prepare, {tokenizer}, {what}", size, taken), flush=True)
                if arguments.steps:
                    words = ["train", path, "--steps", arguments.steps, "--out", folder / "run"]
                    taken = measure(*words, cache=folder)
                    print(row(f"train {arguments.steps} steps, {what}", size, taken), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
