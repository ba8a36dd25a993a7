"""The model directory: what is in it, how it is written, how it is read and refused.

config.json, model.safetensors, tokenizer.json, tokenizer_config.json, generation_config.json,
README.md, the held-out text as ids, and MANIFEST.json, written last. See docs/formats.md.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.numpy

from charlm import storage
from charlm.errors import ModelError, UsageError
from charlm.language.configuration import (
    FORMAT,
    QUANTIZATION,
    Config,
    is_int8,
    network_of,
    read_config,
)
from charlm.language.counts import read_counted
from charlm.language.held_out import open_held_out
from charlm.model.rows import Weight
from charlm.model.shape import NetworkConfig
from charlm.runs.files import CONFIG, check_files, must_be_finished
from charlm.runs.weights import check_weights, load_stored, load_weights
from charlm.text.loading import load_tokenizer
from charlm.text.store import STORE, TokenPart, TokenStore
from charlm.text.tokenizers import Tokenizer

WEIGHTS = "model.safetensors"
TOKENIZER = "tokenizer.json"
TOKENIZER_CONFIG = "tokenizer_config.json"
GENERATION_CONFIG = "generation_config.json"
CARD = "README.md"
ROWS = 1 << 16  # of ids or documents that are copied at a time
HELD_OUT = "held-out"


@dataclass(frozen=True)
class ModelFiles:
    """What a model directory holds, read and checked."""

    directory: Path
    config: Config
    tokenizer: Tokenizer


def model_path(directory: object) -> Path:
    """Give a model's directory as a path; raise UsageError for what is no name of one."""
    if not isinstance(directory, str | os.PathLike) or not os.fspath(directory):
        raise UsageError(f"a model is named by its directory, not by {directory!r:.40}")
    return Path(os.fspath(directory))


def read_model(directory: Path) -> ModelFiles:
    """Read a model's configuration and tokenizer, and compare its weights' header with them.

    Raises ModelError with what is wrong, before anything of the network's size is allocated.
    """
    _must_be_a_model(directory)
    check_files(directory, (CONFIG,))
    config = read_config(directory / CONFIG)
    check_files(directory, (CONFIG, WEIGHTS, TOKENIZER))
    storage.verify(directory, ModelError, contents=False)
    network = network_of(config, directory / CONFIG)
    int8 = is_int8(config, directory / CONFIG)
    check_weights(directory / WEIGHTS, network.parameter_shapes, network.num_layers, int8)
    tokenizer = load_tokenizer(directory / TOKENIZER)
    if tokenizer.vocab_size != network.vocab_size:
        raise ModelError(
            f"{directory / TOKENIZER} has {tokenizer.vocab_size:,} tokens, the network "
            f"{network.vocab_size:,}"
        )
    if tokenizer.sha256() != config.get("tokenizer_sha256"):
        raise ModelError(
            f"{directory / TOKENIZER} is not the tokenizer this model was trained with",
            "copy the whole model directory, not single files",
        )
    if config.get("boundary_id") != tokenizer.boundary_id:
        raise ModelError(f"{directory / CONFIG}: boundary_id is not the tokenizer's")
    return ModelFiles(directory, config, tokenizer)


def network_config(files: ModelFiles) -> NetworkConfig:
    """Give the shape of a model's network; raise ModelError if it is none."""
    return network_of(files.config, files.directory / CONFIG)


def read_weights(
    directory: Path, shapes: Mapping[str, tuple[int, ...]], *, allow_nonfinite: bool = False
) -> dict[str, np.ndarray]:
    """Read the weights, checked against the shapes that the configuration asks for.

    Raises ModelError for a file that is not safetensors, for tensors missing, left over or of
    another shape, and, unless they are allowed, for NaN or infinity.
    """
    return load_weights(directory / WEIGHTS, shapes, allow_nonfinite)


def stored_weights(files: ModelFiles) -> dict[str, Weight]:
    """Read a model's weights as they are stored, in float32 or in rows of eight bits.

    Raises ModelError as `read_weights`.
    """
    int8 = is_int8(files.config, files.directory / CONFIG)
    shapes = network_config(files).parameter_shapes()
    return load_stored(files.directory / WEIGHTS, shapes, int8)


