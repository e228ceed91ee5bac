# SPDX-License-Identifier: MIT
"""What happens besides training: logging, checkpoints, early stopping."""

from __future__ import annotations

import os
from typing import Any, Callable

from .utils import save_checkpoint


class Callback:
    """Called by the Trainer. Subclasses define what they need."""

    trainer: Any = None  # set by the Trainer

    def on_epoch_start(self, epoch: int) -> None:
        """Before the first batch of an epoch."""

    def on_epoch_end(self, epoch: int) -> None:
        """After the last batch (and the evaluation) of an epoch."""

    def on_batch_start(self, step: int, batch: Any) -> None:
        """Before a batch; steps count from 0 over all epochs."""

    def on_batch_end(self, step: int, loss: float) -> None:
        """After a batch."""


class CallbackList(Callback):
    """Several as one, called in order."""

    def __init__(self, callbacks: Any = None):
        self.callbacks = list(callbacks or [])
        for callback in self.callbacks:
            if not isinstance(callback, Callback):
                raise TypeError(
                    f"[CallbackList] received {type(callback).__name__}; expected Callbacks"
                )

    def append(self, callback: Callback) -> None:
        self.callbacks.append(callback)

    def attach(self, trainer: Any) -> None:
        for callback in self.callbacks:
            callback.trainer = trainer

    def on_epoch_start(self, epoch: int) -> None:
        for callback in self.callbacks:
            callback.on_epoch_start(epoch)

    def on_epoch_end(self, epoch: int) -> None:
        for callback in self.callbacks:
            callback.on_epoch_end(epoch)

    def on_batch_start(self, step: int, batch: Any) -> None:
        for callback in self.callbacks:
            callback.on_batch_start(step, batch)

    def on_batch_end(self, step: int, loss: float) -> None:
        for callback in self.callbacks:
            callback.on_batch_end(step, loss)


class LoggingCallback(Callback):
    """Gives {"step": …, "loss": …} to sink (print where there is none) every log_every steps."""

    def __init__(self, log_every: int = 1, sink: Callable[[dict], Any] | None = None):
        if log_every < 1:
            raise ValueError(
                f"[LoggingCallback] received log_every {log_every}; expected 1 or more"
            )
        self.log_every, self.sink = log_every, sink or print

    def on_batch_end(self, step: int, loss: float) -> None:
        if step % self.log_every == 0:
            self.sink({"step": step, "loss": loss})


class CheckpointCallback(Callback):
    """Saves model and optimiser every save_every epochs as save_dir/epoch_<n>.tfin.

    save_fn(path): does the saving instead.
    """

    def __init__(
        self, save_dir: Any, save_every: int = 1, save_fn: Callable[[str], Any] | None = None
    ):
        if save_every < 1:
            raise ValueError(
                f"[CheckpointCallback] received save_every {save_every}; expected 1 or more"
            )
        self.save_dir, self.save_every, self.save_fn = save_dir, save_every, save_fn

    def on_epoch_end(self, epoch: int) -> None:
        if (epoch + 1) % self.save_every:
            return
        os.makedirs(self.save_dir, exist_ok=True)
        path = os.path.join(os.fspath(self.save_dir), f"epoch_{epoch}.tfin")
        if self.save_fn is not None:
            self.save_fn(path)
            return
        if self.trainer is None:
            raise RuntimeError("[CheckpointCallback] has no Trainer; expected one, or a save_fn")
        save_checkpoint(
            path, self.trainer.model, self.trainer.optimizer, self.trainer.scheduler,
            {"epoch": epoch},
        )  # fmt: skip


class EarlyStopping(Callback):
    """Ends the training when the loss has not fallen by min_delta for `patience` epochs.

    It watches the validation loss where the Trainer has one, else the training loss.
    """

    def __init__(self, patience: int = 3, min_delta: float = 0.0):
        self.patience, self.min_delta = patience, min_delta
        self.best = float("inf")
        self.waited = 0

    def on_epoch_end(self, epoch: int) -> None:
        last = self.trainer.history[-1]
        loss = last.get("val_loss", last["loss"])
        if loss < self.best - self.min_delta:
            self.best, self.waited = loss, 0
            return
        self.waited += 1
        if self.waited >= self.patience:
            self.trainer.stop = True


__all__ = ["Callback", "CallbackList", "CheckpointCallback", "EarlyStopping", "LoggingCallback"]
