# SPDX-License-Identifier: MIT
"""Data sets, batches, transforms, MNIST."""

from .loader import DataLoader, Dataset, TensorDataset
from .mnist import load_mnist
from .transforms import Compose, Lambda, Normalize, RandomCrop, RandomHorizontalFlip, Transform

__all__ = [
    "Compose",
    "DataLoader",
    "Dataset",
    "Lambda",
    "Normalize",
    "RandomCrop",
    "RandomHorizontalFlip",
    "TensorDataset",
    "Transform",
    "load_mnist",
]
