"""The options of the server: where it listens, whom it answers, and how much it gives to each."""

from dataclasses import dataclass

from charlm.options import check, option

LARGEST_PORT = 65_535


@dataclass(frozen=True)
class Limits:
    """How much one client may ask for; what goes beyond is refused, with the limit named."""

    max_body_bytes: int = option(1 << 20, "bytes of a request's body")
    max_prompt_tokens: int = option(4096, "tokens of a prompt, or of a text to suggest after")
    max_completion_tokens: int = option(1024, "tokens that a sample may have")
    max_samples: int = option(8, "samples of one prompt")
    max_prompts: int = option(32, "prompts in one request")
    max_logprobs: int = option(20, "most probable tokens told beside each")
    max_stops: int = option(4, "stop strings")
    max_stop_characters: int = option(64, "characters of a stop string")
    max_suggestions: int = option(50, "suggested words")
    streams: int = option(64, "samples that are written at a time")
    queue: int = option(32, "orders that wait for their turn; the next is told to come again")
    request_seconds: float = option(60.0, "seconds that a request may take")
    header_seconds: float = option(10.0, "seconds within which a request's head must be there")
    body_seconds: float = option(10.0, "seconds within which its body must be there")
    write_seconds: float = option(10.0, "seconds that a client may leave an answer unread")
    max_connections: int = option(1024, "connections open at a time")

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if name != "max_logprobs":
                flag = "--" + name.replace("_", "-")
                check(0 < value < 1e12, f"{flag} must be above 0, not {value}")
        check(0 <= self.max_logprobs < 1e6, "--max-logprobs must be 0 or more")
        check(
            self.max_samples <= self.streams,
            f"--max-samples {self.max_samples} is more than --streams {self.streams}",
        )


@dataclass(frozen=True)
class ServeOptions:
    """Where the server listens, and whom it answers.

    key:     what clients must give as a bearer token; None for no key
    hosts:   names in the Host header that are answered beside the loopback's
    origins: other pages' origins that may ask, as browsers tell them
    """

    host: str = option("127.0.0.1", "address to listen on; one that others reach needs a key")
    port: int = option(8000, "port to listen on; 0 takes a free one")
    log_requests: bool = option(False, "tell each request on standard error")
    key: bytes | None = None
    hosts: tuple[str, ...] = ()
    origins: tuple[str, ...] = ()
    limits: Limits = Limits()

    def __post_init__(self) -> None:
        check(
            0 <= self.port <= LARGEST_PORT,
            f"--port must be between 0 and {LARGEST_PORT}, not {self.port}",
        )
        check(
            self.key is not None or self.is_loopback,
            f"--host {self.host} can be reached by others, and there is no key",
            "put a key into the environment as CHARLM_API_KEY, or into a file: --api-key-file FILE",
        )

    @property
    def is_loopback(self) -> bool:
        """Tell whether nobody else reaches the address."""
        return self.host in ("localhost", "::1") or self.host.startswith("127.")

    @property
    def answered_hosts(self) -> frozenset[str]:
        """Give the names that requests may call the server by, in lower case."""
        own = {"localhost", "127.0.0.1", "::1", self.host.lower()}
        return frozenset(own | {host.lower() for host in self.hosts})
