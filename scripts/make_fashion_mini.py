"""Makes the images shipped with the package: a stratified tenth-scale Fashion-MNIST.

    python scripts/make_fashion_mini.py --source FOLDER

FOLDER holds the four ``.gz`` files of Fashion-MNIST (Debian's package ``dataset-fashion-mnist``
has them, and is where they are looked for by default). From each class, 1,000 training and 200
test images are drawn and written under the same file names in the same format, so that one reader
serves both, together with the licence and SHA256SUMS.

Which images are drawn is decided by a hash of seed, split and index rather than by a random number
generator, whose sequence another version of a library might change. The images are stored in the
order of that hash, so that every prefix of the files is itself a random sample. Nothing that
changes from run to run, such as a date, is written: the same source gives the same bytes.
"""

import argparse
import gzip
import hashlib
import io
import struct
import zlib
from collections.abc import Sequence
from pathlib import Path

from torch import Tensor

from cnnbook.data import parse_idx

SOURCE = Path("/usr/share/datasets/fashion-mnist")
OUTPUT = Path(__file__).resolve().parents[1] / "src" / "cnnbook" / "_data" / "fashion-mini"
PER_CLASS = {"train": 1000, "t10k": 200}

LICENCE = """\
The MIT License (MIT)

Copyright (c) 2017 Zalando SE, https://tech.zalando.com

Permission is hereby granted, free of charge, to any person obtaining a copy of
this software and associated documentation files (the "Software"), to deal in
the Software without restriction, including without limitation the rights to
use, copy, modify, merge, publish, distribute, sublicense, and/or sell copies of
the Software, and to permit persons to whom the Software is furnished to do so,
subject to the following conditions:

The above copyright notice and this permission notice shall be included in all
copies or substantial portions of the Software.

THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR
IMPLIED, INCLUDING BUT NOT LIMITED TO THE WARRANTIES OF MERCHANTABILITY, FITNESS
FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT. IN NO EVENT SHALL THE AUTHORS OR
COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM, DAMAGES OR OTHER LIABILITY, WHETHER
IN AN ACTION OF CONTRACT, TORT OR OTHERWISE, ARISING FROM, OUT OF OR IN
CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE SOFTWARE.
"""


def draw(labels: Tensor, per_class: int, seed: int, split: str) -> list[int]:
    """Draw as many indices from every class.

    Args:
        labels: The class of each image, shape (N,).
        per_class: How many to draw from each class.
        seed: Another seed gives another draw.
        split: Name of the split; part of the seed, so that the splits are drawn independently.

    Returns:
        The indices, in an order that is random with respect to class and position.

    Raises:
        ValueError: If a class has fewer images.
    """

    def key(index: int) -> bytes:
        return hashlib.sha256(f"{seed}/{split}/{index}".encode()).digest()

    chosen: list[int] = []
    for label in labels.unique().tolist():
        members = (labels == label).nonzero().flatten().tolist()
        if len(members) < per_class:
            raise ValueError(
                f"per_class must be at most {len(members)}, the images of class {label} in "
                f"{split}, got {per_class}"
            )
        chosen += sorted(members, key=key)[:per_class]
    return sorted(chosen, key=key)


def read_idx(path: Path) -> Tensor:
    """Return the array in a packed IDX file.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it cannot be unpacked or is not in the IDX format.
    """
    packed = path.read_bytes()
    try:
        return parse_idx(gzip.decompress(packed))
    except (gzip.BadGzipFile, EOFError, zlib.error, ValueError) as error:
        raise ValueError(f"{path} is damaged: {error}") from error


def pack_idx(array: Tensor) -> bytes:
    """Return a uint8 array as a packed IDX file, the inverse of ``read_idx``."""
    header = struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape)
    buffer = io.BytesIO()
    # No name and no date. GzipFile writes its header itself, where gzip.compress leaves the last
    # bytes of it to the zlib at hand.
    with gzip.GzipFile(filename="", mode="wb", fileobj=buffer, compresslevel=9, mtime=0) as file:
        file.write(header + array.numpy().tobytes())
    return buffer.getvalue()


def make(source: Path, output: Path, per_class: dict[str, int], seed: int) -> None:
    """Write the reduced data set, its licence and its checksums.

    Args:
        source: Folder of the four ``.gz`` files.
        output: Folder to write to; made if it is not there.
        per_class: How many images to draw from each class, by the prefix of the file names.
        seed: Seed of the draw.

    Raises:
        FileNotFoundError: If ``source`` lacks one of the files.
        ValueError: If a file is damaged, or a class has too few images.
    """
    made = {"LICENSE": LICENCE.encode()}
    for split, count in per_class.items():
        names = [f"{split}-images-idx3-ubyte.gz", f"{split}-labels-idx1-ubyte.gz"]
        images, labels = (read_idx(source / name) for name in names)
        indices = draw(labels, count, seed, split)
        for name, array in zip(names, (images, labels), strict=True):
            made[name] = pack_idx(array[indices])
    sums = [f"{hashlib.sha256(made[name]).hexdigest()}  {name}\n" for name in sorted(made)]
    made["SHA256SUMS"] = "".join(sums).encode()

    output.mkdir(parents=True, exist_ok=True)
    for name, content in made.items():
        (output / name).write_bytes(content)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line given in ``arguments`` (by default, that of the process)."""
    parser = argparse.ArgumentParser(description="Make the images shipped with the package.")
    parser.add_argument("--source", type=Path, default=SOURCE, help="folder of the .gz files")
    parser.add_argument("--output", type=Path, default=OUTPUT, help="folder to write to")
    parser.add_argument("--seed", type=int, default=0, help="seed of the draw")
    options = parser.parse_args(arguments)
    try:
        make(options.source, options.output, PER_CLASS, options.seed)
    except (OSError, ValueError) as error:
        parser.error(
            f"{error}; --source must be a folder with the four .gz files of Fashion-MNIST, "
            f"got {options.source}"
        )


if __name__ == "__main__":
    main()
