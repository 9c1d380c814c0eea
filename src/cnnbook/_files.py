"""Files that are never half-written, and hashes of texts."""

import hashlib
import os
from pathlib import Path


def write(path: Path, content: bytes | memoryview) -> None:
    """Replace a file in one step: whatever happens, it holds the old content or the new.

    A process that is killed meanwhile may leave ``NAME.part`` beside it.

    Raises:
        OSError: If the file cannot be written.
    """
    stage = path.with_name(f"{path.name}.part")
    try:
        with open(stage, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(stage, path)
    except BaseException:
        stage.unlink(missing_ok=True)
        raise


def sha256(*texts: str) -> str:
    """Return the hash of texts, in hexadecimal."""
    return hashlib.sha256("\0".join(texts).encode()).hexdigest()
