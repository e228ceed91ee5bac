# SPDX-License-Identifier: MIT
"""Data sets, loaders, transforms, MNIST."""

from pathlib import Path

import numpy as np
import pytest
import tinyfin as tf
from tinyfin import Tensor, data

MNIST = Path(__file__).resolve().parents[2] / "examples" / "data" / "mnist"


def numbers(loader):
    return [batch[0].tolist() for batch in loader]


def test_batches_in_order():
    x, y = np.arange(10, dtype=np.float32), np.arange(10) * 2
    loader = data.DataLoader.from_numpy(x, y, batch_size=4)
    assert len(loader) == 3
    for _ in range(2):
        batches = list(loader)
        assert all(isinstance(b, list) and len(b) == 2 for b in batches)
        assert [b[0].tolist() for b in batches] == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]
        assert [b[1].tolist() for b in batches][2] == [16, 18] and batches[0][1].dtype == "int64"
    assert len(data.DataLoader.from_numpy(x, batch_size=4, drop_last=True)) == 2
    assert len(list(data.DataLoader(Tensor(x), 4, drop_last=True))) == 2
    assert numbers(data.DataLoader(Tensor(x), 20)) == [list(range(10))]


@pytest.mark.parametrize("native", [True, False])
def test_shuffling_is_reproducible_and_differs_by_epoch(native):
    def loader(seed):
        options = {} if native else {"collate_fn": data.loader.default_collate}
        return data.DataLoader.from_numpy(
            np.arange(50), batch_size=7, shuffle=True, seed=seed, **options
        )

    a, b = loader(1), loader(1)
    first, second = numbers(a), numbers(a)
    assert [numbers(b), numbers(b)] == [first, second] and first != second
    assert sorted(sum(first, [])) == list(range(50)) and numbers(loader(2)) != first
    tf.manual_seed(3)
    drawn = numbers(loader(None))
    assert numbers(loader(None)) != drawn
    tf.manual_seed(3)
    assert numbers(loader(None)) == drawn


def test_two_iterations_at_once():
    loader = data.DataLoader(Tensor(np.arange(6)), 2)
    pairs = [(a[0].tolist(), b[0].tolist()) for a, b in zip(loader, loader)]
    assert pairs == [([0, 1],) * 2, ([2, 3],) * 2, ([4, 5],) * 2]


class Squares(data.Dataset):
    def __len__(self):
        return 5

    def __getitem__(self, index):
        if index == 4 and getattr(self, "broken", False):
            raise KeyError("broken item")
        return Tensor([index * index]), index


@pytest.mark.parametrize("workers", [0, 2])
def test_data_sets_of_ones_own(workers):
    loader = data.DataLoader(Squares(), 2, num_workers=workers)
    assert [b[0].tolist() for b in loader] == [[[0], [1]], [[4], [9]], [[16]]]
    assert [b[1].tolist() for b in loader] == [[0, 1], [2, 3], [4]]
    joined = data.DataLoader(Squares(), 5, collate_fn=len, num_workers=workers)
    assert list(joined) == [5]
    broken = Squares()
    broken.broken = True
    with pytest.raises(KeyError, match="broken item"):
        list(data.DataLoader(broken, 2, num_workers=workers))
    next(iter(data.DataLoader(Squares(), 1, num_workers=workers)))


class Numbers(data.Dataset):
    def __len__(self):
        return 23

    def __getitem__(self, index):
        return Tensor([index]), index


@pytest.mark.parametrize("workers", [0, 2])
def test_one_order_for_all_data_sets(workers):
    """It follows from seed and epoch, not from who puts the batches together."""
    x = np.arange(23)
    plain = data.DataLoader(data.TensorDataset(x[:, None], x), 5, shuffle=True, seed=3)
    changed = data.TensorDataset(x[:, None], x, transform=lambda row: row + 100)
    others = [
        data.DataLoader(Numbers(), 5, shuffle=True, seed=3, num_workers=workers),
        data.DataLoader(changed, 5, shuffle=True, seed=3, num_workers=workers),
    ]
    for _ in range(2):
        order = [labels.tolist() for _, labels in plain]
        assert sorted(sum(order, [])) == list(range(23)) != sum(order, [])
        assert [labels.tolist() for _, labels in others[0]] == order
        batches = list(others[1])
        assert [labels.tolist() for _, labels in batches] == order
        assert [(rows - 100).squeeze(1).tolist() for rows, _ in batches] == order


