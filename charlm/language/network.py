"""The network of a model directory: saved as safetensors, loaded as a Predictor on any device."""

from dataclasses import asdict
from typing import Any

import numpy as np
import torch

from charlm.language.directory import ModelFiles, network_config
from charlm.model.network import LanguageNetwork
from charlm.model.shape import NetworkConfig
from charlm.predict.neural import NeuralPredictor
from charlm.training.precision import choose_device
from charlm.training.threads import fastest_thread_count, set_threads


def load_predictor(
    files: ModelFiles, device: str, threads: int | None, weights: dict[str, np.ndarray]
) -> NeuralPredictor:
    """Make a model's network on a device, with weights that fit its description."""
    place = choose_device(device)
    if threads is None and place.type == "cpu":
        threads = fastest_thread_count(bf16=False)
    if threads is not None:
        set_threads(threads)
    network = make_network(network_config(files), weights).to(place)
    return NeuralPredictor(network, files.tokenizer.boundary_id)


def make_network(shape: NetworkConfig, weights: dict[str, np.ndarray]) -> LanguageNetwork:
    """Build a network and give it its weights, which are not copied."""
    with torch.device("meta"):
        network = LanguageNetwork(shape)
    return assign(network, {name: torch.from_numpy(array) for name, array in weights.items()})


def assign(network: LanguageNetwork, weights: dict[str, torch.Tensor]) -> LanguageNetwork:
    """Put weights in the place of a network's parameters; tied ones stay one."""
    for name, tensor in weights.items():
        owner_name, _, own = name.rpartition(".")
        owner = network.get_submodule(owner_name)
        setattr(owner, own, torch.nn.Parameter(tensor))
    if network.config.tie_weights:
        network.head.weight = network.embedding
    return network


def network_weights(network: LanguageNetwork) -> dict[str, np.ndarray]:
    """Give every weight once, by name, as float32 arrays."""
    return {
        name: parameter.detach().float().cpu().numpy()
        for name, parameter in network.named_parameters()
    }


def network_json(network: LanguageNetwork) -> dict[str, Any]:
    """Describe a network for config.json."""
    return asdict(network.config)
