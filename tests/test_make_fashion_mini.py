"""The script that makes the shipped images: same source, same bytes; as many of every class."""

import gzip
import hashlib
import importlib.util
import runpy
from pathlib import Path
from types import ModuleType

import pytest
import torch

from cnnbook.data import parse_idx

ROOT = Path(__file__).resolve().parents[1]
SCRIPT = ROOT / "scripts" / "make_fashion_mini.py"
SHIPPED = ROOT / "src" / "cnnbook" / "_data" / "fashion-mini"
REAL = Path("/usr/share/datasets/fashion-mnist")
MAX_BYTES = 6_000_000
PER_CLASS = {"train": 6, "t10k": 3}


@pytest.fixture(scope="module")
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("make_fashion_mini", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def source(script: ModuleType, tmp_path: Path) -> Path:
    """Forty training and twenty test images in three classes; pixel (0, 0) holds the index."""
    folder = tmp_path / "source"
    folder.mkdir()
    for split, count in (("train", 40), ("t10k", 20)):
        images = torch.zeros(count, 3, 2, dtype=torch.uint8)
        images[:, 0, 0] = torch.arange(count, dtype=torch.uint8)
        labels = torch.arange(count, dtype=torch.uint8) % 3
        (folder / f"{split}-images-idx3-ubyte.gz").write_bytes(script.pack_idx(images))
        (folder / f"{split}-labels-idx1-ubyte.gz").write_bytes(script.pack_idx(labels))
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def unpacked(folder: Path, name: str) -> torch.Tensor:
    return parse_idx(gzip.decompress((folder / name).read_bytes()))


def test_same_source_gives_same_bytes(script: ModuleType, source: Path, tmp_path: Path) -> None:
    script.make(source, tmp_path / "first", PER_CLASS, seed=0)
    script.make(source, tmp_path / "nested" / "second", PER_CLASS, seed=0)
    assert contents(tmp_path / "first") == contents(tmp_path / "nested" / "second")


def test_packed_files_carry_neither_date_nor_name(script: ModuleType) -> None:
    packed = script.pack_idx(torch.zeros(1, dtype=torch.uint8))
    assert packed[:10] == b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x02\xff"


@pytest.mark.parametrize("split", ["train", "t10k"])
def test_draws_as_many_of_every_class_each_image_once(
    script: ModuleType, source: Path, tmp_path: Path, split: str
) -> None:
    script.make(source, tmp_path / "out", PER_CLASS, seed=0)
    labels = unpacked(tmp_path / "out", f"{split}-labels-idx1-ubyte.gz")
    images = unpacked(tmp_path / "out", f"{split}-images-idx3-ubyte.gz")
    assert labels.bincount().tolist() == [PER_CLASS[split]] * 3
    assert images.shape == (3 * PER_CLASS[split], 3, 2)
    indices = images[:, 0, 0]
    assert len(indices.unique()) == len(indices)
    assert torch.equal(indices % 3, labels), "an image has lost its label"
    assert labels.tolist() != sorted(labels.tolist()), "the classes are not mixed"


def test_seed_and_split_each_change_the_draw(script: ModuleType) -> None:
    labels = torch.zeros(1000, dtype=torch.uint8)
    draws = [
        frozenset(script.draw(labels, 10, seed, split))
        for seed, split in ((0, "train"), (1, "train"), (0, "t10k"))
    ]
    assert len(set(draws)) == 3


def test_seed_reaches_the_files(script: ModuleType, source: Path, tmp_path: Path) -> None:
    for seed in (0, 1):
        script.make(source, tmp_path / str(seed), PER_CLASS, seed)
    first, second = contents(tmp_path / "0"), contents(tmp_path / "1")
    assert first["train-images-idx3-ubyte.gz"] != second["train-images-idx3-ubyte.gz"]


def test_checksums_cover_every_other_file(script: ModuleType, source: Path, tmp_path: Path) -> None:
    script.make(source, tmp_path / "out", PER_CLASS, seed=0)
    made = contents(tmp_path / "out")
    sums = made.pop("SHA256SUMS").decode()
    assert sums == "".join(
        f"{hashlib.sha256(made[name]).hexdigest()}  {name}\n" for name in sorted(made)
    )
    assert len(made) == 5
    assert b"Copyright (c) 2017 Zalando SE" in made["LICENSE"]


def test_too_few_images_of_a_class(script: ModuleType) -> None:
    with pytest.raises(ValueError, match=r"at most 2, the images of class 1 in train, got 3"):
        script.draw(torch.tensor([0, 0, 0, 1, 1]), 3, 0, "train")


def test_command_line_makes_the_files(
    script: ModuleType, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(script, "PER_CLASS", PER_CLASS)
    output = tmp_path / "out"
    script.main(["--source", str(source), "--output", str(output), "--seed", "7"])
    script.make(source, tmp_path / "expected", PER_CLASS, seed=7)
    assert contents(output) == contents(tmp_path / "expected")


def test_missing_source_is_named(
    script: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        script.main(["--source", str(tmp_path / "no"), "--output", str(tmp_path / "out")])
    message = capsys.readouterr().err
    assert str(tmp_path / "no" / "train-images-idx3-ubyte.gz") in message
    assert "--source must be a folder with the four .gz files" in message
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "content",
    [
        b"not gzip",
        gzip.compress(b"not IDX"),
        gzip.compress(bytes(99))[:-9],
        gzip.compress(b"")[:10] + b"\xff" * 20,
    ],
    ids=["no-gzip", "no-idx", "cut", "garbage"],
)
def test_damaged_source_is_refused(
    script: ModuleType,
    source: Path,
    tmp_path: Path,
    content: bytes,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(script, "PER_CLASS", PER_CLASS)
    path = source / "t10k-images-idx3-ubyte.gz"
    path.write_bytes(content)
    with pytest.raises(SystemExit, match="2"):
        script.main(["--source", str(source), "--output", str(tmp_path / "out")])
    assert f"{path} is damaged" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_runs_as_a_script(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", [str(SCRIPT), "--help"])
    with pytest.raises(SystemExit, match="0"):
        runpy.run_path(str(SCRIPT), run_name="__main__")
    assert "--source" in capsys.readouterr().out


def test_shipped_files_are_small_and_complete() -> None:
    sizes = {path.name: path.stat().st_size for path in SHIPPED.iterdir()}
    assert len(sizes) == 6
    assert sum(sizes.values()) <= MAX_BYTES


@pytest.mark.skipif(not REAL.is_dir(), reason=f"the files of Fashion-MNIST are not in {REAL}")
def test_shipped_files_are_those_the_script_makes(script: ModuleType, tmp_path: Path) -> None:
    script.main(["--source", str(REAL), "--output", str(tmp_path)])
    made, shipped = contents(tmp_path), contents(SHIPPED)
    for name in ("train-images-idx3-ubyte.gz", "t10k-images-idx3-ubyte.gz"):
        # First what is in the files, as a zlib of another make may pack the same in other bytes.
        assert gzip.decompress(made[name]) == gzip.decompress(shipped[name])
    assert made == shipped
