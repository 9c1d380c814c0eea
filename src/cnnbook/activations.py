"""Activations: each with its derivative, its range, its gain and its Gaussian moments.

``ACTIVATIONS`` is the one table that the book draws from. A function's derivative at a kink is the
value that PyTorch uses there, so that ReLU′(0) = 0.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, lru_cache, partial

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cnnbook._arguments import as_choice

Function = Callable[[Tensor], Tensor]

_SQRT2 = math.sqrt(2.0)
_SQRT_2PI = math.sqrt(2.0 * math.pi)
# Klambauer et al. (2017), equation 14: the pair for which N(0, 1) is a fixed point.
SELU_ALPHA = 1.6732632423543772
SELU_SCALE = 1.0507009873554805


@lru_cache(maxsize=1)
def _rule() -> tuple[np.ndarray, np.ndarray]:
    """Return nodes and weights of the 200-point Gauss–Legendre rule on [−1, 1]."""
    return np.polynomial.legendre.leggauss(200)


def gaussian_mean(
    function: Function, mean: float = 0.0, std: float = 1.0, kinks: tuple[float, ...] = ()
) -> float:
    """Return E[f(z)] for z ~ N(mean, std²), to about 1e-12 for the functions of this module.

    Gauss–Legendre quadrature over mean ± 12 std, broken at the kinks, where a rule for smooth
    functions such as Gauss–Hermite converges slowly, and at ±40: a saturating f bends between.

    Args:
        function: f, from a float64 tensor to one of the same shape.
        mean: Mean of z.
        std: Standard deviation of z, not negative.
        kinks: The points where f or its derivatives jump.

    Raises:
        ValueError: If ``std`` is negative or an argument is not finite.
    """
    if not (math.isfinite(mean) and math.isfinite(std)) or std < 0:
        raise ValueError(f"mean must be finite and std finite and ≥ 0, got {mean} and {std}")
    if std == 0:
        return function(torch.tensor([mean], dtype=torch.float64)).item()
    breaks = (*kinks, -40.0, 40.0)
    edges = [-12.0, 12.0, 0.0, *((point - mean) / std for point in breaks)]
    edges = sorted({edge for edge in edges if -12.0 <= edge <= 12.0})
    nodes, weights = _rule()
    total = 0.0
    for low, high in zip(edges, edges[1:], strict=False):
        half = (high - low) / 2
        z = torch.from_numpy(low + half * (nodes + 1))
        density = torch.exp(-(z**2) / 2) / _SQRT_2PI
        total += (
            half * (torch.from_numpy(weights) * density * function(mean + std * z)).sum().item()
        )
    return total


def gaussian_pair_mean(
    function: Function, std: float, correlation: float, kinks: tuple[float, ...] = ()
) -> float:
    """Return E[f(u) f(v)] for Gaussian u and v of mean 0 and a given correlation.

    ``gaussian_mean``'s rule in each of two independent directions, broken at the kinks of both
    factors; to about 1e-9 for correlations up to 0.999 and the functions of this module.

    Args:
        function: f, from a float64 tensor to one of the same shape.
        std: Standard deviation of u and of v, not negative.
        correlation: From −1 to 1.
        kinks: The points where f or its derivatives jump.

    Raises:
        ValueError: If ``std`` is negative, ``correlation`` beyond ±1, or an argument not finite.
    """
    if not (math.isfinite(std) and std >= 0 and -1 <= correlation <= 1):
        raise ValueError(
            f"std must be finite and ≥ 0 and correlation between -1 and 1, got {std} and "
            f"{correlation}"
        )
    rest = math.sqrt(1 - correlation**2)
    if std == 0 or rest == 0:
        sides = (*kinks, *(-kink for kink in kinks))
        return gaussian_mean(lambda u: function(u) * function(correlation * u), 0.0, std, sides)
    nodes, weights = (torch.from_numpy(part) for part in _rule())

    def panels(edges: Tensor) -> tuple[Tensor, Tensor]:
        """Return nodes and Gaussian weights (…, panels, 200) between edges (…, panels + 1)."""
        half = edges.diff(dim=-1)[..., None] / 2
        z = edges[..., :-1, None] + half * (nodes + 1)
        return z, half * weights * torch.exp(-(z**2) / 2) / _SQRT_2PI

    bends = (*kinks, -40, 40) if std > 3 else kinks
    breaks = torch.tensor([bend / std for bend in bends], dtype=torch.float64)
    ends = torch.tensor([-12.0, 0.0, 12.0], dtype=torch.float64)
    z, outer = panels(torch.cat([ends, breaks]).clamp(-12, 12).sort().values)
    z, outer = z.flatten(), outer.flatten()
    shifted = (breaks - correlation * z[:, None]) / rest
    edges = torch.cat([ends.expand(len(z), -1), shifted], dim=1).clamp(-12, 12).sort(dim=1).values
    y, inner = panels(edges)
    other = (inner * function(std * (correlation * z[:, None, None] + rest * y))).sum((1, 2))
    return (outer * function(std * z) * other).sum().item()


@dataclass(frozen=True)
class Activation:
    """One activation and what theory needs to know of it.

    Attributes:
        name: Key in ``ACTIVATIONS``.
        label: Name for people.
        formula: LaTeX, without dollar signs.
        function: φ, elementwise on a floating-point tensor of any shape.
        derivative: φ′, likewise; at a kink, PyTorch's choice.
        module: Makes a fresh ``nn.Module`` that computes φ.
        low: Infimum of φ.
        high: Supremum of φ.
        kinks: Where φ is not differentiable.
    """

    name: str
    label: str
    formula: str
    function: Function
    derivative: Function
    module: Callable[[], nn.Module]
    low: float
    high: float
    kinks: tuple[float, ...] = ()

    def __call__(self, z: Tensor) -> Tensor:
        """Return φ(z), of the shape of ``z``."""
        return self.function(z)

    @cached_property
    def mean(self) -> float:
        """E[φ(z)] for z ~ N(0, 1)."""
        return gaussian_mean(self.function, kinks=self.kinks)

    @cached_property
    def second_moment(self) -> float:
        """E[φ(z)²] for z ~ N(0, 1)."""
        return gaussian_mean(lambda z: self.function(z) ** 2, kinks=self.kinks)

    @cached_property
    def derivative_second_moment(self) -> float:
        """E[φ′(z)²] for z ~ N(0, 1)."""
        return gaussian_mean(lambda z: self.derivative(z) ** 2, kinks=self.kinks)

    @property
    def gain(self) -> float:
        """The factor 1/√E[φ(z)²] that gives φ(z) second moment 1 for z ~ N(0, 1).

        Weights of variance gain²/fan_in carry the pre-activations' second moment 1 unchanged from
        layer to layer. For ReLU it is He's √2 (He et al., 2015, equation 10). It is not the gain
        of ``nn.init.calculate_gain`` for tanh, 5/3, or SELU, 3/4, which are rules of thumb.
        """
        return 1.0 / math.sqrt(self.second_moment)


def _normal_density(z: Tensor) -> Tensor:
    return torch.exp(-(z**2) / 2) / _SQRT_2PI


def _normal_cdf(z: Tensor) -> Tensor:
    return torch.special.ndtr(z)


def _sigmoid_derivative(z: Tensor) -> Tensor:
    s = torch.sigmoid(z)
    return s * (1 - s)


def _leaky(z: Tensor, slope: float) -> Tensor:
    return torch.where(z > 0, z, slope * z)


def _leaky_derivative(z: Tensor, slope: float) -> Tensor:
    return torch.where(z > 0, torch.ones_like(z), torch.full_like(z, slope))


def _elu(z: Tensor, alpha: float, scale: float) -> Tensor:
    return scale * torch.where(z > 0, z, alpha * torch.expm1(z.clamp(max=0)))


def _elu_derivative(z: Tensor, alpha: float, scale: float) -> Tensor:
    return scale * torch.where(z > 0, torch.ones_like(z), alpha * torch.exp(z.clamp(max=0)))


def _silu_derivative(z: Tensor) -> Tensor:
    s = torch.sigmoid(z)
    return s * (1 + z * (1 - s))


def _mish(z: Tensor) -> Tensor:
    return z * torch.tanh(F.softplus(z, threshold=40))


def _mish_derivative(z: Tensor) -> Tensor:
    t = torch.tanh(F.softplus(z, threshold=40))
    return t + z * torch.sigmoid(z) * (1 - t**2)


def _hardswish_derivative(z: Tensor) -> Tensor:
    inside = z / 3 + 0.5
    return torch.where(z <= -3, 0.0, torch.where(z < 3, inside, torch.ones_like(z)))


def leaky_relu(slope: float = 0.01) -> Activation:
    """Return Leaky ReLU, z for z > 0 and slope·z elsewhere.

    Args:
        slope: Slope on the negative side. At most 1, where the articles' max(z, slope·z) agrees.

    Raises:
        ValueError: If ``slope`` is above 1 or not finite.

    Source: Maas, Hannun & Ng (2013).
    """
    if not math.isfinite(slope) or slope > 1:
        raise ValueError(f"slope must be finite and at most 1, got {slope}")
    return Activation(
        "leaky_relu",
        "Leaky ReLU",
        rf"\max(z, {slope:g}\,z)",
        partial(_leaky, slope=slope),
        partial(_leaky_derivative, slope=slope),
        partial(nn.LeakyReLU, slope),
        -math.inf if slope > 0 else 0.0,
        math.inf,
        (0.0,),
    )


def elu(alpha: float = 1.0) -> Activation:
    """Return ELU, z for z > 0 and alpha·(exp(z) − 1) elsewhere.

    Args:
        alpha: Minus the limit at −∞, above 0.

    Raises:
        ValueError: If ``alpha`` is not positive and finite.

    Source: Clevert, Unterthiner & Hochreiter (2016), equation 15.
    """
    if not math.isfinite(alpha) or alpha <= 0:
        raise ValueError(f"alpha must be positive and finite, got {alpha}")
    return Activation(
        "elu",
        "ELU",
        rf"z \text{{ if }} z > 0 \text{{ else }} {alpha:g}\,(e^z - 1)",
        partial(_elu, alpha=alpha, scale=1.0),
        partial(_elu_derivative, alpha=alpha, scale=1.0),
        partial(nn.ELU, alpha),
        -alpha,
        math.inf,
        (0.0,),
    )


ACTIVATIONS: dict[str, Activation] = {
    activation.name: activation
    for activation in (
        Activation(
            "identity",
            "Identity",
            "z",
            lambda z: z,
            torch.ones_like,
            nn.Identity,
            -math.inf,
            math.inf,
        ),
        Activation(
            "sigmoid",
            "Sigmoid",
            r"1 / (1 + e^{-z})",
            torch.sigmoid,
            _sigmoid_derivative,
            nn.Sigmoid,
            0.0,
            1.0,
        ),
        Activation(
            "tanh",
            "Tanh",
            r"(e^z - e^{-z}) / (e^z + e^{-z})",
            torch.tanh,
            lambda z: 1 - torch.tanh(z) ** 2,
            nn.Tanh,
            -1.0,
            1.0,
        ),
        Activation(
            "relu",
            "ReLU",
            r"\max(0, z)",
            torch.relu,  # not clamp, whose gradient at 0 is 1
            lambda z: (z > 0).to(z.dtype),
            nn.ReLU,
            0.0,
            math.inf,
            (0.0,),
        ),
        leaky_relu(),
        Activation(  # learned slope; the table describes it where He et al. (2015) start it
            "prelu",
            "PReLU",
            r"z \text{ if } z > 0 \text{ else } \alpha z,\ \alpha \text{ learned from } 0.25",
            partial(_leaky, slope=0.25),
            partial(_leaky_derivative, slope=0.25),
            nn.PReLU,
            -math.inf,
            math.inf,
            (0.0,),
        ),
        elu(),
        Activation(
            "selu",
            "SELU",
            rf"{SELU_SCALE:.4f}\,\bigl(z \text{{ if }} z > 0 \text{{ else }}"
            rf" {SELU_ALPHA:.4f}\,(e^z - 1)\bigr)",
            partial(_elu, alpha=SELU_ALPHA, scale=SELU_SCALE),
            partial(_elu_derivative, alpha=SELU_ALPHA, scale=SELU_SCALE),
            nn.SELU,
            -SELU_SCALE * SELU_ALPHA,
            math.inf,
            (0.0,),
        ),
        Activation(
            "gelu",
            "GELU",
            r"z\,\Phi(z)",
            lambda z: z * _normal_cdf(z),
            lambda z: _normal_cdf(z) + z * _normal_density(z),
            nn.GELU,
            -0.16997120747990369,
            math.inf,
        ),
        Activation(
            "silu",
            "SiLU",
            r"z / (1 + e^{-z})",
            lambda z: z * torch.sigmoid(z),
            _silu_derivative,
            nn.SiLU,
            -0.27846454276107380,
            math.inf,
        ),
        Activation(
            "mish",
            "Mish",
            r"z \tanh\bigl(\ln(1 + e^z)\bigr)",
            _mish,
            _mish_derivative,
            nn.Mish,
            -0.30884341301725041,
            math.inf,
        ),
        Activation(
            "softplus",
            "Softplus",
            r"\ln(1 + e^z)",
            lambda z: torch.logaddexp(z, torch.zeros_like(z)),
            torch.sigmoid,
            nn.Softplus,
            0.0,
            math.inf,
        ),
        Activation(
            "hardswish",
            "Hard-swish",
            r"z \min(\max(z + 3, 0), 6) / 6",
            F.hardswish,
            _hardswish_derivative,
            nn.Hardswish,
            -0.375,
            math.inf,
            (-3.0, 3.0),
        ),
    )
}


def as_activation(value: str | Activation) -> Activation:
    """Return the activation that ``value`` names or is.

    Raises:
        TypeError: If it is neither a string nor an ``Activation``.
        ValueError: If it names none.
    """
    if isinstance(value, Activation):
        return value
    return as_choice("activation", value, ACTIVATIONS, "an Activation")
