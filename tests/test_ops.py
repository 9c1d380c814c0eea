"""``ops`` against ``torch.nn.functional`` over generated shapes, in float64."""

import math
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.autograd import forward_ad
from torch.utils._python_dispatch import TorchDispatchMode

import strategies
from cnnbook import ops

TOLERANCE = {"rtol": 0.0, "atol": 1e-10}


WINOGRAD = [method for method in sorted(ops.METHODS) if method.startswith("winograd")]


@pytest.mark.parametrize("method", sorted(set(ops.METHODS) - set(WINOGRAD)))
@settings(max_examples=60, deadline=None)
@given(
    case=strategies.convolutions(
        st.one_of(strategies.pairs(0, 3), st.sampled_from(["same", "valid"]))
    )
)
@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel:UserWarning")
def test_conv2d_agrees_with_pytorch(method, case):
    z = ops.conv2d(case.x, case.weight, case.bias, **case.options, method=method)
    expected = F.conv2d(case.x, case.weight, case.bias, **case.options)
    torch.testing.assert_close(z, expected, **TOLERANCE)


@pytest.mark.parametrize("method", WINOGRAD)
@settings(max_examples=60, deadline=None)
@given(case=strategies.convolutions(strategies.pairs(1, 3)), more=st.integers(0, 6))
def test_winograd_agrees_with_pytorch(method, case, more):
    groups, (out_channels, channels) = case.options["groups"], case.weight.shape[:2]
    x = F.pad(case.x, (0, more, 0, more), value=0.5)
    weight = strategies.seeded(more, out_channels, channels, 3, 3)
    options = {"padding": case.options["padding"], "groups": groups}
    z = ops.conv2d(x, weight, case.bias, **options, method=method)
    torch.testing.assert_close(z, F.conv2d(x, weight, case.bias, **options), **TOLERANCE)


# Shapes that take every path: (N, C, H, W), (C_out, C/groups, kH, kW), stride, padding, dilation.
PATHS = {
    "rows": ((2, 3, 9, 20), (4, 3, 3, 3), 1, 1, 1),
    "channels last": ((5, 40, 9, 8), (6, 40, 3, 3), 1, 1, 1),
    "groups": ((3, 4, 7, 7), (6, 2, 3, 3), 1, (2, 1), 1),
    "depthwise": ((2, 4, 6, 6), (4, 1, 3, 3), 1, 4, 1),
    "stride, and pixels unseen": ((2, 4, 13, 11), (6, 2, 4, 3), (3, 2), (1, 0), (1, 2)),
    "stride, channels last": ((2, 40, 6, 5), (8, 40, 3, 3), (2, 1), 1, 1),
    "a large kernel": ((2, 2, 16, 18), (3, 2, 15, 15), 1, 1, 1),
    "many channels": ((4, 128, 31, 29), (128, 128, 3, 3), 1, 0, 1),
    "no images": ((0, 4, 9, 8), (6, 4, 3, 3), 1, 1, 1),
}


def both(method, shape, kernel, stride, padding, dilation, dtype=torch.float64):
    """Return output and gradients of ``ops.conv2d`` by a method, and those of PyTorch."""
    inputs = [
        strategies.seeded(0, *shape),
        strategies.seeded(1, *kernel),
        strategies.seeded(2, kernel[0]),
    ]
    inputs = [tensor.to(dtype).requires_grad_() for tensor in inputs]
    groups = shape[1] // kernel[1]
    found = []
    for convolve in (lambda *args: ops.conv2d(*args, method=method), F.conv2d):
        z = convolve(*inputs, stride, padding, dilation, groups)
        grad_z = strategies.seeded(3, *z.shape).to(dtype)
        found.append([z, *torch.autograd.grad(z, inputs, grad_z)])
    return found


def methods_of(path):
    """Return the methods that a path can take, but for loops over many pixels."""
    shape, kernel, *how = PATHS[path]
    fits = kernel[2:] == (3, 3) and how[0] == how[2] == 1
    small = math.prod(shape[2:]) * math.prod(kernel) < 20_000
    return [m for m in ops.METHODS if (m not in WINOGRAD or fits) and (m != "loops" or small)]


@pytest.mark.parametrize(("path", "method"), [(p, m) for p in PATHS for m in methods_of(p)])
def test_gradients_of_every_method_agree_with_pytorch(path, method):
    found, expected = both(method, *PATHS[path])
    assert found[0].is_contiguous()
    for ours, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-9)


@pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated:DeprecationWarning")
@pytest.mark.parametrize("method", sorted(ops.METHODS))
def test_functional_derivatives_agree_with_pytorch(method):
    x, weight = strategies.seeded(0, 2, 2, 5, 6), strategies.seeded(1, 4, 1, 3, 3)
    ways = (strategies.seeded(2, *x.shape), strategies.seeded(3, *weight.shape))

    def loss(convolve, x, weight):
        return convolve(x, weight, padding=(1, 2), groups=2).square().sum()

    ours, theirs = (partial(loss, f) for f in (partial(ops.conv2d, method=method), F.conv2d))
    for argument in (0, 1):
        found, expected = (torch.func.grad(f, argument)(x, weight) for f in (ours, theirs))
        torch.testing.assert_close(found, expected)
    if method != "loops":
        found, expected = (torch.func.jvp(f, (x, weight), ways) for f in (ours, theirs))
        torch.testing.assert_close(found, expected)


@pytest.mark.parametrize(
    ("method", "stride"),
    [("im2col", 1), ("im2col", 2), ("fft", 1), ("fft", 2), ("winograd4", 1)],
)
@pytest.mark.parametrize("in_dims", [(0, None), (None, 1), (2, 0)])
def test_vmap_agrees_with_a_loop(method, stride, in_dims):
    convolve = partial(ops.conv2d, stride=stride, padding=1, method=method)
    many = [strategies.seeded(0, 5, 2, 4, 6, 7), strategies.seeded(1, 5, 3, 4, 3, 3)]
    given = [m[0] if at is None else m.movedim(0, at) for m, at in zip(many, in_dims, strict=True)]
    gradients = torch.func.grad(lambda x, w: convolve(x, w).square().sum(), (0, 1))
    for function in (convolve, gradients):
        found = torch.func.vmap(function, in_dims)(*given)
        alone = [
            function(*(m[0 if at is None else k] for m, at in zip(many, in_dims, strict=True)))
            for k in range(5)
        ]
        if function is convolve:
            torch.testing.assert_close(found, torch.stack(alone), **TOLERANCE)
        else:
            for ours, theirs in zip(found, zip(*alone, strict=True), strict=True):
                torch.testing.assert_close(ours, torch.stack(theirs), **TOLERANCE)


@pytest.mark.parametrize("method", sorted(set(ops.METHODS) - {"loops"}))
def test_gradients_can_be_differentiated_again(method):
    x, weight = strategies.seeded(0, 2, 2, 5, 6), strategies.seeded(1, 4, 1, 3, 3)
    for stride in [1] if method in WINOGRAD else [1, (2, 1)]:
        convolve = partial(ops.conv2d, stride=stride, padding=(1, 2), groups=2, method=method)
        inputs = (x.requires_grad_(), weight.requires_grad_())
        assert torch.autograd.gradgradcheck(convolve, inputs)


@pytest.mark.parametrize("size", [1, 3_000, 50_000])
@pytest.mark.parametrize("path", PATHS)
def test_the_size_of_a_block_changes_nothing(monkeypatch, path, size):
    for method in set(methods_of(path)) - {"loops", "fft", "auto", "winograd"}:
        whole, _ = both(method, *PATHS[path])
        with monkeypatch.context() as patch:
            patch.setattr(ops, "BLOCK_BYTES", size)
            cut, _ = both(method, *PATHS[path])
        torch.testing.assert_close(cut, whole, rtol=1e-10, atol=1e-9)


