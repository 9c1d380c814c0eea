"""The library behind *Convolutional Networks That Train*.

Every idea of the book is written out once, here, and tested against PyTorch. The modules stand on
floors: a module imports only from floors below its own.

Importing the package also makes ``import torchvision`` work beside a CPU build of torch; see
``cnnbook._torchvision``.
"""

from cnnbook import _torchvision

__version__ = "0.1.0"
__all__ = ["__version__"]

del _torchvision
