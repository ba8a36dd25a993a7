"""One training run: its plan, its network, and the directory it goes into."""

import math
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, TextIO

import numpy as np
import torch

from charlm import storage
from charlm.batches.padded import PaddedBatches
from charlm.batches.streams import Restarts, Streams
from charlm.evaluation.metrics import Evaluation
from charlm.language.adapting import training_scales, write_adaptation
from charlm.language.card import model_card
from charlm.language.combination import Combination, combine
from charlm.language.command import command_line
from charlm.language.counts import Counted, count, plan_counting, write_counts
from charlm.language.directory import write_held_out, write_model
from charlm.language.explanation import explain
from charlm.language.handle import LanguageModel, load
from charlm.language.network import network_json, network_weights
from charlm.language.plan import Plan, make_plan
from charlm.language.probe import Machine
from charlm.language.request import TrainRequest
from charlm.language.reserve import divide
from charlm.language.sizes import CorpusFacts
from charlm.language.task import LanguageTask
from charlm.language.validation import Validation, tokens_worth_scoring
from charlm.model.initial import draw_uniformly
from charlm.model.network import LanguageNetwork
from charlm.model.penalties import Penalties
from charlm.predict.neural import NeuralPredictor
from charlm.predict.ngram import NgramPredictor
from charlm.runs.dialogue import Stop, Tell
from charlm.runs.files import plain
from charlm.runs.session import Course, train_in
from charlm.runs.streaming import Batches
from charlm.text.cache import train_hash
from charlm.text.memory import freed_memory_returned
from charlm.text.store import Counts, TokenStore
from charlm.text.tokenizers import Tokenizer
from charlm.training.processes import Processes
from charlm.training.progress import Measure, Report
from charlm.training.task import TrainState
from charlm.version import __version__

SCORE_SHARE = 0.1  # of the minutes may go into the final score,
SCORE_SECONDS = 8.0  # or this much


