"""The long form of the fault tests: counts, for docs/reliability.md.

    scripts/soak                     everything: about twenty minutes on two cores
    scripts/soak --schedules 20 --kills 100 --signals 1

schedules  runs interrupted at 1 to 5 random places, of every cell and tokenizer, must end
           bit-identical to the uninterrupted run
kills      runs killed inside a save must go on, and never silently from an older checkpoint
signals    SIGTERM in each of eight phases must end the run at once, in one line, with code 143
"""

import argparse
import itertools
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from charlm.training.checkpoints import Checkpoints
from tests.faults.forge import Forge, outcome

TEXT = "the cat sat on the mat and the dog sat on the log, né?\nso it goes\n\n" * 25
SMALL = ["--hidden", 12, "--embed", 8, "--batch", 4, "--bptt", 12, "--lr", 0.01, "--threads", 1]
SMALL += ["--dropout", 0.2, "--steps", 24, "--save-every", 5]
CELLS = ("lstm", "gru", "rnn")
TOKENIZERS = {
    "byte": ["--tokenizer", "byte"],
    "char": ["--tokenizer", "char"],
    "word": ["--tokenizer", "word"],
    "closed": ["--tokenizer", "word", "--unknown", "unk"],
    "bpe": ["--tokenizer", "bpe", "--vocab-size", 300],
}
READINGS = {
    "streams": [],
    "accumulated": ["--accumulate", 2],
    "resets": ["--documents", "blank", "--reset-at-documents"],
    "padded": ["--documents", "line", "--batches", "padded"],
}
PLACES = {"step": 24, "loss": 30, "validation": 20, "operation": 150}
SIGNAL_CODES = {"kill": 137, "SIGTERM": 143, "SIGINT": 130, "SIGHUP": 129}
OPERATIONS = 170  # on the disk, that every such run makes at least
LONG_TEXT = 60_000_000  # characters, so that each phase of preparing lasts long enough to be hit


class Workshop:
    """Two forges that work side by side, each with its folder."""

    def __init__(self, folder: Path, text: str) -> None:
        self._own = threading.local()
        self._folder, self._text = folder, text
        self._number = itertools.count()
        self._forges: list[Forge] = []

    def forge(self) -> Forge:
        """Give this thread's forge."""
        if not hasattr(self._own, "forge"):
            folder = self._folder / f"forge-{next(self._number)}"
            folder.mkdir(parents=True)
            (folder / "book.txt").write_text(self._text)
            self._own.forge = Forge(folder)
            self._forges.append(self._own.forge)
        forge: Forge = self._own.forge
        return forge

    def close(self) -> None:
        for forge in self._forges:
            forge.close()


def words_of(forge, kind, out):
    cell, tokenizer, reading = kind
    options = [*SMALL, "--cell", cell, *TOKENIZERS[tokenizer], *READINGS[reading]]
    return ["train", forge.folder / "book.txt", *options, "--out", out, "--resume"]


def reference(forge, kind):
    """Give the outcome of the uninterrupted run, made once in each forge."""
    out = forge.folder / f"reference-{'-'.join(kind)}"
    if not out.exists():
        code, log, _ = forge.run(*words_of(forge, kind, out))
        assert code == 0, log
    return outcome(out)


def schedule(workshop, seed):
    """Interrupt one run at random places; say how it ended."""
    forge, rng = workshop.forge(), random.Random(seed)
    kind = (rng.choice(CELLS), rng.choice(list(TOKENIZERS)), rng.choice(list(READINGS)))
    wanted = reference(forge, kind)
    out = forge.folder / "run"
    shutil.rmtree(out, ignore_errors=True)
    for _ in range(rng.randint(1, 5)):
        place = rng.choice(list(PLACES))
        does = "kill" if place == "operation" else rng.choice(list(SIGNAL_CODES))
        fault = {"at": place, "number": rng.randint(1, PLACES[place]), "does": does}
        code, log, fired = forge.run(*words_of(forge, kind, out), fault=fault)
        if code != (SIGNAL_CODES[does] if fired else 0) or "Traceback" in log:
            return f"unusable: seed {seed}, {kind}, {fault}: {code} {log}"
    code, log, _ = forge.run(*words_of(forge, kind, out))
    if code != 0:
        return f"unusable: seed {seed}, {kind}: {code} {log}"
    return "identical" if outcome(out) == wanted else f"different: seed {seed}, {kind}"