def test_prefetch_changes_nothing():
    x = np.arange(600 * 300, dtype=np.float32).reshape(600, 300)  # batches worth a thread

    def batches(**options):
        loader = data.DataLoader.from_numpy(
            x, x[:, 0], batch_size=64, shuffle=True, seed=1, **options
        )
        return [[t.to_numpy() for t in batch] for _ in range(2) for batch in loader]

    before = tf.num_threads()
    try:
        for threads in (1, before):
            tf.set_num_threads(threads)
            expected = batches(prefetch_batches=0)
            for count in (1, 2, 7):
                got = batches(prefetch_batches=count)
                assert len(got) == len(expected) == 20
                for (x0, y0), (x1, y1) in zip(got, expected):
                    np.testing.assert_array_equal(x0, x1)
                    np.testing.assert_array_equal(y0, y1)
    finally:
        tf.set_num_threads(before)


def test_tensor_dataset():
    d = data.TensorDataset(np.ones((3, 2), np.float32), [0, 1, 2])
    assert len(d) == 3 and d[1][0].tolist() == [1, 1] and d[-1][1].item() == 2
    with pytest.raises(IndexError):
        d[3]
    with pytest.raises(ValueError, match="same first size"):
        data.TensorDataset(np.ones(3), np.ones(2))
    with pytest.raises(ValueError):
        data.TensorDataset()
    for bad in ({"batch_size": 0}, {"num_workers": -1}, {"prefetch_batches": -1},
                {"prefetch_batches": 1025}):  # fmt: skip
        with pytest.raises(ValueError, match=r"\[DataLoader\]"):
            data.DataLoader(d, **bad)


def test_transforms():
    image = Tensor(np.arange(18).reshape(2, 3, 3))
    assert data.Lambda(lambda x: x + 1)(image).tolist()[0][0][0] == 1
    normal = data.Normalize([0.0, 9.0], [1.0, 3.0])(image)
    assert normal[1].tolist()[0] == pytest.approx([0, 1 / 3, 2 / 3])
    assert data.Normalize(1.0, 2.0)(image).tolist()[0][0] == [-0.5, 0, 0.5]
    assert data.RandomHorizontalFlip(1.0)(image).tolist()[0][0] == [2, 1, 0]
    assert data.RandomHorizontalFlip(0.0)(image) is image
    crops = {str(data.RandomCrop(2, seed=s)(image).tolist()) for s in range(30)}
    assert len(crops) == 4
    assert data.RandomCrop((3, 5), padding=(0, 1))(image).shape == (2, 3, 5)
    with pytest.raises(ValueError, match="at least"):
        data.RandomCrop(4)(image)
    both = data.Compose([data.Lambda(lambda x: x * 2), data.RandomHorizontalFlip(1.0)])
    d = data.TensorDataset(np.ones((4, 1, 2, 2)), np.arange(4), transform=both)
    batches = list(data.DataLoader(d, 4))
    assert batches[0][0].shape == (4, 1, 2, 2) and batches[0][0].sum().item() == 32


def test_mnist(monkeypatch, tmp_path):
    test = data.load_mnist(MNIST, train=False)
    images, labels = test.tensors
    assert (images.shape, images.dtype) == ((10000, 1, 28, 28), "float32")
    assert (labels.shape, labels.dtype) == ((10000,), "int64")
    assert 0 <= images.numpy().min() and images.numpy().max() == 1
    assert labels.tolist()[:5] == [7, 2, 1, 0, 4]
    monkeypatch.setenv("TINYFIN_DATA", str(MNIST.parent))
    hot = data.load_mnist(train=False, one_hot=True).tensors[1]
    assert hot.shape == (10000, 10) and hot.numpy().argmax(1)[:3].tolist() == [7, 2, 1]


def test_mnist_that_is_nowhere_names_every_place(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("TINYFIN_DATA", raising=False)
    monkeypatch.setattr(data.mnist, "_SOURCES", ((tmp_path / "nowhere").as_uri() + "/",))
    with pytest.raises(FileNotFoundError) as caught:
        data.load_mnist(tmp_path / "mine")
    for place in ("mine", "cache", "nowhere", "TINYFIN_DATA"):
        assert place in str(caught.value)


def test_downloads_are_checked_and_kept(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("TINYFIN_DATA", raising=False)
    monkeypatch.setattr(data.mnist, "_SOURCES", (MNIST.as_uri() + "/",))
    assert len(data.load_mnist(train=False)) == 10000
    assert (tmp_path / "cache/tinyfin/mnist/t10k-labels-idx1-ubyte.gz").is_file()
    source = tmp_path / "bad"
    source.mkdir()
    (source / "train-images-idx3-ubyte.gz").write_bytes(b"not an archive")
    monkeypatch.setattr(data.mnist, "_SOURCES", (source.as_uri() + "/",))
    with pytest.raises(FileNotFoundError, match="SHA-256"):
        data.load_mnist()
