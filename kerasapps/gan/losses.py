"""The games that a generator and a discriminator can play: their losses on verdicts, and where each game rests.

References: minimax and non-saturating: Goodfellow et al., "Generative Adversarial Nets", NeurIPS 2014; least squares:
Mao et al., ICCV 2017; Wasserstein: Arjovsky et al., ICML 2017; hinge: Lim and Ye, "Geometric GAN", 2017; soft and
flipped labels: Salimans et al., "Improved Techniques for Training GANs", NeurIPS 2016.
"""

import math
from dataclasses import dataclass
from typing import Literal, get_args

from keras import ops

from kerasapps.blocks.arguments import check_at_least, check_choice, check_share, refusal

LossName = Literal["minimax", "non_saturating", "least_squares", "hinge", "wasserstein"]
# Those whose discriminator learns a target for each row, which may be soft, noisy or flipped.
WITH_TARGETS = ("minimax", "non_saturating", "least_squares")
CROSS_ENTROPY = ("minimax", "non_saturating")


@dataclass(frozen=True)
class Rules:
    """How the two networks play.

    The lectures' game has `real_labels` (0.7, 1.2), `fake_labels` (0, 0.3) and `generator_steps` 2.

    Args:
        loss: Which game.
        discriminator_steps: Updates of the discriminator in a step, each on a share of the batch of its own.
        generator_steps: Updates of the generator in a step.
        real_labels: Range that targets for real rows are drawn from, anew each time.
        fake_labels: Range that targets for generated rows are drawn from.
        flip: Share of the rows whose target is that of the other side.
        joint_batches: Whether the discriminator sees real and generated rows in one batch, which is faster, or apart.
            By default together where a training call changes nothing in it, no moving statistics or singular vectors.
            Layers that compare the rows of a batch change nothing either: with them say False.
        instance_noise: Standard deviation of noise added to all that the discriminator sees.
        instance_noise_steps: Steps over which that noise fades away; 0 for never.
        clip: Largest size of a weight of the discriminator; 0 for any.
        gradient_penalty: Weight of the penalty on slopes other than 1 between real and generated rows.
        r1: Weight of the penalty on slopes at real rows.
        entropy: Weight of the entropy of the classes of rows without labels, which only a `SemiSupervisedGAN` has.
        average: How much of the averaged generator stays in a step, in [0, 1).

    References: clipping: Arjovsky et al., "Wasserstein GAN", ICML 2017; gradient penalty: Gulrajani et al., NeurIPS
    2017; R1: Mescheder et al., ICML 2018; instance noise: Sønderby et al., ICLR 2017; average: Yazıcı et al., ICLR
    2019.

    Raises:
        ValueError: If a number is out of its range, targets are asked for where the loss has none or are such that no
            verdict would be the best one, or nothing keeps the slope of a Wasserstein discriminator in bounds.
    """

    loss: LossName = "non_saturating"
    discriminator_steps: int = 1
    generator_steps: int = 1
    real_labels: tuple[float, float] = (1.0, 1.0)
    fake_labels: tuple[float, float] = (0.0, 0.0)
    flip: float = 0.0
    joint_batches: bool | None = None
    instance_noise: float = 0.0
    instance_noise_steps: int = 0
    clip: float = 0.0
    gradient_penalty: float = 0.0
    r1: float = 0.0
    entropy: float = 0.0
    average: float = 0.999

    def __post_init__(self):
        check_choice(get_args(LossName), loss=self.loss)
        check_at_least(1, discriminator_steps=self.discriminator_steps, generator_steps=self.generator_steps)
        check_at_least(0, instance_noise=self.instance_noise, instance_noise_steps=self.instance_noise_steps)
        check_at_least(0, clip=self.clip, gradient_penalty=self.gradient_penalty, r1=self.r1, entropy=self.entropy)
        check_share(flip=self.flip, average=self.average)
        for name in ("real_labels", "fake_labels"):
            ends = getattr(self, name)
            if len(ends) != 2 or not ends[0] <= ends[1]:
                raise refusal("be two numbers, the smaller first", **{name: ends})
        soft = self.flip or tuple(self.real_labels) != (1, 1) or tuple(self.fake_labels) != (0, 0)
        if soft and self.loss not in WITH_TARGETS:
            rule = f"has no labels: soft labels and flips are for {', '.join(WITH_TARGETS)}"
            raise ValueError(f"`loss` {self.loss!r} {rule}. Received: loss={self.loss!r}")
        means = sorted(sum(ends) / 2 for ends in (self.real_labels, self.fake_labels))
        if self.loss in CROSS_ENTROPY and not 0 <= means[0] < means[1] <= 1:
            rule = f"have different means from 0 to 1 where `loss` is {self.loss!r}"
            raise refusal(rule, real_labels=tuple(self.real_labels), fake_labels=tuple(self.fake_labels))
        if self.loss == "wasserstein" and not (self.clip or self.gradient_penalty):
            rule = "needs `clip` or `gradient_penalty` above 0"
            raise ValueError(f"`loss` 'wasserstein' {rule}. Received: clip=0, gradient_penalty=0")


