"""LAION-CLAP, the audio-text model of mahmud2024: transformers' network behind a front end that has a gradient.

Contents
--------
LaionClap
    Sounds and texts as unit vectors, from a checkpoint that you have downloaded.

References
----------
Y. Wu et al., "Large-scale contrastive language-audio pretraining with feature fusion and keyword-to-caption
augmentation", ICASSP 2023.
"""
from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from weaklib import files
from weaklib.files import WeaklibError
from weaklib.models.pretrained import pretrained

CHECKPOINT = "larger_clap_music"  # HTSAT-base; the released code's, by name and size
LENGTH = 77  # tokens that all texts are padded to


class LaionClap(nn.Module):
    """LAION-CLAP, frozen: it always is in evaluation mode, and no parameter has a gradient. What it hears has one.

    Parameters
    ----------
    folder : path-like, optional
        With all files of a checkpoint; by default ``larger_clap_music`` in the folder ``WEAKLIB_DATA``.
    sr : int, Hz
        Of what it is given to hear.

    Raises
    ------
    WeaklibError
        If the checkpoint is not there, is damaged, or fuses several cuts of a sound.
    """

    def __init__(self, folder=None, sr: int = 11025):
        super().__init__()
        from torchaudio.transforms import Resample
        folder = _found(folder)
        if pretrained("ClapConfig", folder).audio_config.enable_fusion:
            raise WeaklibError(f"The CLAP in {folder} fuses several cuts of a sound; give one that does not, such as "
                               f"laion/{CHECKPOINT}.")
        self.clap = pretrained("ClapModel", folder).requires_grad_(False)
        self.tokenizer = pretrained("AutoTokenizer", folder)
        front = pretrained("ClapFeatureExtractor", folder)
        self.n_samples, self.n_fft, self.hop = front.nb_max_samples, front.fft_window_size, front.hop_length
        self.register_buffer("filters", torch.tensor(front.mel_filters_slaney, dtype=torch.float32), persistent=False)
        self.register_buffer("window", torch.hann_window(self.n_fft), persistent=False)
        self.resample = Resample(sr, front.sampling_rate)

    def train(self, mode: bool = True):
        """Stay in evaluation mode, whatever is asked: its batch normalisation and dropout are as they were trained."""
        return super().train(False)

    @property
    def scale(self):
        """Factor of cosines in a contrastive loss, as it was trained."""
        return self.clap.logit_scale_a.exp()

    def spectrum(self, x):
        """Make what the network sees: mel levels in dB of ten seconds at 48 kHz.

        Shorter sounds are repeated as often as they fit, then there is silence; of longer ones the first ten seconds
        count.

        Parameters
        ----------
        x : Tensor, shape=(batch, time)

        Returns
        -------
        Tensor, shape=(batch, 1, 1001, 64)
        """
        x = self.resample(x)[:, :self.n_samples]
        x = x.repeat(1, self.n_samples // x.shape[-1])
        x = F.pad(x, (0, self.n_samples - x.shape[-1]))
        X = torch.stft(x, self.n_fft, self.hop, window=self.window, pad_mode="reflect", return_complex=True)
        power = X.real.square() + X.imag.square()
        return 10 * (power.mT @ self.filters).clamp(min=1e-10).log10()[:, None]

    def hear(self, x):
        """Waveforms ``(batch, time)`` at `sr` -> unit vectors ``(batch, 512)``; differentiable."""
        return self.clap.get_audio_features(input_features=self.spectrum(x)).pooler_output

    @torch.no_grad()
    def tokens(self, prompts):
        """Read texts, of which the first 77 tokens count.

        Parameters
        ----------
        prompts : list of str

        Returns
        -------
        tokens : Tensor, shape=(text, 77, 768)
            The last hidden states, padding included: the released code attends to all of them.
        lengths : Tensor, shape=(text,), int
            How many tokens are those of the text.
        pooled : Tensor, shape=(text, 512)
            Unit vectors.
        """
        read = self.tokenizer(list(prompts), padding="max_length", truncation=True, max_length=LENGTH,
                              return_tensors="pt").to(self.window.device)
        out = self.clap.get_text_features(input_ids=read["input_ids"], attention_mask=read["attention_mask"])
        return out.last_hidden_state, read["attention_mask"].sum(1), out.pooler_output

    def read(self, pooled):
        """Unit vectors of texts as `tokens` pools them: there is nothing left to do."""
        return pooled


def _found(folder):
    """The folder of a checkpoint, if it is there."""
    if folder is None:
        if not files.data():
            raise WeaklibError(f"LAION-CLAP is not here; download laion/{CHECKPOINT} from Hugging Face into a folder "
                               f"{CHECKPOINT}, and set WEAKLIB_DATA to the folder around it.")
        folder = files.data() / CHECKPOINT
    folder = files.path(folder)
    if not (folder / "config.json").is_file():
        raise WeaklibError(f"LAION-CLAP is not in {folder}; download all files of laion/{CHECKPOINT} from Hugging Face "
                           "into this folder.")
    return folder
