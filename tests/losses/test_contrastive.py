"""The contrastive loss against loops over Eq. 3 and 4, what it tends to, and what groups and equal texts change."""
import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from weaklib.files import WeaklibError
from weaklib.losses import contrastive

SAME = torch.tensor([[0, 0, 1, 0, 0, 1], [0, 0, 0, 0, 0, 0], [1, 0, 0, 0, 0, 1], [0, 0, 0, 0, 1, 0],
                     [0, 0, 0, 1, 0, 0], [1, 0, 1, 0, 0, 0]]).bool()
SLOTS = torch.tensor([0, 1, 0, 1, 1, 1])


def case(n=6, d=4, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return tuple(torch.randn(n, d, generator=generator, dtype=torch.double) for _ in range(2))


def zeta(x, others, tau):
    """The softmax of Eq. 4."""
    return math.exp(x / tau) / sum(math.exp(y / tau) for y in others)


def equation(audio, text, counts, tau):
    """Eq. 3 of each of the mixtures, which have so many sources: in its own indices."""
    items = [(i, k) for i, count in enumerate(counts) for k in range(count)]
    audio, text = (dict(zip(items, x.numpy())) for x in (audio, text))
    c = {(a, b): np.dot(audio[a], text[b]) / (np.linalg.norm(audio[a]) * np.linalg.norm(text[b]))
         for a in items for b in items}
    losses = []
    for i, count in enumerate(counts):
        total = 0
        for k in range(count):
            own = (i, k)
            total += math.log(zeta(c[own, own], [c[own, other] for other in items], tau))
            total += math.log(zeta(c[own, own], [c[other, own] for other in items], tau))
        losses.append(-total / (2 * count))
    return losses


@pytest.mark.parametrize("tau", [1.0, 0.07])
@pytest.mark.parametrize("counts", [(2, 2, 2), (1, 3, 2), (6,)])
def test_equation_3(counts, tau):
    """The denominators of both directions are over the whole batch."""
    audio, text = case()
    ours = contrastive(audio, text, 1 / tau).split(counts)
    assert [x.mean().item() for x in ours] == pytest.approx(equation(audio, text, counts, tau), rel=1e-10)


def loops(audio, text, scale, positive, group, symmetric):
    audio, text = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in (audio.numpy(), text.numpy()))
    losses = []
    for i in range(len(audio)):
        directions = []
        for own, others in ((audio, text), (text, audio))[:1 + symmetric]:
            total = sum(math.exp(scale * own[i] @ others[j]) for j in group(i))
            mine = [j for j in group(i) if j == i or positive[i][j]]
            directions.append(-sum(math.log(math.exp(scale * own[i] @ others[j]) / total) for j in mine) / len(mine))
        losses.append(sum(directions) / len(directions))
    return losses


@pytest.mark.parametrize("form", ["symmetric", "audio_to_text"])
@pytest.mark.parametrize("same", [None, SAME])
@pytest.mark.parametrize("slots", [None, SLOTS])
def test_loops(form, same, slots):
    audio, text = case(seed=1)
    positive = torch.zeros(6, 6).tolist() if same is None else same.tolist()
    want = loops(audio, text, 3.0, positive, lambda i: [j for j in range(6) if slots is None or slots[i] == slots[j]],
                 form == "symmetric")
    assert contrastive(audio, text, 3.0, same, form, slots).tolist() == pytest.approx(want, rel=1e-10)


def test_the_released_form_is_torchs_cross_entropy_of_every_slot():
    audio, text = (F.normalize(x, dim=1) for x in case())
    ours = contrastive(audio, text, 5.0, form="audio_to_text", slots=SLOTS)
    for slot in (0, 1):
        chosen = SLOTS == slot
        theirs = F.cross_entropy(5 * audio[chosen] @ text[chosen].T, torch.arange(int(chosen.sum())), reduction="none")
        torch.testing.assert_close(ours[chosen], theirs)


