"""Tests of weaklib.models.prompts."""
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from weaklib.models.clap import Clap
from weaklib.models.prompts import PromptEncoder
from weaklib.papers.mahmud2024 import Config, chosen


def test_words_are_learned_on_a_gpu_too():
    """The language model is no part of the module, and has to follow it; tensors that hold no numbers show where."""
    words, critic = PromptEncoder(4), Clap()
    with FakeTensorMode(allow_non_fake_inputs=True):
        words.to("cuda"), critic.to("cuda")
        tokens, lengths, pooled = words(["violin", "tuba"])
        assert {x.device.type for x in (tokens, lengths, pooled)} == {"cuda"}
        batch = {"mix": torch.zeros(3, 8192, device="cuda"), "labels": torch.zeros(3, dtype=torch.long, device="cuda")}
        loss = chosen(words, batch, critic, ["violin", "tuba"], Config(stage="critic"))
        assert loss.device.type == "cuda"
