"""The compiled steps against the plain ones they stand for."""

import pytest
import torch

from charlm.model import fused
from charlm.model.fused import compiled_walks, fused_layer

pytest.importorskip("numba")

from charlm.model import compiled

KINDS = sorted(compiled.COMPILED_WALKS)
ROWS = {"lstm": 4, "gru": 3, "tanh": 1}
TOLERANCE = {torch.float32: 2e-5, torch.bfloat16: 0.03}


def arguments(kind, streams, steps, units):
    torch.manual_seed(streams + units)
    rows, inputs = ROWS[kind] * units, 5
    states = [(streams, units)] * (2 if kind == "lstm" else 1)
    shapes = [(streams, steps, inputs), *states, (rows, inputs), (rows, units), (rows,), (rows,)]
    made = [torch.randn(shape) * (units**-0.5 if len(shape) == 2 else 1) for shape in shapes]
    return [tensor.requires_grad_() for tensor in made]


def run(kind, tensors, half):
    """Give outputs, state and all gradients of a layer."""
    with torch.autocast("cpu", torch.bfloat16, enabled=half == torch.bfloat16):
        outputs, after = fused_layer(kind, tensors[0], tuple(tensors[1:-4]), tensors[-4:])
    torch.manual_seed(1)
    loss = (outputs.float() * torch.randn(outputs.shape)).sum()
    loss = loss + sum((last.float() ** 3).sum() for last in after)
    gradients = torch.autograd.grad(loss, tensors)
    return [tensor.detach().float() for tensor in (outputs, *after, *gradients)]


@pytest.fixture
def plain(monkeypatch):
    """Give what runs a layer by the plain walks."""

    def run_plain(*arguments):
        with monkeypatch.context() as patch:
            patch.setattr(fused, "compiled_walks", dict)
            return run(*arguments)

    return run_plain


@pytest.fixture(params=[1, 2])
def threads(request, monkeypatch):
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    monkeypatch.setattr(compiled, "FEWEST_NUMBERS", 0)
    yield request.param
    torch.set_num_threads(before)


@pytest.mark.parametrize("half", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("streams", "steps", "units"), [(1, 1, 1), (3, 5, 7), (11, 4, 130)])
def test_outputs_and_gradients_are_those_of_the_plain_walk(
    kind, streams, steps, units, half, plain, threads
):
    tensors = arguments(kind, streams, steps, units)
    assert fused.walk_of(kind, tensors[1:-4], half) is compiled.COMPILED_WALKS[kind]
    for ours, theirs in zip(run(kind, tensors, half), plain(kind, tensors, half), strict=True):
        assert (ours - theirs).norm() <= TOLERANCE[half] * (theirs.norm() + 1e-3)


@pytest.mark.parametrize("kind", KINDS)
def test_the_number_of_threads_changes_nothing(kind, monkeypatch):
    tensors = arguments(kind, 64, 6, 96)  # enough to be shared between threads
    before, results = torch.get_num_threads(), []
    fewest = {1: 1 << 30, 2: 0}
    torch.set_num_threads(2)
    for threads in (1, 2, 2):  # for the kernels alone: PyTorch's products keep theirs
        monkeypatch.setattr(compiled, "FEWEST_NUMBERS", fewest[threads])
        results.append(run(kind, tensors, torch.float32))
    torch.set_num_threads(before)
    for first, second, third in zip(*results, strict=True):
        assert torch.equal(first, second) and torch.equal(first, third)


@pytest.mark.parametrize("half", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("kind", KINDS)
def test_what_is_no_number_stays_none(kind, half):
    tensors = arguments(kind, 2, 4, 33)
    with torch.no_grad():
        tensors[0][1, 2] = float("nan")
    outputs, *rest = run(kind, tensors, half)
    assert not outputs[0].isnan().any() and not outputs[1, :2].isnan().any()
    assert outputs[1, 2:].isnan().all()
    assert rest[-4].isnan().any()  # the gradient of the weights tells of it


@pytest.mark.parametrize("half", [torch.float32, torch.bfloat16])
def test_the_function_is_tanh_wherever_it_is_asked(half):
    places = torch.cat([torch.linspace(-12, 12, 4001), torch.tensor([-1e30, 1e30, 0.0, -0.0])])
    places = places.to(half).float()
    one, zero = torch.ones(1, 1), torch.zeros(1)
    with torch.autocast("cpu", torch.bfloat16, enabled=half == torch.bfloat16):
        inputs, state = places[:, None, None], (torch.zeros(len(places), 1),)
        outputs, _ = fused_layer("tanh", inputs, state, (one, one, zero, zero))
    error = (outputs[:, 0, 0].double() - places.double().tanh()).abs().max()
    assert error < (3e-7 if half == torch.float32 else 2**-8)


def test_a_graph_is_walked_as_often_as_asked():
    for kind in KINDS:
        tensors = arguments(kind, 3, 4, 9)
        outputs, _ = fused_layer(kind, tensors[0], tuple(tensors[1:-4]), tensors[-4:])
        loss = outputs.square().sum()
        first = torch.autograd.grad(loss, tensors, retain_graph=True)
        second = torch.autograd.grad(loss, tensors)
        assert all(torch.equal(one, two) for one, two in zip(first, second, strict=True))


@pytest.mark.parametrize("kind", KINDS)
def test_no_streams_give_no_outputs(kind):
    tensors = arguments(kind, 0, 4, 9)
    outputs, after, *_ = run(kind, tensors, torch.float32)
    assert outputs.shape == (0, 4, 9) and after.shape == (0, 9)


def test_gradients_may_lie_in_memory_in_any_way():
    tensors = arguments("lstm", 3, 4, 9)
    outputs, (_, memory) = fused_layer("lstm", tensors[0], tuple(tensors[1:3]), tensors[3:])
    slopes = torch.randn(9, 3)
    loss = (memory.T * slopes).sum() + outputs.transpose(0, 2).square().sum()
    turned = torch.autograd.grad(loss, tensors, retain_graph=True)
    loss = (memory * slopes.T.contiguous()).sum() + outputs.square().sum()
    for one, other in zip(turned, torch.autograd.grad(loss, tensors), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


def test_without_a_pool_of_threads_one_thread_does_it(monkeypatch, plain):
    monkeypatch.setattr(compiled, "pool", lambda: None)
    monkeypatch.setattr(compiled, "FEWEST_NUMBERS", 0)
    tensors = arguments("gru", 5, 3, 20)
    ours, theirs = run("gru", tensors, torch.float32), plain("gru", tensors, torch.float32)
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


def test_where_nothing_can_be_kept_it_is_compiled_all_the_same(monkeypatch):
    def refuse(*arguments, cache=False):
        assert not cache, "no locator available"
        return lambda kernel: ("compiled", kernel)

    monkeypatch.setattr(compiled, "cfunc", refuse)
    made = compiled.compiled.__wrapped__(compiled.kernels.rnn_forward)
    assert made == ("compiled", compiled.kernels.rnn_forward)


def test_without_numba_the_walks_are_plain(monkeypatch):
    monkeypatch.setattr(fused, "find_spec", lambda name: None)
    compiled_walks.cache_clear()
    try:
        assert compiled_walks() == {}
        assert fused.walk_of("gru", (torch.zeros(1, 1),), torch.float32) is fused.WALKS["gru"]
    finally:
        compiled_walks.cache_clear()


def test_other_types_go_the_plain_way():
    double = torch.zeros(1, 1, dtype=torch.float64)
    assert fused.walk_of("gru", (double,), torch.float64) is fused.WALKS["gru"]
