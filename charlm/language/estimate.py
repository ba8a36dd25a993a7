"""What training on a corpus would take: tokens, the network the plan would choose, memory, epochs.

Rough by nature: tokens are counted in a sample of the text, speed is that of the reference machine.
"""

from dataclasses import dataclass
from math import prod

from charlm.language.corpus import tokenizer_choice
from charlm.language.request import TrainRequest
from charlm.text.learning import learn_tokenizer
from charlm.text.splitting import held_out_offset
from charlm.text.tokenizers import Tokenizer
from charlm.text.units import Units, count_units

BASE_MEMORY = 350e6  # bytes that Python and PyTorch take with nothing loaded
COPIES = 4  # of each weight: itself, its gradient and the optimizer's two moments
NUMBER = 4  # bytes of a float32
STATES = 12  # numbers that a recurrent unit keeps of a step until the backward pass,
ROUND = 3  # and that it keeps of a Mogrifier's round
LATENT = 3  # and that a mixture of softmaxes keeps of each of its rows


@dataclass(frozen=True)
class Estimate:
    """A forecast of `charlm train`."""

    tokenizer: str
    vocab_size: int
    tokens: int
    held_out_bytes: int
    layers: int
    hidden: int
    cell: str
    parameters: int
    dropout: float
    threads: int
    minutes: float
    epochs: float
    memory_bytes: int


def estimate(units: Units, sample: str, request: TrainRequest, own_valid: bool) -> Estimate:
    """Make the plan that training would make; `own_valid` says that nothing is cut off."""
    import torch

    from charlm.language.plan import make_plan, operations_available
    from charlm.language.probe import Machine
    from charlm.language.sizes import CorpusFacts, operations
    from charlm.training.precision import choose_device, use_bf16

    offset = None if own_valid else held_out_offset(units.bytes)
    train_bytes = units.bytes if offset is None else offset
    tokenizer, tokens = _tokens(units, train_bytes, sample, request)
    facts = CorpusFacts(tokens, tokenizer.vocab_size, tokenizer.kind)
    threads = request.threads or torch.get_num_threads()
    bf16 = use_bf16(request.precision, choose_device(request.device))
    machine = Machine.assumed(threads, bf16)
    plan = make_plan(request, facts, machine)
    shape = plan.network
    shapes = shape.parameter_shapes()
    parameters = sum(map(prod, shapes.values()))
    minutes = request.minutes_or_default or 2.0
    available = operations_available(60 * minutes, machine, request)
    states = (STATES + ROUND * shape.mogrifier) * sum(h for _, h in shape.layer_sizes)
    states += 2 * round(shape.head_rows)
    states += LATENT * shape.mixtures * shape.row_size if shape.mixtures > 1 else 0
    memory = COPIES * parameters + plan.batch_size * plan.windows.last * states
    return Estimate(
        tokenizer=tokenizer.kind,
        vocab_size=tokenizer.vocab_size,
        tokens=tokens,
        held_out_bytes=units.bytes - train_bytes,
        layers=shape.num_layers,
        hidden=shape.hidden_size,
        cell=shape.cell,
        parameters=parameters,
        dropout=shape.output_dropout,
        threads=threads,
        minutes=minutes,
        epochs=available / sum(operations(shape)) / max(tokens, 1),
        memory_bytes=round(BASE_MEMORY + NUMBER * memory),
    )


def _tokens(
    units: Units, train_bytes: int, sample: str, request: TrainRequest
) -> tuple[Tokenizer, int]:
    """Learn the tokenizer from the sample, and count from it what the whole would give."""
    choice = tokenizer_choice(request).for_time(request.seconds, units.bytes)
    kind, vocab_size = choice.resolve(train_bytes)
    tokenizer = learn_tokenizer(
        kind, lambda: [sample], vocab_size=vocab_size, unknown=request.unknown
    )
    if kind == "byte":
        return tokenizer, train_bytes
    share = len(tokenizer.encode(sample)) / max(count_units(sample).bytes, 1)
    return tokenizer, round(share * train_bytes)
