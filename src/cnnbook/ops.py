"""Convolution and pooling written out, with PyTorch's semantics.

All of them are one movement. Pad the image, lift it into windows (``windows``), and reduce each
window: a weighted sum is a convolution, a maximum or a mean is a pooling. The adjoint movement,
adding windows back where they came from (``add_windows``), is the transposed convolution, and it
is all that the backward passes of ``cnnbook.grads`` need.

A convolution can be computed in several ways, ``METHODS``: six loops, one matrix product
(im2col), a product of spectra (FFT), or with fewer multiplications than it has products
(Winograd). They agree but for rounding.
"""

import functools
import math
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.forward_ad import unpack_dual

from cnnbook._arguments import (
    IntOrPair,
    Padding,
    Pair,
    as_int,
    as_padding,
    as_pair,
    check_float_tensor,
    check_images,
    check_same_dtype,
    check_shape,
    output_size,
)
from cnnbook.geometry import conv_output_size, conv_transpose_output_size

Around = tuple[Pair, Pair]  # pixels of padding: ((top, bottom), (left, right))
_Method = Callable[[Tensor, Tensor, Around, Pair, Pair], Tensor]  # …, stride and dilation
_NONE: Around = ((0, 0), (0, 0))


def pad(x: Tensor, padding: Around, value: float = 0.0) -> Tensor:
    """Return ``x`` (N, C, H, W) with ((top, bottom), (left, right)) pixels of ``value`` around."""
    (top, bottom), (left, right) = padding
    return F.pad(x, (left, right, top, bottom), value=value)


def crop(x: Tensor, padding: Around) -> Tensor:
    """Return ``x`` (N, C, H, W) without ((top, bottom), (left, right)) pixels: undoes ``pad``."""
    (top, bottom), (left, right) = padding
    height, width = x.shape[2:]
    return x[:, :, top : height - bottom, left : width - right]


def windows(x: Tensor, kernel_size: Pair, stride: Pair = (1, 1), dilation: Pair = (1, 1)) -> Tensor:
    """Return every window of ``x``, as a view that copies nothing.

    Args:
        x: Images (N, C, H, W), padded already.
        kernel_size: (kH, kW) in pixels.
        stride: Step of the window in pixels.
        dilation: Distance in pixels between neighbouring taps.

    Returns:
        A view (N, C, H_out, W_out, kH, kW) with
        ``view[n, c, i, j, p, q] = x[n, c, i*stride + p*dilation, j*stride + q*dilation]``.

    Raises:
        ValueError: If the window exceeds the image.
    """
    along_n, along_c, *along = x.stride()
    return x.as_strided(
        (
            *x.shape[:2],
            *output_size(x.shape[2:], kernel_size, stride, _NONE, dilation),
            *kernel_size,
        ),
        (
            *(along_n, along_c),
            *(step * s for step, s in zip(along, stride, strict=True)),
            *(step * d for step, d in zip(along, dilation, strict=True)),
        ),
    )


def add_windows(
    patches: Tensor, size: Pair, stride: Pair = (1, 1), dilation: Pair = (1, 1)
) -> Tensor:
    """Add each patch to the place that ``windows`` took it from: the adjoint of ``windows``.

    Args:
        patches: (N, C, H_out, W_out, kH, kW).
        size: (H, W) of the image to add into.
        stride: Step of the window in pixels.
        dilation: Distance in pixels between neighbouring taps.

    Returns:
        Images (N, C, H, W), with ⟨windows(x), patches⟩ = ⟨x, add_windows(patches)⟩ for every x.
    """
    n, c, height, width, kernel_h, kernel_w = patches.shape
    image = patches.new_zeros(n, c, *size)
    for p in range(kernel_h):
        for q in range(kernel_w):
            top, left = p * dilation[0], q * dilation[1]
            rows = slice(top, top + (height - 1) * stride[0] + 1, stride[0])
            columns = slice(left, left + (width - 1) * stride[1] + 1, stride[1])
            image[:, :, rows, columns] += patches[..., p, q]
    return image


def _conv2d_loops(
    x: Tensor, weight: Tensor, around: Around, stride: Pair, dilation: Pair
) -> Tensor:
    """Sum the products one by one; only the batch axis is left to PyTorch."""
    padded = pad(x, around)
    out_channels, group_channels, kernel_h, kernel_w = weight.shape
    groups = padded.shape[1] // group_channels
    height, width = output_size(padded.shape[2:], (kernel_h, kernel_w), stride, _NONE, dilation)
    z = padded.new_zeros(padded.shape[0], out_channels, height, width)
    for o in range(out_channels):
        first = o // (out_channels // groups) * group_channels  # first channel of o's group
        for i in range(height):
            for j in range(width):
                for c in range(group_channels):
                    for p in range(kernel_h):
                        for q in range(kernel_w):
                            row = i * stride[0] + p * dilation[0]
                            column = j * stride[1] + q * dilation[1]
                            pixel = padded[:, first + c, row, column]
                            z[:, o, i, j] += weight[o, c, p, q] * pixel
    return z


BLOCK_BYTES = 2**22  # what a block of patches may take: a few MB, which a processor's caches hold


