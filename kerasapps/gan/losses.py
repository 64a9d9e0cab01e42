"""GAN losses of generator and discriminator, and their equilibrium values. "verdict" is the discriminator's logit.

References: minimax and non-saturating: Goodfellow et al., "Generative Adversarial Nets", NeurIPS 2014; least squares:
Mao et al., ICCV 2017; Wasserstein: Arjovsky et al., ICML 2017; hinge: Lim and Ye, "Geometric GAN", 2017; soft and
flipped labels: Salimans et al., "Improved Techniques for Training GANs", NeurIPS 2016.
"""

import math
import numbers
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from keras import ops

from kerasapps.blocks.arguments import check_at_least, check_choice, check_share, refusal

LossName = Literal["minimax", "non_saturating", "least_squares", "hinge", "wasserstein"]
# Losses in which the discriminator learns a target for each row, which may be soft, noisy or flipped.
WITH_TARGETS = ("minimax", "non_saturating", "least_squares")
CROSS_ENTROPY = ("minimax", "non_saturating")


@dataclass(frozen=True)
class Rules:
    """The loss of a GAN and how it is trained.

    The course notes use `real_labels` (0.7, 1.2), `fake_labels` (0, 0.3) and `generator_steps` 2.

    Args:
        loss: The loss of both networks.
        discriminator_steps: Updates of the discriminator in a step, each on its own share of the batch.
        generator_steps: Updates of the generator in a step.
        real_labels: Range from which targets for real rows are drawn, anew each time.
        fake_labels: Range from which targets for generated rows are drawn.
        flip: Share of the rows that get a target of the other kind.
        joint_batches: Whether the discriminator reads real and generated rows in one batch, which is faster, or in two.
            By default in one, unless training calls change its moving statistics or singular vectors. Set it to False
            for layers that compare the rows of a batch.
        instance_noise: Standard deviation of noise added to all inputs of the discriminator.
        instance_noise_steps: Number of steps over which that noise fades out; 0 for never.
        clip: Largest absolute value of a weight of the discriminator; 0 for no limit.
        gradient_penalty: Weight of the penalty on slopes other than 1 between real and generated rows.
        r1: Weight of the penalty on slopes at real rows.
        entropy: Weight of the entropy of the classes of unlabeled rows, for `SemiSupervisedGAN`.
        average: Share of the averaged generator that a step keeps, in [0, 1).

    References: clipping: Arjovsky et al., "Wasserstein GAN", ICML 2017; gradient penalty: Gulrajani et al., NeurIPS
    2017; R1: Mescheder et al., ICML 2018; instance noise: Sønderby et al., ICLR 2017; average: Yazıcı et al., ICLR
    2019.

    Raises:
        ValueError: If a number is out of its range, soft or flipped targets are given for a loss without targets,
            targets leave the discriminator without an optimum, or nothing bounds the slope of a Wasserstein
            discriminator.

    Example:
        >>> rules = Rules("hinge", discriminator_steps=2, instance_noise=0.1, instance_noise_steps=1000)
        >>> shape = (28, 28, 1)
        >>> gan = GAN(build_generator(image_shape=shape), build_discriminator(image_shape=shape), rules=rules)
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
        for name in ("discriminator_steps", "generator_steps"):
            steps = getattr(self, name)
            if not isinstance(steps, numbers.Integral) or isinstance(steps, bool):
                raise refusal("be a whole number", **{name: steps})
            check_at_least(1, **{name: steps})
        check_at_least(0, instance_noise=self.instance_noise, instance_noise_steps=self.instance_noise_steps)
        check_at_least(0, clip=self.clip, gradient_penalty=self.gradient_penalty, r1=self.r1, entropy=self.entropy)
        check_share(flip=self.flip, average=self.average)
        for name in ("real_labels", "fake_labels"):
            ends = getattr(self, name)
            if not isinstance(ends, Sequence) or len(ends) != 2 or not ends[0] <= ends[1]:
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
    """Returns the loss of the discriminator, a scalar.

    Args:
        loss: The name of the loss.
        real: Logits of real rows, float32 (B, 1).
        fake: Logits of generated rows, float32 (B, 1).
        real_targets: Targets of real rows, (B, 1) or a number, for the losses `WITH_TARGETS`.
        fake_targets: Targets of generated rows.
    """
    if loss in CROSS_ENTROPY:
        return ops.mean(cross_entropy(real_targets, real)) + ops.mean(cross_entropy(fake_targets, fake))
    if loss == "least_squares":
        return (ops.mean(ops.square(real - real_targets)) + ops.mean(ops.square(fake - fake_targets))) / 2
    if loss == "hinge":
        return ops.mean(ops.relu(1 - real)) + ops.mean(ops.relu(1 + fake))
    return ops.mean(fake) - ops.mean(real)


def generator_loss(loss: LossName, fake, targets=1.0):
    """Returns the loss of the generator, a scalar.

    Args:
        loss: The name of the loss.
        fake: Logits of generated rows, float32 (B, 1).
        targets: Outputs that the generator aims at, (B, 1) or a number.
    """
    if loss == "minimax":
        return -ops.mean(ops.softplus(fake))  # log(1 - D)
    if loss == "non_saturating":
        return ops.mean(cross_entropy(targets, fake))
    if loss == "least_squares":
        return ops.mean(ops.square(fake - targets)) / 2
    return -ops.mean(fake)


def cross_entropy(targets, logits):
    """Returns the binary cross-entropy of each logit; targets may lie outside [0, 1]."""
    return ops.softplus(logits) - targets * logits


def shown_verdict(loss: LossName, logits):
    """Returns the probabilities D(x) for a loss by cross-entropy, otherwise the logits."""
    return ops.sigmoid(logits) if loss in CROSS_ENTROPY else logits


@dataclass(frozen=True)
class Rest:
    """Equilibrium values, once the generator draws from the distribution of the data; None where any value will do."""

    verdict: float | None
    discriminator_loss: float
    generator_loss: float | None


def rest(rules: Rules) -> Rest:
    """Returns the equilibrium of D and of the losses: D* = p_r / (p_r + p_g) = 1/2 for labels of 1 and 0.

    With mean targets r for real and g for generated rows the optimum is (r p_r + g p_g) / (p_r + p_g). Penalties and
    noise are not counted.
    """
    if rules.loss == "hinge":
        return Rest(0.0, 2.0, 0.0)
    if rules.loss == "wasserstein":
        return Rest(None, 0.0, None)
    uniform = [(sum(ends) / 2, (ends[1] - ends[0]) ** 2 / 12) for ends in (rules.real_labels, rules.fake_labels)]
    (wanted, spread), _ = uniform
    means = [mean for mean, _ in uniform]
    middle = sum(means) / 2  # flips of both kinds cancel out
    if rules.loss == "least_squares":
        squares = sum((mean - middle) ** 2 + variance for mean, variance in uniform)
        return Rest(middle, squares / 2, ((wanted - middle) ** 2 + spread) / 2)
    logit = math.log(middle / (1 - middle))
    softplus = math.log1p(math.exp(logit))
    generator = -softplus if rules.loss == "minimax" else softplus - wanted * logit
    return Rest(middle, 2 * (softplus - middle * logit), generator)
