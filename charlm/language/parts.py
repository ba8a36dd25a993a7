"""The parts of a model as Predictors: the network, here and in PyTorch, its counts, its cache.

Each is loaded when it is first needed. Imports no torch.
"""

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from charlm.language.adapting import adapting, read_tuned
from charlm.language.combination import (
    ADAPT,
    COUNTS,
    Combination,
    names_shown,
    predictor_of,
    read_combination,
    side_by_side,
)
from charlm.language.counts import read_counts
from charlm.language.directory import ModelFiles, network_config, stored_weights
from charlm.language.memory import Memory, check_model, read_memory
from charlm.model.rows import Weight, plain_weights
from charlm.options import check
from charlm.predict.mixture import SideBySide
from charlm.predict.ngram import NgramPredictor
from charlm.predict.places import Places
from charlm.predict.predictor import Network, Predictor
from charlm.predict.runtime import RuntimePredictor

if TYPE_CHECKING:
    from charlm.predict.adapt import AdaptingPredictor
    from charlm.predict.neural import NeuralPredictor

FEW_LINES = 256
FEW_CHARACTERS = 1 << 15  # which the runtime reads in the two seconds that PyTorch takes to load


class Parts:
    """What a model directory predicts with, from the beginning of a text or from a memory of one.

    combination: the shares of the mixtures; None for a model without counts
    memory:      what was read before; None where everything starts from nothing
    tuned:       whether what `charlm adapt` found later counts
    """

    def __init__(
        self,
        files: ModelFiles,
        device: str = "auto",
        threads: int | None = None,
        state: str | Path | Memory | None = None,
        tuned: bool = True,
    ) -> None:
        check(threads is None or threads >= 1, f"--threads must be 1 or more, not {threads}")
        self.files, self.directory, self.shape = files, files.directory, network_config(files)
        self._device, self._threads = device, threads
        found = read_tuned(self.directory) if tuned else None
        self._adaptation = None if found is None else found.adaptation
        self.combination: Combination | None = read_combination(files.config)
        if found is not None and self.combination is not None:
            self.combination = found.combination or self.combination
        self.memory: Memory | None = None
        if isinstance(state, Memory):
            check_model(state.model, self.directory, repr(state))
            self.memory = state
        elif state is not None:
            self.memory = read_memory(Path(state), self)

    @cached_property
    def network(self) -> Network:
        """The network alone: on a CPU the NumPy runtime, elsewhere the torch network."""
        return self.runtime() if self._device in ("auto", "cpu") else self.reader

    def runtime(self, compiled: bool | None = None) -> RuntimePredictor:
        """Make the network anew, in NumPy on the CPU, whatever the device."""
        boundary_id = self.files.tokenizer.boundary_id
        return RuntimePredictor(self.shape, self._weights(), boundary_id, compiled)

    @cached_property
    def reader(self) -> "NeuralPredictor":
        """The same network in PyTorch: it reads long texts faster, and can live on a GPU."""
        from charlm.language.network import load_predictor  # loads PyTorch

        weights = plain_weights(self._weights())
        return load_predictor(self.files, self._device, self._threads, weights)

    def network_for(self, texts: Sequence[str | bytes]) -> Network:
        """Give what reads these texts sooner: `reader` if they are many or long, else `network`."""
        sizes = (len(each) for each in texts if isinstance(each, str | bytes))  # others are refused
        few = len(texts) < FEW_LINES and sum(sizes) < FEW_CHARACTERS
        return self.network if few else self.reader

    @cached_property
    def adapting(self) -> "AdaptingPredictor":
        """The network that goes on learning as it reads; the weights here stay as they are."""
        return adapting(self.directory, self.reader, self._adaptation)

    @cached_property
    def counts(self) -> NgramPredictor:
        """The n-grams of the training text; a model without any has no combination either."""
        tokenizer = self.files.tokenizer
        return read_counts(self.directory, tokenizer.vocab_size, tokenizer.boundary_id)

    def predictor(self, name: str, network: Network) -> Predictor:
        """Give the predictor of a name, with `network` or `reader` for its network."""
        network = self.begun(self.adapting if name.endswith(ADAPT) else network)
        if self.combination is None:
            return network
        counts = self.begun_counts() if COUNTS in name else None
        return predictor_of(name, network, counts, self.combination, self.places)

    def side_by_side(self, asked: str) -> tuple[Sequence[str], SideBySide]:
        """Give the predictors that are shown where one is asked for: names, and what scores."""
        names = names_shown(asked, self.combination)
        adapted = self.begun(self.adapting) if asked.endswith(ADAPT) else None
        counts = None if self.combination is None else self.begun_counts()
        network, found = self.begun(self.reader), self.combination or Combination()
        return names, side_by_side(names, network, counts, found, adapted, self.places)

    def begun(self, network: Network) -> Network:
        """Let a network of this model start from what is remembered."""
        return network if self.memory is None else self.memory.of_network(network)

    def begun_counts(self) -> NgramPredictor:
        """Give the counts, which start from what is remembered."""
        return self.counts if self.memory is None else self.memory.of_counts(self.counts)

    @property
    def places(self) -> Places | None:
        """What a cache holds before anything is read."""
        return None if self.memory is None else self.memory.places

    def _weights(self) -> dict[str, Weight]:
        if self.memory is not None and self.memory.weights is not None:
            return dict(self.memory.weights)
        return stored_weights(self.files)