@pytest.mark.parametrize(
    ("shape", "kernel", "options", "name"),
    [
        ((64, 128, 28, 28), (128, 128, 3, 3), {}, "winograd4"),
        ((64, 512, 4, 4), (512, 512, 3, 3), {}, "winograd2"),  # half of a tile of 4 × 4 is wasted
        ((2, 512, 6, 6), (512, 512, 3, 3), {}, "im2col"),  # transforming the kernels costs more
        ((64, 3, 28, 28), (32, 3, 3, 3), {}, "im2col"),  # and here the images
        ((6, 64, 10, 10), (64, 64, 3, 3), {}, "im2col"),  # and here the calls
        ((64, 128, 28, 28), (128, 128, 3, 3), {"stride": 2}, "im2col"),
        ((64, 128, 28, 28), (128, 128, 3, 3), {"dilation": 2}, "im2col"),
        ((64, 256, 28, 28), (256, 128, 3, 3), {"groups": 2}, "im2col"),
        ((64, 128, 28, 28), (128, 128, 3, 5), {}, "im2col"),
        ((2, 2, 28, 28), (2, 2, 15, 15), {}, "fft"),
        ((2, 2, 28, 28), (2, 2, 14, 15), {}, "im2col"),
        ((2, 2, 28, 28), (2, 2, 15, 15), {"stride": 2}, "im2col"),
    ],
)
def test_auto_takes(monkeypatch, shape, kernel, options, name):
    taken = []
    for method in ("im2col", "fft", "winograd2", "winograd4"):
        record = partial(lambda method, x, *_: taken.append(method) or x.new_zeros(1), method)
        monkeypatch.setitem(ops.METHODS, method, record)
    x, weight = torch.zeros(1).expand(shape), torch.zeros(1).expand(kernel)
    ops.conv2d(x, weight, **options, method="auto")
    assert taken == [name]


