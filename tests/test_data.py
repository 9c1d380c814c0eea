"""The images: what is shipped is whole, and nothing damaged, cut or half-downloaded is trusted.

Downloads come from a server on the loopback interface that offers small generated files; no test
needs a network. torchvision, whose classes list what to download and from where, is always named
by a string or imported inside a test: imported ahead of cnnbook it may fail (``_torchvision``).
"""

import gzip
import hashlib
import http.client
import io
import pickle
import shutil
import struct
import tarfile
import threading
import warnings
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
import torch

from cnnbook import data
from cnnbook.data import DataError, ImageData, Split, load, parse_idx, standardize

REAL = Path("/usr/share/datasets/fashion-mnist")
STEMS = (
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
)


def md5(content: bytes) -> str:
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


def idx(array: np.ndarray) -> bytes:
    return struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape) + array.tobytes()


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-5])


def empty(path: Path) -> None:
    path.write_bytes(b"")


def remove(path: Path) -> None:
    path.unlink()


def replace_by_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


DAMAGES = [flip, cut, empty, remove, replace_by_folder]


def tree(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


class Server:
    """Offers ``files`` on the loopback interface; of those in ``cut`` it sends the half only."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.cut: set[str] = set()
        self.asked: list[str] = []
        offered = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                name = self.path.removeprefix("/")
                offered.asked.append(name)
                if name not in offered.files:
                    self.send_error(404)
                    return
                content = offered.files[name]
                self.send_response(200)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content[: len(content) // 2 if name in offered.cut else None])

            def log_message(self, *arguments: object) -> None:
                pass

        class Quiet(ThreadingHTTPServer):
            def handle_error(self, *arguments: object) -> None:
                """A client that hangs up is no error here."""

        self.server = Quiet(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/"
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.02,))
        self.thread.start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("no_proxy", "*")
    server = Server()
    yield server
    server.close()


@pytest.fixture(autouse=True)
def no_own_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test looks into the cache of whoever runs it."""
    monkeypatch.delenv("CNNBOOK_DATA", raising=False)
    monkeypatch.setenv("HOME", "/nonexistent")


# --- what a data set is ---------------------------------------------------------------------------


def test_split_scales_its_pixels_to_the_unit_interval() -> None:
    split = Split(
        torch.tensor([0, 51, 255], dtype=torch.uint8).reshape(3, 1, 1, 1), torch.arange(3)
    )
    assert split.x.dtype == torch.float32
    assert torch.equal(split.x.flatten(), torch.tensor([0.0, 0.2, 1.0]))
    assert split.y is split.labels
    assert len(split) == 3
    assert repr(split) == "Split(3 images of shape (1, 1, 1))"


def test_changing_x_leaves_the_images_alone() -> None:
    split = Split(torch.ones(1, 1, 2, 2, dtype=torch.uint8), torch.zeros(1, dtype=torch.int64))
    split.x.zero_()
    assert split.images.sum() == 4
    assert split.x.sum() > 0


@pytest.mark.parametrize(
    ("images", "labels", "message"),
    [
        (
            torch.zeros(2, 1, 3, 3),
            torch.zeros(2, dtype=torch.int64),
            r"images must be uint8 \(N, C, H, W\), got float32 \(2, 1, 3, 3\)",
        ),
        (
            torch.zeros(2, 3, 3, dtype=torch.uint8),
            torch.zeros(2, dtype=torch.int64),
            r"images must be uint8 \(N, C, H, W\), got uint8 \(2, 3, 3\)",
        ),
        (
            torch.zeros(2, 1, 3, 3, dtype=torch.uint8),
            torch.zeros(2, dtype=torch.uint8),
            r"labels must be int64 \(2,\), one for each image, got uint8 \(2,\)",
        ),
        (
            torch.zeros(2, 1, 3, 3, dtype=torch.uint8),
            torch.zeros(3, dtype=torch.int64),
            r"labels must be int64 \(2,\), one for each image, got int64 \(3,\)",
        ),
    ],
)
def test_split_refuses_other_tensors(
    images: torch.Tensor, labels: torch.Tensor, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        Split(images, labels)


def test_standardize_uses_the_statistics_of_the_reference() -> None:
    torch.manual_seed(0)
    scale, shift = torch.tensor([1.0, 5.0]).view(1, 2, 1, 1), torch.tensor([0.0, 3.0])
    reference = torch.randn(50, 2, 4, 4, dtype=torch.float64) * scale + shift.view(1, 2, 1, 1)
    own = standardize(reference)
    for channel in own.unbind(1):
        assert abs(channel.mean().item()) < 1e-12
        assert channel.square().mean().item() == pytest.approx(1, abs=1e-12)
    assert torch.equal(standardize(reference[:7], reference), own[:7])
    assert not torch.allclose(standardize(reference[:7]), own[:7])


@pytest.mark.parametrize(
    ("x", "reference", "error", "message"),
    [
        (torch.zeros(2, 1, 3, 3, dtype=torch.uint8), None, TypeError, "x must have a floating"),
        (torch.zeros(2, 1, 3, 3), [1.0], TypeError, "reference must be a torch.Tensor"),
        (torch.rand(2, 3, 3, 3), torch.rand(2, 1, 3, 3), ValueError, "must have the 3 channels"),
        (torch.rand(2, 1, 3, 3), torch.ones(2, 1, 3, 3), ValueError, r"vary.* got .*\[0\.0\]"),
        (torch.rand(2, 1, 3, 3), torch.ones(0, 1, 3, 3), ValueError, r"vary.* got .*\[nan\]"),
    ],
)
@pytest.mark.filterwarnings("ignore:std_mean")
def test_standardize_refuses(
    x: torch.Tensor, reference: torch.Tensor | None, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        standardize(x, reference)


@pytest.mark.parametrize("shape", [(5,), (2, 3, 4), (0, 28, 28)])
def test_parse_idx_reads_what_torchvision_reads(tmp_path: Path, shape: tuple[int, ...]) -> None:
    from torchvision.datasets.mnist import read_sn3_pascalvincent_tensor

    array = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    (tmp_path / "file").write_bytes(idx(array))
    found = parse_idx(idx(array))
    assert torch.equal(found, torch.from_numpy(array))
    if array.size:
        assert torch.equal(found, read_sn3_pascalvincent_tensor(str(tmp_path / "file")))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "content must be an IDX file of unsigned bytes, begins b''"),
        (b"\0\0\x08", "content must be an IDX file of unsigned bytes"),
        (b"\0\0\x0d\x01\0\0\0\0", "content must be an IDX file of unsigned bytes"),
        (b"\0\0\x08\x02\0\0\0\x01", "content must be 12 bytes as its header says, got 8"),
        (b"\0\0\x08\x01\0\0\0\x02\x01", "content must be 10 bytes as its header says, got 9"),
        (b"\0\0\x08\x01\0\0\0\x00\x01", "content must be 8 bytes as its header says, got 9"),
    ],
)
def test_parse_idx_refuses(content: bytes, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse_idx(content)


# --- names and folders ----------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["mnist", "", None, ["cifar10"]])
def test_unknown_name_lists_the_known_ones(name: str) -> None:
    message = "name must be one of 'fashion-mini', 'fashion-mnist', 'cifar10', got "
    with pytest.raises(ValueError, match=message) as caught:
        load(name, download=True)
    assert str(caught.value).endswith(repr(name))


def test_root_must_be_a_path() -> None:
    with pytest.raises(TypeError, match="root must be a path or None, got 5"):
        load("cifar10", root=5)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("root", "variable", "expected"),
    [
        ("/r", "/v", "/r"),
        (Path("/r"), None, "/r"),
        ("~/r", "/v", "/home/r"),
        (None, "/v", "/v"),
        (None, "~/v", "/home/v"),
        (None, "", "/home/.cache/cnnbook"),
        (None, None, "/home/.cache/cnnbook"),
    ],
)
def test_where_the_files_are_looked_for(
    monkeypatch: pytest.MonkeyPatch, root: str | Path | None, variable: str | None, expected: str
) -> None:
    monkeypatch.setenv("HOME", "/home")
    if variable is not None:
        monkeypatch.setenv("CNNBOOK_DATA", variable)
    with pytest.raises(DataError) as caught:
        load("fashion-mnist", root=root)
    assert str(caught.value) == (
        f"{expected}/FashionMNIST/raw/train-images-idx3-ubyte.gz is missing; to fetch it, "
        f"call load('fashion-mnist', root='{expected}', download=True)"
    )


