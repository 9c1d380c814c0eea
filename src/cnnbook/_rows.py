"""Running sums of one layer: what ``probes`` keeps of the batches it has seen."""

import math
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from torch import Tensor, nn

from cnnbook import _kernels

SPARSE_BELOW = 0.01
SATURATED_BELOW = 0.05
SATURATED_SHARE = 0.95

UNIT_COLUMNS = (
    *("layer", "unit", "positions", "z_mean", "z_std", "a_mean", "a_std", "active", "flat"),
    *("dead", "sparse", "dormant", "saturated", "nonfinite", "grad_z"),
)


@dataclass(eq=False)
class Mean:
    """A running mean of numbers."""

    count: int = 0
    total: float = 0.0

    def add(self, value: float) -> None:
        """Add one number."""
        self.count += 1
        self.total += value

    @property
    def value(self) -> float:
        """The mean, NaN of nothing."""
        return self.total / self.count if self.count else math.nan


@dataclass(eq=False)
class Sums:
    """Running sums of one quantity, per unit: count, first and second power."""

    count: int = 0
    powers: np.ndarray | None = None  # (units, 2)

    def add(self, rows: np.ndarray | Tensor) -> None:
        """Add ``rows`` (N, units, positions)."""
        _kernels.add_moments(rows, self.grown(rows))

    def grown(self, rows: np.ndarray | Tensor) -> np.ndarray:
        """Count ``rows``, and return the powers, to which the caller adds what they hold."""
        images, units, positions = rows.shape
        if self.powers is None:
            self.powers = np.zeros((units, 2))
        self.count += images * positions
        return self.powers

    def copy(self) -> "Sums":
        """Return what was added so far."""
        return Sums(self.count, None if self.powers is None else self.powers.copy())

    def mean(self, total: np.ndarray | float) -> np.ndarray | float:
        """Return a total of each unit as its mean over images and positions."""
        return total / self.count if self.count else math.nan

    def moments(self) -> tuple[np.ndarray | float, np.ndarray | float]:
        """Return the mean of each unit and its mean square."""
        first, second = (math.nan, math.nan) if self.powers is None else self.powers.T
        return self.mean(first), self.mean(second)