def kill_inside_saves(workshop, seed):
    """Kill one run at one operation of the disk; it must go on from its newest checkpoint.

    The operations are gone through one after another, in runs of cells and tokenizers by chance.
    """
    forge = workshop.forge()
    rng = random.Random(seed)
    kind = (rng.choice(CELLS), rng.choice(list(TOKENIZERS)), "streams")
    wanted = reference(forge, kind)
    out = forge.folder / "killed"
    shutil.rmtree(out, ignore_errors=True)
    fault = {"at": "operation", "number": 1 + seed % OPERATIONS, "does": "kill"}
    code, log, fired = forge.run(*words_of(forge, kind, out), fault=fault)
    if not fired:
        return "not reached"
    finished = Checkpoints(out / "checkpoints").finished()
    code, log, _ = forge.run(*words_of(forge, kind, out))
    if code != 0 or "Traceback" in log:
        return f"unusable: {seed}, {kind}: {code} {log}"
    if finished and f"going on from step {int(finished[0].name[5:]):,}" not in log:
        return f"silent fallback: {seed}, {kind}: {log}"
    return "identical" if outcome(out) == wanted else f"different: {seed}, {kind}"


def signal_in_phase(phase, delay, folder, book, model):
    """Send SIGTERM to a real process in one phase; say how it ended."""
    out = folder / f"signal-{phase}-{delay:.3f}"
    train = ["train", book, "--out", out, "--threads", 1, "--hidden", 32, "--save-every", "10"]
    words = {
        "importing": train,
        "reading": [*train, "--tokenizer", "char"],
        "tokenizer training": [*train, "--tokenizer", "bpe"],
        "encoding": ["prepare", book, "--tokenizer", "word", "--out", out],
        "training": ["train", "--out", out, "--threads", 1, "--minutes", 5],
        "validating": ["train", "--out", out, "--threads", 1, "--validate-every", 0.01],
        "saving": ["train", "--out", out, "--threads", 1, "--minutes", 5, "--save-every", 1],
        "sampling": ["generate", model, "the", "--max-tokens", 5_000_000, "--samples", 5000],
    }[phase]
    start = {"importing": 0.3, "reading": 2.5, "tokenizer training": 4.0, "encoding": 1.0}
    start |= {"sampling": 1.0}
    command = [sys.executable, "-m", "charlm", *map(str, words)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        if phase in ("training", "validating", "saving"):
            while not (out / "metrics.jsonl").exists() and process.poll() is None:
                time.sleep(0.05)
        time.sleep(start.get(phase, 0.1) + delay)
        process.send_signal(signal.SIGTERM)
        began = time.monotonic()
        err = process.communicate(timeout=60)[1].decode()
        took = time.monotonic() - began
    shutil.rmtree(out, ignore_errors=True)
    if process.returncode != 143 or "Traceback" in err:
        return f"{phase}: code {process.returncode}: {err[-500:]}"
    return "143" if took < 5.0 else f"{phase}: took {took:.1f} s"


def count(name, results):
    """Print how often each ending came; what is not good is printed whole."""
    counts = Counter(result if len(result) < 30 else result.split(":")[0] for result in results)
    print(f"{name}: {dict(counts)}", flush=True)
    bad = [r for r in results if r not in ("identical", "not reached", "143")]
    for result in bad[:10]:
        print("   ", result, flush=True)
    return not bad


def write_long_text(path, characters=LONG_TEXT):
    rng = random.Random(1)
    block = " ".join(f"w{rng.randrange(9000)}" for _ in range(200_000))
    with path.open("w") as file:
        for number in range(characters // len(block)):
            file.write(f"{block} {number}\n")


def soak_signals(folder, tries):
    book = folder / "long.txt"
    write_long_text(book)
    rng = random.Random(1)
    model = folder / "model"
    command = [sys.executable, "-m", "charlm", "train", "--steps", "20", "--hidden", "16"]
    subprocess.run([*command, "--out", str(model)], check=True, capture_output=True)
    phases = ["importing", "reading", "tokenizer training", "encoding"]
    phases += ["training", "validating", "saving", "sampling"]
    good = True
    for phase in phases:
        delays = [rng.random() for _ in range(tries)]
        with ThreadPoolExecutor(2) as pool:
            results = pool.map(
                lambda d, p=phase: signal_in_phase(p, d, folder, book, model), delays
            )
            good &= count(f"SIGTERM while {phase}", list(results))
    return good


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--schedules", type=int, default=200)
    parser.add_argument("--kills", type=int, default=1000)
    parser.add_argument("--signals", type=int, default=25, help="tries in each phase")
    arguments = parser.parse_args()
    good = True
    with tempfile.TemporaryDirectory() as name, ThreadPoolExecutor(2) as pool:
        workshop = Workshop(Path(name), TEXT)
        seeds = range(arguments.schedules)
        good &= count("schedules", list(pool.map(lambda s: schedule(workshop, s), seeds)))
        seeds = range(arguments.kills)
        results = pool.map(lambda s: kill_inside_saves(workshop, s), seeds)
        good &= count("kills inside saves", list(results))
        workshop.close()
        if arguments.signals:
            good &= soak_signals(Path(name), arguments.signals)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