# --- fashion-mini ---------------------------------------------------------------------------------


def test_fashion_mini_is_the_default() -> None:
    images = load()
    assert images.name == "fashion-mini"
    for split, count in ((images.train, 10_000), (images.test, 2_000)):
        assert split.images.shape == (count, 1, 28, 28)
        assert split.y.bincount().tolist() == [count // 10] * 10
        assert split.x.min() == 0
        assert split.x.max() == 1


def test_class_names_are_those_of_torchvision() -> None:
    from torchvision.datasets import FashionMNIST

    assert list(data.FASHION_CLASSES) == FashionMNIST.classes
    assert load().classes is data.FASHION_CLASSES


def test_mini_training_and_test_images_differ() -> None:
    images = load()
    train = {image.numpy().tobytes() for image in images.train.images}
    test = {image.numpy().tobytes() for image in images.test.images}
    assert len(train) > 9_990
    assert not train & test


@pytest.fixture
def mini(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A copy of the shipped folder, from which fashion-mini is loaded."""
    folder = tmp_path / "fashion-mini"
    shutil.copytree(Path(str(data._fashion_mini_folder())), folder)
    monkeypatch.setattr(data, "_fashion_mini_folder", lambda: folder)
    return folder


@pytest.mark.parametrize("stem", STEMS)
@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_mini_is_never_trusted(
    mini: Path, stem: str, damage: Callable[[Path], None]
) -> None:
    path = mini / f"{stem}.gz"
    damage(path)
    with pytest.raises(DataError, match="to get it back, reinstall cnnbook") as caught:
        load()
    assert str(path) in str(caught.value)


def test_a_byte_that_gzip_ignores_counts_too(mini: Path) -> None:
    path = mini / f"{STEMS[1]}.gz"
    content = bytearray(path.read_bytes())
    content[4] ^= 1  # the date in the header
    path.write_bytes(content)
    with pytest.raises(DataError, match="is damaged"):
        load()


@pytest.mark.parametrize("damage", [flip, empty, remove, lambda path: path.write_bytes(b"\xff")])
def test_damaged_checksums_are_not_trusted(mini: Path, damage: Callable[[Path], None]) -> None:
    damage(mini / "SHA256SUMS")
    with pytest.raises(DataError, match="SHA256SUMS"):
        load()


def test_mini_is_never_fetched_whatever_is_asked(tmp_path: Path) -> None:
    assert len(load(root=tmp_path / "new", download=True).train) == 10_000
    assert not (tmp_path / "new").exists()


# --- fashion-mnist --------------------------------------------------------------------------------


@pytest.fixture
def fashion(monkeypatch: pytest.MonkeyPatch) -> dict[str, bytes]:
    """Files like those of Fashion-MNIST, only small, that pass for the published ones."""
    random = np.random.default_rng(0)
    contents = {}
    for split, count in (("train", 20), ("t10k", 10)):
        images = random.integers(0, 256, (count, 28, 28), dtype=np.uint8)
        contents[f"{split}-images-idx3-ubyte"] = idx(images)
        contents[f"{split}-labels-idx1-ubyte"] = idx(np.arange(count, dtype=np.uint8) % 10)
    packed = {f"{stem}.gz": gzip.compress(contents[stem]) for stem in STEMS}
    digests = {stem: hashlib.sha256(contents[stem]).hexdigest() for stem in STEMS}
    resources = [(name, md5(content)) for name, content in packed.items()]
    monkeypatch.setattr(data, "_FASHION_SHA256", digests)
    monkeypatch.setattr("torchvision.datasets.FashionMNIST.resources", resources)
    return packed


@pytest.fixture
def root(fashion: dict[str, bytes], tmp_path: Path) -> Path:
    """A folder with the packed files where torchvision puts them."""
    raw = tmp_path / "root" / "FashionMNIST" / "raw"
    raw.mkdir(parents=True)
    for name, content in fashion.items():
        (raw / name).write_bytes(content)
    return tmp_path / "root"


@pytest.fixture
def offered(fashion: dict[str, bytes], server: Server, monkeypatch: pytest.MonkeyPatch) -> Server:
    """The server, offering the packed files."""
    server.files = dict(fashion)
    monkeypatch.setattr("torchvision.datasets.FashionMNIST.mirrors", [server.url])
    return server


def unpack(root: Path) -> None:
    for path in (root / "FashionMNIST" / "raw").glob("*.gz"):
        path.with_suffix("").write_bytes(gzip.decompress(path.read_bytes()))
        path.unlink()


@pytest.mark.parametrize("packed", [True, False])
def test_fashion_mnist_is_what_torchvision_reads(root: Path, packed: bool) -> None:
    from torchvision.datasets import FashionMNIST

    if not packed:
        unpack(root)
    found = load("fashion-mnist", root=root)
    if packed:
        unpack(root)
    assert found.name == "fashion-mnist"
    for train, split in ((True, found.train), (False, found.test)):
        expected = FashionMNIST(root, train=train)
        assert torch.equal(split.images[:, 0], expected.data)
        assert torch.equal(split.labels, expected.targets)
        assert split.images.shape == (len(expected), 1, 28, 28)


@pytest.mark.parametrize("stem", STEMS)
@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_fashion_mnist_is_never_trusted(
    root: Path, stem: str, packed: bool, damage: Callable[[Path], None]
) -> None:
    if not packed:
        unpack(root)
    path = root / "FashionMNIST" / "raw" / (f"{stem}.gz" if packed else stem)
    damage(path)
    remedy = f"call load('fashion-mnist', root='{root}', download=True)"
    with pytest.raises(DataError) as caught:
        load("fashion-mnist", root=root)
    assert str(path) in str(caught.value)
    assert str(caught.value).endswith(remedy)


def test_bytes_that_do_not_unpack_are_named(root: Path) -> None:
    path = root / "FashionMNIST" / "raw" / f"{STEMS[0]}.gz"
    path.write_bytes(gzip.compress(b"")[:10] + b"\xff" * 20)
    with pytest.raises(DataError, match=rf"{path} cannot be read \(Error -3"):
        load("fashion-mnist", root=root)


def test_a_good_copy_makes_up_for_a_damaged_one(root: Path) -> None:
    raw = root / "FashionMNIST" / "raw"
    packed = tree(root)
    unpack(root)
    for name, content in packed.items():
        (root / name).write_bytes(content)
    flip(raw / STEMS[0])
    flip(raw / f"{STEMS[2]}.gz")
    assert len(load("fashion-mnist", root=root).test) == 10


@pytest.mark.usefixtures("fashion")
def test_empty_folder(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=f"{tmp_path}/FashionMNIST/raw/train-images.*is missing"):
        load("fashion-mnist", root=tmp_path)
    assert not list(tmp_path.iterdir())


def test_download(offered: Server, tmp_path: Path, fashion: dict[str, bytes]) -> None:
    root = tmp_path / "new" / "root"
    first = load("fashion-mnist", root=root, download=True)
    assert tree(root) == {f"FashionMNIST/raw/{name}": fashion[name] for name in fashion}
    assert not (root / "fashion-mnist.part").exists()
    offered.asked.clear()
    again = load("fashion-mnist", root=root, download=True)
    assert torch.equal(first.train.images, again.train.images)
    assert offered.asked == []


def test_download_that_dies_leaves_nothing_to_trust_and_goes_on_later(
    offered: Server, tmp_path: Path, fashion: dict[str, bytes]
) -> None:
    names = list(fashion)
    offered.cut = {names[2]}
    with pytest.raises(DataError, match=rf"{names[2]} could not be downloaded.*again") as caught:
        load("fashion-mnist", root=tmp_path, download=True)
    assert str(tmp_path / "fashion-mnist.part") in str(caught.value)
    assert (tmp_path / "fashion-mnist.part" / names[2]).stat().st_size < len(fashion[names[2]])
    assert tree(tmp_path / "FashionMNIST" / "raw") == {name: fashion[name] for name in names[:2]}
    with pytest.raises(DataError, match=f"{names[2]} is missing"):
        load("fashion-mnist", root=tmp_path)

    offered.cut.clear()
    offered.asked.clear()
    assert len(load("fashion-mnist", root=tmp_path, download=True).test) == 10
    assert set(offered.asked) == set(names[2:])
    assert tree(tmp_path) == {f"FashionMNIST/raw/{name}": fashion[name] for name in names}


def test_staged_file_that_is_complete_is_not_fetched_again(
    offered: Server, tmp_path: Path, fashion: dict[str, bytes]
) -> None:
    stage = tmp_path / "fashion-mnist.part"
    stage.mkdir()
    first, *others = fashion
    (stage / first).write_bytes(fashion[first])
    load("fashion-mnist", root=tmp_path, download=True)
    assert set(offered.asked) == set(others)


@pytest.mark.parametrize("damage", [flip, cut, empty, remove])
def test_download_replaces_only_what_is_damaged(
    offered: Server, root: Path, damage: Callable[[Path], None]
) -> None:
    before = tree(root)
    damage(root / "FashionMNIST" / "raw" / f"{STEMS[3]}.gz")
    load("fashion-mnist", root=root, download=True)
    assert set(offered.asked) == {f"{STEMS[3]}.gz"}
    assert tree(root) == before


def test_download_must_have_the_published_contents_too(
    offered: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Even if the file is the one whose MD5 torchvision lists."""
    other = gzip.compress(b"other")
    name = f"{STEMS[0]}.gz"
    offered.files[name] = other
    monkeypatch.setattr("torchvision.datasets.FashionMNIST.resources", [(name, md5(other))])
    with pytest.raises(DataError, match=f"fashion-mnist.part/{name} is damaged"):
        load("fashion-mnist", root=tmp_path, download=True)
    assert not (tmp_path / "FashionMNIST").exists()


def test_second_mirror_is_tried(
    offered: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mirrors = [f"{offered.url}gone/", offered.url]
    monkeypatch.setattr("torchvision.datasets.FashionMNIST.mirrors", mirrors)
    assert len(load("fashion-mnist", root=tmp_path, download=True).train) == 20
    assert f"gone/{STEMS[0]}.gz" in offered.asked


def test_every_mirror_is_named_when_all_fail(
    offered: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mirrors = [f"{offered.url}gone/", f"{offered.url}lost/"]
    monkeypatch.setattr("torchvision.datasets.FashionMNIST.mirrors", mirrors)
    with pytest.raises(DataError) as caught:
        load("fashion-mnist", root=tmp_path, download=True)
    for mirror in mirrors:
        assert f"{mirror}{STEMS[0]}.gz: HTTP Error 404" in str(caught.value)


@pytest.mark.usefixtures("fashion")
def test_broken_protocol_is_a_failed_download(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise http.client.IncompleteRead(b"some")

    monkeypatch.setattr("torchvision.datasets.utils.download_url", fail)
    with pytest.raises(DataError, match=r"could not be downloaded .*IncompleteRead\(4 bytes read"):
        load("fashion-mnist", root=tmp_path, download=True)


def test_interrupt_is_passed_on(
    fashion: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(_: str, stage: Path, filename: str, __: str) -> None:
        (stage / filename).write_bytes(fashion[filename][:30])
        raise KeyboardInterrupt

    monkeypatch.setattr("torchvision.datasets.utils.download_url", interrupt)
    with pytest.raises(KeyboardInterrupt):
        load("fashion-mnist", root=tmp_path, download=True)
    assert set(tree(tmp_path)) == {f"fashion-mnist.part/{STEMS[0]}.gz"}
    with pytest.raises(DataError, match=f"FashionMNIST/raw/{STEMS[0]}.gz is missing"):
        load("fashion-mnist", root=tmp_path)


# Root may write anywhere, so that a folder without write permission is simulated where it matters.


def deny(*_: object, **__: object) -> None:
    raise PermissionError(13, "Permission denied")


@pytest.mark.usefixtures("fashion")
def test_root_below_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    root = tmp_path / "file" / "root"
    with pytest.raises(DataError, match="is missing"):
        load("fashion-mnist", root=root)
    with pytest.raises(DataError, match=rf"{root} cannot be written to.*CNNBOOK_DATA"):
        load("fashion-mnist", root=root, download=True)


@pytest.mark.parametrize(
    "denied",
    ["pathlib.Path.mkdir", "torchvision.datasets.utils._urlretrieve", "pathlib.Path.replace"],
)
@pytest.mark.usefixtures("offered")
def test_read_only_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, denied: str) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(denied, deny)
        with pytest.raises(DataError, match=rf"{tmp_path} cannot be written to \(.*Permission"):
            load("fashion-mnist", root=tmp_path, download=True)
    assert not (tmp_path / "FashionMNIST" / "raw" / f"{STEMS[0]}.gz").exists()


def test_read_only_root_that_is_complete_is_enough(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pathlib.Path.mkdir", deny)
    assert len(load("fashion-mnist", root=root, download=True).train) == 20


@pytest.mark.skipif(not REAL.is_dir(), reason=f"the files of Fashion-MNIST are not in {REAL}")
def test_real_fashion_mnist(tmp_path: Path) -> None:
    raw = tmp_path / "FashionMNIST" / "raw"
    raw.mkdir(parents=True)
    for stem in STEMS:
        (raw / f"{stem}.gz").symlink_to(REAL / f"{stem}.gz")
    images = load("fashion-mnist", root=tmp_path)
    for split, count in ((images.train, 60_000), (images.test, 10_000)):
        assert split.images.shape == (count, 1, 28, 28)
        assert split.y.bincount().tolist() == [count // 10] * 10
    # Mean and deviation of the training pixels, as commonly used to normalise this data set.
    assert images.train.x.mean().item() == pytest.approx(0.2860, abs=5e-5)
    assert images.train.x.std().item() == pytest.approx(0.3530, abs=5e-5)


# --- cifar10 --------------------------------------------------------------------------------------

BATCHES = [f"data_batch_{i}" for i in range(1, 6)]


def packed_tar(contents: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name, content in contents.items():
            member = tarfile.TarInfo(f"cifar-10-batches-py/{name}")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


@pytest.fixture
def cifar(monkeypatch: pytest.MonkeyPatch, server: Server) -> dict[str, bytes]:
    """Files like those of CIFAR-10, only small, that pass for the published ones; and offered."""
    random = np.random.default_rng(0)
    contents = {}
    for name in (*BATCHES, "test_batch"):
        pixels = random.integers(0, 256, (4, 3072), dtype=np.uint8)
        contents[name] = pickle.dumps(
            {"data": pixels, "labels": random.integers(0, 10, 4).tolist()}
        )
    contents["batches.meta"] = pickle.dumps({"label_names": [f"class {i}" for i in range(10)]})
    sums = {name: md5(content) for name, content in contents.items()}
    archive = packed_tar(contents)
    server.files["archive.tar.gz"] = archive
    for attribute, value in {
        "train_list": [[name, sums[name]] for name in BATCHES],
        "test_list": [["test_batch", sums["test_batch"]]],
        "meta": {"filename": "batches.meta", "key": "label_names", "md5": sums["batches.meta"]},
        "url": f"{server.url}archive.tar.gz",
        "filename": "archive.tar.gz",
        "tgz_md5": md5(archive),
    }.items():
        monkeypatch.setattr(f"torchvision.datasets.CIFAR10.{attribute}", value)
    return contents


@pytest.fixture
def cifar_root(cifar: dict[str, bytes], tmp_path: Path) -> Path:
    folder = tmp_path / "root" / "cifar-10-batches-py"
    folder.mkdir(parents=True)
    for name, content in cifar.items():
        (folder / name).write_bytes(content)
    return tmp_path / "root"


def check_cifar(found: ImageData, cifar: dict[str, bytes]) -> None:
    """Channel, row and column of each pixel are where the format has them."""
    assert found.name == "cifar10"
    assert found.classes == tuple(f"class {i}" for i in range(10))
    for split, names in ((found.train, BATCHES), (found.test, ["test_batch"])):
        batches = [pickle.loads(cifar[name]) for name in names]
        pixels = np.concatenate([batch["data"] for batch in batches])
        assert torch.equal(split.images.flatten(1), torch.from_numpy(pixels))
        assert split.images.shape == (4 * len(names), 3, 32, 32)
        assert split.labels.tolist() == [label for batch in batches for label in batch["labels"]]


def test_cifar10(cifar_root: Path, cifar: dict[str, bytes]) -> None:
    check_cifar(load("cifar10", root=cifar_root), cifar)


@pytest.mark.filterwarnings("error")
def test_warnings_of_numpy_about_old_pickles_are_not_passed_on(
    cifar_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = pickle.load

    def warn_and_read(*arguments: object, **options: object) -> object:
        warnings.warn("align should be bool", np.exceptions.VisibleDeprecationWarning, stacklevel=1)
        return read(*arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr("torchvision.datasets.cifar.pickle.load", warn_and_read)
    assert len(load("cifar10", root=cifar_root).train) == 20


@pytest.mark.parametrize("name", [*BATCHES, "test_batch", "batches.meta"])
@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_cifar10_is_never_trusted(
    cifar_root: Path, name: str, damage: Callable[[Path], None]
) -> None:
    path = cifar_root / "cifar-10-batches-py" / name
    damage(path)
    problem = "is missing" if damage in (remove, replace_by_folder) else "is damaged"
    with pytest.raises(DataError, match=rf"{path} {problem}") as caught:
        load("cifar10", root=cifar_root)
    assert str(caught.value).endswith(f"load('cifar10', root='{cifar_root}', download=True)")


def test_unreadable_cifar10_is_named(cifar_root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torchvision.datasets.utils.calculate_md5", deny)
    with pytest.raises(DataError, match=r"data_batch_1 cannot be read \(.*Permission denied"):
        load("cifar10", root=cifar_root)


def test_download_of_cifar10(server: Server, tmp_path: Path, cifar: dict[str, bytes]) -> None:
    check_cifar(load("cifar10", root=tmp_path, download=True), cifar)
    assert tree(tmp_path) == {f"cifar-10-batches-py/{name}": cifar[name] for name in cifar}
    server.asked.clear()
    load("cifar10", root=tmp_path, download=True)
    assert server.asked == []


def test_download_of_cifar10_that_dies(
    server: Server, tmp_path: Path, cifar: dict[str, bytes]
) -> None:
    server.cut = {"archive.tar.gz"}
    with pytest.raises(DataError, match=r"archive.tar.gz could not be downloaded"):
        load("cifar10", root=tmp_path, download=True)
    assert set(tree(tmp_path)) == {"cifar10.part/archive.tar.gz"}
    server.cut.clear()
    check_cifar(load("cifar10", root=tmp_path, download=True), cifar)
    assert not (tmp_path / "cifar10.part").exists()


def test_complete_archive_is_not_fetched_again(
    server: Server, tmp_path: Path, cifar: dict[str, bytes]
) -> None:
    (tmp_path / "cifar10.part").mkdir()
    (tmp_path / "cifar10.part" / "archive.tar.gz").write_bytes(server.files["archive.tar.gz"])
    check_cifar(load("cifar10", root=tmp_path, download=True), cifar)
    assert server.asked == []


def test_archive_with_other_files_is_not_trusted(
    server: Server, tmp_path: Path, cifar: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = packed_tar(cifar | {"test_batch": b"other"})
    server.files["archive.tar.gz"] = archive
    monkeypatch.setattr("torchvision.datasets.CIFAR10.tgz_md5", md5(archive))
    with pytest.raises(DataError, match=r"cifar10.part/cifar-10-batches-py/test_batch is damaged"):
        load("cifar10", root=tmp_path, download=True)
    assert not (tmp_path / "cifar-10-batches-py").exists()


def test_download_repairs_cifar10(cifar_root: Path, cifar: dict[str, bytes]) -> None:
    flip(cifar_root / "cifar-10-batches-py" / "data_batch_3")
    check_cifar(load("cifar10", root=cifar_root, download=True), cifar)
