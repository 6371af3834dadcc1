"""The losses of hung2021, against values worked out by hand and against loops that spell the equations out."""
import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from weaklib import losses
from weaklib.files import WeaklibError

LOG2 = math.log(2)
A4 = 69 - 21  # row of a roll: 440 Hz


def a_roll(*notes, batch=1, frames=4):
    """A roll with (source, row, first frame, last frame) marked in every example."""
    roll = torch.zeros(batch, 3, 88, frames)
    for source, row, first, last in notes:
        roll[:, source, row, first:last + 1] = 1
    return roll


def random_case(seed=0, batch=2, frames=5):
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(batch, 3, 88, frames, generator=generator)
    roll = (torch.rand(batch, 3, 88, frames, generator=generator) < 0.1).float()
    return logits, roll


def h(y, p):
    return -(y * math.log(p) + (1 - y) * math.log(1 - p))


# Transcription

def test_undecided_costs_log_2_per_cell():
    roll = a_roll((0, 40, 0, 3))
    zero = torch.zeros_like(roll)
    assert losses.score_loss(zero, roll).item() == pytest.approx(3 * 88 * LOG2, rel=1e-5)
    assert losses.multipitch_loss(zero, roll).item() == pytest.approx(88 * LOG2, rel=1e-5)
    assert losses.activity_loss(zero, roll).item() == pytest.approx(3 * LOG2, rel=1e-5)


def test_transcription_losses_are_the_equations():
    logits, roll = random_case()
    p, frames, w = logits.sigmoid().double(), roll.shape[-1], [0.5, 2.0, 1.0]
    score = multi = active = 0.0
    for t in range(frames):
        for i in range(3):
            score += w[i] * sum(h(roll[1, i, n, t].item(), p[1, i, n, t].item()) for n in range(88))
            active += w[i] * h(roll[1, i, :, t].max().item(), p[1, i, :, t].max().item())
        multi += sum(h(roll[1, :, n, t].max().item(), p[1, :, n, t].max().item()) for n in range(88))
    weights = torch.tensor(w)
    assert losses.score_loss(logits, roll, weights)[1].item() == pytest.approx(score / frames, rel=1e-4)
    assert losses.multipitch_loss(logits, roll)[1].item() == pytest.approx(multi / frames, rel=1e-4)
    assert losses.activity_loss(logits, roll, weights)[1].item() == pytest.approx(active / frames, rel=1e-4)


def test_the_two_marginals_look_along_their_own_axis():
    """One instrument's note given to another: no pitch is wrong, but the instruments are; and the other way round."""
    roll = a_roll((0, 40, 0, 3))
    sure = 20 * (2 * roll - 1)
    other_instrument, other_pitch = sure[:, [1, 0, 2]], sure.roll(5, dims=2)
    assert losses.multipitch_loss(other_instrument, roll) < 1e-3 < 1 < losses.activity_loss(other_instrument, roll)
    assert losses.activity_loss(other_pitch, roll) < 1e-3 < 1 < losses.multipitch_loss(other_pitch, roll)


@pytest.mark.parametrize("loss, is_own", [(losses.separated_loss, True),
                                          (losses.adversarial_transcription_loss, False)])
def test_losses_of_estimates_are_the_equations(loss, is_own):
    """Eq. 5 wants the notes of instrument i in estimate i and no others; Eq. 10 wants all others, and not its own."""
    logits, roll = random_case()
    heard = torch.stack([logits, logits.roll(1, -1), -logits], 1)  # (batch, heard, source, pitch, frame)
    w, want = [0.5, 2.0, 1.0], 0
    for i in range(3):
        for j in range(3):
            target = roll[:, j] if (i == j) == is_own else torch.zeros_like(roll[:, j])
            bce = F.binary_cross_entropy_with_logits(heard[:, i, j], target, reduction="none")
            want = want + w[j] * bce.sum((1, 2)) / 5
    torch.testing.assert_close(loss(heard, roll, torch.tensor(w)), want)


def test_what_plays_over_an_estimate_should_be_heard_too():
    """Once a note, whoever of both plays it."""
    logits, roll = random_case()
    heard = torch.stack([logits, logits.roll(1, -1), -logits], 1)
    over = torch.stack([roll.roll(1, 0), torch.zeros_like(roll), roll], 1)  # another clip's score, nothing, its own
    want = sum(losses.score_loss(heard[:, i], torch.clamp(losses.score.only(roll)[:, i] + over[:, i], max=1))
               for i in range(3))
    torch.testing.assert_close(losses.separated_loss(heard, roll, over=over), want)


