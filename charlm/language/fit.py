"""From a corpus to a trained model directory: the whole of `charlm train`."""

import math
import shlex
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import Any, Protocol, TextIO

import numpy as np
import torch

from charlm import storage
from charlm.batches.padded import PaddedBatches
from charlm.batches.streams import Restarts, Streams
from charlm.errors import UsageError
from charlm.evaluation.metrics import Evaluation
from charlm.language.card import model_card
from charlm.language.corpus import open_or_prepare
from charlm.language.directory import write_held_out, write_model
from charlm.language.handle import LanguageModel, load
from charlm.language.network import network_json, network_weights, set_threads
from charlm.language.plan import CorpusFacts, Plan, make_plan
from charlm.language.request import TrainRequest
from charlm.language.result import FitResult
from charlm.language.task import Batches, LanguageTask
from charlm.language.validation import Validation
from charlm.model.network import LanguageNetwork
from charlm.storage import LineLog
from charlm.text.finding import run_name
from charlm.text.store import TokenStore
from charlm.text.tokenizers import Tokenizer
from charlm.training.precision import choose_device, use_bf16
from charlm.training.progress import Measure, Progress
from charlm.training.threads import fastest_thread_count
from charlm.training.trainer import Trainer, TrainState
from charlm.version import __version__

SCORE_SHARE = 0.1  # of the minutes may go into the final score,
SCORE_SECONDS = 8.0  # or this much


class Stop(Protocol):
    """What can ask a training loop to end."""

    def training(self) -> AbstractContextManager[None]:
        """Mark the part in which a request is honoured."""

    def requested(self) -> bool:
        """Tell whether there was a request."""


class _NeverStop:
    def training(self) -> AbstractContextManager[None]:
        return nullcontext()

    def requested(self) -> bool:
        return False


def train(corpus: str | Path | Sequence[str | Path] = (), **options: Any) -> LanguageModel:  # noqa: ANN401
    """Train a model on files, directories or globs; without any, on the text Python ships with.

    Options are those of `charlm train`: minutes, epochs, steps, tokenizer, cell, hidden, out, ...
    Raises a CharlmError for whatever is wrong.
    """
    paths = [corpus] if isinstance(corpus, str | Path) else corpus
    if unknown := options.keys() - TrainRequest.__dataclass_fields__.keys():
        raise UsageError(f"unknown option '{sorted(unknown)[0]}'", "see charlm train --help")
    return fit([str(path) for path in paths], TrainRequest(**options)).model


def fit(
    paths: Sequence[str],
    request: TrainRequest,
    progress: TextIO | None = None,
    stop: Stop | None = None,
) -> FitResult:
    """Prepare, plan, train, save, score."""
    tell = _teller(progress)
    began = time.perf_counter()
    out = _output(paths, request)
    device = choose_device(request.device)
    bf16 = use_bf16(request.precision, device)
    if request.threads is not None:
        set_threads(request.threads)
    elif device.type == "cpu" and request.minutes_or_default is not None:
        set_threads(fastest_thread_count(bf16))
    store = open_or_prepare(paths, request, tell)
    run = _Run(request, store, device, bf16, paths, out)
    tell(f"prepared in {time.perf_counter() - began:.1f} s; {run.describe()}")
    with storage.replaced_directory(out, lambda path: (path / storage.MANIFEST).exists()):
        state = run.train(progress, stop or _NeverStop())
        model = run.save(state, None)
        if state.stopped_by == "request":
            return FitResult(model, state, None, None, "")
        evaluation = model.evaluate_held_out(run.score_seconds())
        model = run.save(state, evaluation)
    test = None if request.test is None else model.evaluate(path=request.test)
    cut = 0
    if evaluation is not None and store.valid is not None:
        cut = store.valid.counts().bytes - evaluation.bytes
    return FitResult(model, state, evaluation, test, _sample(model), cut)


