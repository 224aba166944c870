r"""One training run with its outcome; failures have a cause.

A learner has succeeded at the first judgement at which fresh sequences meet the criterion of the task; it is
not trained on. A failure is attributed to

    explosion   a loss or gradient is NaN or infinite, or a gradient norm before clipping is at least 100
    vanishing   else, if at the end ‖∂L/∂h(0)‖ < 0.01 · ‖∂L/∂h(direct)‖: less than a hundredth of the gradient
                with respect to the states that the loss reads arrives at the initial state
    neither     else: the gradient neither vanishes nor explodes, but the updates did not suffice

The two limits are conventions. The numbers that they are compared with are stored, so that other limits can
be tried on a finished sweep.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

from dynprop.training.tasks import task_named
from dynprop.training.trials.setting import Setting

__all__ = ["EXPLODED", "LOST", "STATUSES", "VANISHED", "Trial", "cause_of"]

EXPLODED = 100.0
VANISHED = 0.01
# Relative distance from the level of chance within which a learner counts as having learnt nothing.
NEAR_CHANCE = 0.1
STATUSES = ("success", "failure", "diverged", "timed out", "worker lost")
# Statuses of runs without an outcome of training: they may be trained again.
LOST = ("timed out", "worker lost")


def cause_of(status: str, max_grad_norm: float | None, gradient_ratio: float | None) -> str:
    """Name the cause of a failure: "explosion", "vanishing", "neither", or "" if there is none.

    Args:
        status: one of STATUSES.
        max_grad_norm: largest gradient norm before clipping; None if it was not finite.
        gradient_ratio: ‖∂L/∂h(0)‖ over ‖∂L/∂h(direct)‖ at the end, or None.
    """
    if status == "diverged":
        return "explosion"
    if status != "failure":
        return ""
    if max_grad_norm is None or max_grad_norm >= EXPLODED:
        return "explosion"
    return "vanishing" if gradient_ratio is not None and gradient_ratio < VANISHED else "neither"


@dataclass(frozen=True)
class Trial:
    """A training run: setting, seed and outcome.

    Attributes:
        setting: everything that it depends on, except the seed.
        seed: a whole number of at least 0.
        status: "success", "failure" (the criterion was never met), "diverged" (NaN or infinity),
            "timed out" or "worker lost".
        updates: number at the first success, else number made.
        loss: mean loss on the last fresh sequences judged; None where there is none.
        error_rate: share of wrong answers among them.
        max_grad_norm: largest norm of the model's gradient before clipping.
        gradient_ratio: ‖∂L/∂h(0)‖ over ‖∂L/∂h(direct)‖ at the end of a failure.
        note: error message of the machine, for runs that were lost.
    """

    setting: Setting
    seed: int
    status: str
    updates: int
    loss: float | None = None
    error_rate: float | None = None
    max_grad_norm: float | None = None
    gradient_ratio: float | None = None
    note: str = ""

    @property
    def key(self) -> str:
        """The name of the run: hash of its setting, and seed."""
        return f"{self.setting.key}-{self.seed}"

    @property
    def succeeded(self) -> bool:
        """Whether the criterion was met."""
        return self.status == "success"

    @property
    def cause(self) -> str:
        """The cause of a failure."""
        return cause_of(self.status, self.max_grad_norm, self.gradient_ratio)

    @property
    def at_chance(self) -> bool:
        """Whether a failed learner ended at the loss of the best prediction without inputs."""
        if self.succeeded or self.loss is None:
            return False
        level = task_named(self.setting.task).chance_loss(self.setting.length)
        return abs(self.loss - level) <= NEAR_CHANCE * level

    def remark(self) -> str:
        """Describe the outcome of the run in a few words."""
        if self.succeeded:
            return f"success after {self.updates} updates"
        parts = [self.status if self.status != "failure" else f"no success in {self.updates} updates"]
        if self.cause:
            parts.append(f"cause: {self.cause}")
        if self.at_chance:
            level = task_named(self.setting.task).level
            parts.append(f"loss {self.loss:.4g} is the level of {level}")
        return "; ".join(parts + ([self.note] if self.note else []))

    def to_row(self) -> dict[str, Any]:
        """Return the outcome as plain values, without the setting."""
        return {field.name: getattr(self, field.name) for field in fields(self) if field.name != "setting"}