def test_adversarial_transcription_is_the_complement():
    """Y^(i) and its complement add up to Y, so each cell's two targets do."""
    logits, roll = random_case()
    heard = torch.stack([logits] * 3, 1)
    plain = [losses.separated_loss(s * heard, roll) for s in (1, -1)]
    complement = [losses.adversarial_transcription_loss(s * heard, roll) for s in (1, -1)]
    # H(y, p) - H(y, 1 - p) is linear in y: the sum over both targets is that of the whole roll plus that of silence.
    whole = [3 * losses.score_loss(s * logits, roll) + 3 * losses.score_loss(s * logits, 0 * roll) for s in (1, -1)]
    torch.testing.assert_close(plain[0] + complement[0] - plain[1] - complement[1], whole[0] - whole[1], rtol=1e-4,
                               atol=1e-3)
    right = 20 * (2 * (roll[:, None] * (1 - torch.eye(3)[..., None, None])) - 1)
    assert losses.adversarial_transcription_loss(right, roll).max() < 1e-3
    assert losses.adversarial_transcription_loss(-right, roll).min() > 1


def test_adversarial_mixture_loss_rewards_mistakes_up_to_the_clamp():
    logits, roll = random_case()
    torch.testing.assert_close(losses.adversarial_mixture_loss(logits, roll), -losses.score_loss(logits, roll))
    worst = -1000 * (2 * roll - 1)
    floor = losses.adversarial_mixture_loss(worst, roll)
    torch.testing.assert_close(floor, torch.full((2,), 3 * 88 * math.log(1e-4)))


def test_adversarial_mixture_loss_on_active_notes_asks_to_miss_them():
    """Of three cells, a note heard with 3 / 4, one missed with 1 / 4, and a wrong one, only the notes count."""
    roll = a_roll((0, 40, 0, 0), frames=1)
    roll[0, 1, 50] = 1
    logits = torch.full_like(roll, -5.0)
    logits[0, 0, 40], logits[0, 1, 50], logits[0, 2, 7] = math.log(3), -math.log(3), 9.0
    got = losses.adversarial_mixture_loss(logits, roll, torch.tensor([0.5, 2.0, 4.0]), on="active")
    assert got.item() == pytest.approx(0.5 * math.log(3 / 4) + 2 * math.log(1 / 4), rel=1e-5)
    with pytest.raises(WeaklibError, match="choose all or active"):
        losses.adversarial_mixture_loss(logits, roll, on="most")


def test_adversarial_mixture_loss_clamps_every_cell_and_weighs_instruments():
    """Two cells of one frame: a mistake beyond the clamp, 1e-4, and one that is half as sure."""
    roll = a_roll((0, 40, 0, 0), frames=1)
    logits = -30 * (1 - roll)  # silent but in one cell, and rightly so
    logits[0, 0, 40], logits[0, 2, 7] = -20.0, math.log(3)  # a note with probability 2e-9; one too many with 3 / 4
    got = losses.adversarial_mixture_loss(logits, roll, torch.tensor([0.5, 2.0, 4.0]))
    assert got.item() == pytest.approx(0.5 * math.log(1e-4) + 4 * math.log(1 / 4), rel=1e-5)


# Mixtures

def test_mixture_loss_by_hand():
    mix = torch.tensor([[[4.0]]])
    est = torch.tensor([[[[1.0]], [[2.0]], [[5.0]]]])
    active = torch.tensor([True, True, False])[None, :, None, None]
    assert losses.mixture_loss(mix, est, active).item() == pytest.approx(abs(4 - 3) + 5)
    assert losses.mixture_loss(mix, est, ~active).item() == pytest.approx(abs(4 - 5) + 3)


def test_squared_mixture_loss_by_hand_and_its_scale():
    mix = torch.tensor([[[4.0], [0.0]]])
    est = torch.tensor([[[[1.0], [1.0]], [[2.0], [0.0]], [[5.0], [0.0]]]])
    active = torch.tensor([True, True, False])[None, :, None, None]
    want = ((4 - 3) ** 2 + (0 - 1) ** 2 + 5 ** 2) / math.sqrt((4 ** 2 + 0) / 2)
    assert losses.mixture_loss(mix, est, active, squared=True).item() == pytest.approx(want)
    for scale in (7, 1e-5):
        scaled = losses.mixture_loss(scale * mix, scale * est, active, squared=True)
        assert scaled.item() == pytest.approx(scale * want)


