# SPDX-License-Identifier: MIT
"""Learning rates that change with time: each step() sets the optimiser's."""

from __future__ import annotations

import json
import math
import os
from typing import Any

from ._checkpoint import Checkpoint
from ._native import lib
from .errors import CheckpointError
from .optim import Optimizer


class Scheduler:
    """Counts steps and sets every group's lr to what the subclass says."""

    # Attributes that belong to the state besides the count.
    _options: tuple[str, ...] = ()

    def __init__(self, optimizer: Optimizer):
        if not isinstance(optimizer, Optimizer):
            raise TypeError(
                f"[{type(self).__name__}] received {type(optimizer).__name__}; expected an "
                "Optimizer"
            )
        self.optimizer = optimizer
        count = lib.tf_opt_group_count(optimizer._o)
        self.base_lrs = [optimizer._get(i, "lr") for i in range(count)]
        self.last_step = 0
        self._apply()

    def lr_at(self, step: int, base: float) -> float:
        """The learning rate of a group that started at `base`, after `step` steps."""
        raise NotImplementedError

    def _apply(self) -> None:
        for i, base in enumerate(self.base_lrs):
            self.optimizer._set(i, "lr", self.lr_at(self.last_step, base))

    def step(self) -> None:
        self.last_step += 1
        self._apply()

    def get_lr(self) -> float:
        return self.optimizer.lr

    def state_dict(self) -> dict:
        state = {name: getattr(self, name) for name in self._options}
        return {"kind": type(self).__name__, "last_step": self.last_step,
                "base_lrs": list(self.base_lrs), **state}  # fmt: skip

    def load_state_dict(self, state: dict) -> None:
        """Restores count, options and the optimiser's lr."""
        own = self.state_dict()
        if state.get("kind") != own["kind"] or set(state) != set(own):
            raise CheckpointError(
                f"[{own['kind']}] received the state of {state.get('kind')} with "
                f"{', '.join(sorted(state))}; expected {', '.join(sorted(own))}"
            )
        if len(state["base_lrs"]) != len(self.base_lrs):
            raise CheckpointError(
                f"[{own['kind']}] received the state of {len(state['base_lrs'])} groups; expected "
                f"{len(self.base_lrs)}"
            )
        for name in ("last_step", "base_lrs", *self._options):
            setattr(self, name, state[name])
        self._apply()

    def save_state(self, path: Any) -> str:
        Checkpoint().add_text("scheduler", json.dumps(self.state_dict())).write(path)
        return os.fspath(path)

    def load_state(self, path: Any) -> None:
        text = Checkpoint.read(path).to_dict().get("scheduler")
        if not isinstance(text, str):
            raise CheckpointError(f"[load_state] {os.fspath(path)} holds no scheduler")
        self.load_state_dict(json.loads(text))


def _positive(value: Any, name: str, kind: str) -> Any:
    if not value > 0:
        raise ValueError(f"[{kind}] received {name} {value}; expected a positive number")
    return value


class StepLR(Scheduler):
    """lr times gamma every step_size steps."""

    _options = ("step_size", "gamma")

    def __init__(self, optimizer: Optimizer, step_size: int, gamma: float = 0.1):
        self.step_size, self.gamma = _positive(step_size, "step_size", "StepLR"), gamma
        super().__init__(optimizer)

    def lr_at(self, step: int, base: float) -> float:
        return base * self.gamma ** (step // self.step_size)


class ExponentialLR(Scheduler):
    """lr times gamma every step."""

    _options = ("gamma",)

    def __init__(self, optimizer: Optimizer, gamma: float):
        self.gamma = gamma
        super().__init__(optimizer)

    def lr_at(self, step: int, base: float) -> float:
        return base * self.gamma**step


class LinearWarmupLR(Scheduler):
    """From 0 to target_lr in warmup_steps steps, in a straight line; then target_lr."""

    _options = ("warmup_steps", "target_lr")

    def __init__(self, optimizer: Optimizer, warmup_steps: int, target_lr: float | None = None):
        self.warmup_steps = _positive(warmup_steps, "warmup_steps", "LinearWarmupLR")
        self.target_lr = target_lr
        super().__init__(optimizer)

    def lr_at(self, step: int, base: float) -> float:
        target = base if self.target_lr is None else self.target_lr
        return target * min(step / self.warmup_steps, 1.0)


class CosineAnnealingLR(Scheduler):
    """Half a cosine from the start to eta_min in T_max steps."""

    _options = ("T_max", "eta_min")

    def __init__(self, optimizer: Optimizer, T_max: int, eta_min: float = 0.0):
        self.T_max, self.eta_min = _positive(T_max, "T_max", "CosineAnnealingLR"), eta_min
        super().__init__(optimizer)

    def lr_at(self, step: int, base: float) -> float:
        wave = (1 + math.cos(math.pi * step / self.T_max)) / 2
        return self.eta_min + (base - self.eta_min) * wave


class OneCycleLR(Scheduler):
    """Up to max_lr and down again along cosines, once over total_steps (Smith, Topin 2018)."""

    _options = ("max_lr", "total_steps", "pct_start", "div_factor", "final_div_factor")

    def __init__(
        self,
        optimizer: Optimizer,
        max_lr: float,
        total_steps: int,
        pct_start: float = 0.3,
        div_factor: float = 25.0,
        final_div_factor: float = 1e4,
    ):
        self.max_lr, self.total_steps = max_lr, _positive(total_steps, "total_steps", "OneCycleLR")
        if not 0 < pct_start < 1:
            raise ValueError(f"[OneCycleLR] received pct_start {pct_start}; expected 0 to 1")
        self.pct_start = pct_start
        self.div_factor = _positive(div_factor, "div_factor", "OneCycleLR")
        self.final_div_factor = _positive(final_div_factor, "final_div_factor", "OneCycleLR")
        super().__init__(optimizer)

    def lr_at(self, step: int, base: float) -> float:
        first = self.max_lr / self.div_factor
        last = first / self.final_div_factor
        top = max(self.pct_start * self.total_steps - 1, 1e-12)
        end = max(self.total_steps - 1, top + 1e-12)
        if step <= top:
            low, high, part = first, self.max_lr, step / top
        else:
            low, high, part = self.max_lr, last, min((step - top) / (end - top), 1.0)
        return high + (low - high) * (1 + math.cos(math.pi * part)) / 2


__all__ = [
    "CosineAnnealingLR",
    "ExponentialLR",
    "LinearWarmupLR",
    "OneCycleLR",
    "Scheduler",
    "StepLR",
]
