"""Music Transcription with (Almost) No Supervision (Shin et al., 2026)."""
from __future__ import annotations

from dataclasses import dataclass, field

from weaklib import corpora, runs, training
from weaklib.files import WeaklibError

CRITERION = "frame F1 on validation, %"


@dataclass(frozen=True)
class Net:
    """Size of a convolutional encoder, or of the decoder that undoes it; axes are (time, frequency)."""

    widths: tuple[int, ...] = (32, 32, 64, 64, 128, 256)  # channels after the stem and after each stage
    strides: tuple[tuple[int, int], ...] = ((2, 2), (2, 2), (2, 2), (1, 2), (1, 2))  # by stage; (1, 1): none
    n_blocks: int = 2            # residual blocks per stage
    attention: int = 2           # first stage, from 0, with linear attention
    stem: tuple[int, int] = (1, 1)  # patch that becomes a pixel; (1, 1): a 3 x 3 convolution instead
    middle: bool = False         # blocks and attention after all stages


@dataclass(frozen=True)
class Critic:
    """Size of a multi-scale discriminator; the defaults are those for spectrograms."""

    n_channels: int = 64         # of the first layer, doubled by each further one
    most: int = 128              # channels
    n_layers: int = 3
    n_scales: int = 3
    kernel: tuple[int, int] = (3, 5)
    stride: tuple[int, int] = (2, 2)
    stem: tuple[int, int] = (1, 1)  # patch that becomes a pixel


@dataclass(frozen=True)
class Loss:
    """Weights of the loss terms; the defaults are the published ones."""

    cycle_cqt: float = 5.0
    cycle_latent: float = 5.0
    supervised: float = 1.0      # audio to latent, paired
    reverse: float = 1.0         # latent to audio, paired
    adversarial_cqt: float = 1.0
    adversarial_latent: float = 1.0
    matching: float = 0.1        # of cycle-aware features, times the adversarial weight of its domain
    warmup: int = 500            # steps in which adversarial terms grow from a tenth
    gamma: float = 2.0           # focal loss of the VAE
    alpha: float = 0.75          # and the weight of its notes
    kl: float = 1e-8


@dataclass(frozen=True)
class Config(runs.Config):
    """One model of the paper: the VAE of scores ("vae"), or generators between audio and its latents ("cycle")."""

    paper = "shin2026"
    revision = 1

    stage: str = "cycle"         # or "vae"
    corpus: str = "piano"        # paired chunks, validation, test
    also: str = ""               # another corpus to test on, such as "guitar"; "": none
    audio: str = "piano_pool"    # where unpaired audio comes from
    scores: str = "piano_pool"   # where unpaired scores come from
    guest: str = ""              # another corpus of unpaired audio
    guest_share: float = 0.5     # of the unpaired audio
    preset: str = "laptop"       # of the corpora
    instruments: int = 1         # channels of the score; with 1, of all instruments together

    paired: float = 0.01         # share of the corpus' training chunks; 0: no pair
    audio_share: float = 1.0     # of the pool's chunks; 0: of the paired ones only
    scores_share: float = 1.0    # likewise; both 0: paired only
    partners: bool = False       # whether the score of unpaired audio may be among the unpaired scores
    shift: int = 0               # semitones by which the paired scores are wrong: plants the failure of Figure 3
    pre: int = 0                 # steps of the paired terms alone
    ramp: int = 0                # steps after that, in which all others grow to their weights
    release: int | None = None   # step from which the paired terms no longer count; None: never

    bins_per_octave: int = 48    # of the constant-Q transform: 352 bins
    n_frames: int = 256          # per chunk, 5.12 s
    batch: int = 64              # unpaired chunks, and paired ones, per step
    pool: int = 128              # earlier fakes of each domain
    vae_net: Net = field(default_factory=lambda: Net(
        (64, 64, 128, 128, 128), ((2, 2), (2, 2), (2, 2), (1, 1)), attention=0, middle=True))
    z_channels: int = 8
    generator: Net = field(default_factory=Net)
    critic_cqt: Critic = field(default_factory=Critic)
    critic_latent: Critic = field(default_factory=lambda: Critic(n_layers=5, n_scales=2, kernel=(3, 3), stride=(1, 1)))
    loss: Loss = field(default_factory=Loss)
    plan: training.Plan = field(default_factory=lambda: training.Plan(
        steps=1_000_000, lr=2e-4, warmup=2000, weight_decay=0.01, clip=1.0, betas=(0.9, 0.99), validate_every=1000,
        precision="bf16-mixed"))
    vae: Config | None = None    # the VAE whose latents the generators learn

    def __post_init__(self):
        if self.stage not in ("vae", "cycle"):
            raise WeaklibError(f"Unknown stage {self.stage!r}; choose vae or cycle.")

    def corpora(self):
        names = {self.corpus, self.scores} | ({self.audio, self.guest, self.also} if self.stage == "cycle" else set())
        return [corpora.identity(name, self.preset) for name in sorted(names - {""})]

    def needs(self):
        return [self.vae] if self.vae else []