@pytest.mark.parametrize("squared", [False, True])
def test_mixture_losses_are_the_equations(squared):
    """Two clips, one of them much louder; several estimates are inactive at once."""
    rng = np.random.default_rng(0)
    est, mix = rng.random((2, 3, 4, 5)), rng.random((2, 4, 5)) * [[[1]], [[30]]]
    active = rng.random((2, 3, 4, 5)) < 0.4
    d = np.square if squared else np.abs
    for clip in range(2):
        want = 0.0
        for f in range(4):
            for t in range(5):
                on = [i for i in range(3) if active[clip, i, f, t]]
                want += d(mix[clip, f, t] - sum(est[clip, i, f, t] for i in on)) / 5
                want += sum(d(est[clip, i, f, t]) for i in range(3) if i not in on) / 5
        if squared:
            want /= np.sqrt(np.mean(mix[clip] ** 2))
        got = losses.mixture_loss(*map(torch.from_numpy, (mix, est, active)), squared=squared)
        assert got[clip].item() == pytest.approx(want)


def test_distances_are_absolute_unless_asked():
    mix, est, active = torch.tensor([[[4.0]]]), torch.tensor([[[[1.0]]]]), torch.ones(1, 1, 1, 1, dtype=torch.bool)
    assert losses.mixture_loss(mix, est, active).item() == losses.distance(mix - est[:, 0], mix).item() == 3
    assert losses.distance(mix - est[:, 0], mix, True).item() == 9 / 4


def test_both_halves_of_the_mixture_loss_teach():
    """Its gradient by hand: active estimates are drawn to what is left of the mixture, the others to zero."""
    mix = torch.tensor([[[4.0]]])
    active = torch.tensor([True, True, False])[None, :, None, None]
    for squared, want in ((False, [-1, -1, 1]), (True, [-2 * 1 / 4, -2 * 1 / 4, 2 * 5 / 4])):
        est = torch.tensor([[[[1.0]], [[2.0]], [[5.0]]]], requires_grad=True)
        losses.mixture_loss(mix, est, active, squared=squared).sum().backward()
        assert est.grad.flatten().tolist() == want


def test_in_doubt_the_absolute_loss_takes_all_and_the_squared_one_shares():
    """A bin that is 4 in one clip of three and 0 in the others: the best constant is the median, or the mean."""
    mix, guesses = torch.tensor([4.0, 0.0, 0.0])[:, None, None], torch.linspace(0, 4, 401)
    scale = torch.cat([mix, mix + 4 - 2 * mix], 1)  # a second bin, so that every clip is as loud
    def total(guess, squared):
        x = torch.cat([mix - guess, 0 * mix], 1)
        return losses.distance(x, scale, squared).sum().item()
    assert guesses[np.argmin([total(g, False) for g in guesses])] == 0
    assert guesses[np.argmin([total(g, True) for g in guesses])].item() == pytest.approx(4 / 3, abs=0.01)


def test_mixture_loss_is_zero_for_what_adds_up_and_silence_elsewhere():
    torch.manual_seed(0)
    est = torch.rand(2, 3, 7, 5)
    active = torch.rand(2, 3, 7, 5) < 0.5
    est = est * active
    assert losses.mixture_loss(est.sum(1), est, active).abs().max() < 1e-5
    assert losses.mixture_loss(est.sum(1), est + 0.1, active).min() > 0.1


def test_harmonic_loss_with_everything_active_is_the_clip_loss():
    torch.manual_seed(0)
    mix, est = torch.rand(2, 7, 5), torch.rand(2, 3, 7, 5)
    everywhere = torch.ones(2, 3, 7, 5, dtype=torch.bool)
    torch.testing.assert_close(losses.mixture_loss(mix, est, everywhere),
                               losses.mixture_loss(mix, est, torch.ones(2, 3, 1, 1, dtype=torch.bool)))


def test_activity_of_clip_and_frame():
    roll = a_roll((1, 40, 2, 3))
    assert losses.activity(roll).flatten().tolist() == [False, True, False]
    assert losses.activity(roll, "frame")[0, 1, 0].tolist() == [False, False, True, True]
    assert not losses.activity(roll, "frame")[0, [0, 2]].any()
    with pytest.raises(WeaklibError, match="clip or frame"):
        losses.activity(roll, "song")


