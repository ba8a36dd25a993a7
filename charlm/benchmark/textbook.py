"""The textbook loop: how recurrent language models are usually taught in PyTorch, kept plain.

It is what charlm is measured against, and so it must not be made slower, or cleverer, than it is
met in the wild: nn.LSTM over the window, the logits of all its tokens at once, log-softmax and the
mean negative log-likelihood, a tightly clipped gradient, and SGD by hand at a high rate that is
quartered whenever an epoch did not improve the held-out score (Zaremba et al. 2014,
arXiv 1409.2329, in outline). Streams run along the second dimension, as nn.LSTM has it by default.

Legend: L ids, B streams, T steps, V vocabulary.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from charlm.text.memory import freed_memory_kept

BATCH, WINDOW = 20, 35
VALIDATION_BATCH = 10
RATE, ANNEALING = 20.0, 4.0
CLIP_NORM = 0.25
WEIGHT_RANGE = 0.1

Hidden = tuple[Tensor, Tensor]
_KEPT = ExitStack()  # what stays as it is until the process ends


class TextbookModel(nn.Module):
    """Embedding, dropout, nn.LSTM, dropout, linear layer; the last may share the embedding."""

    def __init__(
        self,
        vocab_size: int,
        embed_size: int = 200,
        hidden_size: int = 200,
        num_layers: int = 2,
        dropout: float = 0.2,
        tied: bool = True,
    ) -> None:
        super().__init__()
        between = dropout if num_layers > 1 else 0.0
        self.dropout = nn.Dropout(dropout)
        self.embedding = nn.Embedding(vocab_size, embed_size)
        self.lstm = nn.LSTM(embed_size, hidden_size, num_layers, dropout=between)
        self.decoder = nn.Linear(hidden_size, vocab_size)
        if tied:
            assert embed_size == hidden_size, "tied weights are of one size"
            self.decoder.weight = self.embedding.weight
        nn.init.uniform_(self.embedding.weight, -WEIGHT_RANGE, WEIGHT_RANGE)
        nn.init.uniform_(self.decoder.weight, -WEIGHT_RANGE, WEIGHT_RANGE)
        nn.init.zeros_(self.decoder.bias)

    def forward(self, ids: Tensor, hidden: Hidden) -> tuple[Tensor, Hidden]:
        """Read ids (T, B); give log p of every token after each, (T B, V), and the state."""
        embedded = self.dropout(self.embedding(ids))  # (T, B, E)
        outputs, hidden = self.lstm(embedded, hidden)  # (T, B, H)
        logits = self.decoder(self.dropout(outputs))  # (T, B, V)
        return functional.log_softmax(logits.flatten(0, 1), dim=1), hidden

    def initial_hidden(self, streams: int) -> Hidden:
        """Give zeros for B = `streams`."""
        shape = (self.lstm.num_layers, streams, self.lstm.hidden_size)
        return torch.zeros(shape), torch.zeros(shape)


class TextbookLoop:
    """Trains a model on ids (L,), epoch by epoch or step by step; losses are in nats per token."""

    def __init__(
        self,
        model: TextbookModel,
        train: Tensor,
        valid: Tensor | None = None,
        batch_size: int = BATCH,
        window: int = WINDOW,
    ) -> None:
        self.model = model
        self.window = window
        self.rate = RATE
        self.best = math.inf
        self._train = in_streams(train, batch_size)
        self._valid = None if valid is None else in_streams(valid, VALIDATION_BATCH)
        self._windows = windows(self._train, window)
        self._hidden = model.initial_hidden(batch_size)

    @property
    def steps_per_epoch(self) -> int:
        """Count the windows of one pass over the text."""
        return -(-(len(self._train) - 1) // self.window)

    def step(self) -> float:
        """Learn from the next window; after the last the text begins anew."""
        window = next(self._windows, None)
        if window is None:
            self._begin_epoch()
            window = next(self._windows)
        return self._learn(*window)

    def epoch(self) -> float:
        """Learn from the whole text once; give the mean over its tokens of what they cost."""
        self._begin_epoch()
        nats, tokens = 0.0, 0
        for inputs, targets in self._windows:
            nats += self._learn(inputs, targets) * len(targets)
            tokens += len(targets)
        return nats / tokens

    def validate(self) -> float:
        """Score the held-out text, and quarter the rate where that is not better than before."""
        assert self._valid is not None, "there is nothing to score"
        self.model.eval()
        hidden, nats, tokens = self.model.initial_hidden(VALIDATION_BATCH), 0.0, 0
        with torch.no_grad():
            for inputs, targets in windows(self._valid, self.window):
                log_probs, hidden = self.model(inputs, hidden)
                nats += float(functional.nll_loss(log_probs, targets)) * len(targets)
                tokens += len(targets)
        loss = nats / tokens
        if loss < self.best:
            self.best = loss
        else:
            self.rate /= ANNEALING
        return loss

    def _begin_epoch(self) -> None:
        self._windows = windows(self._train, self.window)
        self._hidden = self.model.initial_hidden(self._train.shape[1])

    def _learn(self, inputs: Tensor, targets: Tensor) -> float:
        self.model.train()
        self.model.zero_grad()
        hidden = (self._hidden[0].detach(), self._hidden[1].detach())
        log_probs, self._hidden = self.model(inputs, hidden)
        loss = functional.nll_loss(log_probs, targets)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.model.parameters(), CLIP_NORM)
        for parameter in self.model.parameters():
            assert parameter.grad is not None
            parameter.data.add_(parameter.grad, alpha=-self.rate)
        return loss.item()


class TextbookWriter:
    """Writes as such models are usually let write: the whole network called for every token.

    From log p of all words come their probabilities by the exponential, from these the next word
    by torch.multinomial, and its text from a list.
    """

    def __init__(self, model: TextbookModel, words: Sequence[str], first: int = 0) -> None:
        self.model = model.eval()
        self._words = words
        self._ids = torch.tensor([[first]])  # (T = 1, B = 1)
        self._hidden = model.initial_hidden(1)

    @torch.no_grad()
    def write(self, tokens: int) -> str:
        """Go on by so many tokens; give their text."""
        written = []
        for _ in range(tokens):
            log_probs, self._hidden = self.model(self._ids, self._hidden)
            drawn = torch.multinomial(log_probs.squeeze().exp(), 1)
            self._ids.fill_(drawn[0])
            written.append(self._words[int(drawn)])
        return " ".join(written)


def in_streams(ids: Tensor, streams: int) -> Tensor:
    """Cut ids (L,) into equal streams, side by side: (L / B, B); what is left over is dropped."""
    length = len(ids) // streams
    assert length > 1, "the text is too short for so many streams"
    return ids[: length * streams].view(streams, length).t().contiguous()


def windows(streams: Tensor, window: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield inputs (T, B) and targets (T B,) window by window; the last one may be shorter."""
    for start in range(0, len(streams) - 1, window):
        end = min(start + window, len(streams) - 1)
        yield streams[start:end], streams[start + 1 : end + 1].flatten()


def writers(task: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Callable[[], object]]]:
    """Make the writer of a task, in a process of its own, as one contestant without facts."""
    torch.set_num_threads(1)
    torch.manual_seed(1)
    model = TextbookModel(task["vocab_size"], task["embed"], task["hidden"], task["layers"])
    with torch.no_grad():  # what is drawn is as unevenly frequent as text
        counts = torch.tensor(task["counts"], dtype=torch.float32) + 1
        model.decoder.bias.copy_((counts / counts.sum()).log())
    writer = TextbookWriter(model, [f"w{number}" for number in range(task["vocab_size"])])
    if task["keep"]:
        _KEPT.enter_context(freed_memory_kept())
    return {}, {task["name"]: lambda: writer.write(task["tokens"])}
