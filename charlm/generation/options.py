"""The options of sampling, under the names that Hugging Face uses."""

from dataclasses import dataclass

from charlm.options import check, option


@dataclass(frozen=True)
class SamplingOptions:
    """How the next token is chosen; the defaults draw from the model's own distribution."""

    temperature: float = option(1.0, "below 1 safer, above 1 wilder; 0 takes the most probable")
    top_k: int = option(0, "draw from the k most probable tokens only; 0 from all")
    top_p: float = option(1.0, "draw from the fewest tokens that make up this probability")
    min_p: float = option(0.0, "leave out tokens below this share of the most probable one")
    repetition_penalty: float = option(1.0, "above 1 makes recent tokens less probable")
    max_copy: int | None = option(
        None, "write no run of more than N characters out of the training text", metavar="N"
    )

    def __post_init__(self) -> None:
        check(
            0 <= self.temperature < 1e6,
            f"--temperature must be 0 or more, and below a million, not {self.temperature}",
        )
        check(self.top_k >= 0, f"--top-k must be 0 or more, not {self.top_k}")
        check(0 < self.top_p <= 1, f"--top-p must be above 0 and at most 1, not {self.top_p}")
        check(0 <= self.min_p <= 1, f"--min-p must be between 0 and 1, not {self.min_p}")
        check(
            0 < self.repetition_penalty < 1e6,
            f"--repetition-penalty must be above 0, not {self.repetition_penalty}",
        )
        check(
            self.max_copy is None or self.max_copy >= 1,
            f"--max-copy must be 1 or more, not {self.max_copy}",
        )
