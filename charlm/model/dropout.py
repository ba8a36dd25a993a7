"""Dropout in the forms that suit recurrent networks. All are the identity outside training.

Legend: B streams, T steps, E embedding, V vocabulary.
"""

import torch
from torch import Tensor
from torch.nn import functional


def locked_dropout(inputs: Tensor, rate: float, training: bool) -> Tensor:
    """Drop the same units at every step of a window: one mask (B, 1, E) for inputs (B, T, E).

    Gal & Ghahramani 2016, "A Theoretically Grounded Application of Dropout in Recurrent Neural
    Networks" (arXiv 1512.05287).
    """
    if not training or rate == 0.0:
        return inputs
    mask = torch.empty_like(inputs[:, :1]).bernoulli_(1 - rate)  # (B, 1, E)
    return inputs * mask.div_(1 - rate)


def embedding_dropout(weight: Tensor, rate: float, training: bool) -> Tensor:
    """Drop whole tokens of an embedding (V, E), wherever they stand in the window.

    Gal & Ghahramani 2016; as in AWD-LSTM (Merity et al. 2018, arXiv 1708.02182, section 4.3).
    """
    if not training or rate == 0.0:
        return weight
    mask = weight.new_empty(len(weight), 1).bernoulli_(1 - rate)
    return weight * mask.div_(1 - rate)


def weight_dropout(weight: Tensor, rate: float, training: bool) -> Tensor:
    """Drop single recurrent weights for the whole window (DropConnect, Wan et al. 2013).

    AWD-LSTM (arXiv 1708.02182, section 2) drops hidden-to-hidden weights. The parameter itself is
    not touched: the dropped copy is handed to the layer.
    """
    return functional.dropout(weight, rate, training) if rate else weight
