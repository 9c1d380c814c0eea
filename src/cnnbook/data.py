"""The images of the book: loaded by name, verified before they are used.

``load()`` gives a tenth-scale Fashion-MNIST that comes with the package, so that nothing is ever
downloaded. The whole of Fashion-MNIST and CIFAR-10 are downloaded by torchvision, at the reader's
wish only. Every file is compared with its published checksum at every load, because a damaged one
would not stop a training run; it would only spoil its numbers. The checksums guard against
accidents, not against malice.

Sources: Xiao, Rasul and Vollgraf (2017), "Fashion-MNIST: a Novel Image Dataset for Benchmarking
Machine Learning Algorithms", arXiv:1708.07747, MIT licence; Krizhevsky (2009), "Learning Multiple
Layers of Features from Tiny Images", University of Toronto (CIFAR-10).
"""

import gzip
import hashlib
import http.client
import math
import os
import shutil
import warnings
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from cnnbook._arguments import check_images

NAMES = ("fashion-mini", "fashion-mnist", "cifar10")
FASHION_CLASSES = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)

# SHA-256 of the unpacked files. Of the packed ones several versions are about, which differ in
# their gzip headers only; these are the contents of those whose MD5 torchvision lists.
_FASHION_SHA256 = {
    "train-images-idx3-ubyte": "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
    "train-labels-idx1-ubyte": "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
    "t10k-images-idx3-ubyte": "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
    "t10k-labels-idx1-ubyte": "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
}


class DataError(RuntimeError):
    """A file of a data set is missing, damaged, or cannot be fetched or stored."""


@dataclass(frozen=True, eq=False, repr=False)
class Split:
    """The training or the test part of a data set.

    Attributes:
        images: Pixels as stored, uint8 from 0 to 255, shape (N, C, H, W).
        labels: Class of each image as an index into ``ImageData.classes``, int64, shape (N,).

    Raises:
        ValueError: If dtypes or shapes are others than these.
    """

    images: Tensor
    labels: Tensor

    def __post_init__(self) -> None:
        if self.images.dtype != torch.uint8 or self.images.ndim != 4:
            raise ValueError(f"images must be uint8 (N, C, H, W), got {_describe(self.images)}")
        if self.labels.dtype != torch.int64 or self.labels.shape != self.images.shape[:1]:
            raise ValueError(
                f"labels must be int64 ({len(self.images)},), one for each image, "
                f"got {_describe(self.labels)}"
            )

    @property
    def x(self) -> Tensor:
        """The images as float32 in [0, 1], shape (N, C, H, W); computed anew at each access."""
        return self.images.float().div_(255)

    @property
    def y(self) -> Tensor:
        """The labels, int64, shape (N,)."""
        return self.labels

    def __len__(self) -> int:
        return len(self.images)

    def __repr__(self) -> str:
        return f"Split({len(self)} images of shape {tuple(self.images.shape[1:])})"


@dataclass(frozen=True, eq=False)
class ImageData:
    """A data set of labelled images.

    Attributes:
        name: The name it is loaded by.
        classes: Names of the classes, in the order of the labels.
        train: The images to learn from.
        test: The images to measure with.
    """

    name: str
    classes: tuple[str, ...]
    train: Split
    test: Split


def load(
    name: str = "fashion-mini",
    *,
    root: str | os.PathLike[str] | None = None,
    download: bool = False,
) -> ImageData:
    """Load a data set into memory, verified against its published checksums.

    =============  ===============  ===========  ====================================
    name           images           shape        where from
    =============  ===============  ===========  ====================================
    fashion-mini   10,000 + 2,000   (1, 28, 28)  shipped with the package
    fashion-mnist  60,000 + 10,000  (1, 28, 28)  ``root/FashionMNIST/raw/*-ubyte.gz``
    cifar10        50,000 + 10,000  (3, 32, 32)  ``root/cifar-10-batches-py/``
    =============  ===============  ===========  ====================================

    Of Fashion-MNIST, the packed and the unpacked files do equally. A download goes to
    ``root/<name>.part`` and is moved from there file by file once verified, so one that dies
    half-way leaves nothing behind that is trusted later; a second call goes on with the files that
    are not yet complete.

    Args:
        name: "fashion-mini", "fashion-mnist" or "cifar10".
        root: Folder of the downloaded data sets, laid out as torchvision does. By default the
            environment variable CNNBOOK_DATA, or else ``~/.cache/cnnbook``. Without meaning for
            "fashion-mini".
        download: Fetch what is missing or damaged in ``root``. Without meaning for "fashion-mini",
            which is never downloaded.

    Raises:
        ValueError: If ``name`` is not one of the three.
        TypeError: If ``root`` is neither a path nor None.
        DataError: If a file is missing, damaged, or cannot be fetched or stored; the message says
            which one and what to do.
    """
    if name not in NAMES:
        raise ValueError(f"name must be one of {', '.join(map(repr, NAMES))}, got {name!r}")
    if root is not None and not isinstance(root, str | os.PathLike):
        raise TypeError(f"root must be a path or None, got {root!r}")
    if name == "fashion-mini":
        return _read_fashion_mini()
    folder = Path(root or os.environ.get("CNNBOOK_DATA") or "~/.cache/cnnbook").expanduser()
    try:
        return _READ[name](folder)
    except DataError:
        if not download:
            raise
    _FETCH[name](folder)
    return _READ[name](folder)


