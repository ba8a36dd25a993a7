"""The terminal of `charlm type`: a text, words that may come next, the keys that were spared."""

import sys
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from prompt_toolkit import PromptSession
from prompt_toolkit.completion import CompleteEvent, Completer, Completion
from prompt_toolkit.document import Document
from prompt_toolkit.filters import completion_is_selected
from prompt_toolkit.input import Input
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
from prompt_toolkit.keys import Keys
from prompt_toolkit.output import Output, create_output

from charlm.errors import CharlmError
from charlm.generation.session import Session

CLOSING = ",.;:!?) "  # stand right behind a word, the space as well: there is one already


@dataclass(frozen=True)
class Typed:
    """A text, and the keys that were pressed for it: what was pasted, key by key."""

    text: str
    keys: int

    @property
    def saved(self) -> float:
        """Give the share of keys spared, of one for each character; below 0 for corrections."""
        return 1 - self.keys / len(self.text) if self.text else 0.0

    def describe(self) -> str:
        """Tell it in a line."""
        return f"{len(self.text):,} characters by {self.keys:,} keys: {self.saved:.0%} saved"


def type_text(
    session: Session, k: int, own_input: Input | None = None, own_output: Output | None = None
) -> Typed:
    """Let somebody type until Ctrl-D or Ctrl-C; the terminal is standard input and output.

    own_input, own_output: other ones
    """
    screen = _Screen(session, k)
    if own_output is None:  # what is piped on is the text alone
        own_output = create_output(sys.stdout if sys.stdout.isatty() else sys.stderr)
    prompt: PromptSession[str] = PromptSession(
        multiline=True,
        completer=screen,
        complete_while_typing=True,
        key_bindings=screen.keys,
        bottom_toolbar=screen.status,
        reserve_space_for_menu=min(k, 8) + 1,
        enable_suspend=True,
        input=own_input,
        output=own_output,
    )
    screen.watch(prompt)
    try:
        text = prompt.prompt("")
    except KeyboardInterrupt:  # of a terminal that was taken from it, as one that stopped it does
        text = prompt.default_buffer.text
    return Typed(text, screen.pressed)


class _Screen(Completer):
    """What is shown, and what keys do."""

    def __init__(self, session: Session, k: int) -> None:
        self._session, self._k = session, k
        self._prompt: PromptSession[str] | None = None
        self._added_space = -1  # where a space stands that was not typed
        self.pressed = 0
        self.keys = KeyBindings()
        self.keys.add("tab")(self._take)
        self.keys.add("enter", filter=completion_is_selected)(self._take)
        self.keys.add("enter", filter=~completion_is_selected)(self._end_line)
        for closing in CLOSING:
            self.keys.add(closing)(self._close)
        self.keys.add(Keys.BracketedPaste)(self._paste)
        for end in ("c-d", "c-c"):
            self.keys.add(end)(self._end)

    def watch(self, prompt: "PromptSession[str]") -> None:
        """Count the keys that are pressed at a prompt."""
        self._prompt = prompt

        def count(sender: Any) -> None:  # noqa: ANN401
            self.pressed += 1

        prompt.app.key_processor.after_key_press += count

    def get_completions(
        self, document: Document, complete_event: CompleteEvent
    ) -> Iterable[Completion]:
        """Give the words that may stand at the cursor; they go on with what is before it."""
        try:
            found = self._session.suggest(document.text_before_cursor, self._k)
        except CharlmError:  # half a character, from a terminal that sends such
            return
        for one in found.suggestions:
            if one.completion:
                meta = f"{one.probability:.0%}" if one.probability >= 0.01 else "<1%"
                yield Completion(one.completion, display=one.word, display_meta=meta)

    def status(self) -> str:
        """Give the line at the bottom."""
        assert self._prompt is not None
        typed = Typed(self._prompt.default_buffer.text, self.pressed)
        return f" {typed.describe()}   Tab takes, arrows choose, Ctrl-D ends "

    def _take(self, event: KeyPressEvent) -> None:
        """Take the chosen word, or the first, and a space behind it."""
        buffer = event.current_buffer
        chosen = buffer.complete_state and buffer.complete_state.current_completion
        if chosen:
            buffer.complete_state = None  # its text stands there already
        else:
            words = list(self.get_completions(buffer.document, CompleteEvent()))
            if not words:
                return
            buffer.cancel_completion()
            buffer.insert_text(words[0].text)
        buffer.insert_text(" ")
        self._added_space = buffer.cursor_position
        buffer.start_completion()

    def _end_line(self, event: KeyPressEvent) -> None:
        """Begin a line, and put nothing in it: no blanks that the line before began with."""
        self._added_space = -1
        event.current_buffer.insert_text("\n")

    def _paste(self, event: KeyPressEvent) -> None:
        """Put in what was pasted, which spares no keys: it counts as if it had been typed."""
        text = event.data.replace("\r\n", "\n").replace("\r", "\n")
        event.current_buffer.insert_text(text)
        self.pressed += len(text) - 1  # and the paste itself is counted as a key

    def _end(self, event: KeyPressEvent) -> None:
        """End with the text as it stands; this key is none of it."""
        self.pressed -= 1
        event.app.exit(result=event.current_buffer.text)

    def _close(self, event: KeyPressEvent) -> None:
        """Put a sign behind the word, and not behind a space that nobody typed."""
        buffer = event.current_buffer
        before = buffer.document.text_before_cursor
        if len(before) == self._added_space and before.endswith(" "):
            buffer.delete_before_cursor()
        self._added_space = -1
        buffer.insert_text(event.data)