def write_model(
    writer: storage.DirectoryWriter,
    config: Config,
    weights: dict[str, np.ndarray],
    tokenizer: Tokenizer,
    card: str,
) -> None:
    """Write everything of a model but the manifest, which the writer's owner writes last."""
    metadata = {"format": "pt"}  # one entry: the library writes several in any order
    whole = {name: np.ascontiguousarray(array) for name, array in weights.items()}
    writer.write_bytes(WEIGHTS, safetensors.numpy.save(whole, metadata=metadata))
    writer.write_text(TOKENIZER, tokenizer.to_json())
    writer.write_json(TOKENIZER_CONFIG, tokenizer_config())
    writer.write_json(GENERATION_CONFIG, generation_config(tokenizer))
    writer.write_text(CARD, card)
    identity = {"model_type": "charlm", "charlm_format": FORMAT}
    writer.write_json(CONFIG, identity | config | {"tokenizer_sha256": tokenizer.sha256()})


def write_held_out(writer: storage.DirectoryWriter, store: TokenStore) -> Config | None:
    """Keep the run's held-out text with the model; give what config.json says of it."""
    if store.valid is None:
        return None
    # from what is open: the store itself may have been replaced or removed by now
    arrays = {".bin": store.valid.ids, ".documents.bin": store.valid.documents}
    for suffix, array in arrays.items():
        with writer.open_binary(HELD_OUT + suffix) as target:
            for start in range(0, len(array), ROWS):
                target.write(np.ascontiguousarray(array[start : start + ROWS]).data.cast("B"))
                store.valid.release()
    description: Config = store.info["parts"]["valid"]
    return description


def read_held_out(directory: Path, config: Config) -> TokenPart | None:
    """Open the held-out text; None where the corpus was too small to have one."""
    description = config.get("held_out_text")
    if description is None:
        return None
    return open_held_out(directory, HELD_OUT, description, config["network"]["vocab_size"])


def tokenizer_config() -> Config:
    """Tell Hugging Face's AutoTokenizer how to load tokenizer.json, and to leave text alone."""
    return {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "clean_up_tokenization_spaces": False,
    }


def generation_config(tokenizer: Tokenizer) -> Config:
    """Give the defaults of generation under the names that Hugging Face uses."""
    return {
        "bos_token_id": tokenizer.boundary_id,
        "eos_token_id": tokenizer.boundary_id,
        "do_sample": True,
        "max_new_tokens": 200,
        "temperature": 0.8,
        "top_k": 0,
        "top_p": 1.0,
        "min_p": 0.0,
        "repetition_penalty": 1.0,
    }


def describe(directory: Path, verify: bool = False) -> dict[str, Any]:
    """Gather what `charlm info` shows; with `verify` every file's SHA-256 is checked."""
    files = read_model(directory)
    if verify:
        storage.verify(directory, ModelError, contents=True)
    config, network = files.config, files.config["network"]
    run, counted = config.get("run") or {}, read_counted(config)
    facts = {
        "model": str(directory),
        "cell": network.get("cell"),
        **_extensions(network),
        "layers": network.get("num_layers"),
        "hidden_size": network.get("hidden_size"),
        "embed_size": network.get("embed_size"),
        "parameters": config.get("parameters"),
        **({"weights": config[QUANTIZATION]} if QUANTIZATION in config else {}),
        "tokenizer": files.tokenizer.kind,
        "vocab_size": files.tokenizer.vocab_size,
        "corpus": run.get("corpus"),
        "trained_tokens": run.get("targets"),
        "seconds": run.get("seconds"),
        "bits_per_byte": (config.get("held_out") or {}).get("bits_per_byte"),
        "word_perplexity": (config.get("held_out") or {}).get("word_perplexity"),
        "counts": None if counted is None else counted.in_words,
        "tokens_per_second": _best_speed(config, run),
        "best_predictor": (config.get("combination") or {}).get("best"),
        "charlm": config.get("charlm_version"),
    }
    return facts | ({"verified": True} if verify else {})


def _best_speed(config: Config, run: Config) -> float | None:
    """Give how fast one stream was written by what `generate` uses, where that was measured."""
    best = (config.get("combination") or {}).get("best", "network")
    speed: float | None = (run.get("tokens_per_second") or {}).get(best)
    return speed


def _extensions(network: Config) -> dict[str, Any]:
    """Give what only some networks have."""
    usual = {"last_hidden_size": None, "mogrifier": 0, "mogrifier_rank": 0, "mixtures": 1}
    return {name: network[name] for name, none in usual.items() if network.get(name, none) != none}


def _must_be_a_model(directory: Path) -> None:
    if os.path.exists(directory / STORE):
        raise ModelError(f"{directory} is a prepared corpus, not a model", "charlm train takes it")
    must_be_finished(directory)
