# SPDX-License-Identifier: MIT
"""A small convolutional network reads digits: 98.5 % and more after three epochs.

python examples/python/mnist_cnn.py [--epochs 3] [--threads 2] [--save cnn.tfin]
"""

import argparse
from pathlib import Path

import tinyfin as tf
from tinyfin import nn
from tinyfin.data import DataLoader, load_mnist
from tinyfin.optim import AdamW
from tinyfin.scheduler import OneCycleLR
from tinyfin.training import Trainer
from tinyfin.utils import save_checkpoint

DATA = Path(__file__).resolve().parents[1] / "data" / "mnist"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--lr", type=float, default=3e-3, help="the highest learning rate")
    parser.add_argument("--threads", type=int, help="default: all processors")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--data", default=DATA, help="folder with the four MNIST files")
    parser.add_argument("--save", metavar="FILE", help="write the trained parameters")
    options = parser.parse_args()
    if options.threads:
        tf.set_num_threads(options.threads)
    tf.manual_seed(options.seed)

    train = DataLoader(
        load_mnist(options.data), options.batch_size, shuffle=True, seed=options.seed
    )
    test = DataLoader(load_mnist(options.data, train=False), 500)
    model = nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1, activation="relu"),
        nn.MaxPool2d(2),
        nn.Conv2d(16, 32, 3, padding=1, activation="relu"),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(32 * 7 * 7, 64, activation="relu"),
        nn.Linear(64, 10),
    )
    print(model.summary())
    optimizer = AdamW(model.parameters(), lr=options.lr, weight_decay=1e-4)
    scheduler = OneCycleLR(optimizer, options.lr, options.epochs * len(train))
    trainer = Trainer(model, nn.CrossEntropyLoss(), optimizer, scheduler=scheduler)
    trainer.fit(train, options.epochs, val_loader=test)
    print(f"test accuracy: {100 * trainer.history[-1]['val_accuracy']:.2f} %")
    if options.save:
        print(f"parameters: {save_checkpoint(options.save, model, optimizer, scheduler)}")


if __name__ == "__main__":
    main()
