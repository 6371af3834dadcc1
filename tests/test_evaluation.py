"""Models applied to whole splits: the same as at once, in bounded batches; precision where it belongs."""
import pytest
import torch
from torch import nn
from torch.nn.modules import module as hooks

from weaklib.evaluation import Criterion, each, modules_in


class Watched(nn.Module):
    """Two outputs, and a note of every batch that came in."""

    def __init__(self):
        super().__init__()
        self.gain = nn.Parameter(torch.tensor([[1.0], [-2.0]]))
        self.seen = []

    def forward(self, x):
        self.seen.append(tuple(x.shape))
        assert not torch.is_grad_enabled()
        return self.gain * x[:, None]

    def halve(self, x):
        return self(x / 2)


def test_every_item_with_its_output_in_bounded_batches():
    model, split = Watched(), [{"mix": torch.randn(100), "labels": [str(i)]} for i in range(23)]
    got = list(each(model, split, numbers=1000))
    assert [item["labels"] for item, _ in got] == [[str(i)] for i in range(23)]
    for item, est in got:
        torch.testing.assert_close(est, torch.stack([item["mix"], -2 * item["mix"]]))
    assert model.seen == [(10, 100), (10, 100), (3, 100)]


def test_items_of_other_lengths_get_their_own_batch_and_a_long_one_is_alone():
    model = Watched()
    lengths = [(100,), (100,), (50,), (5000,), (100,)]
    outs = [est.shape for _, est in each(model, [torch.zeros(n) for n in lengths], numbers=1000)]
    assert outs == [(2, *n) for n in lengths]
    assert model.seen == [(2, 100), (1, 50), (1, 5000), (1, 100)]


def test_what_is_taken_and_what_is_applied():
    model = Watched()
    split = [{"mix": None, "sources": torch.ones(2, 10)} for _ in range(3)]
    for _, est in each(model, split, take=lambda item: item["sources"].sum(0), apply=model.halve):
        torch.testing.assert_close(est, torch.tensor([[1.0], [-2.0]]).expand(2, 10))
    stacked = torch.randn(4, 10)
    torch.testing.assert_close(torch.stack([est for _, est in each(model, stacked)]), model.gain * stacked[:, None])


def test_ten_second_items_are_asked_for_as_they_are_needed():
    """Of a thousand items of 10 s, two are in the model at a time, and no later one has been made."""
    model, made = Watched(), []

    def split():
        for i in range(1000):
            made.append(i)
            yield {"mix": torch.zeros(160_000)}

    for k, _ in enumerate(each(model, split())):
        assert len(made) <= k + 3
        if k == 20:
            break
    assert set(model.seen) == {(2, 160_000)}


def test_gradients_are_off_in_the_model_and_nowhere_else():
    for _ in each(Watched(), torch.zeros(2, 3)):
        assert torch.is_grad_enabled()


def test_a_criterion_scores_and_has_a_name():
    criterion = Criterion("SI-SNRi, dB", lambda model: torch.tensor(3.5))
    assert criterion(None) == 3.5 and isinstance(criterion(None), float) and criterion.name == "SI-SNRi, dB"


class Nested(nn.Module):
    """A network that calls itself and others, and a transform without weights beside it."""

    def __init__(self):
        super().__init__()
        self.first, self.second, self.seen = nn.Linear(4, 4), nn.Linear(4, 4), []
        for layer in (self.first, self.second):
            layer.register_forward_hook(lambda module, args, out: self.seen.append(out.dtype))

    def forward(self, x, again=True):
        x = self.second(self.first(x))
        return {"x": x, "count": torch.tensor(1)} | (self(x, again=False) if again else {})


class Transform(nn.Module):
    def forward(self, x):
        return x @ x.mT


def test_networks_compute_in_bfloat16_and_all_between_them_in_single():
    net, x = Nested(), torch.randn(4, 4)
    with modules_in("bf16-mixed", "cpu"):
        out = net(x)
        assert (x @ x).dtype == Transform()(x).dtype == torch.float32
        assert torch.equal(nn.Sequential(Transform(), Transform())(x), Transform()(Transform()(x)))
        out["x"].sum().backward()
    assert net.seen == [torch.bfloat16] * 4
    assert out["x"].dtype == net.first.weight.grad.dtype == torch.float32 and out["count"].dtype == torch.int64
    net(x)
    assert net.seen[4:] == [torch.float32] * 4


class Broken(nn.Linear):
    error = ZeroDivisionError

    def forward(self, x):
        raise self.error


def test_precision_is_as_before_after_an_error_in_a_network():
    x, net = torch.randn(4, 4), nn.Linear(4, 4)
    with modules_in("bf16-mixed", "cpu"):
        with pytest.raises(ZeroDivisionError):
            nn.Sequential(net, Broken(4, 4))(x)
        assert (x @ x).dtype == torch.float32
        assert not torch.equal(net(x), x @ net.weight.T + net.bias)
    assert not torch.is_autocast_enabled("cpu") and not hooks._global_forward_pre_hooks and not net._forward_hooks


def test_precision_is_as_before_after_an_interruption(monkeypatch):
    monkeypatch.setattr(Broken, "error", KeyboardInterrupt)
    with pytest.raises(KeyboardInterrupt), modules_in("bf16-mixed", "cpu"):
        Broken(4, 4)(torch.zeros(4, 4))
    assert not torch.is_autocast_enabled("cpu") and not hooks._global_forward_pre_hooks


def test_other_threads_keep_their_precision():
    from concurrent.futures import ThreadPoolExecutor
    net, x = nn.Linear(4, 4), torch.randn(4, 4)
    want = net(x)
    with ThreadPoolExecutor(1) as thread, modules_in("bf16-mixed", "cpu"):
        assert torch.equal(thread.submit(net, x).result(), want)
        assert not torch.equal(net(x), want)