@dataclass(eq=False)
class Row:
    """Everything accumulated for one layer.

    Attributes:
        layer: Name in the table.
        op: Function of the weight layer; "" for an activation alone.
        activation: Function of the activation; "" for none.
        depth: Weight layers called so far.
        units: Number of units; 0 before the first batch.
        images: Images seen.
        units_last: Whether units are the last axis rather than the one after the batch.
        unbatched: Axes of a tensor that is one image without a batch axis; 0 if there is no such.
        weight: The parameter of the last call.
        z: Sums of the pre-activation.
        a: Sums of the activation.
        grad: Sums of ∂L/∂z.
        slopes: Of each unit Σ|a|, and the positions with φ′ ≠ 0 and with |φ′| ≥ 0.05 max |φ′|;
            (units, 3).
        grad_weight: Mean square of ∂L/∂weight, over the backward passes.
        update_ratio: ‖Δweight‖/‖weight‖, over the steps.
    """

    layer: str
    op: str = ""
    activation: str = ""
    depth: int = 0
    units: int = 0
    images: int = 0
    units_last: bool = False
    unbatched: int = 0
    weight: nn.Parameter | None = None
    z: Sums = field(default_factory=Sums)
    a: Sums = field(default_factory=Sums)
    grad: Sums = field(default_factory=Sums)
    slopes: np.ndarray | None = None
    grad_weight: Mean = field(default_factory=Mean)
    update_ratio: Mean = field(default_factory=Mean)

    def rows_of(self, value: Tensor) -> np.ndarray | Tensor:
        """Return ``value`` as (N, units, positions), in float32 at least.

        Raises:
            ValueError: If the number of units is not that of the batches before.
        """
        value = _kernels.values(value)
        shape = (1, *value.shape) if value.ndim == self.unbatched else value.shape
        if self.units_last:
            images, *middle, units = shape
            rows = value.reshape(images, math.prod(middle), units).swapaxes(1, 2)
        else:
            images, units, *middle = shape
            rows = value.reshape(images, units, math.prod(middle))
        if self.units not in (0, units):
            raise ValueError(
                f"layer {self.layer} had {self.units} units before and now has {units}; "
                "one table needs one number of units a layer"
            )
        self.units = units
        return rows

    def add_z(self, rows: np.ndarray | Tensor) -> None:
        """Add a batch of the pre-activation."""
        self.images += len(rows)
        self.z.add(rows)

    def add_relu(self, rows: np.ndarray | Tensor, known: bool) -> None:
        """Add a batch of the pre-activation of a ReLU, unless that is ``known``, and of its output.

        One reading of ``rows`` tells both.
        """
        z = Sums() if known else self.z
        self.images += 0 if known else len(rows)
        _kernels.add_relu_moments(rows, z.grown(rows), self.a.grown(rows), self._started())

    def add_activation(
        self, rows: np.ndarray | Tensor, moving: np.ndarray, working: np.ndarray
    ) -> None:
        """Add a batch of the activation, and how many positions of each unit move and work."""
        self.a.add(rows)
        magnitude = Sums()
        magnitude.add(abs(rows))
        slopes = np.column_stack([magnitude.powers[:, 0], moving, working])
        _kernels.add(slopes, self._started())

    def _started(self) -> np.ndarray:
        if self.slopes is None:
            self.slopes = np.zeros((self.units, 3))
        return self.slopes

    def unit_frame(self, tau: float) -> pd.DataFrame:
        """Return one row per unit, with ``UNIT_COLUMNS``."""
        frame = pd.DataFrame({"layer": self.layer, "unit": range(self.units)})
        frame["positions"] = self.z.count
        finite = pd.Series(True, index=frame.index)
        for name, sums in (("z", self.z), ("a", self.a)):
            mean, square = sums.moments()
            with np.errstate(invalid="ignore", over="ignore"):
                frame[f"{name}_mean"] = mean
                frame[f"{name}_std"] = np.sqrt(np.maximum(square - np.square(mean), 0))
            if sums.count:
                finite &= np.isfinite(frame[f"{name}_mean"])
        known = bool(self.activation) and self.a.count > 0
        count = self.a.count if known else math.nan
        magnitude, moving, working = np.zeros((3, self.units)) if not known else self.slopes.T
        frame["magnitude"] = magnitude / count
        frame["active"] = pd.Series(moving / count, index=frame.index).where(finite)
        layer_mean = frame["magnitude"][finite].mean()
        frame["flat"] = pd.Series((count - working) / count, index=frame.index).where(finite)
        verdicts = {
            "dead": frame["active"] == 0,
            "sparse": (frame["active"] > 0) & (frame["active"] < SPARSE_BELOW),
            "dormant": frame["magnitude"] <= tau * layer_mean,
            "saturated": frame["flat"] > SATURATED_SHARE,
        }
        for name, verdict in verdicts.items():
            frame[name] = verdict.astype("boolean").where(finite & known)
        frame["nonfinite"] = ~finite
        frame["grad_z"] = np.sqrt(self.grad.moments()[1])
        return frame[list(UNIT_COLUMNS)]

    def record(self, tau: float) -> dict[str, object]:
        """Return the layer's row of the table."""
        frame = self.unit_frame(tau)
        means = {}
        for name, sums in (("z", self.z), ("a", self.a)):
            mean, square = (float(np.mean(power)) for power in sums.moments())
            variance = square - mean**2 if math.isfinite(square) else math.nan
            means |= {f"{name}_mean": mean, f"{name}_std": math.sqrt(max(variance, 0.0))}
        shares = {
            name: float(frame[name].mean()) if frame[name].notna().any() else math.nan
            for name in ("dead", "sparse", "dormant", "saturated", "nonfinite")
        }
        return {
            "layer": self.layer,
            "op": self.op,
            "activation": self.activation,
            "depth": self.depth,
            "units": self.units,
            "images": self.images,
            "positions": self.z.count,
            **means,
            **shares,
            "flat": float(frame["flat"].mean()),
            "grad_z": float(np.sqrt(np.mean(self.grad.moments()[1]))),
            "grad_weight": math.sqrt(self.grad_weight.value),
            "update_ratio": self.update_ratio.value,
        }