def test_groups_do_not_hear_each_other():
    audio, text = case()
    before = contrastive(audio, text, 5.0, SAME, slots=SLOTS)
    text[SLOTS == 1] *= -1
    changed = contrastive(audio, text, 5.0, SAME, slots=SLOTS) != before
    assert changed.tolist() == SLOTS.bool().tolist()


# Limits

@pytest.mark.parametrize("form", ["symmetric", "audio_to_text"])
def test_a_perfect_match_and_its_opposite(form):
    """Texts at right angles, estimates where they should be, or each where the next should be."""
    text = torch.eye(5)
    for audio, want in ((text, math.log(1 + 4 * math.exp(-2))), (text.roll(1, 0), math.log(math.exp(2) + 4))):
        assert contrastive(audio, text, 2.0, form=form).tolist() == pytest.approx([want] * 5, rel=1e-5)


def test_temperature():
    """Hot: nothing is told apart. Cold: what the best wrong cosine is above the right one."""
    audio, text = case()
    assert contrastive(audio, text, 0.0).tolist() == pytest.approx([math.log(6)] * 6)
    cosines = F.normalize(audio, dim=1) @ F.normalize(text, dim=1).T
    want = cosines.amax(1) - cosines.diagonal()
    cold = contrastive(audio, text, 1e4, form="audio_to_text") / 1e4
    torch.testing.assert_close(cold, want, rtol=0, atol=1e-3)


def test_levels_of_embeddings_do_not_count():
    audio, text = case()
    torch.testing.assert_close(contrastive(7 * audio, 0.1 * text, 5.0), contrastive(audio, text, 5.0))


@pytest.mark.parametrize("given", [None, torch.tensor([[0, 1, 0], [1, 0, 0], [0, 0, 0]]).bool()])
def test_equal_texts_cost_log_2_though_all_estimates_are_right(given):
    text = torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    assert contrastive(text, text, 50.0, given).tolist() == pytest.approx([math.log(2), math.log(2), 0], abs=1e-6)


def test_a_positive_pulls():
    """Estimate 0 comes closer to text 2 if that names the same, and is pushed away from it if not."""
    audio, text = case()
    audio.requires_grad_()
    direction = F.normalize(text[2], dim=0)
    slopes = [torch.autograd.grad(contrastive(audio, text, 1.0, same, "audio_to_text")[0], audio)[0][0] @ direction
              for same in (None, SAME)]
    assert slopes[1] < slopes[0]


# Gradients and types

@pytest.mark.parametrize("same, slots", [(None, None), (SAME, SLOTS)])
@pytest.mark.parametrize("form", ["symmetric", "audio_to_text"])
def test_gradients(same, slots, form):
    audio, text = (x.requires_grad_() for x in case())
    scale = torch.tensor(3.0, dtype=torch.double, requires_grad=True)
    assert torch.autograd.gradcheck(lambda *x: contrastive(*x, same, form, slots), (audio, text, scale))


def test_certainty_in_single_precision():
    audio = torch.eye(3).requires_grad_()
    loss = contrastive(audio, torch.eye(3).roll(1, 0), 1000.0)
    loss.sum().backward()
    assert loss.tolist() == pytest.approx([1000.0] * 3) and audio.grad.isfinite().all()


def test_autocast_does_not_reach_the_loss():
    audio, text = (x.float() for x in case())
    with torch.autocast("cpu", torch.bfloat16):
        inside = contrastive(audio, text, 5.0)
    assert torch.equal(inside, contrastive(audio, text, 5.0)) and inside.dtype is torch.float32


@pytest.mark.parametrize("changes, message", [
    ({"form": "text_to_audio"}, "'text_to_audio'"), ({"text": torch.rand(5, 4)}, r"\(6, 4\).*\(5, 4\)"),
    ({"audio": torch.rand(4)}, r"\(4,\)"), ({"same": SAME[:5]}, r"same \(5, 6\).*\(6, 6\)"),
    ({"slots": SLOTS[:5]}, r"slots \(5,\).*\(6,\)")])
def test_what_does_not_fit_is_refused(changes, message):
    audio, text = case()
    with pytest.raises(WeaklibError, match=message):
        contrastive(**{"audio": audio, "text": text, "scale": 1.0, **changes})
