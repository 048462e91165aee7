"""The tables of a recipe that say what network to build and how to train it."""

from __future__ import annotations

from typing import Any, Literal, Self

from pydantic import Field, model_validator

from lowdose.training.tables import Table

LossName = Literal["auto", "rmse", "mse", "huber", "poisson"]


class NetworkConfig(Table):
    """The network: a name of :data:`lowdose.networks.ARCHITECTURES` and its options.

    Parameters
    ----------
    architecture : str
        Its name.
    options : mapping
        Keyword arguments of its class.
    normalisation : {"mean-and-noise", "min-max", "counts"}
        What the network sees: counts less their mean over their noise, counts between
        0 and 1 of each image, or counts as they are.
    """

    architecture: str
    options: dict[str, Any] = Field(default_factory=dict)
    normalisation: Literal["mean-and-noise", "min-max", "counts"] = "mean-and-noise"


class TrainingConfig(Table):
    """How long and how fast to learn.

    Parameters
    ----------
    steps : int
        Optimiser steps at most.
    minutes : float, optional
        Time at most [min]; the schedule then ends with the time where that is
        sooner than the steps.
    batch : int
        Crops per step and device.
    patch : int
        Height and width of a crop [px].
    loss : {"auto", "rmse", "mse", "huber", "poisson"}
        See :mod:`lowdose.training.losses`. "auto" takes what suits the way to learn.
    learning_rate : float, optional
        Largest rate of Adam. By default 1e-3, and 2e-4 where `start` is given.
    schedule : {"cosine", "plateau", "stepped", "constant"}
        Cosine: down to a hundredth, with `restarts`. Plateau: times `factor`
        whenever `patience` validations brought nothing better. Stepped: `rates`
        from the steps `boundaries` on.
    warmup : int
        Steps of linear rise, in every schedule.
    restarts : list of int
        Steps at which the cosine begins anew [1]_, each time at `restart_factor`
        times the rate of the cycle before.
    restart_factor : float
        See `restarts`.
    factor, patience : float, int
        See `schedule`; the defaults are SBD's [2]_.
    boundaries, rates : list
        See `schedule`: one rate more than boundaries; `learning_rate` is not used.
    beta1, beta2 : float
        Of Adam.
    l2 : float
        Weight of half the sum of all squared parameters, added to the loss.
    average : float
        Decay of the exponential moving average of the weights, which is what is
        kept. 0 keeps the weights themselves.
    clip : float
        Largest norm of the gradient; 0 for any.
    freeze_norm : int, optional
        Step from which on batch normalisation keeps its statistics as they are, in
        training as in use. Where doses differ by a factor of 10^4 within a batch,
        statistics of a batch are nothing that a single image could be normalised
        by. 0 for all of it, which is the default where `start` is given; -1 for
        never, the default otherwise.
    validate_every : int
        Steps between validations.
    checkpoint_every : int
        Steps between checkpoints; at each validation there is one, too.
    patience_to_stop : int
        Stop early when so many validations brought nothing better; 0 for never.
    keep : {"last", "best"}
        Whether the model is the average of the last step or of the best validation.
    precision : {"auto", "bfloat16", "float32"}
        Arithmetic of the forward and backward pass; ``"auto"`` is bfloat16 where the
        device has units for it, see :func:`lowdose.inference.device.resolve_precision`.
    weights : {"float32", "float16"}
        How the model is kept in its file. float16 halves it, at an error of 2^-11 of
        each weight.

    References
    ----------
    .. [1] I. Loshchilov, F. Hutter, "SGDR: Stochastic Gradient Descent with Warm
       Restarts", ICLR 2017. arXiv:1608.03983
    .. [2] S. Mohan et al., IEEE Trans. Comput. Imaging 8, 585 (2022).
       doi:10.1109/TCI.2022.3176536
    """

    steps: int = Field(ge=1)
    minutes: float | None = Field(default=None, gt=0)
    batch: int = Field(default=16, ge=1)
    patch: int = Field(default=96, ge=16)
    loss: LossName = "auto"
    learning_rate: float | None = Field(default=None, gt=0)
    schedule: Literal["cosine", "plateau", "stepped", "constant"] = "cosine"
    warmup: int = Field(default=300, ge=0)
    restarts: list[int] = Field(default_factory=list)
    restart_factor: float = Field(default=0.4, gt=0)
    factor: float = Field(default=0.5, gt=0, lt=1)
    patience: int = Field(default=3, ge=1)
    boundaries: list[int] = Field(default_factory=list)
    rates: list[float] = Field(default_factory=list)
    beta1: float = Field(default=0.9, ge=0, lt=1)
    beta2: float = Field(default=0.999, ge=0, lt=1)
    l2: float = Field(default=0.0, ge=0)
    average: float = Field(default=0.999, ge=0, lt=1)
    clip: float = Field(default=1.0, ge=0)
    freeze_norm: int | None = Field(default=None, ge=-1)
    validate_every: int = Field(default=500, ge=1)
    checkpoint_every: int = Field(default=500, ge=1)
    patience_to_stop: int = Field(default=0, ge=0)
    keep: Literal["last", "best"] = "last"
    precision: Literal["auto", "bfloat16", "float32"] = "auto"
    weights: Literal["float32", "float16"] = "float32"

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        bounds = [self.warmup, *self.restarts, self.steps]
        if self.restarts and bounds != sorted(set(bounds)):
            msg = (
                f"restarts={self.restarts} must rise from warmup={self.warmup} to "
                f"steps={self.steps}."
            )
            raise ValueError(msg)
        stepped = self.schedule == "stepped"
        if stepped and len(self.rates) != len(self.boundaries) + 1:
            msg = (
                f"schedule='stepped' needs one rate more than boundaries; there are "
                f"{len(self.rates)} and {len(self.boundaries)}."
            )
            raise ValueError(msg)
        if not stepped and (self.rates or self.boundaries):
            msg = "boundaries and rates are of schedule='stepped' only."
            raise ValueError(msg)
        if self.boundaries != sorted(set(self.boundaries)):
            msg = f"boundaries={self.boundaries} must rise."
            raise ValueError(msg)
        return self
