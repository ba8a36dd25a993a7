"""The model card: the README.md that lies in every model directory."""

from typing import Any

from charlm.evaluation.report import HUGE
from charlm.language.counts import read_counted
from charlm.model.shape import NetworkConfig
from charlm.options import from_json

TEMPLATE = """---
library_name: charlm
tags: [language-model, recurrent, {cell}]
---

# {name}

A {layers}-layer {cell} language model{extras} of {parameters:,} parameters with a {kind} tokenizer
of {vocab_size:,} tokens, trained by charlm {version} on `{corpus}` ({train_bytes:,} bytes of text,
{targets:,} tokens learned from in {seconds:.0f} s).{counts}

{scores}
{speeds}
    charlm generate {name} "Once upon"
    charlm suggest {name} "the next wo"
    charlm eval {name} FILE

The training text decides what the model may be used for; its licence is not known to charlm.

Trained with: `{command}`
"""


def model_card(name: str, config: dict[str, Any], kind: str) -> str:
    """Describe a model for the people who find it."""
    network, run, counted = config["network"], config["run"], read_counted(config)
    extras = from_json(NetworkConfig, network).extras
    return TEMPLATE.format(
        name=name,
        cell=network["cell"],
        layers=network["num_layers"],
        extras=f" ({', '.join(extras)})" if extras else "",
        parameters=config["parameters"],
        kind=kind,
        vocab_size=network["vocab_size"],
        version=config["charlm_version"],
        corpus=run["corpus"],
        train_bytes=run["train_bytes"],
        targets=run["targets"],
        seconds=run["seconds"],
        counts="" if counted is None else f"\n\nIts counts: {counted.in_words}.",
        scores=_scores(config.get("held_out")),
        speeds=_speeds(run.get("tokens_per_second") or {}),
        command=run["command"],
    )


def _speeds(speeds: dict[str, float]) -> str:
    """Tell what the best combination costs in time."""
    if not speeds:
        return ""
    told = ", ".join(f"{name} {speed:,.0f}" for name, speed in speeds.items())
    return f"\nTokens a second that one stream writes where the model was trained: {told}.\n"


def _scores(held_out: dict[str, Any] | None) -> str:
    """Lay out the scores: a row for each kind, a column for each predictor."""
    if held_out is None:
        return "The corpus was too small to hold any text out: the model has no score."
    columns = held_out["by_predictor"]
    lines = [
        " | ".join(["| held-out text", *columns]) + " |",
        "| --- |" + " ---: |" * len(columns),
    ]
    for name in ("bits_per_byte", "bits_per_character", "token_perplexity", "word_perplexity"):
        values = [scores[name] for scores in columns.values()]
        if None not in values:
            cells = [f"{value:,.3f}" if value < HUGE else f"{value:.3g}" for value in values]
            lines.append(" | ".join([f"| {name.replace('_', ' ')}", *cells]) + " |")
    return "\n".join(lines)
