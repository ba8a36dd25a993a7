"""The tokens of an answer: their texts, their log p, and where they stand."""

from collections import deque
from collections.abc import Iterable, Iterator

from charlm.generation.batching import Written
from charlm.serving.orders import Piece, Token
from charlm.text.tokenizers import Tokenizer


class TokenTexts:
    r"""The text of each token on its own: the same for an id wherever it stands.

    A token that is no whole characters is told as `bytes:\xe2\x80`, as OpenAI's models do. The
    boundary, which adds nothing to a text, has the name that it has in tokenizer.json.
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self._end = None if tokenizer.closed else tokenizer.boundary_id
        self._known: dict[int, str] = {}
        self._whole: dict[int, bool] = {}

    def of(self, token: int) -> str:
        """Give the text of an id."""
        text = self._known.get(token)
        if text is None:
            text = self._known[token] = self._make(token)
        return text

    def top(self, ids: Iterable[int], logs: Iterable[float]) -> tuple[tuple[str, float], ...]:
        """Give the texts of ids with their log p."""
        return tuple((self.of(int(i)), float(log)) for i, log in zip(ids, logs, strict=True))

    def offset(self, token: int, start: int, end: int) -> int:
        """Give where an id's first character is, by the characters decoded before and with it.

        Before whole ones stand, perhaps, bytes of others that only now are known to be none.
        """
        whole = self._whole.get(token)
        if whole is None:
            whole = self._whole[token] = not self.of(token).startswith("bytes:")
        return max(start, end - len(self.of(token))) if whole else start

    def ends(self, token: int) -> bool:
        """Tell whether an id is the end of a text, and nothing of it."""
        return token == self._end

    def _make(self, token: int) -> str:
        if self.ends(token):
            return str(self._tokenizer.backend.id_to_token(token))
        piece = self._tokenizer.pieces[token]
        try:
            return piece.decode()
        except UnicodeDecodeError:
            return "bytes:" + "".join(f"\\x{byte:02x}" for byte in piece)


class Teller:
    """Makes the pieces of one sample out of what its steps write.

    A token is told with the piece that its first character is in: that may be later, and never
    where a stop string took it back.

    begins: characters of the answer before what is written: those of an echo
    whole:  whether all is told in one piece, when the sample has ended
    """

    def __init__(self, texts: TokenTexts, begins: int, *, tokens: bool, whole: bool) -> None:
        self._texts, self._begins, self._tokens, self._whole = texts, begins, tokens, whole
        self._told = begins
        self._held: deque[Token] = deque()

    def piece(self, written: Written) -> Piece | None:
        """Tell what a step wrote; None where it is told later."""
        stopped_by, token = written.writing.stopped_by, written.token
        self._told += len(written.piece)
        if self._tokens and token is not None:
            top = () if written.top is None else self._texts.top(*written.top)
            at = self._begins + self._texts.offset(token, written.start, written.end)
            self._held.append(Token(self._texts.of(token), -written.nats, top, at))
        if self._whole and not stopped_by:
            return None
        text, generated = written.piece, int(token is not None)
        if self._whole:
            text, generated = "".join(written.writing.text), written.writing.tokens
        certain = tuple(self._certain(stopped_by)) if self._held else ()
        return Piece(written.writing.number, text, certain, generated, finish_of(stopped_by))

    def _certain(self, stopped_by: str) -> Iterator[Token]:
        """Give the tokens that nothing takes back any more."""
        everything = stopped_by not in ("", "stop")
        while self._held and (everything or self._held[0].offset < self._told):
            yield self._held.popleft()


def finish_of(stopped_by: str) -> str | None:
    """Give the word that clients know; None for a sample that goes on.

    A text that nothing can go on with, though it must, is no more complete than one cut off.
    """
    if not stopped_by:
        return None
    return "length" if stopped_by in ("length", "stuck") else "stop"
