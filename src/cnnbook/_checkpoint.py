"""Checkpoints: the file from which ``train.fit`` resumes."""

import hashlib
import io
import os
import re
import zipfile
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from cnnbook import _files

_FORMAT = "cnnbook.train 2"
_ADDRESS = re.compile(r" at 0x[0-9a-f]+")


class CheckpointError(RuntimeError):
    """A checkpoint is damaged, foreign, or of a run with other settings."""


class Store:
    """A checkpoint file: replaced in one step, so that a kill leaves the old one or the new one.

    Args:
        path: The file; it need not be there.
        settings: What a run must have in common with one that it resumes, by name.
        parts: What has a ``state_dict`` to keep, by name.
        device: Where the run is; the state of its generator is kept beside the CPU's.

    Raises:
        TypeError: If ``path`` is no path.
        ValueError: If it is a folder, or lies in none.
    """

    def __init__(
        self,
        path: object,
        settings: dict[str, object],
        parts: dict[str, Any],
        device: torch.device,
    ) -> None:
        if not isinstance(path, str | os.PathLike):
            raise TypeError(f"checkpoint must be a path or None, got {path!r}")
        self.path = Path(path)
        if self.path.is_dir() or not self.path.parent.is_dir():
            raise ValueError(f"checkpoint must be a file in a folder that exists, got {path}")
        self.settings = {name: _ADDRESS.sub("", str(value)) for name, value in settings.items()}
        self.parts = parts
        self.device = device

    def save(self, run: dict[str, Any], *, first: bool = False) -> None:
        """Save the parts, the global random state, and what else tells where the run stands.

        Args:
            run: Tensors, and Python's own numbers and containers.
            first: Whether to read it back, before an hour is spent on what cannot be resumed.

        Raises:
            CheckpointError: If a state holds something else, or the file cannot be written.
        """
        content = {
            "format": _FORMAT,
            "settings": self.settings,
            "random state": torch.get_rng_state(),
            "random state of the device": (
                torch.cuda.get_rng_state(self.device) if self.device.type == "cuda" else None
            ),
            "run": run,
            **{name: part.state_dict() for name, part in self.parts.items()},
        }
        buffer = io.BytesIO()
        try:
            torch.save(content, buffer)
            if first:
                torch.load(io.BytesIO(buffer.getvalue()), weights_only=True)
        except Exception as error:
            raise CheckpointError(
                f"{self.path} cannot hold this run: the states of model, optimiser and schedule "
                f"may consist of tensors and Python's own numbers and containers only ({error})"
            ) from error
        try:
            _files.write(self.path, buffer.getbuffer())
        except OSError as error:
            raise CheckpointError(f"{self.path} cannot be written: {error}") from error

    def resume(self) -> dict[str, Any] | None:
        """Load the parts and the random state; return the rest, or None if there is no file.

        Raises:
            CheckpointError: If the file is damaged, foreign, or of a run with other settings.
        """
        if not self.path.exists():
            return None
        remedy = "delete it to start again, or give another path"
        try:
            with zipfile.ZipFile(self.path) as archive:  # PyTorch itself skips the checksums
                if (member := archive.testzip()) is not None:
                    raise ValueError(f"wrong checksum of {member}")
            content = torch.load(self.path, weights_only=True, map_location="cpu")
        except Exception as error:
            raise CheckpointError(f"{self.path} is damaged ({error}); {remedy}") from error
        if not isinstance(content, dict) or content.get("format") != _FORMAT:
            raise CheckpointError(f"{self.path} is no checkpoint of this version of fit; {remedy}")
        differences = [
            f"{name} was {content['settings'].get(name)}, is {value}"
            for name, value in self.settings.items()
            if content["settings"].get(name) != value
        ]
        if differences:
            raise CheckpointError(
                f"{self.path} is of a run with other settings: {'; '.join(differences)}. Give "
                f"those, with the model as it was at the start; or {remedy}"
            )
        for name, part in self.parts.items():
            part.load_state_dict(content[name])
        torch.set_rng_state(content["random state"])
        if self.device.type == "cuda":
            torch.cuda.set_rng_state(content["random state of the device"], self.device)
        return content["run"]


def digest(*values: object) -> str:
    """Return a short hash of tensors (dtype, shape and bytes) and of what else prints as text."""
    found = hashlib.sha256()
    for value in values:
        if isinstance(value, Tensor):
            found.update(f"{value.dtype}{tuple(value.shape)}".encode())
            found.update(value.detach().cpu().contiguous().flatten().view(torch.uint8).numpy())
        else:
            found.update(str(value).encode())
    return found.hexdigest()[:16]
