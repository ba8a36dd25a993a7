"""What a model remembers of a text it has read, in a file: of one size, however long the text.

    network.N          (1, H), the last (1, E)   hidden states, and the output that predicts next
    counts             (1, K - 1) int64          what the counts read last
    cache.keys         (1, L, E)                 outputs at the places read last, at most 2,000
    cache.ids          (1, L) int64              and the ids that followed
    weights.NAME       as the network's          where it adapted as it read
    tokens             (1,) int64                how many were read
    weights_sha256     (32,) uint8               of the model that read them

From these every predictor of the model goes on, in PyTorch or without it. One that adapts has the
same next prediction; then it goes on from the weights it came to, as if a segment began there, and
is drawn towards them, no more towards those that were trained.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import safetensors.numpy

from charlm import storage
from charlm.errors import ModelError, UsageError
from charlm.language.adapting import weights_sha256
from charlm.language.evaluating import DocumentReader
from charlm.predict.cache import SIZE, CachedPredictor
from charlm.predict.continued import continued
from charlm.predict.ngram import NgramPredictor
from charlm.predict.places import Places
from charlm.predict.predictor import Network, State
from charlm.tensors import check_header, read_arrays
from charlm.text.sources import Corpus

if TYPE_CHECKING:
    from charlm.language.parts import Parts

NETWORK, COUNTS, KEYS, IDS = "network.", "counts", "cache.keys", "cache.ids"
WEIGHTS, TOKENS, MODEL = "weights.", "tokens", "weights_sha256"
CHUNK = 1 << 16
LARGEST = 1e6  # number in a state or a weight: more only damage makes


@dataclass(frozen=True, repr=False)
class Memory:
    """What was read, as arrays; `counts` is None for a model without any."""

    network: list[np.ndarray]
    counts: np.ndarray | None
    places: Places
    tokens: int
    model: str
    weights: Mapping[str, np.ndarray] | None = None

    def __repr__(self) -> str:
        """Tell what it is of; its arrays are long."""
        adapted = ", with weights of its own" if self.weights else ""
        return f"Memory({self.tokens:,} tokens, by model {self.model[:12]}{adapted})"

    def of_network(self, network: Network) -> Network:
        """Let a network start from here."""
        return continued(network, network.unpack(self.network))

    def of_counts(self, counts: NgramPredictor) -> NgramPredictor:
        """Let counts start from here."""
        return counts if self.counts is None else continued(counts, self.counts)

    def save(self, path: str | Path) -> None:
        """Write the file, whole or not at all, in a directory that is there; raise DiskError."""
        arrays = {f"{NETWORK}{number}": array for number, array in enumerate(self.network)}
        arrays |= {KEYS: self.places.keys, IDS: self.places.ids}
        arrays[TOKENS] = np.array([self.tokens])
        arrays[MODEL] = np.frombuffer(bytes.fromhex(self.model), np.uint8)
        if self.counts is not None:
            arrays[COUNTS] = self.counts
        arrays |= {WEIGHTS + name: array for name, array in (self.weights or {}).items()}
        whole = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
        with storage.new_file(Path(path)) as stream:
            stream.write(safetensors.numpy.save(whole, metadata={"format": "np"}))


def check_target(path: str | Path, inputs: Iterable[str | Path] = ()) -> None:
    """Refuse to write a state where that cannot be, before a long text is read for it.

    Raises UsageError where it would replace a file that is none, or the text itself, and DiskError
    where there is no such directory.
    """
    path = Path(path)
    storage.must_have_directory(path)
    taken = [Path(each) for each in inputs]
    if not path.exists() or any(each.exists() and each.samefile(path) for each in taken):
        if path.exists():
            raise UsageError(f"{path} is the text that is to be read", "name another file")
        return
    if not _is_state(path):
        raise UsageError(f"{path} is there, and is no state", "name another file")


def _is_state(path: Path) -> bool:
    try:
        return MODEL in check_header(path, ModelError)
    except ModelError:
        return False


def read_corpus(
    parts: "Parts", corpus: Corpus, adapts: bool, tell: Callable[[str], None]
) -> Memory:
    """Read the documents of a corpus one after the other; tell what is odd in them.

    Raises CorpusError where there is no text.
    """
    documents = DocumentReader(parts.files.tokenizer, corpus.pieces()).documents()
    memory = read_on(parts, (ids for document in documents for ids in document), adapts)
    for line in corpus.report().lines():
        tell(line)
    if memory.tokens == (0 if parts.memory is None else parts.memory.tokens):
        raise corpus.nothing_in_it()
    return memory


def read_on(parts: "Parts", chunks: Iterable[np.ndarray], adapts: bool) -> Memory:
    """Read a text that comes as chunks of ids, from where the parts of a model stand."""
    network = parts.begun(parts.adapting if adapts else parts.reader)
    cached = CachedPredictor(network, 0.5, 1.0, places=parts.places)
    counts = None if parts.combination is None else parts.begun_counts()
    state, tokens = cached.start(1), 0 if parts.memory is None else parts.memory.tokens
    known: State = counts.start(1) if counts else None
    for whole in chunks:
        for begin in range(0, len(whole), CHUNK):
            chunk = whole[None, begin : begin + CHUNK].astype(np.int64)
            state, tokens = cached.read(chunk, state), tokens + chunk.shape[1]
            known = counts.score(chunk, known)[1] if counts else None
    weights = None if parts.memory is None else parts.memory.weights
    if adapts:
        own = state.inner.reader.network.named_parameters()
        weights = {name: each.detach().cpu().numpy() for name, each in own}
    places = cached.held(state)
    return Memory(
        network.pack(state.inner), known, places, tokens, weights_sha256(parts.directory), weights
    )


def check_model(model: str, directory: Path, name: str) -> None:
    """Raise ModelError where what has this name was not read by the model in a directory."""
    if model != weights_sha256(directory):
        raise ModelError(
            f"{name} is not a state of this model", f"let {directory} read the text anew"
        )


def read_memory(path: Path, parts: "Parts") -> Memory:
    """Read what `save` wrote; raise ModelError where it is damaged, or of another model."""
    if not path.exists():
        raise ModelError(f"there is no state at {path}", "charlm read --save-state writes one")
    if not _is_state(path):
        raise ModelError(
            f"{path} is no state, or a damaged one", "charlm read --save-state writes one"
        )
    arrays = read_arrays(path, ModelError)
    shapes = parts.shape.parameter_shapes()
    own = arrays.pop(MODEL, np.zeros(0, np.uint8)).tobytes().hex()
    check_model(own, parts.directory, str(path))
    weights = {n.removeprefix(WEIGHTS): arrays.pop(n) for n in [*arrays] if n.startswith(WEIGHTS)}
    shape = parts.shape
    wanted = [(1, size) for size in (*shape.state_sizes, shape.head_size)]
    read = [arrays.pop(f"{NETWORK}{number}", np.zeros(0)) for number in range(len(wanted))]
    keys, ids = arrays.pop(KEYS, np.zeros(0)), arrays.pop(IDS, np.zeros(0))
    tokens, counts = arrays.pop(TOKENS, np.zeros(0)), arrays.pop(COUNTS, None)
    sound = not arrays and [each.shape for each in read] == wanted and tokens.shape == (1,)
    sound = sound and ids.ndim == 2 and len(ids) == 1 and ids.shape[1] <= SIZE
    sound = sound and keys.shape == (1, ids.shape[1], wanted[-1][1])
    sound = sound and all(
        each.dtype == np.float32 and bool((np.abs(each) <= LARGEST).all())
        for each in (*read, keys, *weights.values())
    )
    sound = sound and all(each.dtype == np.int64 for each in (ids, tokens)) and tokens[0] >= 0
    sound = sound and _within(ids, 0, shapes["embedding"][0])
    sound = sound and _fits(counts, parts)
    if weights:
        sound = sound and {name: each.shape for name, each in weights.items()} == shapes
    if not sound:
        raise ModelError(f"{path} is damaged", "read the text anew")
    return Memory(read, counts, Places(keys, ids), int(tokens[0]), own, weights or None)


def _fits(counts: np.ndarray | None, parts: "Parts") -> bool:
    """Tell whether the numbers of n-grams are such as the model's counts have."""
    if counts is None or parts.combination is None:
        return counts is None and parts.combination is None
    tables = parts.counts.tables[:-1]
    if counts.dtype != np.int64 or counts.shape != (1, len(tables)):
        return False
    pairs = zip(counts[0], tables, strict=True)
    return all(-1 <= number < len(table.keys) for number, table in pairs)


def _within(values: np.ndarray, low: int, high: int) -> bool:
    return not values.size or low <= int(values.min()) <= int(values.max()) < high
