# SPDX-License-Identifier: MIT
"""MNIST: from a folder, or downloaded once into the user's cache."""

from __future__ import annotations

import gzip
import hashlib
import os
import zlib
from pathlib import Path
from typing import Any

from .. import _convert, _ops
from .._native import ffi, lib, made
from ..errors import FileError, FormatError, MissingFileError, check
from ..tensor import Tensor
from .loader import TensorDataset

# SHA-256 of the contents: archives of the same contents differ.
_FILES = {
    "train-images-idx3": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    "train-labels-idx1": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    "t10k-images-idx3": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    "t10k-labels-idx1": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
}
_SOURCES = (
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
    "https://storage.googleapis.com/cvdf-datasets/mnist/",
)


def load_mnist(root: Any = None, train: bool = True, one_hot: bool = False) -> TensorDataset:
    """The 60,000 training or 10,000 test digits: images (N, 1, 28, 28) from 0 to 1, labels (N,).

    Looks in root, in $TINYFIN_DATA, in the user's cache; then downloads. one_hot: labels (N, 10)
    of zeros and ones instead of int64 numbers.
    """
    part = "train" if train else "t10k"
    images = _read(_find(f"{part}-images-idx3-ubyte.gz", root), "float32", 1 / 255)
    labels = _read(_find(f"{part}-labels-idx1-ubyte.gz", root), "int64", 1.0)
    if images.shape[1:] != (28, 28) or labels.shape != images.shape[:1]:
        raise FormatError(
            f"[load_mnist] received images of {images.shape} and labels of {labels.shape}; "
            "expected (N, 28, 28) and (N,)"
        )
    if one_hot:
        labels = _ops.one_hot(labels, 10).float()
    return TensorDataset(images.unsqueeze(1), labels)


def _read(path: Path, dtype: str, scale: float) -> Tensor:
    out = ffi.new("tf_tensor **")
    number = _convert.dtype_number(dtype)
    check(lib.tf_read_idx(os.fsencode(path), number, scale, out))
    return made(out[0])


def cache_folder() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "tinyfin"


def _places(root: Any) -> list[Path]:
    places = [] if root is None else [Path(root)]
    if os.environ.get("TINYFIN_DATA"):
        places.append(Path(os.environ["TINYFIN_DATA"]))
    places.append(cache_folder())
    return [p for place in places for p in (place, place / "mnist")]


def _find(name: str, root: Any) -> Path:
    places = _places(root)
    for place in places:
        for candidate in (place / name, place / name[: -len(".gz")]):
            if candidate.is_file():
                return candidate
    tried = [str(p) for p in places]
    target = cache_folder() / "mnist" / name
    for source in _SOURCES:
        try:
            _download(source + name, target, _FILES[name[: -len("-ubyte.gz")]])
            return target
        except OSError as error:
            tried.append(f"{source}{name} ({error})")
    raise MissingFileError(
        f"[load_mnist] {name} is in none of: {'; '.join(tried)}; give the folder as root or set "
        "TINYFIN_DATA"
    )


def _download(url: str, target: Path, sha256: str) -> None:
    """Fetches a file beside its place, going on where an earlier try stopped; then renames."""
    import urllib.request

    from tqdm import tqdm

    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(target.name + ".part")
    have = part.stat().st_size if part.exists() else 0
    request = urllib.request.Request(url, headers={"Range": f"bytes={have}-"} if have else {})
    with urllib.request.urlopen(request, timeout=30) as answer:
        resumed = have and answer.status == 206
        total = int(answer.headers.get("Content-Length") or 0) + (have if resumed else 0)
        with open(part, "ab" if resumed else "wb") as file, tqdm(
            total=total or None,
            initial=have if resumed else 0,
            desc=target.name,
            unit="B",
            unit_scale=True,
            disable=None,
        ) as bar:
            while chunk := answer.read(1 << 16):
                file.write(chunk)
                bar.update(len(chunk))
    try:
        digest = hashlib.sha256(gzip.decompress(part.read_bytes())).hexdigest()
    except (EOFError, OSError, zlib.error):
        digest = "of no gzip file"
    if digest != sha256:
        part.unlink()
        raise FileError(f"received SHA-256 {digest}; expected {sha256}")
    os.replace(part, target)
