"""The language network: embedding, recurrent stack, softmax head.

Legend: B streams, T steps, E embedding, H hidden, V vocabulary.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from charlm.model.adaptive import AdaptiveHead
from charlm.model.dropout import embedding_dropout, locked_dropout
from charlm.model.heads import SoftmaxHead
from charlm.model.penalties import Penalties, with_gradient_of
from charlm.model.recurrent import RecurrentConfig, RecurrentStack
from charlm.model.shape import NetworkConfig
from charlm.model.softmaxes import MixtureHead
from charlm.model.state import State

MANY_TOKENS = 1024  # fewer make no table: see `LanguageNetwork.tables`


class LanguageNetwork(nn.Module):
    """Predicts the next token id from all before it.

    With tied weights (Press & Wolf 2017, Inan et al. 2017) the head uses the embedding; where E and
    the last layer's H differ, a linear projection stands between, but before a mixture of
    softmaxes, which makes what it compares with the embedding itself.
    """

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.config = config
        self.embedding = nn.Parameter(torch.empty(config.vocab_size, config.embed_size))
        nn.init.normal_(self.embedding, std=config.embed_size**-0.5)
        self.stack = RecurrentStack(recurrent_config(config))
        self.projection = (
            nn.Linear(config.output_size, config.embed_size) if config.projects else None
        )
        tied = self.embedding if config.tie_weights else None
        self.head: SoftmaxHead
        if config.cutoffs:
            self.head = AdaptiveHead(config.head_size, config.vocab_size, config.cutoffs, tied)
        elif config.mixtures > 1:
            sizes = config.output_size, config.row_size, config.vocab_size
            self.head = MixtureHead(*sizes, config.mixtures, tied)
        else:
            self.head = SoftmaxHead(config.head_size, config.vocab_size, tied)

    def tables(self) -> list[nn.Parameter]:
        """Give what has a row for each of many tokens, each of which is seldom seen."""
        if self.config.vocab_size < MANY_TOKENS:
            return []
        own = [] if self.config.tie_weights else [self.head.weight]
        return [self.embedding, *own]

    def initial_state(self, batch_size: int) -> State:
        """Give the state before anything is read, for B = `batch_size` streams."""
        return self.stack.initial_state(batch_size)

    def forward(
        self, ids: Tensor, state: State, resets: Tensor | None = None
    ) -> tuple[Tensor, State]:
        """Read ids (B, T); give what the head takes, (B, T, E), and the state after the last.

        This E is the `head_size` of the configuration.
        """
        outputs, state = self._read(ids, state, resets)
        return self._for_head(self._dropped(outputs)), state

    def nats_sum(
        self,
        ids: Tensor,
        targets: Tensor,
        state: State,
        mask: Tensor | None = None,
        resets: Tensor | None = None,
        penalties: Penalties | None = None,
    ) -> tuple[Tensor, State]:
        """Sum the nats of targets (B, T) after ids (B, T) where mask (B, T) holds; to train on.

        Penalties are in the gradient alone.
        """
        outputs, state = self._read(ids, state, resets)
        dropped = self._dropped(outputs)
        rows = self._for_head(dropped).flatten(0, 1)
        real = None if mask is None else mask.flatten()
        nats = self.head.nats_sum(rows, targets.flatten(), real)
        if penalties:
            nats = with_gradient_of(nats, penalties.total(outputs, dropped, mask, resets))
        return nats, state

    @torch.no_grad()
    def nats(
        self,
        ids: Tensor,
        targets: Tensor,
        state: State,
        mask: Tensor | None = None,
        resets: Tensor | None = None,
    ) -> tuple[Tensor, State]:
        """Give the nats of each target, (B, T) float32, zero where masked; without gradient."""
        outputs, state = self(ids, state, resets)
        nats = self.head.nats(outputs.flatten(0, 1), targets.flatten()).view(targets.shape)
        return (nats if mask is None else nats * mask), state

    def log_probs(self, outputs: Tensor) -> Tensor:
        """Give log p of every token after each output, (..., E) -> (..., V); as the weights are."""
        return self.head.log_probs(outputs)

    def _read(self, ids: Tensor, state: State, resets: Tensor | None) -> tuple[Tensor, State]:
        """Read ids (B, T); give the outputs of the last layer, (B, T, H), and the state."""
        weight = embedding_dropout(self.embedding, self.config.embed_dropout, self.training)
        inputs = functional.embedding(ids, weight)  # (B, T, E)
        inputs = locked_dropout(inputs, self.config.input_dropout, self.training)
        outputs, state = self.stack(inputs, state, resets)
        return outputs, state

    def _dropped(self, outputs: Tensor) -> Tensor:
        return locked_dropout(outputs, self.config.output_dropout, self.training)

    def _for_head(self, outputs: Tensor) -> Tensor:
        """Turn outputs (B, T, H) into what the head takes, (B, T, E)."""
        if self.projection is None:
            return outputs
        projected: Tensor = self.projection(outputs)
        return projected


def recurrent_config(config: NetworkConfig) -> RecurrentConfig:
    """Give the shape of the network's recurrent stack."""
    return RecurrentConfig(
        input_size=config.embed_size,
        hidden_size=config.hidden_size,
        num_layers=config.num_layers,
        cell=config.cell,
        nonlinearity=config.nonlinearity,
        output_size=config.output_size,
        layer_dropout=config.layer_dropout,
        weight_dropout=config.weight_dropout,
        mogrifier=config.mogrifier,
        mogrifier_rank=config.mogrifier_rank,
    )