def standardize(x: Tensor, reference: Tensor | None = None) -> Tensor:
    """Shift and scale each channel to mean 0 and standard deviation 1 over ``reference``.

    Args:
        x: Images, floating point, shape (N, C, H, W).
        reference: The images whose statistics are used, shape (M, C, H, W); by default ``x``. For
            test images this is the training split: its statistics belong to the model.

    Returns:
        (x − mean) / std, shape (N, C, H, W), where mean and std (that of the population, not the
        sample's estimate) are taken per channel over M, H and W.

    Raises:
        TypeError: If an argument is not a floating-point tensor.
        ValueError: If shapes do not fit, or a channel of ``reference`` is constant.
    """
    check_images("x", x)
    reference = x if reference is None else reference
    check_images("reference", reference)
    if x.shape[1] != reference.shape[1]:
        raise ValueError(
            f"reference must have the {x.shape[1]} channels of x, got {_describe(reference)}"
        )
    std, mean = torch.std_mean(reference, dim=(0, 2, 3), correction=0, keepdim=True)
    if not bool((std > 0).all()):
        raise ValueError(
            "reference must vary in every channel, got standard deviations "
            f"{std.flatten().tolist()}"
        )
    return (x - mean) / std


def parse_idx(content: bytes) -> Tensor:
    """Read an array of unsigned bytes in the IDX format, that of MNIST and its successors.

    Two zero bytes, the code of the type (8: unsigned byte), the number of axes, the length of each
    axis as a big-endian 32-bit integer, and the values, last axis fastest.

    Args:
        content: The whole file, unpacked.

    Returns:
        The array, uint8, with the axes it was written with.

    Raises:
        ValueError: If ``content`` is no such file, or is of another length than its header says.
    """
    if len(content) < 4 or content[:3] != b"\x00\x00\x08":
        raise ValueError(f"content must be an IDX file of unsigned bytes, begins {content[:4]!r}")
    start = 4 + 4 * content[3]
    shape = [int.from_bytes(content[i : i + 4], "big") for i in range(4, start, 4)]
    expected = start + math.prod(shape)
    if len(content) != expected:
        raise ValueError(f"content must be {expected} bytes as its header says, got {len(content)}")
    return torch.from_numpy(np.frombuffer(content, np.uint8, offset=start).copy()).reshape(shape)


def _describe(tensor: Tensor) -> str:
    return f"{str(tensor.dtype).removeprefix('torch.')} {tuple(tensor.shape)}"


def _fashion_data(name: str, contents: Mapping[str, bytes]) -> ImageData:
    """Parse the four unpacked files of Fashion-MNIST or a part of it."""

    def split(prefix: str) -> Split:
        images = parse_idx(contents[f"{prefix}-images-idx3-ubyte"])
        labels = parse_idx(contents[f"{prefix}-labels-idx1-ubyte"])
        return Split(images.unsqueeze(1), labels.long())

    return ImageData(name, FASHION_CLASSES, split("train"), split("t10k"))


# --- shipped with the package ---------------------------------------------------------------------


def _fashion_mini_folder() -> Traversable:
    return files("cnnbook") / "_data" / "fashion-mini"


def _read_fashion_mini() -> ImageData:
    folder = _fashion_mini_folder()
    lines = _shipped(folder / "SHA256SUMS").decode("ascii", errors="replace").splitlines()
    sums = {line[66:]: line[:64] for line in lines}  # 64 digits, two spaces, the name
    contents = {}
    for stem in _FASHION_SHA256:
        path = folder / f"{stem}.gz"
        packed = _shipped(path)
        if hashlib.sha256(packed).hexdigest() != sums.get(path.name):
            raise DataError(f"{path} is damaged (its SHA-256 is not in SHA256SUMS); {_REINSTALL}")
        contents[stem] = gzip.decompress(packed)
    return _fashion_data("fashion-mini", contents)


_REINSTALL = "to get it back, reinstall cnnbook"


def _shipped(path: Traversable) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error}); {_REINSTALL}") from error


# --- downloaded by torchvision, which is imported late because that takes seconds -----------------


def _read_fashion_mnist(root: Path) -> ImageData:
    raw = root / "FashionMNIST" / "raw"
    remedy = _remedy("fashion-mnist", root)
    return _fashion_data(
        "fashion-mnist", {stem: _fashion_content(raw, stem, remedy) for stem in _FASHION_SHA256}
    )


