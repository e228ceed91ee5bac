# SPDX-License-Identifier: MIT
"""Trainer: the loop over epochs and batches, with a progress bar."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Any, Callable

from tqdm import tqdm

from .callbacks import Callback, CallbackList
from .ctx import no_grad
from .nn.module import Module


class Trainer:
    """Trains a model (a Module or any callable) with a loss and an optimiser.

    scheduler: stepped after every step of the optimiser, or once per epoch with
    scheduler_interval="epoch". accumulate_steps: gradients are averaged over that many batches
    before each step. progress: False for no output. history: one dict of figures per epoch.
    """

    def __init__(
        self,
        model: Callable[..., Any],
        loss_fn: Callable[..., Any],
        optimizer: Any,
        callbacks: Iterable[Callback] | None = None,
        scheduler: Any = None,
        accumulate_steps: int = 1,
        scheduler_interval: str = "step",
        clip_norm: float = 0.0,
        progress: bool = True,
    ):
        if accumulate_steps < 1:
            raise ValueError(
                f"[Trainer] received accumulate_steps {accumulate_steps}; expected 1 or more"
            )
        if scheduler_interval not in ("step", "epoch"):
            raise ValueError(
                f'[Trainer] received scheduler_interval {scheduler_interval!r}; expected "step" '
                'or "epoch"'
            )
        self.model, self.loss_fn, self.optimizer = model, loss_fn, optimizer
        self.scheduler, self.scheduler_interval = scheduler, scheduler_interval
        self.accumulate_steps, self.clip_norm = accumulate_steps, clip_norm
        self.progress = progress
        self.callbacks = (
            callbacks if isinstance(callbacks, CallbackList) else CallbackList(callbacks)
        )
        self.callbacks.attach(self)
        self.global_step = 0
        self.history: list[dict] = []
        self.stop = False  # a callback sets it to end fit() after the epoch

    def _mode(self, training: bool) -> None:
        if isinstance(self.model, Module):
            self.model.train(training)

    @staticmethod
    def _split(batch: Any) -> tuple[tuple, Any]:
        """Inputs and target: the last of a batch is the target."""
        if not isinstance(batch, (list, tuple)) or len(batch) < 2:
            raise ValueError(
                f"[Trainer] received a batch of {type(batch).__name__}; expected (inputs…, target)"
            )
        return tuple(batch[:-1]), batch[-1]

    def train_epoch(self, dataloader: Iterable[Any], epoch: int = 0, epochs: int = 1) -> float:
        """One pass over the batches; returns the mean loss."""
        self._mode(True)
        total = len(dataloader) if hasattr(dataloader, "__len__") else None
        # disable=None: a bar on a terminal, nothing elsewhere (fit prints a line per epoch).
        bar = tqdm(
            total=total,
            desc=f"epoch {epoch + 1}/{epochs}",
            unit="batch",
            leave=False,
            disable=None if self.progress else True,
        )
        seen, weighted, gathered = 0, 0.0, 0
        self.optimizer.zero_grad()
        for batch in dataloader:
            self.callbacks.on_batch_start(self.global_step, batch)
            inputs, target = self._split(batch)
            loss = self.loss_fn(self.model(*inputs), target)
            scaled = loss * (1.0 / self.accumulate_steps) if self.accumulate_steps > 1 else loss
            scaled.backward()
            gathered += 1
            if gathered == self.accumulate_steps:
                self._step()
                gathered = 0
            value = loss.item()
            rows = len(target)
            seen, weighted = seen + rows, weighted + value * rows
            self.callbacks.on_batch_end(self.global_step, value)
            self.global_step += 1
            if bar.update():  # the bar was drawn: the next time it shows this
                bar.set_postfix_str(f"loss {value:.4f}", refresh=False)
        if gathered:
            self._rescale(gathered)
            self._step()
        if not seen:
            raise ValueError("[Trainer] received no batches; expected at least one")
        bar.close()
        return weighted / seen

    def _rescale(self, gathered: int) -> None:
        """A last, shorter group of batches is averaged over its own number."""
        for group in self.optimizer.param_groups:
            for p in group["params"]:
                if p.grad is not None:
                    p.grad = p.grad * (self.accumulate_steps / gathered)

    def _step(self) -> None:
        self.optimizer.step(self.clip_norm)
        self.optimizer.zero_grad()
        if self.scheduler is not None and self.scheduler_interval == "step":
            self.scheduler.step()

    def fit(
        self,
        dataloader: Iterable[Any],
        epochs: int = 1,
        start_epoch: int = 0,
        val_loader: Iterable[Any] | None = None,
    ) -> list[dict]:
        """Trains from start_epoch up to epochs; returns the history.

        Ctrl-C ends it between two steps: model and optimiser stay as the last step left them.
        """
        self.stop = False
        for epoch in range(start_epoch, epochs):
            self.callbacks.on_epoch_start(epoch)
            start = time.monotonic()
            figures: dict[str, Any] = {
                "epoch": epoch,
                "loss": self.train_epoch(dataloader, epoch, epochs),
            }
            if val_loader is not None:
                figures.update({f"val_{k}": v for k, v in self.evaluate(val_loader).items()})
            self.history.append(figures)
            if self.progress:
                numbers = "  ".join(f"{k} {v:.4f}" for k, v in figures.items() if k != "epoch")
                seconds = time.monotonic() - start
                print(f"epoch {epoch + 1}/{epochs}  {numbers}  {seconds:.1f} s", flush=True)
            if self.scheduler is not None and self.scheduler_interval == "epoch":
                self.scheduler.step()
            self.callbacks.on_epoch_end(epoch)
            if self.stop:
                break
        return self.history

    def evaluate(self, dataloader: Iterable[Any]) -> dict[str, float]:
        """Mean loss and, where the target holds class numbers, accuracy; nothing is trained."""
        was_training = getattr(self.model, "training", True)
        self._mode(False)
        seen, weighted, right = 0, 0.0, None
        try:
            with no_grad():
                for batch in dataloader:
                    inputs, target = self._split(batch)
                    output = self.model(*inputs)
                    rows = len(target)
                    seen += rows
                    weighted += self.loss_fn(output, target).item() * rows
                    if output.ndim == 2 and target.ndim == 1 and output.shape[1] > 1:
                        right = (right or 0) + (output.argmax(1) == target).sum().item()
        finally:
            self._mode(was_training)
        if not seen:
            raise ValueError("[Trainer] received no batches; expected at least one")
        figures = {"loss": weighted / seen}
        if right is not None:
            figures["accuracy"] = right / seen
        return figures


__all__ = ["Callback", "CallbackList", "Trainer"]
