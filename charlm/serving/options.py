"""How the server listens, whom it answers, and what it takes at most."""

import dataclasses
from dataclasses import dataclass
from typing import Literal

from charlm.options import check, option


@dataclass(frozen=True)
class ServeOptions:
    """Limits are per request unless it says otherwise."""

    host: str = option(
        "127.0.0.1", "address to listen on; any other than this machine's own needs a key"
    )
    port: int = option(8000, "port to listen on; 0 takes a free one")
    name: str = option("", "name of the model for clients; without it that of its directory")
    generation_config: Literal["auto", "openai"] = option(
        "auto",
        "defaults of sampling: those of the model's generation_config.json, or OpenAI's",
    )
    max_body: int = option(1 << 20, "bytes of a request's body", flag="--body-limit")
    max_prompt: int = option(4096, "tokens of a prompt", flag="--prompt-limit")
    max_tokens: int = option(1024, "tokens that may be asked for", flag="--max-tokens-limit")
    max_samples: int = option(8, "samples of a prompt, n", flag="--n-limit")
    max_choices: int = option(64, "prompts times n", flag="--choices-limit")
    max_logprobs: int = option(20, "alternatives of a token", flag="--logprobs-limit")
    max_stops: int = option(4, "stop strings", flag="--stop-limit")
    max_stop_characters: int = option(64, "characters of each", flag="--stop-characters-limit")
    max_suggestions: int = option(50, "suggestions, k", flag="--suggestions-limit")
    max_regex_characters: int = option(
        256, "characters of a regular expression", flag="--regex-characters-limit"
    )
    max_words: int = option(1000, "words to choose from", flag="--words-limit")
    max_word_characters: int = option(
        256, "characters of each, and of a prefix", flag="--word-characters-limit"
    )
    constraint_seconds: float = option(
        0.25,
        "seconds that regex, prefix or words may take at one token",
        flag="--constraint-timeout",
    )
    queue: int = option(32, "requests that wait for their turn; more are sent away")
    streams: int = option(64, "samples that are written at a time")
    connections: int = option(512, "connections at a time; the idlest makes room for a new one")
    request_seconds: float = option(
        60.0, "seconds that a request may take", flag="--request-timeout"
    )
    header_seconds: float = option(
        10.0, "seconds that its head may take to arrive", flag="--header-timeout"
    )
    body_seconds: float = option(
        10.0, "seconds that its body may take to arrive", flag="--body-timeout"
    )
    write_seconds: float = option(
        10.0, "seconds that a client may not read", flag="--write-timeout"
    )
    idle_seconds: float = option(
        5.0, "seconds that a connection is kept open", flag="--keep-alive-timeout"
    )
    ping_seconds: float = option(
        10.0, "seconds of silence in a stream before a comment", flag="--ping"
    )
    stop_seconds: float = option(
        10.0, "seconds that what is going on may take at SIGTERM", flag="--stop-timeout"
    )

    def __post_init__(self) -> None:
        check(0 <= self.port <= 65535, f"--port must be from 0 to 65535, not {self.port}")
        check(
            self.max_samples <= self.streams,
            f"--n-limit {self.max_samples} is more than --streams {self.streams}",
        )
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            flag = field.metadata["flag"] or f"--{field.name.replace('_', '-')}"
            if isinstance(value, float):
                check(0 < value < 1e6, f"{flag} must be above 0 and below a million, not {value}")
            elif isinstance(value, int) and field.name != "port":
                check(1 <= value < 1 << 31, f"{flag} must be 1 or more, not {value}")