class Run:
    """One training run."""

    def __init__(
        self,
        paths: Sequence[str],
        request: TrainRequest,
        store: TokenStore,
        out: Path,
        device: torch.device,
        machine: Machine,
        processes: Processes,
        scored: int | None = None,
    ) -> None:
        """Plan the run and make its network; `scored` held-out tokens are those of each validation.

        Without it their number follows from what will be learned between two.
        """
        self.paths, self.request, self.store, self.out = paths, request, store, out
        self.device, self.machine, self.processes = device, machine, processes
        self.bf16 = machine.bf16
        self.train_sha256 = train_hash(store.directory)  # now: the store may be gone at the end
        counts, tokenizer = store.train.counts(), store.tokenizer
        self.learned, self.reserve = divide(store.train)
        self.facts = CorpusFacts(len(self.learned.ids) - 1, tokenizer.vocab_size, tokenizer.kind)
        self.plan: Plan = make_plan(request, self.facts, machine)
        between = self.plan.loop.validate_every * self.plan.learned
        timed = self.plan.budget.seconds is not None
        self.scored = scored or tokens_worth_scoring(between, timed)
        torch.manual_seed(request.seed)
        self.network = LanguageNetwork(self.plan.network).to(device)
        self._id_counts = self.learned.id_counts(tokenizer.vocab_size)
        if request.init == "uniform":
            draw_uniformly(self.network)
        else:
            self.network.head.start_from(torch.from_numpy(self._id_counts))
        if processes.size > 1:  # the same weights, but other dropout in each process
            torch.manual_seed(request.seed * 1_000_003 + processes.rank)
        self.counts: NgramPredictor | None = None
        self.counted: Counted | None = None
        self.combination: Combination | None = None
        self.tokens_per_second: dict[str, float] = {}
        self.scales: dict[str, np.ndarray] = {}
        self.parameters = sum(parameter.numel() for parameter in self.network.parameters())
        self.unit = Measure("nats per token")
        if tokenizer.lossless and counts.bytes:
            held_out = None if store.valid is None else _bits_per_byte(store.valid.counts())
            self.unit = Measure("bits per byte", _bits_per_byte(counts), held_out)

    def describe(self) -> list[str]:
        """Say in three lines what will be trained, how, and why."""
        where = "GPU" if self.device.type != "cpu" else None
        facts = self.facts, self.machine
        return explain(self.plan, *facts, self.parameters, self.processes.size, where)

    def train(
        self, stream: TextIO | None, stop: Stop, tell: Tell, report: Report | None = None
    ) -> TrainState:
        """Train, from the newest checkpoint where there is one, until the budget is used up."""
        plan = self.plan
        return train_in(
            self.out,
            self._task,
            Course(plan.budget, plan.optimizer, plan.loop, self.unit),
            request=self.request,
            parameters=self.parameters,
            processes=self.processes,
            stream=stream,
            stop=stop,
            tell=tell,
            report=report,
        )

    def save(
        self, state: TrainState, evaluation: Evaluation | None, finished: bool
    ) -> LanguageModel:
        """Write the model directory; its manifest comes last."""
        tokenizer = self.store.tokenizer
        with storage.existing_directory(self.out) as writer:
            config = plain(self._config(state, evaluation, finished))
            config["held_out_text"] = write_held_out(writer, self.store)
            card = model_card(plain(self.out.name), config, tokenizer.kind)
            write_model(writer, config, network_weights(self.network), tokenizer, card)
            if self.counts is not None:
                write_counts(writer, self.counts)
                write_adaptation(writer, self.scales, self.reserve)
        model = load(self.out, device=self.request.device, threads=torch.get_num_threads())
        if self.counts is not None:
            model.parts.counts = self.counts  # which it need not read again
        return model

    def combine(self, tell: Tell) -> None:
        """Count the text, and find on the reserve what network and counts are worth together.

        Of the time for the score counting takes a third at most, and tuning a third.
        """
        tokenizer = self.store.tokenizer
        seconds = self.score_seconds() / 3
        counting = plan_counting(self.learned, tokenizer, seconds)
        with freed_memory_returned():
            self.counts, self.counted = count(self.learned, tokenizer, counting)
        network = NeuralPredictor(self.network, tokenizer.boundary_id)
        self.combination = combine(network, self.counts, self.reserve, seconds)
        self.scales = training_scales(network, self.learned, seconds / 4)
        self.network.train()
        if not len(self.reserve):
            tell("too short to tune on: network and counts have a half each in the mixture")
        for line in self.counted.cuts(counting.order):
            tell(line)

    def score_seconds(self) -> float:
        """Give the time that the final score may take."""
        seconds = self.plan.budget.seconds
        return math.inf if seconds is None else max(SCORE_SECONDS, SCORE_SHARE * seconds)

    def _task(self) -> LanguageTask:
        return LanguageTask(
            self.network,
            self._batches(),
            self._validation(),
            self.device,
            self.bf16,
            self.store.train.release,
            self._penalties(),
        )

    def _batches(self) -> Batches:
        part, request, plan = self.learned, self.request, self.plan
        if request.batches == "padded":
            return PaddedBatches(
                part.ids,
                part.boundaries,
                batch_size=plan.batch_size,
                window=plan.windows.last,
                seed=request.seed,
            )
        return Streams(
            part.ids,
            batch_size=plan.batch_size,
            windows=plan.windows,
            seed=request.seed,
            boundaries=part.boundaries,
            reset_at_documents=request.reset_at_documents,
            restarts=_restarts(self.store.tokenizer, self._id_counts),
        )

    def _penalties(self) -> Penalties:
        return Penalties(self.request.activation_penalty, self.request.temporal_penalty)

    def _validation(self) -> Validation | None:
        valid = self.store.valid
        if valid is None or len(valid.ids) < 2:
            return None
        return Validation(valid.ids, self.scored)

    def _config(
        self, state: TrainState, evaluation: Evaluation | None, finished: bool
    ) -> dict[str, Any]:
        return {
            "architectures": ["CharlmForCausalLM"],
            "vocab_size": self.plan.network.vocab_size,
            "tie_word_embeddings": self.plan.network.tie_weights,
            "torch_dtype": "float32",
            "boundary_id": self.store.tokenizer.boundary_id,
            "parameters": self.parameters,
            "network": network_json(self.network),
            "charlm_version": __version__,
            "run": {
                "corpus": ", ".join(self.paths) or "the text that ships with Python",
                "command": command_line(self.paths, self.request),
                "request": asdict(self.request),
                "optimizer": asdict(self.plan.optimizer),
                "batch_size": self.plan.batch_size,
                "window": self.plan.windows.last,
                "threads": torch.get_num_threads(),
                "precision": "bf16" if self.bf16 else "fp32",
                "train_bytes": self.store.train.counts().bytes,
                "train_sha256": self.train_sha256,
                "steps": state.step,
                "targets": state.targets,
                "seconds": round(state.seconds, 3),
                "tokens_per_second": self.tokens_per_second,
                "stopped_by": state.stopped_by,
                "finished": finished,
            },
            "counts": None if self.counted is None else asdict(self.counted),
            "combination": None if self.combination is None else asdict(self.combination),
            "held_out": None if evaluation is None else evaluation.to_json(),
        }


def _bits_per_byte(counts: Counts) -> float:
    """Give the bits per byte of a text where a token costs a nat."""
    return counts.tokens / max(counts.bytes, 1) / math.log(2)


def _restarts(tokenizer: Tokenizer, id_counts: np.ndarray) -> Restarts:
    """Let texts begin after tokens that end a line."""
    after = np.array([piece.endswith(b"\n") for piece in tokenizer.pieces])
    return Restarts(tokenizer.boundary_id, after, id_counts[after].sum() / id_counts.sum())