def discriminator_loss(loss: LossName, real, fake, real_targets=1.0, fake_targets=0.0):
    """Returns what the discriminator minimises, a scalar.

    Args:
        loss: Which game.
        real: Its verdicts on real rows, float32 (B, 1).
        fake: Its verdicts on generated rows, float32 (B, 1).
        real_targets: What it should have said, (B, 1) or a number; see `WITH_TARGETS`.
        fake_targets: The same for generated rows.
    """
    if loss in CROSS_ENTROPY:
        return ops.mean(cross_entropy(real_targets, real)) + ops.mean(cross_entropy(fake_targets, fake))
    if loss == "least_squares":
        return (ops.mean(ops.square(real - real_targets)) + ops.mean(ops.square(fake - fake_targets))) / 2
    if loss == "hinge":
        return ops.mean(ops.relu(1 - real)) + ops.mean(ops.relu(1 + fake))
    return ops.mean(fake) - ops.mean(real)


def generator_loss(loss: LossName, fake, targets=1.0):
    """Returns what the generator minimises, a scalar.

    Args:
        loss: Which game.
        fake: Verdicts on generated rows, float32 (B, 1).
        targets: What the discriminator is to say, (B, 1) or a number.
    """
    if loss == "minimax":
        return -ops.mean(ops.softplus(fake))  # log(1 - D)
    if loss == "non_saturating":
        return ops.mean(cross_entropy(targets, fake))
    if loss == "least_squares":
        return ops.mean(ops.square(fake - targets)) / 2
    return -ops.mean(fake)


def cross_entropy(targets, verdicts):
    """Returns the cross-entropy of log-odds, elementwise; the targets may lie outside [0, 1]."""
    return ops.softplus(verdicts) - targets * verdicts


def shown_verdict(loss: LossName, verdicts):
    """Returns verdicts on the scale of the game: the probability D(x) where it has one, else as they are."""
    return ops.sigmoid(verdicts) if loss in CROSS_ENTROPY else verdicts


@dataclass(frozen=True)
class Rest:
    """Where a game rests: values once the generator draws from the distribution of the data, None where any will do."""

    verdict: float | None
    discriminator_loss: float
    generator_loss: float | None


def rest(rules: Rules) -> Rest:
    """Returns what verdict and losses are at the optimum: D* = p_r / (p_r + p_g) = 1/2 where labels are 1 and 0.

    With targets of mean r for real and g for generated rows the best verdict is (r p_r + g p_g) / (p_r + p_g).
    Penalties and noise are not counted.
    """
    if rules.loss == "hinge":
        return Rest(0.0, 2.0, 0.0)
    if rules.loss == "wasserstein":
        return Rest(None, 0.0, None)
    uniform = [(sum(ends) / 2, (ends[1] - ends[0]) ** 2 / 12) for ends in (rules.real_labels, rules.fake_labels)]
    (wanted, spread), _ = uniform
    means = [mean for mean, _ in uniform]
    middle = sum(means) / 2  # flips exchange what they add and take away
    if rules.loss == "least_squares":
        squares = sum((mean - middle) ** 2 + variance for mean, variance in uniform)
        return Rest(middle, squares / 2, ((wanted - middle) ** 2 + spread) / 2)
    logit = math.log(middle / (1 - middle))
    softplus = math.log1p(math.exp(logit))
    generator = -softplus if rules.loss == "minimax" else softplus - wanted * logit
    return Rest(middle, 2 * (softplus - middle * logit), generator)
