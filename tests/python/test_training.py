# SPDX-License-Identifier: MIT
"""Trainer, callbacks, checkpoints: what a training run needs."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tinyfin as tf
from tinyfin import Tensor, nn, optim
from tinyfin.callbacks import (
    Callback,
    CallbackList,
    CheckpointCallback,
    EarlyStopping,
    LoggingCallback,
)
from tinyfin.data import DataLoader
from tinyfin.training import Trainer
from tinyfin.utils import assert_finite, load_checkpoint, save_checkpoint

ROOT = Path(__file__).resolve().parents[2]
RNG = np.random.default_rng(0)
X = RNG.standard_normal((40, 4)).astype(np.float32)
Y = (X.sum(1) > 0).astype(np.int64)


def setup(seed=0, **options):
    tf.manual_seed(seed)
    model = nn.Sequential(nn.Linear(4, 8, activation="relu"), nn.Dropout(0.1), nn.Linear(8, 2))
    optimizer = optim.Adam(model.parameters(), lr=0.02)
    trainer = Trainer(model, nn.CrossEntropyLoss(), optimizer, progress=False, **options)
    return trainer, DataLoader.from_numpy(X, Y, batch_size=8, shuffle=True, seed=0)


def test_fit_learns_and_reports():
    seen = []
    trainer, loader = setup(callbacks=[LoggingCallback(5, seen.append)])
    history = trainer.fit(loader, epochs=20, val_loader=loader)
    assert len(history) == 20 and history[-1]["loss"] < 0.5 * history[0]["loss"]
    assert history[-1]["val_accuracy"] > 0.9 and set(history[-1]) == {
        "epoch", "loss", "val_loss", "val_accuracy",
    }  # fmt: skip
    assert [s["step"] for s in seen] == list(range(0, 100, 5)) and seen[0]["loss"] > 0
    assert trainer.model.training
    assert trainer.evaluate(loader)["loss"] == pytest.approx(history[-1]["val_loss"])


def test_callbacks_in_order():
    class Recorder(Callback):
        def __init__(self):
            self.calls = []

        def on_epoch_start(self, epoch):
            self.calls.append(("start", epoch))

        def on_epoch_end(self, epoch):
            self.calls.append(("end", epoch))

        def on_batch_start(self, step, batch):
            assert len(batch) == 2

        def on_batch_end(self, step, loss):
            self.calls.append(step)

    recorder = Recorder()
    trainer, loader = setup(callbacks=CallbackList([recorder]))
    trainer.fit(loader, epochs=3, start_epoch=1)
    steps = [list(range(5)), list(range(5, 10))]
    assert recorder.calls == [("start", 1), *steps[0], ("end", 1), ("start", 2), *steps[1],
                              ("end", 2)]  # fmt: skip
    with pytest.raises(TypeError):
        CallbackList([3])


def test_accumulated_gradients_are_the_mean():
    def parameters(batch_size, steps):
        tf.manual_seed(0)
        model = nn.Linear(4, 2)
        loader = DataLoader.from_numpy(X, Y, batch_size=batch_size)
        Trainer(model, nn.CrossEntropyLoss(), optim.SGD(model.parameters(), 0.5),
                accumulate_steps=steps, progress=False).fit(loader)  # fmt: skip
        return model.weight.to_numpy()

    np.testing.assert_allclose(parameters(20, 1), parameters(5, 4), rtol=1e-5, atol=1e-6)
    # 40 rows in batches of 10, three at a time: the last one stands alone.
    np.testing.assert_allclose(parameters(30, 1), parameters(10, 3), rtol=1e-5, atol=1e-6)


def test_scheduler_interval():
    for interval, expected in (("step", 10), ("epoch", 2)):
        trainer, loader = setup(scheduler_interval=interval)
        trainer.scheduler = tf.StepLR(trainer.optimizer, 1000)
        trainer.fit(loader, 2)
        assert trainer.scheduler.last_step == expected
    with pytest.raises(ValueError):
        setup(scheduler_interval="minute")
    with pytest.raises(ValueError):
        setup(accumulate_steps=0)


def test_checkpoints_and_early_stopping(tmp_path):
    trainer, loader = setup(callbacks=[CheckpointCallback(tmp_path, 2), EarlyStopping(1, 10.0)])
    trainer.fit(loader, epochs=10)
    assert len(trainer.history) == 2 and os.listdir(tmp_path) == ["epoch_1.tfin"]
    tensors, metadata = load_checkpoint(tmp_path / "epoch_1.tfin", strict=False)
    other, _ = setup(1)
    other.model.load_state_dict(tensors)
    assert metadata == {"epoch": 1}
    x = Tensor(X)
    assert other.model.eval()(x).tolist() == trainer.model.eval()(x).tolist()


def test_an_interrupt_leaves_model_and_optimiser_usable():
    class Interrupt(Callback):
        def on_batch_end(self, step, loss):
            if step == 2:
                raise KeyboardInterrupt

    trainer, loader = setup(callbacks=[Interrupt()])
    with pytest.raises(KeyboardInterrupt):
        trainer.fit(loader, 5)
    assert_finite(trainer.model)
    trainer.callbacks.callbacks.clear()
    trainer.fit(loader, 1)


def test_any_callable_is_a_model():
    w = Tensor(np.zeros((4, 2)), requires_grad=True)
    trainer = Trainer(lambda x: x @ w, nn.cross_entropy, optim.SGD([w], 0.5), progress=False)
    loader = DataLoader.from_numpy(X, Y, batch_size=8)
    assert trainer.fit(loader, 3)[-1]["loss"] < 0.69
    for bad in ([], [Tensor([1.0])]):
        with pytest.raises(ValueError, match=r"\[Trainer\]"):
            trainer.train_epoch(bad)


def test_checkpoint_of_everything(tmp_path):
    trainer, loader = setup()
    trainer.fit(loader, 1)
    schedule = tf.StepLR(trainer.optimizer, 2, 0.1)
    schedule.step()
    path = save_checkpoint(
        tmp_path / "all", trainer.model, trainer.optimizer, schedule, {"note": "ü", "n": [1, 2]}
    )
    other, _ = setup(5)
    again = tf.StepLR(other.optimizer, 9)
    tensors, metadata = load_checkpoint(path, other.optimizer, again)
    other.model.load_state_dict(tensors)
    assert metadata == {"note": "ü", "n": [1, 2]} and again.last_step == 1
    for t in (trainer, other):
        tf.manual_seed(7)
        t.fit(DataLoader.from_numpy(X, Y, batch_size=8), 2)
    for p, q in zip(trainer.model.parameters(), other.model.parameters()):
        assert p.tolist() == q.tolist()  # to the bit


def test_checkpoints_hold_any_tensors(tmp_path):
    given = {"w1": Tensor([1.5, 2.5], True), "i": Tensor([[1]], dtype="int64"), "e": tf.zeros(0, 3),
             "b": Tensor([True], dtype="bool"), "s": Tensor(2.0, dtype="float64")}  # fmt: skip
    tensors, metadata = load_checkpoint(save_checkpoint(tmp_path / "c", given))
    assert metadata is None and list(tensors) == list(given)
    for name, t in tensors.items():
        assert (t.tolist(), t.dtype, t.shape) == (
            given[name].tolist(), given[name].dtype, given[name].shape,
        )  # fmt: skip
    tensors, _ = load_checkpoint(save_checkpoint(tmp_path / "l", [tf.ones(1), tf.zeros(1)]))
    assert list(tensors) == ["0", "1"]


def test_damaged_and_unfit_checkpoints(tmp_path):
    trainer, _ = setup()
    path = Path(save_checkpoint(tmp_path / "c", trainer.model))
    with pytest.raises(tf.CheckpointError, match="strict=False"):
        load_checkpoint(path, trainer.optimizer)
    load_checkpoint(path, trainer.optimizer, strict=False)
    whole = path.read_bytes()
    for damage in (whole[:-1], whole[: len(whole) // 2], b"", b"x" * 100,
                   whole[:-10] + bytes([whole[-10] ^ 1]) + whole[-9:]):  # fmt: skip
        path.write_bytes(damage)
        with pytest.raises(tf.CheckpointError):
            load_checkpoint(path)
    with pytest.raises(FileNotFoundError):
        load_checkpoint(tmp_path / "nothing")
    with pytest.raises(OSError):
        save_checkpoint(tmp_path / "no" / "folder", [tf.ones(1)])
    with pytest.raises(TypeError):
        save_checkpoint(tmp_path / "c", tf.ones(1))


def test_assert_finite():
    assert_finite([tf.ones(2), tf.zeros(0)])
    with pytest.raises(FloatingPointError, match="after step 3: tensor 'b' of shape"):
        assert_finite({"a": tf.ones(1), "b": Tensor([1.0, float("nan")])}, "after step 3")
    assert Tensor([float("inf")]).has_nan_or_inf() and not tf.ones(3).has_nan_or_inf()


THREADS = """
import hashlib, sys
import numpy as np
import tinyfin as tf
from tinyfin import nn, optim
from tinyfin.data import DataLoader
from tinyfin.training import Trainer
tf.set_num_threads(int(sys.argv[1]))
tf.manual_seed(0)
rng = np.random.default_rng(0)
x = rng.standard_normal((256, 1, 16, 16)).astype(np.float32)
y = rng.integers(0, 10, 256)
model = nn.Sequential(nn.Conv2d(1, 8, 3, padding=1, activation="relu"), nn.MaxPool2d(2),
    nn.Flatten(), nn.Dropout(0.2), nn.Linear(512, 64, activation="relu"), nn.Linear(64, 10))
