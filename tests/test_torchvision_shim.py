"""``import torchvision`` works wherever cnnbook was imported first; and nothing else changes.

Each case runs in an interpreter of its own: operators, once defined, stay. One interpreter costs
seconds, so a case asks all that it can of it. Warnings are errors there.
"""

import subprocess
import sys
import textwrap
from importlib.machinery import EXTENSION_SUFFIXES, ModuleSpec
from pathlib import Path

import pytest
import torch

from cnnbook import _torchvision


def run(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(code)],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def check_silent(code: str) -> None:
    done = run(code)
    assert done.stderr == ""
    assert done.stdout == ""
    assert done.returncode == 0


def test_torchvision_works_after_cnnbook() -> None:
    check_silent(
        """
        import sys
        import cnnbook
        assert "torchvision" not in sys.modules, "slow"

        import importlib
        from cnnbook import _torchvision
        library = _torchvision._library
        importlib.reload(_torchvision)
        assert _torchvision._library is library
        assert _torchvision._missing() == []
        assert _torchvision.install() is None, "defined twice"

        import torch
        from torchvision import datasets, models, utils
        from torchvision.transforms import v2
        assert models.resnet18().eval()(torch.zeros(1, 3, 8, 8)).shape == (1, 1000)
        assert v2.functional.hflip(torch.tensor([[[0, 1]]])).tolist() == [[[1, 0]]]
        assert utils.make_grid(torch.zeros(4, 1, 2, 2), nrow=2, padding=0).shape == (3, 4, 4)
        assert len(datasets.FashionMNIST.classes) == 10

        import torchvision
        boxes = torch.tensor([[0.0, 0, 1, 1], [0, 0, 1, 1]]), torch.tensor([2.0, 1.0])
        try:
            assert torchvision.ops.nms(*boxes, 0.5).tolist() == [0]
            assert library is None
        except RuntimeError as error:
            assert "Couldn't load custom C++ ops" in str(error)
            assert library is not None
        """
    )


def test_operators_that_exist_are_left_alone() -> None:
    check_silent(
        """
        import torch
        mine = torch.library.Library("torchvision", "DEF")
        for name in ("nms", "qnms"):
            mine.define(name + "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        mine.impl("nms", lambda dets, scores, iou_threshold: dets + 1, "CPU")
        tried = []
        torch.ops.load_library = tried.append

        from cnnbook import _torchvision
        assert _torchvision._library is None
        assert tried == [], "would have defined the operators again"
        found = torch.ops.torchvision.nms(torch.zeros(1), torch.zeros(1), 0.5)
        assert found.item() == 1
        """
    )


def test_torchvision_and_network_may_be_absent() -> None:
    check_silent(
        """
        import socket, sys

        class Absent:
            def find_spec(self, name, path=None, target=None):
                if name.partition(".")[0] == "torchvision":
                    raise ModuleNotFoundError(name)

        def refuse(*arguments):
            raise AssertionError("asked the network")

        sys.meta_path.insert(0, Absent())
        socket.socket.connect = refuse
        from cnnbook import _torchvision, data
        assert _torchvision._library is None
        assert len(data.load().train) == 10_000
        """
    )


# The decisions, with torch's answers replaced: nothing is defined in this process.


@pytest.fixture
def defined(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The schemas that ``install`` defines, on a Linux where both operators are missing."""
    defined: list[str] = []

    class Library:
        def __init__(self, namespace: str, kind: str) -> None:
            assert (namespace, kind) == ("torchvision", "FRAGMENT")

        def define(self, schema: str) -> None:
            defined.append(schema)

    monkeypatch.setattr(torch.library, "Library", Library)
    monkeypatch.setattr(_torchvision, "_missing", lambda: ["nms", "qnms"])
    monkeypatch.setattr(_torchvision, "_load_compiled", lambda _: False)
    monkeypatch.setattr(sys, "platform", "linux")
    return defined


def test_what_is_missing_is_defined(defined: list[str]) -> None:
    assert _torchvision.install() is not None
    assert [schema.partition("(")[0] for schema in defined] == ["nms", "qnms"]


def test_nothing_is_defined_elsewhere_than_on_linux(
    defined: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    assert _torchvision.install() is None
    assert defined == []


def test_nothing_is_defined_beside_a_compiled_library_that_loads(
    defined: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_torchvision, "_load_compiled", lambda _: True)
    assert _torchvision.install() is None
    assert defined == []


def test_nothing_is_defined_without_torchvision(
    defined: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_torchvision, "_package_folder", lambda: None)
    assert _torchvision.install() is None
    assert defined == []


@pytest.mark.parametrize("spec", [None, ModuleSpec("torchvision", None)])
def test_torchvision_that_is_no_package_counts_as_absent(
    monkeypatch: pytest.MonkeyPatch, spec: ModuleSpec | None
) -> None:
    monkeypatch.setattr(_torchvision, "find_spec", lambda _: spec)
    assert _torchvision._package_folder() is None


def test_torchvision_refused_by_an_import_hook_counts_as_absent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(name: str) -> None:
        raise ModuleNotFoundError(name)

    monkeypatch.setattr(_torchvision, "find_spec", refuse)
    assert _torchvision._package_folder() is None


def test_a_compiled_library_is_tried_where_there_is_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[str] = []
    monkeypatch.setattr(torch.ops, "load_library", tried.append)
    assert not _torchvision._load_compiled(str(tmp_path))
    path = tmp_path / f"_C{EXTENSION_SUFFIXES[0]}"
    path.touch()
    assert _torchvision._load_compiled(str(tmp_path))
    assert tried == [str(path)]


def test_a_compiled_library_that_does_not_load_is_no_error(tmp_path: Path) -> None:
    (tmp_path / f"_C{EXTENSION_SUFFIXES[0]}").touch()
    assert not _torchvision._load_compiled(str(tmp_path))
