"""LAION-CLAP: our front end against transformers' own, gradients to the waveform, texts, and what is missing."""
import json
import math
import shutil

import numpy as np
import pytest
import torch
from transformers import ClapConfig, ClapFeatureExtractor, ClapModel, RobertaTokenizer

from weaklib.files import WeaklibError
from weaklib.models import LaionClap

LETTERS = "abcdefghijklmnopqrstuvwxyz,."


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    """A shrunken network with random weights, in a folder as it comes from the hub."""
    folder = tmp_path_factory.mktemp("data") / "larger_clap_music"
    vocabulary = {token: k for k, token in enumerate(["<s>", "<pad>", "</s>", "<unk>", "<mask>", "Ġ", *LETTERS])}
    torch.manual_seed(0)
    model = ClapModel(ClapConfig(
        text_config={"vocab_size": len(vocabulary), "hidden_size": 96, "num_hidden_layers": 2, "num_attention_heads": 4,
                     "intermediate_size": 192, "max_position_embeddings": 80},
        audio_config={"hidden_size": 192, "patch_embeds_hidden_size": 24, "depths": [2, 2, 2, 2]},
        projection_dim=64))
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):  # as trained: levels in dB become small
            module.running_mean.fill_(-40)
            module.running_var.fill_(400)
    model.save_pretrained(folder)
    RobertaTokenizer(vocab=vocabulary, merges=[]).save_pretrained(folder)
    ClapFeatureExtractor(frequency_min=50, truncation="rand_trunc").save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def clap(checkpoint):
    return LaionClap(checkpoint, sr=48000)


def sound(seconds, sr=48000):
    """Noise that comes and goes, and a tone."""
    rng = np.random.default_rng(round(seconds))
    t = np.arange(round(seconds * sr)) / sr
    x = 0.1 * np.sin(3 * t) * rng.standard_normal(len(t)) + 0.2 * np.sin(2 * np.pi * 440 * t)
    return torch.tensor(x, dtype=torch.float32)[None]


@pytest.mark.parametrize("seconds", [0.5, 3, 7, 10, 12])
def test_the_front_end_is_that_of_transformers(checkpoint, clap, seconds):
    x = sound(seconds)
    front = ClapFeatureExtractor.from_pretrained(checkpoint)
    want = front(x[0, :480000].numpy(), sampling_rate=48000, return_tensors="pt")["input_features"].float()
    got = clap.spectrum(x)
    assert got.shape == (1, 1, 1001, 64)
    torch.testing.assert_close(got, want, rtol=0, atol=1e-3)


def test_sounds_and_texts_are_transformers_own_vectors(checkpoint, clap):
    model, tokenizer = ClapModel.from_pretrained(checkpoint).eval(), RobertaTokenizer.from_pretrained(checkpoint)
    front, prompts = ClapFeatureExtractor.from_pretrained(checkpoint), ["the sound of erhu", "rain"]
    x = torch.cat([sound(4), sound(4).flip(1)])
    features = front(list(x.numpy()), sampling_rate=48000, return_tensors="pt")["input_features"].float()
    read = tokenizer(prompts, padding=True, return_tensors="pt")
    with torch.no_grad():
        want = model(**read, input_features=features)
        torch.testing.assert_close(clap.hear(x), want.audio_embeds, rtol=0, atol=1e-4)
    tokens, lengths, pooled = clap.tokens(prompts)
    torch.testing.assert_close(clap.read(pooled), want.text_embeds, rtol=0, atol=1e-5)
    assert tokens.shape == (2, 77, 96) and lengths.tolist() == [19, 6]
    longest = int(lengths.max())
    torch.testing.assert_close(tokens[0, :longest], want.text_model_output.last_hidden_state[0], rtol=0, atol=1e-5)
    assert clap.scale.item() == pytest.approx(1 / 0.07)
    assert clap.tokens(["long " * 50])[1].tolist() == [77]


def test_it_stays_as_it_was_trained(clap):
    x = sound(1)
    before = clap.hear(x)
    around = torch.nn.Sequential(clap).train()
    assert not any(module.training for module in clap.modules()) and around.training
    assert torch.equal(clap.hear(x), before)
    assert not any(parameter.requires_grad for parameter in clap.parameters())


def test_other_sample_rates_are_heard_at_their_pitch(checkpoint, clap):
    torch.testing.assert_close(LaionClap(checkpoint, sr=11025).spectrum(tone(1000, 11025)).argmax(3),
                               clap.spectrum(tone(1000, 48000)).argmax(3))


def tone(frequency, sr):
    return torch.sin(2 * math.pi * frequency * torch.arange(10 * sr) / sr)[None]


def test_the_gradient_goes_to_the_waveform_and_is_that_of_finite_differences(checkpoint):
    clap = LaionClap(checkpoint, sr=11025).double()
    generator = torch.Generator().manual_seed(0)
    x, way = (0.1 * torch.randn(1, 2 * 11025, generator=generator).double() for _ in range(2))
    x.requires_grad_()
    target = torch.randn(64, generator=generator).double()
    (grad,) = torch.autograd.grad(clap.hear(x)[0] @ target, x)
    step = 1e-4
    with torch.no_grad():
        slope = (clap.hear(x + step * way) - clap.hear(x - step * way))[0] @ target / (2 * step)
    torch.testing.assert_close((grad * way).sum(), slope, rtol=1e-3, atol=0)


def test_silence_has_a_gradient_that_is_finite(clap):
    x = torch.zeros(1, 48000, requires_grad=True)
    (grad,) = torch.autograd.grad(clap.hear(x).sum(), x)
    assert grad.isfinite().all()


# What may be missing

def test_the_checkpoint_is_found_in_the_folder_of_data(checkpoint, clap, monkeypatch):
    monkeypatch.setenv("WEAKLIB_DATA", str(checkpoint.parent))
    assert torch.equal(LaionClap(sr=48000).hear(sound(1)), clap.hear(sound(1)))


def test_no_checkpoint(tmp_path, monkeypatch):
    monkeypatch.delenv("WEAKLIB_DATA", raising=False)
    with pytest.raises(WeaklibError, match="set WEAKLIB_DATA"):
        LaionClap()
    monkeypatch.setenv("WEAKLIB_DATA", str(tmp_path))
    with pytest.raises(WeaklibError, match=r"not in .*larger_clap_music; download all files"):
        LaionClap()


def test_a_damaged_or_another_checkpoint(checkpoint, tmp_path, capfd):
    def changed(name, **fields):
        folder = shutil.copytree(checkpoint, tmp_path / name)
        config = json.loads((folder / "config.json").read_text())
        config["audio_config"] |= fields
        (folder / "config.json").write_text(json.dumps(config))
        return folder

    damaged = changed("damaged")
    (damaged / "model.safetensors").write_bytes(b"no weights")
    for folder, message in ((damaged, "cannot be loaded as ClapModel"),
                            (changed("fused", enable_fusion=True), "fuses several cuts"),
                            (changed("deeper", depths=[2, 2, 4, 2]), "lacks weights of ClapModel, such as audio_model"),
                            (changed("other", patch_embeds_hidden_size=48, hidden_size=384), "cannot be loaded")):
        with pytest.raises(WeaklibError, match=message):
            LaionClap(folder)
    assert capfd.readouterr() == ("", "")