Trainer(model, nn.CrossEntropyLoss(), optim.Adam(model.parameters()), progress=False).fit(
    DataLoader.from_numpy(x, y, batch_size=64, shuffle=True, seed=1), 2)
digest = hashlib.sha256()
for value in model.state_dict().values():
    digest.update(value.tobytes())
print(digest.hexdigest())
"""


def test_the_number_of_threads_changes_no_bit():
    digests = {
        subprocess.run(
            [sys.executable, "-c", THREADS, str(n)], capture_output=True, text=True, check=True
        ).stdout  # fmt: skip
        for n in (1, 2, 3, 4)
    }
    assert len(digests) == 1


def test_examples_run(tmp_path):
    env = {**os.environ, "PYTHONWARNINGS": "error::DeprecationWarning"}
    text = tmp_path / "text.txt"
    text.write_text("the quick brown fox jumps over the lazy dog. " * 60)
    tiny = ["--text", text, "--steps", 3, "--context", 16, "--width", 16, "--layers", 1]
    for script, options in (("char_gpt.py", tiny),):
        command = [sys.executable, ROOT / "examples" / "python" / script, *options]
        run = subprocess.run([str(c) for c in command], capture_output=True, text=True, env=env,
                             check=False)  # fmt: skip
        assert run.returncode == 0, run.stderr
        assert "validation" in run.stdout
