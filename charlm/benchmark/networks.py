"""The networks that write.

Their weights are random but for the head's biases: these are log-frequencies of ids, so that what
is drawn is as unevenly frequent as text, and clusters of words are opened as often.
Legend: V vocabulary.
"""

from dataclasses import dataclass, replace

import numpy as np
import torch

from charlm.benchmark.shapes import Shape, planned
from charlm.language.network import network_weights
from charlm.model.network import LanguageNetwork
from charlm.model.shape import GATES, NetworkConfig

SEED = 1

Weights = dict[str, np.ndarray]


@dataclass(frozen=True)
class WritingNetwork:
    """A network to write with: its shape and its weights by name, float32."""

    config: NetworkConfig
    weights: Weights


def writing_network(shape: Shape, full: bool, counts: np.ndarray) -> WritingNetwork:
    """Make the network of a shape for ids that occur so often, (V,).

    full: with one softmax, whatever head charlm's plan chooses
    """
    config = planned(shape, 1, bf16=False).network
    if full:
        config = replace(config, cutoffs=())
    torch.manual_seed(SEED)
    weights = network_weights(LanguageNetwork(config))
    counts = counts + 1.0
    weights["head.bias"] = np.log(counts / counts.sum()).astype(np.float32)
    if config.cutoffs:
        inside = [counts[start:end].sum() for start, end in config.clusters]
        weights["head.cluster_bias"] = np.log(inside / counts.sum()).astype(np.float32)
    return WritingNetwork(config, weights)


def weights_touched(config: NetworkConfig) -> int:
    """Count the weights that one token needs at least, of a stream that goes on.

    Of the first layer's product with the embedding that is one row, as it can be tabulated; of a
    head in levels the rows of the first, and of the clusters as often as Zipf's law opens them.
    """
    gates, touched = GATES[config.cell], config.head_rows * config.head_size
    for layer, (inputs, units) in enumerate(config.layer_sizes):
        touched += gates * units * (units + (inputs if layer else 1))
    if config.projects:
        touched += config.output_size * config.embed_size
    return round(touched)
