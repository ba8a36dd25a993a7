"""Preparing a corpus: read it, learn its tokenizer, store its ids."""

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from itertools import chain
from pathlib import Path
from typing import Any, Literal

from charlm import storage
from charlm.errors import CorpusError
from charlm.text.documents import Piece
from charlm.text.encoding import encode_pieces
from charlm.text.learning import learn_tokenizer
from charlm.text.sources import Corpus
from charlm.text.splitting import Split, held_out_offset, split_pieces
from charlm.text.store import FORMAT, STORE, PartWriter, TokenStore, open_store
from charlm.text.tokenizers import Kind, Tokenizer
from charlm.text.units import count_bytes

CHARACTERS_BELOW = 3_000_000  # bytes of text up to which characters are the default,
CHARACTERS_A_SECOND = 10_000  # and no more of them than this for each second of training
SURELY_MORE = 10  # times as large is a file whose text is taken to be larger, however it is kept
RULES = 2  # raised whenever the same choice gives other ids than before

Tell = Callable[[str], None]


@dataclass(frozen=True)
class TokenizerChoice:
    """Which tokenizer a corpus shall have; kind None leaves it to the size of the text.

    characters: bytes of training text below which it is characters then; None: the usual number
    """

    kind: Kind | None = None
    vocab_size: int | None = None
    unknown: Literal["spell", "unk"] = "spell"
    characters: int | None = None

    def for_time(self, seconds: float, size: int | None) -> "TokenizerChoice":
        """Give the choice for so long a training on a corpus that is kept in `size` bytes.

        Characters take long to learn words from: with little time for much text, byte pairs score
        lower (docs/benchmarks.md has the trials). Where the time makes no difference the choice
        stays as it is, so that what was prepared for another time is found.
        """
        most = CHARACTERS_A_SECOND * seconds
        large = size is not None and size > SURELY_MORE * CHARACTERS_BELOW
        if self.kind is not None or large or most >= CHARACTERS_BELOW:
            return self
        return replace(self, characters=int(most))

    def resolve(self, train_bytes: int) -> tuple[Kind, int | None]:
        """Choose kind and size: characters for a few megabytes, byte pairs for more."""
        if self.kind not in (None, "bpe"):
            return self.kind, self.vocab_size
        most = CHARACTERS_BELOW if self.characters is None else self.characters
        if self.kind is None and train_bytes < most:
            return "char", self.vocab_size
        return "bpe", self.vocab_size or bpe_size(train_bytes)


def bpe_size(train_bytes: int) -> int:
    """Choose the number of byte pairs: 1,536 for a megabyte, 8,192 for ten and more."""
    return int(max(512, min(8192, 256 * round(6 * (train_bytes / 1e6) ** 0.75))))


def prepare(
    corpus: Corpus,
    choice: TokenizerChoice,
    directory: Path,
    *,
    valid: Corpus | None = None,
    replace: bool = False,
    tell: Tell = lambda line: None,
) -> TokenStore:
    """Prepare a corpus in `directory`; without `valid` its end is held out.

    Raises CorpusError where there is nothing to learn from, DiskError where writing fails.
    """
    total = _measure(corpus)
    if valid is not None:
        _measure(valid)
    for line in corpus.report().lines():
        tell(line)
    split = None if valid is not None else _split(total, corpus, choice)
    train_bytes = total if split is None else split.offset

    def train_texts() -> Iterator[str]:
        for part, piece in split_pieces(corpus.pieces(), split):
            if part == "train":
                assert isinstance(piece.text, str), "a byte tokenizer learns nothing"
                yield piece.text

    kind, vocab_size = choice.resolve(train_bytes)
    tokenizer = learn_tokenizer(
        kind, train_texts, vocab_size=vocab_size, unknown=choice.unknown, tell=tell
    )
    with storage.new_directory(directory, replace) as writer:
        parts = _write_parts(writer, tokenizer, split_pieces(corpus.pieces(), split), valid)
        own = [part["bytes"] for name, part in parts.items() if valid is None or name == "train"]
        if sum(own) != total:
            raise CorpusError(
                f"{corpus.where()} changed while it was read", "start again when it is complete"
            )
        writer.write_text("tokenizer.json", tokenizer.to_json())
        info = {
            "format": FORMAT,
            "name": corpus.name,
            "parts": parts,
            "tokenizer_sha256": tokenizer.sha256(),
            "read": asdict(corpus.report()),
            "source": identity(corpus, choice, valid),
        }
        writer.write_json(STORE, info)
    return open_store(directory)


def _measure(corpus: Corpus) -> int:
    """Walk over a corpus once: count its bytes, and refuse it if it holds no text."""
    total, blank = 0, True
    for piece in corpus.pieces():
        total += len(piece.text) if isinstance(piece.text, bytes) else count_bytes(piece.text)
        blank = blank and (not piece.text or (not corpus.options.raw and piece.text.isspace()))
    if blank:
        raise corpus.nothing_in_it()
    return total


def _split(total: int, corpus: Corpus, choice: TokenizerChoice) -> Split | None:
    offset = held_out_offset(total)
    if offset is None:
        return None
    if corpus.options.documents != "file" and not corpus.options.raw:
        return Split(offset, "document")
    return Split(offset, "line" if choice.unknown == "unk" else "character")


def _write_parts(
    writer: storage.DirectoryWriter,
    tokenizer: Tokenizer,
    pieces: Iterator[tuple[str, Piece]],
    valid: Corpus | None,
) -> dict[str, Any]:
    writers: dict[str, PartWriter] = {}
    if valid is not None:
        pieces = chain(pieces, (("valid", piece) for piece in valid.pieces()))
    try:
        for part, piece, encoder, ids in encode_pieces(pieces, tokenizer):
            if part not in writers:
                writers[part] = PartWriter(writer, part, tokenizer)
            writers[part].add_encoded(piece, encoder, ids)
        if valid is not None and "valid" not in writers:
            writers["valid"] = PartWriter(writer, "valid", tokenizer)
        return {name: part_writer.finish() for name, part_writer in writers.items()}
    except BaseException:
        for part_writer in writers.values():
            part_writer.discard()
        raise


def identity(corpus: Corpus, choice: TokenizerChoice, valid: Corpus | None) -> dict[str, Any]:
    """Name everything that the stored ids depend on."""
    return {
        "format": FORMAT,
        "rules": RULES,
        "corpus": corpus.fingerprint(),
        "valid": None if valid is None else valid.fingerprint(),
        "tokenizer": asdict(choice),
    }