def _block_size(n: int, rows: int, row_bytes: int) -> Pair:
    """Return how many of ``n`` images, and how many of their rows, a block may have."""
    fit = max(1, BLOCK_BYTES // max(1, row_bytes))
    return max(1, min(n, fit // rows)), min(rows, fit)


def _in_room(a: Tensor, b: Tensor, room: Tensor) -> Tensor:
    """Return a @ b in the memory of ``room``, for matrices and batches, of one size, of them."""
    shape = (*(a.shape[:-2] or b.shape[:-2]), a.shape[-2], b.shape[-1])
    return torch.matmul(a, b, out=room[: math.prod(shape)].view(shape))


def _product(a: Tensor, b: Tensor, room: Tensor) -> Tensor:
    """Return the product of two matrices or of two batches, in ``room`` if that is faster."""
    large = a.shape[0] == 1 and a[0].numel() * b.shape[2] >= 2**20
    if large and a.dtype == torch.float32 and a.device.type == "cpu" and _PREFERS_ONEDNN:
        return torch.ops.mkldnn._linear_pointwise(a[0], b[0].T, None, "none", [], "")[None]
    return _in_room(a, b, room)


def _prefers_onednn() -> bool:
    """Say whether to leave large products of float32 to oneDNN.

    MKL, by which PyTorch multiplies matrices, is half as fast on other processors than Intel's.
    """
    has_onednn = torch.backends.mkldnn.is_available()
    maker = getattr(torch.cpu, "get_capabilities", dict)().get("cpu_name", "")
    is_at_home = torch.backends.mkl.is_available() and maker.startswith("Intel")
    return has_onednn and hasattr(torch.ops.mkldnn, "_linear_pointwise") and not is_at_home


_PREFERS_ONEDNN = _prefers_onednn()
_ROOMS = threading.local()
_KEPT_BYTES = 2**26  # the most that a room may keep between two calls


def _room(like: Tensor, numbers: int, name: str) -> Tensor:
    """Return memory for so many numbers, on the processor the same at each call of this thread.

    What the system hands out anew it fills with zeros page by page, when it is written to: for the
    few MB of a block that takes longer than what is then done with them.
    """
    if like.device.type != "cpu":
        return like.new_empty(numbers)
    size, kept = numbers * like.element_size(), vars(_ROOMS)
    if name not in kept or len(kept[name]) < size:
        kept.pop(name, None)
        room = np.empty(size + 64, np.uint8)
        room = room[-room.ctypes.data % 64 :][:size]  # at the start of a line of the cache
        if size <= _KEPT_BYTES:
            kept[name] = room
    else:
        room = kept[name][:size]
    return torch.from_numpy(room).view(like.dtype)


def _room_to_pad(x: Tensor, n: int, padding: Around, channels_last: bool) -> Tensor:
    """Return room for ``n`` images with zeros around.

    With ``channels_last`` the channels of a pixel are neighbours in memory.
    """
    height, width = (a + sum(more) for a, more in zip(x.shape[2:], padding, strict=True))
    channels = x.shape[1]
    room = _room(x, n * height * width * channels, "padded")
    if channels_last:
        padded = room.view(n, height, width, channels).permute(0, 3, 1, 2)
    else:
        padded = room.view(n, channels, height, width)
    if padding != _NONE and room.shape[0] < 2**18:
        room.zero_()
    elif padding != _NONE:  # the frame alone, which takes more calls
        for axis, size, (before, after) in zip((2, 3), (height, width), padding, strict=True):
            padded.narrow(axis, 0, before).zero_()
            padded.narrow(axis, size - after, after).zero_()
    return padded


def _copied(x: Tensor, room: Tensor) -> Tensor:
    """Return a contiguous copy of ``x`` in the memory of ``room``."""
    return room[: x.numel()].view(x.shape).copy_(x)


_ORDERS = {"last": (0, 2, 3, 4, 5, 1), "first": (1, 4, 5, 0, 2, 3), "images": (0, 1, 4, 5, 2, 3)}


def _columns(
    x: Tensor,
    weight: Tensor,
    around: Around,
    stride: Pair,
    dilation: Pair,
    order: str,
    more_bytes: int = 0,
) -> Iterator[tuple[slice, slice, Tensor]]:
    """Yield the windows as columns of matrices, a block at a time.

    A block is small enough to stay in a cache between being written and being read, and the next
    one takes its place.

    Args:
        x: Images.
        weight: Kernels, for their shape.
        around: Padding.
        stride: Step of the window.
        dilation: Distance between taps.
        order: Of a block: ``"images"``, a matrix for each image and group; ``"first"``, one for
            each group, with the channels of a pixel first in a column; ``"last"``, one in all, with
            the channels last.
        more_bytes: What a block may take beyond ``BLOCK_BYTES``.

    Returns:
        Images and rows of the output, and the block: (N, groups, fan_in, H·W) in the order of
        ``"images"``, else (groups, fan_in, N·H·W).
    """
    group_channels, *kernel = weight.shape[1:]
    n, channels = x.shape[:2]
    groups, fan_in = channels // group_channels, group_channels * math.prod(kernel)
    height, width = output_size(x.shape[2:], kernel, stride, around, dilation)
    share = 1 + more_bytes // BLOCK_BYTES
    few, high = _block_size(n, height, groups * fan_in * width * x.element_size() // share)
    direct = around == _NONE and order != "last"
    padded = x if direct else _room_to_pad(x, few, around, order == "last")
    inside = padded if around == _NONE else crop(padded, around)
    patches = windows(padded, kernel, stride, dilation).permute(_ORDERS[order])
    along_n = _ORDERS[order].index(0)
    room = _room(x, groups * fan_in * few * high * width, "patches")
    for first in range(0, n, few):
        count = min(few, n - first)
        some = slice(first, first + count)
        if not direct:
            inside[:count].copy_(x[some])
        part = patches.narrow(along_n, first if direct else 0, count)
        for top in range(0, height, high):
            lines = min(high, height - top)
            block = part.narrow(along_n + 1 if order != "images" else 4, top, lines)
            block = _copied(block, room)
            if order == "last":
                block = block.view(1, -1, fan_in).mT
            elif order == "first":
                block = block.view(groups, fan_in, -1)
            else:
                block = block.view(count, groups, fan_in, -1)
            yield some, slice(top, top + lines), block


def _order(x: Tensor, weight: Tensor, width: int, stride: Pair, dilation: Pair) -> str:
    """Return the order of ``_columns``, "first" or "last", whose copies are in the longer runs.

    Runs are of numbers that are neighbours in memory: of the pixels of a row, or of the channels of
    a pixel. A run of pixels that fills a line of the cache, 64 bytes, is long enough.
    """
    pixels = width if stride[1] == 1 else 1
    channels = x.shape[1] * (weight.shape[3] if dilation[1] == 1 else 1)
    short = pixels * x.element_size() < 64 and channels > 3 * pixels
    return "last" if short and x.shape[1] == weight.shape[1] else "first"


def _conv2d_im2col(
    x: Tensor, weight: Tensor, around: Around, stride: Pair, dilation: Pair
) -> Tensor:
    """Lay the windows out as a matrix, and multiply the kernels by it: a block at a time."""
    out_channels, group_channels, *kernel = weight.shape
    groups = x.shape[1] // group_channels
    height, width = output_size(x.shape[2:], kernel, stride, around, dilation)
    z = x.new_empty(x.shape[0], out_channels, height, width)
    if group_channels == 1:  # few products: what counts is to write each result in its place
        order, kernels = "images", weight.reshape(groups, out_channels // groups, -1)
    else:
        order = _order(x, weight, width, stride, dilation)
        kernels = weight
        if order == "last":
            kernels = _copied(weight.permute(0, 2, 3, 1), _room(x, weight.numel(), "kernels"))
        kernels = kernels.reshape(groups, out_channels // groups, -1)
    for images, rows, columns in _columns(x, weight, around, stride, dilation, order):
        into = z[images, :, rows]
        if order == "images":
            torch.matmul(kernels, columns, out=into.view(len(columns), *kernels.shape[:2], -1))
            continue
        room = _room(x, out_channels * columns.shape[2], "products")
        found = _product(kernels, columns, room)
        into.copy_(found.view(out_channels, -1, *into.shape[2:]).transpose(0, 1))
    return z


def _conv2d_fft(x: Tensor, weight: Tensor, around: Around, stride: Pair, dilation: Pair) -> Tensor:
    """Multiply spectra: that of a correlation is a spectrum times the conjugate of another."""
    n, channels = x.shape[:2]
    out_channels, group_channels = weight.shape[:2]
    groups, padded = channels // group_channels, pad(x, around)
    spread = [d * (k - 1) + 1 for k, d in zip(weight.shape[2:], dilation, strict=True)]
    kernels = weight.new_zeros(out_channels, group_channels, *spread)
    kernels[:, :, :: dilation[0], :: dilation[1]] = weight
    size = [_fast_length(length) for length in padded.shape[2:]]
    spectra = torch.fft.rfft2(padded, size).reshape(n, groups, group_channels, -1)
    answers = torch.fft.rfft2(kernels, size).conj()
    answers = answers.reshape(groups, -1, group_channels, spectra.shape[-1])
    # For each group and frequency a product of matrices, (N, C/groups) by (C/groups, C_out/groups).
    product = spectra.permute(1, 3, 0, 2) @ answers.permute(0, 3, 2, 1)
    product = product.permute(2, 0, 3, 1).reshape(n, out_channels, size[0], -1)
    height, width = (a - k + 1 for a, k in zip(padded.shape[2:], spread, strict=True))
    z = torch.fft.irfft2(product, size)  # behind height and width, windows that wrap round
    return z[:, :, : height : stride[0], : width : stride[1]].contiguous()


def _fast_length(length: int) -> int:
    """Return the least number from ``length`` on that has no prime factor but 2, 3 and 5."""
    rest = length
    for prime in (2, 3, 5):
        while rest % prime == 0:
            rest //= prime
    return length if rest == 1 else _fast_length(length + 1)


WINOGRAD_POINTS = (0.0, 1.0, -1.0, 2.0, -2.0, 0.5, -0.5)


def winograd_matrices(outputs: int, taps: int = 3) -> tuple[Tensor, Tensor, Tensor]:
    """Return A, G and B of F(m, r): m outputs of a correlation with r taps by m + r − 1 products.

    Two polynomials are multiplied by evaluating both at as many points as their product has
    coefficients, multiplying the values, and interpolating. A correlation is the transpose of
    multiplication by one of them: y = Aᵀ[(G g) ⊙ (Bᵀ d)] for taps g and pixels d, where A and G
    evaluate polynomials of m and of r coefficients, and B interpolates. The points are
    ``WINOGRAD_POINTS``, as many as it takes, and infinity, where a value is the leading
    coefficient.

    Args:
        outputs: m, the outputs of a tile, at least 1.
        taps: r, the taps of the kernel, at least 1, with m + r at most 9.

    Returns:
        A (m + r − 1, m), G (m + r − 1, r) and B (m + r − 1, m + r − 1), in float64.

    Raises:
        TypeError: If an argument is no integer.
        ValueError: If one is out of range.

    Source: Lavin & Gray (2016), sections 4.1 and 4.2, after Winograd (1980).
    """
    outputs, taps = as_int("outputs", outputs, 1), as_int("taps", taps, 1)
    if outputs + taps > len(WINOGRAD_POINTS) + 2:
        raise ValueError(
            f"outputs + taps must be at most {len(WINOGRAD_POINTS) + 2}, got {outputs} + {taps}"
        )
    points = torch.tensor(WINOGRAD_POINTS[: outputs + taps - 2], dtype=torch.float64)

    def evaluate(terms: int) -> Tensor:
        at_infinity = torch.eye(terms, dtype=torch.float64)[-1:]
        return torch.cat([points[:, None] ** torch.arange(terms), at_infinity])

    # A factor of each product may stand in G or in B. These let B hold whole numbers, mostly.
    factors = (points[:, None] - points).fill_diagonal_(1.0).prod(dim=1)
    factors = torch.cat([factors, factors.new_ones(1)])
    interpolate = torch.linalg.inv(evaluate(outputs + taps - 1))
    return evaluate(outputs), evaluate(taps) / factors[:, None], interpolate * factors


@functools.cache
def _winograd_transforms(
    outputs: int, dtype: torch.dtype, device: torch.device
) -> tuple[Tensor, Tensor, Tensor]:
    """Return A, B and G ⊗ G, not to be changed."""
    a, g, b = (matrix.to(device, dtype) for matrix in winograd_matrices(outputs))
    return a, b, torch.kron(g, g)


def _conv2d_winograd(x: Tensor, weight: Tensor, around: Around, outputs: int) -> Tensor:
    """Correlate tiles of m × m outputs with one product for each of their (m + 2)² pixels.

    Y = Aᵀ[(G g Gᵀ) ⊙ (Bᵀ d B)]A for a kernel g and a tile d. Summed over channels, the products of
    all tiles and kernels at one place are a product of matrices. ``weight`` is (C_out, C, 3, 3).
    """
    a, b, g = _winograd_transforms(outputs, x.dtype, x.device)
    out_channels, channels = weight.shape[:2]
    side, (top, bottom), (left, right) = outputs + 2, *around
    n, height, width = len(x), x.shape[2] + top + bottom - 2, x.shape[3] + left + right - 2
    down, across = -(-height // outputs), -(-width // outputs)
    filled = (bottom + down * outputs - height, right + across * outputs - width)
    kernels = _room(x, side**2 * out_channels * channels, "kernels")
    kernels = _in_room(g, weight.reshape(-1, 9).T, kernels).view(-1, out_channels, channels)
    few, high = _block_size(n, down, side**2 * across * channels * x.element_size() // 2)
    around = ((top, filled[0]), (left, filled[1]))
    padded = _room_to_pad(x, few, around, channels_last=True)
    inside, tiles = crop(padded, around), windows(padded, (side, side), (outputs, outputs))
    tiles = tiles.permute(4, 5, 0, 2, 3, 1)  # (m + 2, m + 2, N, down, across, C)
    most = side**2 * few * high * across * max(channels, out_channels)
    rooms = _room(x, most, "patches"), _room(x, most, "products")
    z = x.new_empty(n, out_channels, height, width)
    for first in range(0, n, few):
        some = min(few, n - first)
        inside[:some] = x[first : first + some]
        for start in range(0, down, high):
            pixels = tiles[:, :, :some, start : start + high]
            lines = pixels.shape[3]
            pixels = _copied(pixels, rooms[0]).view(side, -1)
            pixels = _in_room(b.T, pixels, rooms[1]).view(side, side, -1)
            pixels = _in_room(b.T, pixels, rooms[0]).view(side**2, -1, channels)
            found = _in_room(kernels, pixels.mT, rooms[1])  # ((m + 2)², C_out, tiles)
            found = _in_room(a.T, found.view(side, -1), rooms[0]).view(outputs, side, -1)
            found = _in_room(found.mT, a, rooms[1])  # with the pixels of a tile's row last
            found = found.view(outputs, out_channels, some, lines, -1)[..., :width]
            rows = z[first : first + some, :, start * outputs : (start + lines) * outputs]
            whole, rest = divmod(rows.shape[2], outputs)
            into = rows[:, :, : whole * outputs].unflatten(2, (whole, outputs))
            into.copy_(found[:, :, :, :whole].permute(2, 1, 3, 0, 4))
            if rest:  # the last line of tiles ends below the image
                rows[:, :, -rest:] = found[:rest, :, :, -1].permute(2, 1, 0, 3)
    return z


def _winograd(outputs: int | None = None) -> _Method:
    """Return the method with tiles of so many outputs, or of 2 or 4: whichever multiplies less."""

    def convolve(x: Tensor, weight: Tensor, around: Around, stride: Pair, dilation: Pair) -> Tensor:
        if tuple(weight.shape[2:]) != (3, 3) or (*stride, *dilation) != (1, 1, 1, 1):
            raise ValueError(
                "method 'winograd' needs kernels of 3×3, stride 1 and dilation 1, got "
                f"{weight.shape[2]}×{weight.shape[3]}, stride {stride} and dilation {dilation}"
            )
        size = [a + sum(more) - 2 for a, more in zip(x.shape[2:], around, strict=True)]
        tile = outputs or min((4, 2), key=lambda m: _winograd_products(size, m))
        groups = x.shape[1] // weight.shape[1]
        parts = zip(x.chunk(groups, 1), weight.chunk(groups), strict=True)
        found = [_conv2d_winograd(images, kernels, around, tile) for images, kernels in parts]
        return found[0] if groups == 1 else torch.cat(found, 1)

    return convolve


def _winograd_products(size: Sequence[int], outputs: int) -> int:
    """Return the products for each image, channel and kernel, with tiles of so many outputs."""
    return math.prod(-(-length // outputs) * (outputs + 2) for length in size)


def _conv2d_auto(x: Tensor, weight: Tensor, around: Around, stride: Pair, dilation: Pair) -> Tensor:
    """Take the method that should be fastest."""
    kernel, name = tuple(weight.shape[2:]), "im2col"
    if stride == (1, 1) and math.prod(kernel) >= 15**2:
        name = "fft"
    elif (*kernel, *stride, *dilation) == (3, 3, 1, 1, 1, 1) and x.shape[1] == weight.shape[1]:
        size = [a + sum(more) - 2 for a, more in zip(x.shape[2:], around, strict=True)]
        name = _least_work(x.shape[0], size, *weight.shape[:2])
    return METHODS[name](x, weight, around, stride, dilation)


def _least_work(n: int, size: Sequence[int], out_channels: int, channels: int) -> str:
    """Return the method with the least work for 3×3 kernels and ``size`` pixels of output.

    Work is counted in multiply-adds of a product of matrices. By measurement, to copy a number of a
    patch takes as long as 60 of them, to carry a number of a tile there or back 100, to transform a
    number of a kernel 40, and the calls of Winograd's method ten million.
    """
    work = {"im2col": 9 * n * math.prod(size) * channels * (out_channels + 60)}
    for outputs in (2, 4):
        each = out_channels * channels + 100 * (out_channels + channels)
        kernels = 40 * (outputs + 2) ** 2 * out_channels * channels
        work[f"winograd{outputs}"] = n * _winograd_products(size, outputs) * each + kernels + 10**7
    return min(work, key=work.get)


METHODS: dict[str, _Method] = {
    "loops": _conv2d_loops,
    "im2col": _conv2d_im2col,
    "fft": _conv2d_fft,
    "winograd": _winograd(),
    "winograd2": _winograd(2),
    "winograd4": _winograd(4),
    "auto": _conv2d_auto,
}


def _convolve(x: Tensor, weight: Tensor, *how: Any) -> Tensor:
    """Convolve by a method, in view of automatic differentiation where that looks on."""
    if torch._C._are_functorch_transforms_active() or _is_followed(x) or _is_followed(weight):
        return _Convolution.apply(x, weight, *how)
    *how, method = how
    return METHODS[method](x, weight, *how)


def _is_followed(x: Tensor) -> bool:
    """Say whether automatic differentiation, forward or backward, follows what ``x`` does."""
    return (x.requires_grad and torch.is_grad_enabled()) or unpack_dual(x).tangent is not None


class _Convolution(torch.autograd.Function):
    """A convolution by one of the methods; its backward pass consists of convolutions, too."""

    @staticmethod
    def forward(x: Tensor, weight: Tensor, *options: Any) -> Tensor:
        *how, method = options
        return METHODS[method](x, weight, *how)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        x, weight, *ctx.options = inputs
        ctx.save_for_backward(x, weight)
        ctx.save_for_forward(x, weight)

    @staticmethod
    def jvp(ctx: Any, x_dot: Tensor | None, weight_dot: Tensor | None, *_: None) -> Tensor:
        x, weight = ctx.saved_tensors
        parts = [] if x_dot is None else [(x_dot, weight)]
        parts += [] if weight_dot is None else [(x, weight_dot)]
        return sum(_Convolution.apply(*part, *ctx.options) for part in parts)

    @staticmethod
    def backward(ctx: Any, grad_z: Tensor) -> tuple[Tensor | None, ...]:
        given, grads = (grad_z, *ctx.saved_tensors), [None, None]
        if ctx.needs_input_grad[0]:
            grads[0] = _input_gradient(*given, *ctx.options)
        if ctx.needs_input_grad[1]:
            grads[1] = _weight_gradient(*given, *ctx.options[:3])
        return *grads, *(None for _ in ctx.options)

    @staticmethod
    def vmap(
        info: Any, in_dims: tuple[int | None, ...], x: Tensor, weight: Tensor, *options: Any
    ) -> tuple[Tensor, int]:
        size = info.batch_size
        xs = [x] * size if in_dims[0] is None else x.unbind(in_dims[0])
        if in_dims[1] is None:  # the same kernels for all: more images
            z = _Convolution.apply(torch.cat(xs), weight, *options)
            return z.unflatten(0, (size, len(xs[0]))), 0
        weights = weight.unbind(in_dims[1])
        pairs = zip(xs, weights, strict=True)
        return torch.stack([_Convolution.apply(*pair, *options) for pair in pairs]), 0


def _input_gradient(
    grad_z: Tensor,
    x: Tensor,
    weight: Tensor,
    around: Around,
    stride: Pair,
    dilation: Pair,
    method: str,
) -> Tensor:
    """Return ∂L/∂x: where the stride is 1, ∂L/∂z convolved with the kernels turned by 180°."""
    groups = x.shape[1] // weight.shape[1]
    reach = [d * (k - 1) for k, d in zip(weight.shape[2:], dilation, strict=True)]
    if stride == (1, 1):
        turned = weight.unflatten(0, (groups, -1)).transpose(1, 2).flip(-2, -1).flatten(0, 1)
        more = tuple((r - first, r - last) for r, (first, last) in zip(reach, around, strict=True))
        if min(map(min, more)) < 0:  # pixels of padding that no kernel reached beyond
            grad_z, more = pad(grad_z, more), _NONE
        return _convolve(grad_z, turned, more, stride, dilation, method)
    size = [a + sum(more) for a, more in zip(x.shape[2:], around, strict=True)]
    unseen = tuple((a - 1 - r) % s for a, r, s in zip(size, reach, stride, strict=True))
    image_bytes = x.element_size() * weight[0].numel() * groups * grad_z.shape[2:].numel()
    parts = [
        conv_transpose2d(some, weight, None, stride, 0, unseen, groups, dilation)
        for some in grad_z.split(_block_size(len(x), 1, image_bytes)[0])
    ]
    return crop(torch.cat(parts), around)


def _weight_gradient(
    grad_z: Tensor, x: Tensor, weight: Tensor, around: Around, stride: Pair, dilation: Pair
) -> Tensor:
    """Return ∂L/∂weight: the windows, added up with the weights that ∂L/∂z gives them."""
    groups, fan_in = x.shape[1] // weight.shape[1], weight[0].numel()
    wrapped = any(map(torch._C._functorch.is_functorch_wrapped_tensor, (grad_z, x, weight)))
    if wrapped or torch.is_grad_enabled():  # by what can be mapped, and differentiated once more
        patches = windows(pad(x, around), tuple(weight.shape[2:]), stride, dilation)
        patches = patches.unflatten(1, (groups, -1))
        signal = grad_z.unflatten(1, (groups, -1))
        return torch.einsum("ngohw,ngchwpq->gocpq", signal, patches).flatten(0, 1)
    order = _order(x, weight, grad_z.shape[3], stride, dilation)
    total = x.new_zeros(groups, len(weight) // groups, fan_in)
    room = _room(x, weight.numel(), "products")
    blocks = _columns(x, weight, around, stride, dilation, order, weight.nbytes)
    for images, rows, columns in blocks:
        signal = grad_z[images, :, rows].transpose(0, 1).reshape(groups, total.shape[1], -1)
        total += _product(signal, columns.mT, room)
    if order == "last":
        return total.view(len(weight), *weight.shape[2:], -1).permute(0, 3, 1, 2).contiguous()
    return total.view_as(weight)


def conv2d(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: IntOrPair = 1,
    padding: Padding = 0,
    dilation: IntOrPair = 1,
    groups: int = 1,
    method: str = "im2col",
) -> Tensor:
    """Convolve images with kernels (cross-correlation, as every deep-learning library does).

    z[n, o, i, j] = bias[o] + Σ_{c,p,q} weight[o, c, p, q] · x[n, c₀+c, i·s + p·d, j·s + q·d],
    with x padded by zeros and c₀ the first input channel of the group of o.

    Args:
        x: Images (N, C, H, W).
        weight: Kernels (C_out, C/groups, kH, kW).
        bias: One number per output channel, (C_out,).
        stride: Step of the window in pixels, int or pair.
        padding: Zeros added on each side in pixels, int or pair; ``"valid"`` is none, ``"same"``
            keeps the size (stride 1 only; an odd pixel goes to the bottom and right).
        dilation: Distance in pixels between neighbouring taps, int or pair.
        groups: Number of groups that the channels fall into; each convolves by itself.
        method: How to compute it. ``"loops"``, six plain loops for reading; ``"im2col"``, one
            matrix product, a block at a time; ``"fft"``, a product of spectra, whose cost does
            not depend on the size of the kernel; ``"winograd2"`` and ``"winograd4"``, tiles of
            2 × 2 and 4 × 4 outputs, for kernels of 3 × 3 with stride and dilation 1, and
            ``"winograd"``, whichever of the two multiplies less; ``"auto"``, the fastest, as a
            rule. Patches and tiles are in memory a few MB at a time; spectra, and the kernels that
            Winograd's methods transform, as a whole. Each thread keeps the memory of patches, tiles
            and kernels for its next call. In float32 all round about alike but ``"winograd4"``,
            which ``"auto"`` may take: its errors are some five times as large.

    Returns:
        Pre-activations (N, C_out, H_out, W_out).

    Raises:
        TypeError: If a tensor argument is none, or of a wrong dtype, or an int is expected.
        ValueError: If a rank, shape, channel count or ``method`` does not fit, or the kernel
            exceeds the padded input.

    Source: LeCun et al. (1998), section II; semantics of ``torch.nn.functional.conv2d``. Im2col:
        Chellapilla, Puri & Simard (2006). FFT: Mathieu, Henaff & LeCun (2014). Winograd: Lavin &
        Gray (2016).
    """
    if not isinstance(method, str) or method not in METHODS:
        raise ValueError(f"method must be one of {sorted(METHODS)}, got {method!r}")
    groups = check_conv_arguments(x, weight, groups)
    if bias is not None:
        check_bias(bias, x, weight.shape[0])
    kernel = tuple(weight.shape[2:])
    stride, dilation = as_pair("stride", stride, 1), as_pair("dilation", dilation, 1)
    around = as_padding(padding, kernel, stride, dilation)
    output_size(x.shape[2:], kernel, stride, around, dilation)  # the kernel fits
    if method == "loops":
        z = _conv2d_loops(x, weight, around, stride, dilation)
    else:
        method = method if x.shape[0] else "im2col"  # spectra want images
        z = _convolve(x, weight, around, stride, dilation, method)
    return z if bias is None else z + bias[:, None, None]


def conv_transpose2d(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: IntOrPair = 1,
    padding: IntOrPair = 0,
    output_padding: IntOrPair = 0,
    groups: int = 1,
    dilation: IntOrPair = 1,
) -> Tensor:
    """Stamp each kernel, scaled by each input pixel, onto the output: the transpose of ``conv2d``.

    Args:
        x: Images (N, C, H, W).
        weight: Kernels (C, C_out/groups, kH, kW); the first axis belongs to the *input*.
        bias: One number per output channel, (C_out,).
        stride: Distance in the output between neighbouring stamps in pixels, int or pair.
        padding: Pixels cut from each side of the output, int or pair.
        output_padding: Pixels that the output has more at the bottom and right, int or pair.
        groups: Number of groups that the channels fall into.
        dilation: Distance in pixels between neighbouring taps, int or pair.

    Returns:
        Images (N, C_out, H_out, W_out).

    Raises:
        TypeError: If a tensor argument is none, or of a wrong dtype, or an int is expected.
        ValueError: If a rank, shape or channel count does not fit, or nothing would be left.

    Source: Dumoulin & Visin (2016), chapter 4; semantics of
        ``torch.nn.functional.conv_transpose2d``.
    """
    check_images("x", x)
    check_images("weight", weight)
    check_same_dtype("weight", weight, "x", x)
    groups = as_int("groups", groups, 1)
    in_channels, group_channels, kernel_h, kernel_w = weight.shape
    if in_channels != x.shape[1] or in_channels % groups:
        raise ValueError(
            f"weight must have shape (C, C_out/groups, kH, kW) with C = {x.shape[1]} channels of x "
            f"and C divisible by groups = {groups}, got shape {tuple(weight.shape)}"
        )
    out_channels = group_channels * groups
    if bias is not None:
        check_bias(bias, x, out_channels)
    kernel = (kernel_h, kernel_w)
    stride, dilation = as_pair("stride", stride, 1), as_pair("dilation", dilation, 1)
    cut, extra = as_pair("padding", padding, 0), as_pair("output_padding", output_padding, 0)
    n, _, height, width = x.shape
    out = conv_transpose_output_size((height, width), kernel, stride, cut, extra, dilation)

    pixels = x.reshape(n, groups, in_channels // groups, height, width)
    kernels = weight.reshape(groups, in_channels // groups, group_channels, *kernel)
    stamps = torch.einsum("ngchw,gcopq->ngohwpq", pixels, kernels)
    stamps = stamps.reshape(n, out_channels, height, width, *kernel)
    around = ((cut[0], cut[0]), (cut[1], cut[1]))
    full = (out[0] + 2 * cut[0], out[1] + 2 * cut[1])
    z = crop(add_windows(stamps, full, stride, dilation), around)
    return z if bias is None else z + bias[:, None, None]


def max_pool2d(
    x: Tensor,
    kernel_size: IntOrPair,
    stride: IntOrPair | None = None,
    padding: IntOrPair = 0,
    dilation: IntOrPair = 1,
    ceil_mode: bool = False,
) -> Tensor:
    """Return the maximum of each window.

    Args:
        x: Images (N, C, H, W).
        kernel_size: Window size in pixels, int or pair.
        stride: Step of the window in pixels, int or pair; the window size by default.
        padding: Pixels of −∞ added on each side, at most half the window.
        dilation: Distance in pixels between neighbouring taps, int or pair.
        ceil_mode: Whether a last, partly filled window counts.

    Returns:
        Images (N, C, H_out, W_out).

    Raises:
        TypeError: If ``x`` is no floating-point tensor, or an int is expected.
        ValueError: If the rank of ``x`` is not 4 or an argument is out of range.

    Source: semantics of ``torch.nn.functional.max_pool2d``.
    """
    kernel, stride, around, dilation = pool_arguments(
        x, kernel_size, stride, padding, dilation, ceil_mode
    )
    return windows(pad(x, around, -torch.inf), kernel, stride, dilation).amax(dim=(4, 5))


def avg_pool2d(
    x: Tensor,
    kernel_size: IntOrPair,
    stride: IntOrPair | None = None,
    padding: IntOrPair = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> Tensor:
    """Return the mean of each window.

    Args:
        x: Images (N, C, H, W).
        kernel_size: Window size in pixels, int or pair.
        stride: Step of the window in pixels, int or pair; the window size by default.
        padding: Zeros added on each side in pixels, at most half the window.
        ceil_mode: Whether a last, partly filled window counts.
        count_include_pad: Whether the zeros of ``padding`` count in the mean. Pixels that only
            ``ceil_mode`` reaches never do.

    Returns:
        Images (N, C, H_out, W_out).

    Raises:
        TypeError: If ``x`` is no floating-point tensor, or an int is expected.
        ValueError: If the rank of ``x`` is not 4 or an argument is out of range.

    Source: semantics of ``torch.nn.functional.avg_pool2d``.
    """
    kernel, stride, around, _ = pool_arguments(x, kernel_size, stride, padding, 1, ceil_mode)
    counts = pool_counts(x, kernel, stride, padding, around, count_include_pad)
    return windows(pad(x, around), kernel, stride).sum(dim=(4, 5)) / counts


def global_avg_pool2d(x: Tensor) -> Tensor:
    """Return the mean of each channel over all its positions, (N, C, H, W) → (N, C, 1, 1).

    Raises:
        TypeError: If ``x`` is no floating-point tensor.
        ValueError: If the rank of ``x`` is not 4.

    Source: Lin, Chen & Yan (2014), section 3.2; ``torch.nn.AdaptiveAvgPool2d(1)``.
    """
    check_images("x", x)
    return x.mean(dim=(2, 3), keepdim=True)


def check_conv_arguments(x: Tensor, weight: Tensor, groups: int) -> int:
    """Check that ``x``, ``weight`` and ``groups`` of a convolution fit, and return ``groups``.

    Raises:
        TypeError: If a tensor is none, or of a wrong dtype, or ``groups`` is no integer.
        ValueError: If a rank, shape or channel count does not fit.
    """
    check_images("x", x)
    check_images("weight", weight)
    check_same_dtype("weight", weight, "x", x)
    groups = as_int("groups", groups, 1)
    channels, (out_channels, group_channels) = x.shape[1], weight.shape[:2]
    if channels % groups or out_channels % groups:
        raise ValueError(
            f"groups must divide the {channels} channels of x and the {out_channels} of weight, "
            f"got {groups}"
        )
    if group_channels * groups != channels:
        raise ValueError(
            f"weight must have shape (C_out, C/groups, kH, kW) with C/groups = "
            f"{channels // groups}, got shape {tuple(weight.shape)}"
        )
    return groups


def check_bias(bias: Tensor, x: Tensor, out_channels: int) -> None:
    """Check that ``bias`` has one number per output channel, in the dtype of ``x``.

    Raises:
        TypeError: If it is no tensor of the dtype of ``x``.
        ValueError: If its shape is not (C_out,).
    """
    check_float_tensor("bias", bias)
    check_same_dtype("bias", bias, "x", x)
    check_shape("bias", bias, (out_channels,))


def pool_arguments(
    x: Tensor,
    kernel_size: IntOrPair,
    stride: IntOrPair | None,
    padding: IntOrPair,
    dilation: IntOrPair,
    ceil_mode: bool,
) -> tuple[Pair, Pair, tuple[Pair, Pair], Pair]:
    """Check a pooling's arguments and return (kernel, stride, padding of each side, dilation).

    The trailing padding is what the last window needs: less than ``padding`` where it ends early,
    more where ``ceil_mode`` carries it over the edge.

    Raises:
        TypeError: If ``x`` is no floating-point tensor, or an int is expected.
        ValueError: If the rank of ``x`` is not 4 or an argument is out of range.
    """
    check_images("x", x)
    kernel = as_pair("kernel_size", kernel_size, 1)
    steps = kernel if stride is None else as_pair("stride", stride, 1)
    before, taps = as_pair("padding", padding, 0), as_pair("dilation", dilation, 1)
    if 2 * before[0] > kernel[0] or 2 * before[1] > kernel[1]:
        raise ValueError(f"padding must be at most half of kernel_size {kernel}, got {before}")
    size = tuple(x.shape[2:])
    out = conv_output_size(size, kernel, steps, before, taps, ceil_mode)
    around = tuple(
        (b, max(b, (o - 1) * s + d * (k - 1) + 1 - n - b))
        for b, o, s, d, k, n in zip(before, out, steps, taps, kernel, size, strict=True)
    )
    return kernel, steps, around, taps


def pool_counts(
    x: Tensor,
    kernel: Pair,
    stride: Pair,
    padding: IntOrPair,
    around: tuple[Pair, Pair],
    count_include_pad: bool,
) -> Tensor:
    """Return how many pixels each window of an average pooling counts, (1, 1, H_out, W_out)."""
    counted = x.new_ones(1, 1, *x.shape[2:])
    vertical, horizontal = as_pair("padding", padding, 0)
    own = ((vertical, vertical), (horizontal, horizontal))
    beyond = tuple(
        (0, full[1] - mine[1]) for full, mine in zip(around, own, strict=True)
    )  # what only ceil_mode reaches
    counted = pad(counted, own, 1.0 if count_include_pad else 0.0)
    return windows(pad(counted, beyond), kernel, stride).sum(dim=(4, 5))
