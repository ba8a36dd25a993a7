"""How large a network, and how it reads the text, for a number of arithmetic operations.

The constants are those of trials on two cores (docs/benchmarks.md).
Legend: E embedding, H hidden units, V vocabulary.
"""

import math
from dataclasses import dataclass

from charlm.batches.windows import Windows
from charlm.language.request import TrainRequest
from charlm.model.shape import GATES, NetworkConfig

STREAMS = 128
SYMBOL_WINDOWS = Windows(8, 64)
WORD_WINDOWS = Windows(8, 35)
TOKENS_PER_STREAM = 256  # at least: a stream begins each epoch without memory
FULL_SOFTMAX = 2_000  # symbols below which two levels gain nothing
SPELLING = 257  # bytes and boundary, behind a vocabulary of characters
WORD_CUTOFFS = 1_000, 4_000, 12_000
SYMBOL_EMBED, WORD_EMBED = 64, 200
SYMBOL_INPUT = 0.2  # of the dropout falls on the embeddings of symbols, which are narrow
MIN_SYMBOL_HIDDEN, MIN_WORD_HIDDEN, MAX_HIDDEN = 64, 128, 2048
# at most, of a million tokens: a small text is soon known by heart, and LSTM layers of 1,024 units
# are slower in bfloat16 (model/recurrent.py)
HIDDEN_PER_MILLION = 960


@dataclass(frozen=True)
class CorpusFacts:
    """What the plan needs to know of a prepared corpus."""

    tokens: int
    vocab_size: int
    kind: str

    @property
    def symbols(self) -> bool:
        """Tell whether tokens are bytes or characters, of which a word takes several."""
        return self.kind in ("byte", "char")


def choose_windows(request: TrainRequest, corpus: CorpusFacts) -> Windows:
    """Choose how many tokens are learned from between two updates: few at first, then more."""
    usual = SYMBOL_WINDOWS if corpus.symbols else WORD_WINDOWS
    if request.batches == "padded":  # documents are cut into windows of one width
        return Windows(request.bptt or usual.last, request.bptt or usual.last)
    if request.bptt is None:
        last = max(usual.last, request.bptt_start or 1)
        return Windows(request.bptt_start or usual.first, last, request.random_windows)
    return Windows(request.bptt_start or request.bptt, request.bptt, request.random_windows)


def choose_batch(request: TrainRequest, corpus: CorpusFacts) -> int:
    """Choose the number of streams: many, but none shorter than a few windows."""
    if request.batch is not None:
        return request.batch
    if request.batches == "padded":
        return 32
    return max(1, min(STREAMS, corpus.tokens // TOKENS_PER_STREAM))


def choose_cutoffs(request: TrainRequest, corpus: CorpusFacts) -> tuple[int, ...]:
    """Choose where the softmax opens its second level, if it is large.

    Characters and words are sorted by frequency; byte pairs only roughly, so that fewer are rare
    enough. Behind the characters come the bytes that spell what is no character of the training
    text: they are out of the way of all others.
    """
    size = corpus.vocab_size
    if request.cutoffs is not None:
        return request.cutoffs_asked
    if request.mixtures > 1:
        return ()
    if corpus.kind == "char" and 0 < size - SPELLING < FULL_SOFTMAX:
        return (size - SPELLING,)
    if corpus.kind == "byte" or size < FULL_SOFTMAX:
        return ()
    if corpus.kind == "bpe":
        return round(size / 7), round(size / 2.2)
    return tuple(cut for cut in WORD_CUTOFFS if cut < size / 2)


def network_of(
    request: TrainRequest, corpus: CorpusFacts, hidden: int, dropout: float = 0.0
) -> NetworkConfig:
    """Give the network of so many units in each layer."""
    on_inputs = dropout * (SYMBOL_INPUT if corpus.symbols else 1.0)
    return NetworkConfig(
        vocab_size=corpus.vocab_size,
        embed_size=request.embed or min(hidden, SYMBOL_EMBED if corpus.symbols else WORD_EMBED),
        hidden_size=hidden,
        num_layers=request.layers or 1,
        cell=request.cell,
        nonlinearity=request.nonlinearity,
        tie_weights=request.tie,
        input_dropout=_first(request.input_dropout, on_inputs),
        layer_dropout=_first(request.layer_dropout, dropout),
        output_dropout=_first(request.output_dropout, dropout),
        weight_dropout=request.weight_dropout,
        embed_dropout=request.embed_dropout,
        cutoffs=choose_cutoffs(request, corpus),
        mogrifier=request.mogrifier,
        mogrifier_rank=request.mogrifier_rank,
        mixtures=request.mixtures,
        last_hidden_size=request.last_hidden,
    )


def operations(network: NetworkConfig) -> tuple[float, float]:
    """Count what learning one prediction takes, in recurrent layers and in what is above them.

    A multiplication and an addition, on the way forward and twice on the way back.
    """
    return 6.0 * _in_layers(network), 6.0 * _above_layers(network)


def _in_layers(network: NetworkConfig) -> int:
    """Count the multiplications of a step through all layers."""
    rank, total = network.mogrifier_rank, 0
    for inputs, hidden in network.layer_sizes:
        total += GATES[network.cell] * hidden * (inputs + hidden)
        total += network.mogrifier * (rank * (inputs + hidden) if rank else inputs * hidden)
    return total


def _above_layers(network: NetworkConfig) -> float:
    """Count the multiplications between the last layer and the probability of one id."""
    rows = network.mixtures * network.row_size * network.head_rows
    if network.mixtures > 1:
        return rows + network.mixtures * network.output_size * (network.row_size + 1)
    return rows + (network.embed_size * network.output_size if network.projects else 0)


def choose_hidden(request: TrainRequest, corpus: CorpusFacts, available: float) -> int:
    """Choose the number of units: as many as the operations available can train.

    Of a large vocabulary's operations the recurrent layers' share counts, by its root: a network
    that is small beside its head costs little less than a larger one.
    """
    size = 256.0
    for _ in range(8):  # the share depends on the size, the size on the share
        recurrent, head = operations(network_of(request, corpus, round(size)))
        share = recurrent / (recurrent + head)
        size = min(MAX_HIDDEN, max(1.0, _scaled(available * math.sqrt(share))))
    return _rounded(size, request, corpus)


def hidden_for_targets(request: TrainRequest, corpus: CorpusFacts, targets: float) -> int:
    """Choose the number of units for a run that learns from so many predictions."""
    return _rounded(84 * (targets / 1e5) ** 0.4, request, corpus)


def _first(asked: float | None, otherwise: float) -> float:
    return otherwise if asked is None else asked


def _scaled(available: float) -> float:
    return float(290 * (available / 1e13) ** 0.4)


def _rounded(size: float, request: TrainRequest, corpus: CorpusFacts) -> int:
    if request.layers is not None:
        size /= math.sqrt(request.layers)
    largest = min(MAX_HIDDEN, HIDDEN_PER_MILLION * (corpus.tokens / 1e6) ** 0.4)
    smallest = MIN_SYMBOL_HIDDEN if corpus.symbols else MIN_WORD_HIDDEN
    return int(max(smallest, 32 * round(min(size, largest) / 32)))
