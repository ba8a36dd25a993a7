"""Weights to begin with as publications have them; a network's own are in its modules."""

import torch
from torch import nn

from charlm.model.network import LanguageNetwork

EMBEDDING = 0.1  # largest number of an embedding, or of a head that has its own


@torch.no_grad()
def draw_uniformly(network: LanguageNetwork) -> None:
    """Draw all weights anew from uniform distributions, as PyTorch's own layers do.

    Recurrent layers of H units in 1 / sqrt(H) around zero, their biases too, so that forget gates
    begin half open; embeddings and the head in 0.1; the head's biases are zero. High rates of plain
    SGD are tuned to it: two layers that begin with open forget gates hardly move by them
    (docs/benchmarks.md).
    """
    for layer, (_, units) in zip(network.stack.layers, network.stack.config.sizes(), strict=True):
        for parameter in layer.parameters():
            nn.init.uniform_(parameter, -(units**-0.5), units**-0.5)
    nn.init.uniform_(network.embedding, -EMBEDDING, EMBEDDING)
    for parameter in network.head.parameters():  # its weight may be the embedding
        if parameter.dim() > 1:
            nn.init.uniform_(parameter, -EMBEDDING, EMBEDDING)
        else:
            nn.init.zeros_(parameter)