@pytest.mark.parametrize("method", ["im2col", "winograd2", "winograd4"])
def test_memory_that_is_used_again_is_nobodys_result(method):
    generator = torch.Generator().manual_seed(0)
    pairs = [
        (torch.randn(2, c, s, s, generator=generator), torch.randn(5, c, 3, 3, generator=generator))
        for c, s in ((3, 20), (40, 6), (3, 20), (16, 40))
    ]

    def all_of_them():
        return [ops.conv2d(x, weight, method=method) for x, weight in pairs]

    with ThreadPoolExecutor(4) as pool:  # memory of one thread is not that of another
        found = [all_of_them(), *(f.result() for f in [pool.submit(all_of_them) for _ in range(8)])]
    for results in found:
        for z, (x, weight) in zip(results, pairs, strict=True):
            torch.testing.assert_close(z, F.conv2d(x, weight), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("groups", [1, 2])
def test_gradients_of_weights_can_be_taken_for_many_signals_at_once(groups):
    generator = torch.Generator().manual_seed(0)
    shapes = (2, 4, 6, 6), (4, 4 // groups, 3, 3), (5, 2, 4, 6, 6)
    x, weight, signals = (
        torch.randn(*shape, generator=generator, dtype=torch.float64) for shape in shapes
    )
    found = []
    for convolve in (ops.conv2d, F.conv2d):
        by_weight = partial(convolve, x, padding=1, groups=groups)
        with torch.no_grad():
            _, gradient = torch.func.vjp(by_weight, weight)
            found.append(torch.func.vmap(gradient)(signals)[0])
    torch.testing.assert_close(*found)


def test_memory_beyond_a_bound_is_not_kept(monkeypatch):
    monkeypatch.setattr(ops, "_KEPT_BYTES", 1000)
    x = torch.zeros(1)
    first, second = (ops._room(x, 250, "test") for _ in range(2))
    assert first.data_ptr() == second.data_ptr() and first.data_ptr() % 64 == 0
    larger = ops._room(x, 251, "test")
    assert len(larger) == 251 and "test" not in vars(ops._ROOMS)


def test_lengths_of_spectra_have_small_factors():
    smooth = {2**a * 3**b * 5**c for a in range(9) for b in range(6) for c in range(4)}
    for length in range(1, 250):
        assert ops._fast_length(length) == min(n for n in smooth if n >= length)


class Storages(TorchDispatchMode):
    """The largest storage that any operation returns, in bytes."""

    largest = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        if isinstance(out, torch.Tensor):
            self.largest = max(self.largest, out.untyped_storage().nbytes())
        return out


def test_the_gradient_of_the_weights_takes_little_memory():
    x, weight = torch.randn(256, 64, 8, 8), torch.randn(64, 64, 3, 3, requires_grad=True)
    z = ops.conv2d(x, weight, padding=1)
    with Storages() as storages:
        torch.autograd.grad(z.sum(), weight)
    assert storages.largest <= max(ops.BLOCK_BYTES + weight.nbytes, x.nbytes)


@pytest.mark.parametrize("method", ["im2col", "winograd4"])
@pytest.mark.parametrize("shape", [(64, 16, 64, 64), (64, 64, 32, 32)])
def test_patches_are_never_in_memory_all_at_once(method, shape):
    x, weight = torch.zeros(shape), torch.zeros(8, shape[1], 3, 3)
    assert 9 * x.nbytes > 20 * ops.BLOCK_BYTES
    with Storages() as seen:
        z = ops.conv2d(x[:, :, :-2, :-2], weight, method=method)
    assert seen.largest <= max(x.nbytes, z.nbytes)


@pytest.mark.parametrize("method", sorted(set(ops.METHODS) - {"loops", "auto"}))
@pytest.mark.parametrize("onednn", [True, False])
def test_float32_rounds_and_winograd4_more(monkeypatch, method, onednn):
    if onednn and not hasattr(torch.ops.mkldnn, "_linear_pointwise"):
        pytest.skip("this PyTorch has no oneDNN")
    monkeypatch.setattr(ops, "_PREFERS_ONEDNN", onednn)
    errors = {}
    for name in (method, "im2col"):
        exact, _ = both(name, (4, 64, 24, 24), (32, 64, 3, 3), 1, 1, 1)
        rounded, _ = both(name, (4, 64, 24, 24), (32, 64, 3, 3), 1, 1, 1, torch.float32)
        errors[name] = [
            ((r - e).square().mean() / e.square().mean()).sqrt().item()
            for r, e in zip(rounded[:2], exact[:2], strict=True)
        ]
    for own, usual in zip(errors[method], errors["im2col"], strict=True):
        assert 1e-8 < usual < 1e-6
        assert 2 < own / usual < 10 if "4" in method or method == "winograd" else own < 1.5 * usual


@pytest.mark.parametrize(
    ("outputs", "taps"), [(m, r) for m in range(1, 9) for r in range(1, 10 - m)]
)
def test_winograd_matrices_correlate(outputs, taps):
    a, g, b = ops.winograd_matrices(outputs, taps)
    kernel, pixels = strategies.seeded(0, taps), strategies.seeded(1, outputs + taps - 1)
    expected = pixels.unfold(0, taps, 1) @ kernel
    torch.testing.assert_close(a.T @ ((g @ kernel) * (b.T @ pixels)), expected, **TOLERANCE)


def test_winograd_matrices_are_those_of_lavin_and_gray():
    _, g, b = ops.winograd_matrices(4)
    assert b.T.round(decimals=12).abs().tolist()[:2] == [[4, 0, 5, 0, 1, 0], [0, 4, 4, 1, 1, 0]]
    torch.testing.assert_close(g[3], torch.tensor([1 / 24, 1 / 12, 1 / 6], dtype=g.dtype))


@settings(**strategies.settings)
@given(case=strategies.transposed_convolutions())
def test_conv_transpose2d_agrees_with_pytorch(case):
    z = ops.conv_transpose2d(case.x, case.weight, case.bias, **case.options)
    expected = F.conv_transpose2d(case.x, case.weight, case.bias, **case.options)
    torch.testing.assert_close(z, expected, **TOLERANCE)


@settings(**strategies.settings)
@given(case=strategies.poolings(dilated=True))
def test_max_pool2d_agrees_with_pytorch(case):
    expected = F.max_pool2d(case.x, **case.options)
    torch.testing.assert_close(ops.max_pool2d(case.x, **case.options), expected, **TOLERANCE)


@settings(**strategies.settings)
@given(case=strategies.poolings(dilated=False))
def test_avg_pool2d_agrees_with_pytorch(case):
    expected = F.avg_pool2d(case.x, **case.options)
    torch.testing.assert_close(ops.avg_pool2d(case.x, **case.options), expected, **TOLERANCE)


def test_global_avg_pool2d_agrees_with_pytorch():
    x = torch.randn(2, 3, 4, 5, dtype=torch.float64)
    torch.testing.assert_close(ops.global_avg_pool2d(x), F.adaptive_avg_pool2d(x, 1), **TOLERANCE)


@settings(**strategies.settings)
@given(case=strategies.convolutions(strategies.pairs(0, 0)))
def test_add_windows_is_the_adjoint_of_windows(case):
    kernel = tuple(case.weight.shape[2:])
    stride, dilation = (
        (n, n) if isinstance(n, int) else n
        for n in (case.options["stride"], case.options["dilation"])
    )
    lifted = ops.windows(case.x, kernel, stride, dilation)
    patches = torch.randn(lifted.shape, dtype=torch.float64)
    added = ops.add_windows(patches, tuple(case.x.shape[2:]), stride, dilation)
    torch.testing.assert_close((lifted * patches).sum(), (case.x * added).sum(), **TOLERANCE)


def test_windows_is_a_view():
    x = torch.zeros(1, 1, 4, 4)
    assert ops.windows(x, (2, 2)).data_ptr() == x.data_ptr()


def test_windows_of_a_tensor_that_is_not_contiguous():
    x = torch.randn(2, 3, 6, 5).transpose(2, 3)
    torch.testing.assert_close(ops.windows(x, (2, 3)), ops.windows(x.contiguous(), (2, 3)))


def test_crop_undoes_pad():
    x = torch.randn(1, 2, 3, 4)
    around = ((1, 2), (0, 3))
    assert torch.equal(ops.crop(ops.pad(x, around), around), x)


def test_max_pool2d_pads_with_minus_infinity_not_zero():
    x = -torch.ones(1, 1, 2, 2)
    assert torch.equal(ops.max_pool2d(x, 2, padding=1), -torch.ones(1, 1, 2, 2))


def test_an_empty_batch_passes():
    x, weight = torch.zeros(0, 2, 5, 5), torch.zeros(3, 2, 3, 3)
    assert ops.conv2d(x, weight).shape == (0, 3, 3, 3)
    assert ops.max_pool2d(x, 2).shape == (0, 2, 2, 2)


X, W = torch.zeros(1, 4, 5, 5), torch.zeros(6, 4, 3, 3)

BAD_CALLS = [
    (lambda: ops.conv2d([1.0], W), TypeError, "x must be a torch.Tensor, got list"),
    (lambda: ops.conv2d(X.int(), W), TypeError, "x must have a floating-point dtype"),
    (lambda: ops.conv2d(X[0], W), ValueError, r"x must have 4 axes .* got shape \(4, 5, 5\)"),
    (lambda: ops.conv2d(X[:, :, :0], W), ValueError, "x must have no empty axis"),
    (lambda: ops.conv2d(X, W[0]), ValueError, "weight must have 4 axes"),
    (lambda: ops.conv2d(X, W.double()), TypeError, "weight must have the dtype of x"),
    (lambda: ops.conv2d(X, W[:, :3]), ValueError, r"weight must have shape .* C/groups = 4"),
    (lambda: ops.conv2d(X, W, groups=3), ValueError, "groups must divide the 4 channels"),
    (lambda: ops.conv2d(X, W[:5], groups=2), ValueError, "groups must divide .* the 5 of weight"),
    (lambda: ops.conv2d(X, W, groups=0), ValueError, "groups must be at least 1, got 0"),
    (lambda: ops.conv2d(X, W, groups=True), TypeError, "groups must be an integer, got True"),
    (lambda: ops.conv2d(X, W, [1.0]), TypeError, "bias must be a torch.Tensor"),
    (lambda: ops.conv2d(X, W, torch.zeros(5)), ValueError, r"bias must have shape \(6,\)"),
    (lambda: ops.conv2d(X, W, torch.zeros(6).double()), TypeError, "bias must have the dtype"),
    (lambda: ops.conv2d(X, W, stride=0), ValueError, "stride must be at least 1, got 0"),
    (lambda: ops.conv2d(X, W, stride=1.5), TypeError, "stride must be an integer or a pair"),
    (lambda: ops.conv2d(X, W, stride=(1, 2, 3)), ValueError, r"stride .* got \(1, 2, 3\)"),
    (lambda: ops.conv2d(X, W, padding=-1), ValueError, "padding must be at least 0, got -1"),
    (lambda: ops.conv2d(X, W, padding=(0, -1)), ValueError, r"padding\[1\] must be at least 0"),
    (lambda: ops.conv2d(X, W, padding="full"), ValueError, "padding must be .* got 'full'"),
    (lambda: ops.conv2d(X, W, 0 * W[:, 0, 0, 0], 2, "same"), ValueError, "needs stride 1"),
    (lambda: ops.conv2d(X, W, dilation=3), ValueError, "kernel_size 3 with dilation 3 spans 7"),
    (lambda: ops.conv2d(X, W, method="best"), ValueError, r"method must be one of .* got 'best'"),
    (lambda: ops.conv2d(X, W, method=[]), ValueError, r"method must be one of .* got \[\]"),
    (
        lambda: ops.conv2d(X, W, stride=2, method="winograd"),
        ValueError,
        r"3×3, stride 1 .* \(2, 2\)",
    ),
    (lambda: ops.conv2d(X, W[..., 1:], method="winograd4"), ValueError, "needs .* got 3×2"),
    (
        lambda: ops.winograd_matrices(7),
        ValueError,
        r"outputs \+ taps must be at most 9, got 7 \+ 3",
    ),
    (lambda: ops.winograd_matrices(0), ValueError, "outputs must be at least 1, got 0"),
    (lambda: ops.winograd_matrices(2, True), TypeError, "taps must be an integer, got True"),
    (lambda: ops.conv_transpose2d(X, W), ValueError, "with C = 4 channels of x"),
    (lambda: ops.conv_transpose2d(X, W[:4], groups=3), ValueError, "divisible by groups = 3"),
    (lambda: ops.conv_transpose2d(X, W[:4], torch.zeros(5)), ValueError, "bias must have shape"),
    (lambda: ops.conv_transpose2d(X, W[:4], padding=4), ValueError, "leaves nothing"),
    (lambda: ops.conv_transpose2d(X, W[:4], output_padding=1), ValueError, "output_padding must"),
    (lambda: ops.max_pool2d(X, 0), ValueError, "kernel_size must be at least 1, got 0"),
    (lambda: ops.max_pool2d(X, 2, padding=2), ValueError, "padding must be at most half"),
    (lambda: ops.max_pool2d(X, 6), ValueError, "more than the padded input of 5"),
    (lambda: ops.max_pool2d(X[0], 2), ValueError, "x must have 4 axes"),
    (lambda: ops.avg_pool2d(X, 2, stride="1"), TypeError, "stride must be an integer"),
    (lambda: ops.avg_pool2d(X, (2, 2.0)), TypeError, r"kernel_size\[1\] must be an integer"),
    (lambda: ops.global_avg_pool2d(X[0]), ValueError, "x must have 4 axes"),
]


@pytest.mark.parametrize(("call", "error", "message"), BAD_CALLS)
def test_bad_arguments_are_named(call, error, message):
    with pytest.raises(error, match=message):
        call()


@pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated:DeprecationWarning")
@pytest.mark.parametrize("method", ["im2col", "winograd4", "fft"])
def test_dual_numbers_carry_tangents(method):
    x, x_dot = torch.randn(2, 2, 3, 9, 9, dtype=torch.float64)
    weight, weight_dot = torch.randn(2, 4, 3, 3, 3, dtype=torch.float64)
    with forward_ad.dual_level():
        found = ops.conv2d(forward_ad.make_dual(x, x_dot), weight, method=method)
        of_x = forward_ad.unpack_dual(found).tangent
        found = ops.conv2d(x, forward_ad.make_dual(weight, weight_dot), method=method)
        of_weight = forward_ad.unpack_dual(found).tangent
    torch.testing.assert_close(of_x, F.conv2d(x_dot, weight))
    torch.testing.assert_close(of_weight, F.conv2d(x, weight_dot))


@pytest.mark.parametrize("method", ["im2col", "winograd4", "fft"])
def test_functional_transforms_may_follow_something_else(method):
    x, weight = torch.randn(2, 3, 9, 9), torch.randn(4, 3, 3, 3)
    scale, z = torch.tensor([1.0, 2.0]), F.conv2d(x, weight)

    def scaled(factor):
        return factor * ops.conv2d(x, weight, method=method)

    ops._winograd_transforms.cache_clear()
    slope = torch.func.grad(lambda factor: scaled(factor).sum())(scale[0])
    torch.testing.assert_close(slope, z.sum(), rtol=1e-3, atol=1e-3)
    tangent = torch.func.jvp(scaled, (scale[0],), (scale[1],))[1]
    torch.testing.assert_close(tangent, 2 * z, rtol=1e-3, atol=1e-3)
    found = torch.func.vmap(scaled)(scale)
    torch.testing.assert_close(found, torch.stack([z, 2 * z]), rtol=1e-3, atol=1e-3)
