"""Makes ``import torchvision`` work where its compiled operators cannot be loaded.

On Linux the package index holds one torchvision wheel, built for CUDA. Beside a CPU build of torch
its compiled library ``_C.so`` does not load (it links to ``libc10_cuda.so``), which torchvision
allows for: every compiled operator is then skipped, except two. It registers a shape function for
``torchvision::nms`` and ``torchvision::qnms`` all the same, so that ``import torchvision`` ends in
``RuntimeError: operator torchvision::nms does not exist``, although the models, data sets,
transforms and utilities need no compiled operator at all.

Defining the *schemas* of these two operators beforehand is enough. They get no kernel: calling
``torchvision.ops.nms`` still raises torchvision's own error ("Couldn't load custom C++ ops").

Where torchvision's library does load, nothing is defined: a second definition of an operator would
be an error there. Importing this module neither imports torchvision (slow) nor needs it.
"""

import sys
from importlib.machinery import EXTENSION_SUFFIXES, ExtensionFileLoader, FileFinder
from importlib.util import find_spec

import torch

_OPERATORS = ("nms", "qnms")
_SIGNATURE = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"


def _missing() -> list[str]:
    """Return those of the two operators that torch does not know."""
    return [name for name in _OPERATORS if not hasattr(torch.ops.torchvision, name)]


def _package_folder() -> str | None:
    """Return the folder of torchvision without importing it; None if it is not installed."""
    try:
        spec = find_spec("torchvision")
    except ImportError:  # refused by an import hook
        return None
    return spec.submodule_search_locations[0] if spec and spec.submodule_search_locations else None


def _load_compiled(folder: str) -> bool:
    """Load torchvision's compiled library as ``torchvision.extension`` does; False if it cannot."""
    spec = FileFinder(folder, (ExtensionFileLoader, EXTENSION_SUFFIXES)).find_spec("_C")
    if spec is None or spec.origin is None:
        return False
    try:
        torch.ops.load_library(spec.origin)
    except OSError:
        return False
    return True


def install() -> torch.library.Library | None:
    """Define the schemas that ``import torchvision`` would stumble over, if it would.

    Returns:
        The library that holds the definitions, which last only as long as it is referenced; None
        if nothing had to be defined: the operators are there, torchvision is not installed, or
        this is not Linux, where torchvision's wheels are built for the CPU as torch's are.
    """
    if sys.platform != "linux" or not _missing():
        return None
    folder = _package_folder()
    if folder is None or _load_compiled(folder):
        return None
    library = torch.library.Library("torchvision", "FRAGMENT")
    for name in _missing():
        library.define(name + _SIGNATURE)
    return library


# Reloading this module must not drop the library: the operators would go with it.
_library: torch.library.Library | None = globals().get("_library") or install()