def test_gradients_are_finite_on_silence():
    est = torch.zeros(1, 3, 7, 5, requires_grad=True)
    logits = torch.full((1, 3, 88, 5), -200.0, requires_grad=True)
    roll = a_roll((0, 40, 0, 3), frames=5)
    silence, active = torch.zeros(1, 7, 5), torch.ones_like(est) > 0
    value = (losses.mixture_loss(silence, est, active) + losses.mixture_loss(silence, est, active, squared=True)
             + losses.score_loss(logits, roll) + losses.multipitch_loss(logits, roll)
             + losses.activity_loss(logits, roll) + losses.adversarial_mixture_loss(logits, roll)).sum()
    value.backward()
    assert value.isfinite() and est.grad.isfinite().all() and logits.grad.isfinite().all()


# Harmonics

def bins(row, n_fft=2048, **options):
    mask = losses.harmonic_mask(a_roll((1, row, 1, 2)), 16000, n_fft, **options)
    assert not mask[0, 0].any() and not mask[0, 2].any() and not mask[0, 1, :, [0, 3]].any()
    return set(mask[0, 1, :, 1].nonzero().flatten().tolist())


def test_harmonics_of_a4_are_where_they_should_be():
    """440 Hz and its multiples, in bins of 7.8125 Hz: 56.32, 112.64, 168.96 ..., and a bin on either side."""
    want = {k + d for k in (56, 113, 169) for d in (-1, 0, 1)}
    assert bins(A4, n_harmonics=3) == want
    assert bins(A4, n_harmonics=1, width=0) == {56}
    assert max(bins(A4, width=0)) == round(18 * 56.32)  # 7920 Hz is the last below 8 kHz
    assert bins(A4, n_harmonics=1, width=0, tuning=442.0) == {57}


def test_harmonics_end_below_the_nyquist_frequency():
    """The last of A0, 27.5 Hz, is the 290th: 7975 Hz, bin 1020.8; the next would reach the last bins from above."""
    assert max(bins(0)) == 1021 + 1
    assert bins(0, n_harmonics=400) == bins(0)
    assert max(bins(A4, width=0, tuning=500.0)) == 15 * 64  # the 16th would be at 8 kHz itself


def test_a_mask_begins_at_bin_0():
    assert bins(0, n_fft=256, n_harmonics=1) == {0, 1}  # 27.5 Hz in bins of 62.5 Hz
    assert bins(0, n_fft=256, n_harmonics=1, width=3) == {0, 1, 2, 3}


def test_what_is_above_0_sounds_in_a_mask():
    """Values that are no probabilities: a soft note is a note, and a negative one cancels nothing."""
    roll = a_roll((1, A4, 0, 3))
    soft = 0.01 * roll
    soft[:, 1, A4 - 12] = -1
    assert torch.equal(losses.harmonic_mask(soft, 16000, 2048), losses.harmonic_mask(roll, 16000, 2048))


@pytest.mark.parametrize("midi, share", [(21, 0.85), (28, 0.57), (33, 0.43)])
def test_low_notes_mark_almost_everything(midi, share):
    assert len(bins(midi - 21)) / 1025 == pytest.approx(share, abs=0.01)


def test_a_sine_lies_in_its_own_mask():
    """An independent witness: the loudest bins of a synthetic harmonic tone."""
    t = torch.arange(64000) / 16000
    tone = sum(torch.sin(2 * math.pi * 220 * k * t) for k in range(1, 11))
    from weaklib.audio import stft
    X = stft(tone, 2048, 500).abs()[:, 20:100]
    mask = losses.harmonic_mask(a_roll((0, 57 - 21, 0, 79), frames=80), 16000, 2048, n_harmonics=10)[0, 0]
    assert (X * mask).square().sum() / X.square().sum() > 0.97


def test_another_number_of_pitches_is_refused():
    with pytest.raises(WeaklibError, match="88"):
        losses.harmonic_mask(torch.zeros(1, 3, 128, 4), 16000, 2048)


@pytest.mark.parametrize("kind", [torch.bool, torch.uint8, torch.int64, torch.float64, torch.bfloat16])
def test_rolls_of_any_type_are_rolls(kind):
    logits, roll = random_case()
    other, heard = roll.to(kind), logits[:, None].expand(-1, 3, -1, -1, -1)
    for name in ("score_loss", "multipitch_loss", "activity_loss", "adversarial_mixture_loss"):
        loss = getattr(losses, name)
        torch.testing.assert_close(loss(logits, other), loss(logits, roll), check_dtype=False)
    for loss in (losses.separated_loss, losses.adversarial_transcription_loss):
        torch.testing.assert_close(loss(heard, other), loss(heard, roll), check_dtype=False)
    assert torch.equal(losses.harmonic_mask(other, 8000, 256), losses.harmonic_mask(roll, 8000, 256))
    assert torch.equal(losses.activity(other), losses.activity(roll))
