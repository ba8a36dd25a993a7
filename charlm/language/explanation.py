"""A plan in three lines: the network, how it learns, and why."""

from charlm.language.plan import Plan
from charlm.language.probe import Machine
from charlm.language.sizes import SYMBOL_INPUT, CorpusFacts

GIGA = 1e9
COURSES = {"linear": " falling to zero", "step": " falling in steps", "constant": ""}


def explain(
    plan: Plan,
    corpus: CorpusFacts,
    machine: Machine,
    parameters: int,
    processes: int = 1,
    device: str | None = None,
) -> list[str]:
    """Say what a plan is and what it follows from; `device` is named where it is not the CPU."""
    return [
        f"network  {_network(plan, parameters)}",
        f"learning {_learning(plan)}",
        f"because  {_reasons(plan, corpus, machine, processes, device)}",
    ]


def _network(plan: Plan, parameters: int) -> str:
    shape = plan.network
    head = f"softmax over {shape.vocab_size:,}"
    if shape.cutoffs:
        head += f" in levels from {', '.join(f'{cut:,}' for cut in shape.cutoffs)}"
    head = ", ".join([head, *shape.extras])
    return (
        f"{shape.num_layers} x {shape.hidden_size} {shape.cell}, embedding {shape.embed_size}, "
        f"{head}: {parameters:,} parameters, dropout {_dropout(plan)}"
    )


def _dropout(plan: Plan) -> str:
    """Say the dropout, and where it is not the plan's own."""
    shape, usual = plan.network, plan.dropout
    own = shape.input_dropout in (usual, usual * SYMBOL_INPUT)
    if own and shape.layer_dropout == shape.output_dropout == usual:
        told = [f"{usual:g}"]
    else:
        rates = shape.input_dropout, shape.layer_dropout, shape.output_dropout
        places = dict(zip(("in", "between", "out"), rates, strict=True))
        told = [f"{rate:g} {name}" for name, rate in places.items()]
    parts = {"of weights": shape.weight_dropout, "of whole tokens": shape.embed_dropout}
    return ", ".join(told + [f"{rate:g} {name}" for name, rate in parts.items() if rate])


def _learning(plan: Plan) -> str:
    windows, options = plan.windows, plan.optimizer
    growing = f"{windows.first} to {windows.last}" if windows.first < windows.last else windows.last
    about = "about " if windows.random else ""
    course = COURSES[plan.loop.schedule]
    averaged = ", weights averaged" if plan.loop.averages else ""
    decay = f", weight decay {options.weight_decay:.2g}" if options.weight_decay else ""
    return (
        f"{options.optimizer}, rate {options.learning_rate:.2g}{course}{decay}; "
        f"{plan.batch_size} at a time, windows of {about}{growing} tokens{averaged}"
    )


def _reasons(
    plan: Plan, corpus: CorpusFacts, machine: Machine, processes: int, device: str | None
) -> str:
    """Say what the machine can do in the time, and how often that goes through the text."""
    many = f"{machine.threads} thread{'s' * (machine.threads > 1)}"
    where = (device or many) + f" in {'bf16' if machine.bf16 else 'fp32'}"
    several = f"{processes} processes of " if processes > 1 else ""
    rounds = f"{plan.passes:.2g}" if plan.passes < 10 else f"{plan.passes:,.0f}"
    text = f"{corpus.tokens:,} tokens about {rounds} time{'s' * (rounds != '1')}"
    seconds = plan.budget.seconds
    if seconds is None:
        return f"{text}, on {several}{where}"
    if not machine.measured:
        return f"what was chosen when the run began, {seconds / 60:g} minutes on {several}{where}"
    minutes = f"{seconds / 60:g} minute{'s' * (seconds != 60)}"
    return f"{minutes} on {several}{where}, about {machine.flops / GIGA:,.0f} GFLOP/s, read {text}"
