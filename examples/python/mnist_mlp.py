# SPDX-License-Identifier: MIT
"""A multilayer perceptron learns to read digits: 98 % of 10,000 after five epochs.

python examples/python/mnist_mlp.py [--epochs 5] [--threads 2] [--plot digits.png]
"""

import argparse
from pathlib import Path

import tinyfin as tf
from tinyfin import nn
from tinyfin.data import DataLoader, load_mnist
from tinyfin.optim import Adam
from tinyfin.scheduler import OneCycleLR
from tinyfin.training import Callback, Trainer

DATA = Path(__file__).resolve().parents[1] / "data" / "mnist"


def plot(path, losses, model, test):
    """The loss of every batch, and 24 test digits with what the network takes them for."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    images, labels = (t[:24] for t in test.tensors)
    with tf.no_grad():
        guesses = model(images).argmax(1).tolist()
    figure = plt.figure(figsize=(11, 5))
    curve, grid = figure.subfigures(1, 2)
    axes = curve.subplots()
    axes.plot(losses, linewidth=0.5)
    axes.set(xlabel="batch", ylabel="loss", yscale="log", title="training")
    for axis, image, guess, label in zip(
        grid.subplots(4, 6).flat, images.numpy(), guesses, labels.tolist()
    ):
        axis.imshow(image[0], cmap="gray_r")
        axis.set_title(guess, color="green" if guess == label else "red", fontsize=10)
        axis.axis("off")
    figure.savefig(path, dpi=120)
    print(f"picture: {path}")


class Losses(Callback):
    def __init__(self):
        self.values = []

    def on_batch_end(self, step, loss):
        self.values.append(loss)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--lr", type=float, default=3e-3, help="the highest learning rate")
    parser.add_argument("--threads", type=int, help="default: all processors")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--data", default=DATA, help="folder with the four MNIST files")
    parser.add_argument("--plot", metavar="FILE.png", help="draw loss and predictions")
    options = parser.parse_args()
    if options.threads:
        tf.set_num_threads(options.threads)
    tf.manual_seed(options.seed)

    train, test = load_mnist(options.data), load_mnist(options.data, train=False)
    model = nn.Sequential(
        nn.Flatten(),
        nn.Linear(784, 128, activation="relu"),
        nn.Linear(128, 64, activation="relu"),
        nn.Linear(64, 10),
    )
    loader = DataLoader(train, options.batch_size, shuffle=True, seed=options.seed)
    optimizer = Adam(model.parameters(), lr=options.lr)
    scheduler = OneCycleLR(optimizer, options.lr, options.epochs * len(loader))
    losses = Losses()
    trainer = Trainer(model, nn.CrossEntropyLoss(), optimizer, [losses], scheduler)
    trainer.fit(loader, options.epochs, val_loader=DataLoader(test, 1000))
    print(f"test accuracy: {100 * trainer.history[-1]['val_accuracy']:.2f} %")
    if options.plot:
        plot(options.plot, losses.values, model, test)


if __name__ == "__main__":
    main()
