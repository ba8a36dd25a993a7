"""The parts of the bench, one after the other."""

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path

import torch

from charlm.benchmark.ceilings import ceiling_product, measure_ceilings
from charlm.benchmark.cells import CELLS, QUICK_SHAPES, SHAPES, race_cell
from charlm.benchmark.contest import race_textbook
from charlm.benchmark.goals import goals_of
from charlm.benchmark.ids import Ids, synthetic_ids
from charlm.benchmark.machine import this_machine
from charlm.benchmark.memory import compare_memory
from charlm.benchmark.models import models_for
from charlm.benchmark.options import BenchOptions
from charlm.benchmark.report import Report
from charlm.benchmark.scoring_speed import measure_line_scoring
from charlm.benchmark.serving_speed import measure_serving
from charlm.benchmark.shapes import (
    CHARACTERS,
    LARGE_WORDS,
    QUICK_CHARACTERS,
    QUICK_WORDS,
    WORDS,
    Shape,
)
from charlm.benchmark.starting import measure_starts
from charlm.benchmark.targets import race_to
from charlm.benchmark.texts import text_ids
from charlm.benchmark.throughput import measure_throughput
from charlm.benchmark.typing_speed import measure_typing
from charlm.benchmark.writing import QUICK, WRITTEN, race_writing
from charlm.errors import UsageError
from charlm.language.handle import load
from charlm.runs.dialogue import Tell
from charlm.text.memory import freed_memory_kept
from charlm.training.memory import memory_errors
from charlm.training.precision import has_bf16
from charlm.training.threads import fastest_thread_count, set_threads


@memory_errors("measuring")
def run_bench(corpora: Sequence[str], options: BenchOptions, tell: Tell) -> Report:
    """Measure what the options ask for, on texts, each a corpus of its own, or on synthetic ids.

    The first text gives the ids for throughput and contest; each has targets of its own. Raises
    UsageError for targets without a text, CorpusError, or OutOfMemoryError.
    """
    if "targets" in options.parts:
        if not corpora:
            raise UsageError("targets need a text to learn", "pass a CORPUS")
        for path in corpora:
            goals_of(path, options.target, options.minutes)  # are there any? Ask before the work
    for model in options.models:
        load(model)  # is it one? Ask before the work
    _set_threads(options.threads, tell)
    with (
        tempfile.TemporaryDirectory(prefix="charlm-bench-") as folder,
        freed_memory_kept(),  # as training does; whoever is raced against has the gain as well
    ):
        suite = Suite(corpora, options, tell, Path(folder))
        for part in options.parts:
            suite.run(part)
    return suite.report


class Suite:
    """Runs parts by name and fills a report; models that are trained for it go into a folder."""

    def __init__(
        self, corpora: Sequence[str], options: BenchOptions, tell: Tell, folder: Path
    ) -> None:
        self.report = Report(this_machine(), options)
        self._corpora, self._options, self._tell = corpora, options, tell
        self._rounds, self._quick = options.repeats, options.quick
        self._bf16 = self.report.machine.bf16
        self._folder = folder

    def run(self, part: str) -> None:
        """Run one part."""
        self._tell(f"measuring: {part}")
        parts: dict[str, Callable[[], None]] = {
            "ceilings": self._ceilings,
            "throughput": self._throughput,
            "cells": self._cells,
            "contest": self._contest,
            "memory": self._memory,
            "writing": self._writing,
            "typing": self._typing,
            "starting": self._starting,
            "scoring": self._scoring,
            "serving": self._serving,
            "targets": self._targets,
        }
        parts[part]()

    def _ceilings(self) -> None:
        self.report.ceilings = measure_ceilings(self._rounds, self._bf16, self._quick)

    def _throughput(self) -> None:
        ceiling = ceiling_product(self._bf16, self._quick)
        words = QUICK_WORDS if self._quick else WORDS
        characters = QUICK_CHARACTERS if self._quick else CHARACTERS
        for shape in (*characters, words[0]):
            fitting, ids = self._on_text(shape)
            self.report.throughput.append(
                measure_throughput(fitting, ids, ceiling, self._rounds, self._bf16)
            )

    def _cells(self) -> None:
        for cell in CELLS:
            for shape in QUICK_SHAPES if self._quick else SHAPES:
                self.report.cells.append(race_cell(cell, shape, self._rounds, self._bf16))

    def _contest(self) -> None:
        for shape in QUICK_WORDS if self._quick else WORDS:
            fitting, ids = self._on_text(shape)
            self.report.contest.append(race_textbook(fitting, ids, self._rounds, self._bf16))

    def _memory(self) -> None:
        shape = QUICK_WORDS[0] if self._quick else LARGE_WORDS
        memory = compare_memory(shape, torch.get_num_threads(), self._bf16)
        if memory is None:
            self._tell("this system does not tell what memory a process took")
        else:
            self.report.memory.append(memory)

    def _writing(self) -> None:
        for shape in QUICK if self._quick else WRITTEN:
            fitting, ids = self._on_text(shape.shape)
            shape = replace(shape, shape=fitting)
            self.report.writing.append(race_writing(shape, ids, self._rounds, self._quick))

    def _typing(self) -> None:
        for model in self._models:
            self.report.typing.append(measure_typing(model, self._quick))

    def _starting(self) -> None:
        kinds = [(load(model).tokenizer.kind, model) for model in self._models]
        self.report.starts = measure_starts(kinds, self._rounds)

    def _scoring(self) -> None:
        for model in self._models:
            found = measure_line_scoring(model, self._rounds, self._quick)
            self.report.scoring.append(found)

    def _serving(self) -> None:
        if not (find_spec("uvicorn") and find_spec("starlette")):
            self._tell("there is no server to measure without the extra 'serve'")
            return
        for model in self._models:
            self.report.serving += measure_serving(model, self._rounds, self._quick)

    @cached_property
    def _models(self) -> list[str]:
        """The models to use; where they are trained, the first time they are asked for."""
        threads = torch.get_num_threads()
        return models_for(self._corpora, self._options, threads, self._folder, self._tell)

    def _targets(self) -> None:
        options, threads = self._options, torch.get_num_threads()
        for path in self._corpora:
            for goal in goals_of(path, options.target, options.minutes):
                self._tell(f"{goal.corpus}: {goal.nats:.4f} nats, {goal.seconds:g} s")
                patience = 60 * options.textbook_minutes
                self.report.targets.append(
                    race_to(goal, path, options.seeds, threads, patience, self._tell)
                )

    def _on_text(self, shape: Shape) -> tuple[Shape, Ids]:
        """Give the ids to measure a shape with, and the shape with their vocabulary."""
        if not self._corpora:
            return shape, synthetic_ids(shape.kind, shape.vocab_size)
        ids = text_ids(shape.kind, self._corpora[0], self._tell)
        return replace(shape, vocab_size=ids.vocab_size), ids


def _set_threads(wished: int | None, tell: Tell) -> None:
    """Use the threads asked for, or, as training does, those that are quickest now."""
    threads, all_threads = wished, torch.get_num_threads()
    if threads is None:
        threads = fastest_thread_count(has_bf16(torch.device("cpu")))
        if threads < all_threads:
            tell(f"measuring with {threads} of {all_threads} threads: the machine is busy")
    set_threads(threads)