def _fashion_content(raw: Path, stem: str, remedy: str) -> bytes:
    """Return the contents of the first copy of a file, packed or not, that is as published."""
    problem = f"{raw / stem}.gz is missing"
    for path in (raw / stem, raw / f"{stem}.gz"):
        if not path.is_file():
            continue
        try:
            content = path.read_bytes()
            if path.suffix == ".gz":
                content = gzip.decompress(content)
        except (OSError, EOFError, zlib.error) as error:
            problem = f"{path} cannot be read ({error})"
            continue
        if hashlib.sha256(content).hexdigest() == _FASHION_SHA256[stem]:
            return content
        problem = f"{path} is damaged (its SHA-256 is not the published one)"
    raise DataError(f"{problem}; {remedy}")


def _fetch_fashion_mnist(root: Path) -> None:
    from torchvision.datasets import FashionMNIST

    raw = root / "FashionMNIST" / "raw"
    remedy = _remedy("fashion-mnist", root)
    with _staging(root, "fashion-mnist") as stage:
        for filename, md5 in FashionMNIST.resources:
            stem = filename.removesuffix(".gz")
            try:
                _fashion_content(raw, stem, remedy)
            except DataError:
                urls = [mirror + filename for mirror in FashionMNIST.mirrors]
                _fetch(urls, stage, filename, md5)
                _fashion_content(stage, stem, remedy)
                _move(stage / filename, raw)


def _read_cifar10(root: Path) -> ImageData:
    from torchvision.datasets import CIFAR10

    _check_cifar10(root / CIFAR10.base_folder, _remedy("cifar10", root))
    with warnings.catch_warnings():
        # NumPy 2.4.0 to 2.4.4 warn of an argument in pickles as old as these; nothing is wrong.
        warnings.simplefilter("ignore", np.exceptions.VisibleDeprecationWarning)
        parts = [CIFAR10(root, train=train) for train in (True, False)]

    def split(part: CIFAR10) -> Split:
        images = torch.from_numpy(part.data).permute(0, 3, 1, 2).contiguous()
        return Split(images, torch.tensor(part.targets))

    return ImageData("cifar10", tuple(parts[0].classes), split(parts[0]), split(parts[1]))


def _check_cifar10(folder: Path, remedy: str) -> list[Path]:
    """Compare each file with its MD5, as torchvision does, but say which one is wrong."""
    from torchvision.datasets import CIFAR10
    from torchvision.datasets.utils import calculate_md5

    sums = dict([*CIFAR10.train_list, *CIFAR10.test_list])
    sums[CIFAR10.meta["filename"]] = CIFAR10.meta["md5"]
    for filename, md5 in sums.items():
        path = folder / filename
        if not path.is_file():
            raise DataError(f"{path} is missing; {remedy}")
        try:
            found = calculate_md5(path)
        except OSError as error:
            raise DataError(f"{path} cannot be read ({error}); {remedy}") from error
        if found != md5:
            raise DataError(f"{path} is damaged (its MD5 is not the published one); {remedy}")
    return [folder / filename for filename in sums]


def _fetch_cifar10(root: Path) -> None:
    from torchvision.datasets import CIFAR10
    from torchvision.datasets.utils import extract_archive

    with _staging(root, "cifar10") as stage:
        _fetch([CIFAR10.url], stage, CIFAR10.filename, CIFAR10.tgz_md5)
        extract_archive(stage / CIFAR10.filename, stage)
        for path in _check_cifar10(stage / CIFAR10.base_folder, _remedy("cifar10", root)):
            _move(path, root / CIFAR10.base_folder)


_READ = {"fashion-mnist": _read_fashion_mnist, "cifar10": _read_cifar10}
_FETCH = {"fashion-mnist": _fetch_fashion_mnist, "cifar10": _fetch_cifar10}


def _remedy(name: str, root: Path) -> str:
    return f"to fetch it, call load({name!r}, root={str(root)!r}, download=True)"


@contextmanager
def _staging(root: Path, name: str) -> Iterator[Path]:
    """Give the folder to download to; remove it unless an error leaves it to the next call."""
    stage = root / f"{name}.part"
    try:
        stage.mkdir(parents=True, exist_ok=True)
        yield stage
        shutil.rmtree(stage)
    except OSError as error:
        raise DataError(
            f"{root} cannot be written to ({error}); choose another folder with root=... or with "
            "the environment variable CNNBOOK_DATA"
        ) from error


def _fetch(urls: list[str], stage: Path, filename: str, md5: str) -> None:
    """Download one file, from the first URL that has it, unless it is complete already."""
    from torchvision.datasets.utils import download_url

    problems = []
    for url in urls:
        try:
            download_url(url, stage, filename, md5)
        except PermissionError:
            raise
        except (OSError, RuntimeError, http.client.HTTPException) as error:
            problems.append(f"{url}: {error}")
        else:
            return
    raise DataError(
        f"{filename} could not be downloaded ({'; '.join(problems)}); to go on, call load(..., "
        f"download=True) again: what is complete is kept in {stage}"
    )


def _move(path: Path, folder: Path) -> None:
    """Put a verified file in its place in one step, so that no half of it is ever seen there."""
    folder.mkdir(parents=True, exist_ok=True)
    path.replace(folder / path.name)