class _Run:
    """One training run: its plan, its network and the directory it goes into."""

    def __init__(
        self,
        request: TrainRequest,
        store: TokenStore,
        device: torch.device,
        bf16: bool,
        paths: Sequence[str],
        out: Path,
    ) -> None:
        self.request, self.store, self.paths, self.out = request, store, paths, out
        self.device, self.bf16 = device, bf16
        counts = store.train.counts()
        tokenizer = store.tokenizer
        facts = CorpusFacts(
            len(store.train.ids) - 1, tokenizer.vocab_size, tokenizer.kind, tokenizer.closed
        )
        self.plan: Plan = make_plan(request, facts, torch.get_num_threads(), bf16)
        torch.manual_seed(request.seed)
        self.network = LanguageNetwork(self.plan.network).to(device)
        self.parameters = sum(parameter.numel() for parameter in self.network.parameters())
        self.unit = Measure("nats per token")
        if tokenizer.lossless and counts.bytes:
            self.unit = Measure("bits per byte", counts.tokens / counts.bytes / math.log(2))

    def describe(self) -> str:
        """Say in a line what will be trained."""
        shape = self.plan.network
        where = f"{torch.get_num_threads()} threads" if self.device.type == "cpu" else "GPU"
        return (
            f"training {shape.num_layers} x {shape.hidden_size} {shape.cell} "
            f"({self.parameters:,} parameters, dropout {shape.output_dropout:g}), rate "
            f"{self.plan.optimizer.learning_rate:.2g}, on {where} in "
            f"{'bf16' if self.bf16 else 'fp32'}"
        )

    def train(self, stream: TextIO | None, stop: Stop) -> TrainState:
        """Train until the budget is used up."""
        task = LanguageTask(
            self.network, self._batches(), self._validation(), self.device, self.bf16
        )
        budget = self.plan.budget
        logs = {name: LineLog(self.out / f"{name}.jsonl") for name in ("metrics", "timings")}
        with Progress(budget, self.unit, logs["metrics"], logs["timings"], stream) as progress:
            trainer = Trainer(
                task, budget, self.plan.optimizer, self.plan.loop, progress, stop.requested
            )
            with stop.training():
                return trainer.fit()

    def save(self, state: TrainState, evaluation: Evaluation | None) -> LanguageModel:
        """Write the model directory; its manifest comes last."""
        tokenizer = self.store.tokenizer
        with storage.existing_directory(self.out) as writer:
            config = self._config(state, evaluation)
            config["held_out_text"] = write_held_out(writer, self.store)
            card = model_card(self.out.name, config, tokenizer.kind)
            write_model(writer, config, network_weights(self.network), tokenizer, card)
        return load(self.out, device=self.request.device, threads=torch.get_num_threads())

    def score_seconds(self) -> float:
        """Give the time that the final score may take."""
        seconds = self.plan.budget.seconds
        return math.inf if seconds is None else max(SCORE_SECONDS, SCORE_SHARE * seconds)

    def _batches(self) -> Batches:
        part, request, plan = self.store.train, self.request, self.plan
        if request.batches == "padded":
            return PaddedBatches(
                part.ids,
                part.boundaries,
                batch_size=plan.batch_size,
                window=plan.window,
                seed=request.seed,
            )
        return Streams(
            part.ids,
            batch_size=plan.batch_size,
            window=plan.window,
            seed=request.seed,
            boundaries=part.boundaries,
            reset_at_documents=request.reset_at_documents,
            restarts=_restarts(self.store.tokenizer),
        )

    def _validation(self) -> Validation | None:
        valid = self.store.valid
        return None if valid is None or len(valid.ids) < 2 else Validation(valid.ids)

    def _config(self, state: TrainState, evaluation: Evaluation | None) -> dict[str, Any]:
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
                "command": _command(self.paths, self.request),
                "request": asdict(self.request),
                "optimizer": asdict(self.plan.optimizer),
                "batch_size": self.plan.batch_size,
                "window": self.plan.window,
                "threads": torch.get_num_threads(),
                "precision": "bf16" if self.bf16 else "fp32",
                "train_bytes": self.store.train.counts().bytes,
                "steps": state.step,
                "targets": state.targets,
                "seconds": round(state.seconds, 3),
                "stopped_by": state.stopped_by,
            },
            "held_out": None if evaluation is None else evaluation.to_json(),
        }


def _restarts(tokenizer: Tokenizer) -> Restarts:
    """Let texts begin after tokens that end a line."""
    after = np.array([piece.endswith(b"\n") for piece in tokenizer.pieces])
    return Restarts(tokenizer.boundary_id, after)


def _output(paths: Sequence[str], request: TrainRequest) -> Path:
    """Choose the run's directory; an existing one needs --force."""
    if request.out is None:
        return _numbered(Path("runs") / run_name(paths))
    out = Path(request.out)
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        if not request.force:
            raise UsageError(f"{out} is already there", "pass --force to replace it")
        if not out.is_dir() or not (out / "metrics.jsonl").exists():
            raise UsageError(f"{out} is not a run of charlm's; it will not be replaced")
    return out


def _numbered(path: Path) -> Path:
    """Find the first free name: NAME, NAME-2, NAME-3, ..."""
    number, free = 1, path
    while free.exists():
        number += 1
        free = path.with_name(f"{path.name}-{number}")
    return free


def _teller(stream: TextIO | None) -> Callable[[str], None]:
    def tell(line: str) -> None:
        if stream is not None:
            print(line, file=stream, flush=True)

    return tell


def _command(paths: Sequence[str], request: TrainRequest) -> str:
    words = ["charlm", "train", *paths]
    for name, field in TrainRequest.__dataclass_fields__.items():
        value = getattr(request, name)
        if value != field.default:
            flag = "--" + name.replace("_", "-")
            words += [flag] if value is True else [flag, str(value)]
    return shlex.join(words)


def _sample(model: LanguageModel) -> str:
    return model.generate(
        "", max_tokens=200 if model.tokenizer.kind in ("byte", "char") else 60, seed=1
    )
