import math
import re

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from cnnbook import marks


@pytest.fixture
def sheet(monkeypatch):
    monkeypatch.setenv(marks.SEED, "5")
    return marks.Sheet(4)


def test_a_part_that_passes_gives_its_points_and_one_that_fails_none(sheet, capsys):
    with sheet.part(1, "right"):
        marks.same(2.0, 2.0)
    with sheet.part(2.5, "wrong"):
        marks.same(3, 2, mistakes={"off by one": 3})
    with sheet.part(0.5, "also right"):
        pass
    assert sheet.total() == 1.5
    assert capsys.readouterr().out.splitlines() == [
        "✓ 1 of 1  right",
        "✗ 0 of 2.5  wrong",
        "    the result: expected 2, got 3",
        "    mistake: off by one",
        "    (inputs drawn with MARKS_SEED=5)",
        "✓ 0.5 of 0.5  also right",
    ]


def test_where_parts_are_hidden_no_score_is_shown_unless_a_visible_one_fails(sheet, capsys):
    with sheet.part(1, "visible"):
        pass
    assert sheet.total() is None
    assert "1 of 1 here; hidden tests decide 3 more" in capsys.readouterr().out
    with sheet.part(1, "visible, wrong"):
        raise RuntimeError("no")
    assert sheet.total() == 1


def test_what_went_wrong_is_said(sheet, capsys):
    with sheet.part(1, "empty"):
        raise NotImplementedError
    with sheet.part(1, "broken"):
        raise KeyError("rows\nand columns")
    printed = capsys.readouterr().out
    assert f"mistake: {marks.NOT_WRITTEN}" in printed
    assert "KeyError: 'rows\\nand columns'" in printed


def test_parts_have_no_more_points_than_the_sheet(sheet):
    with sheet.part(3, "most"):
        pass
    with pytest.raises(ValueError, match="the parts have 5 points, the sheet 4"), sheet.part(2, ""):
        pass
    with pytest.raises(ValueError, match="points"):
        marks.Sheet(0)
    with pytest.raises(TypeError, match="points"):
        marks.Sheet("4")


def test_a_keyboard_interrupt_is_not_an_answer(sheet):
    with pytest.raises(KeyboardInterrupt), sheet.part(1, "stopped"):
        raise KeyboardInterrupt


def test_inputs_are_fresh_and_a_seed_repeats_them(monkeypatch, capsys):
    def draw(parts=2):
        sheet = marks.Sheet(parts)
        for number in range(parts):
            with sheet.part(1, f"part {number}") as rng:
                drawn.append(torch.randn(3, generator=rng))
                raise ValueError
        return drawn

    drawn = []
    draw(), draw()
    assert len({tuple(values.tolist()) for values in drawn}) == 4
    last = re.findall(r"MARKS_SEED=(\d+)", capsys.readouterr().out)[-1]
    monkeypatch.setenv(marks.SEED, last)
    draw()
    torch.testing.assert_close(drawn[-1], drawn[-3], rtol=0, atol=0)
    monkeypatch.setenv(marks.SEED, "five")
    with pytest.raises(ValueError, match="MARKS_SEED must be an integer, got 'five'"):
        marks.Sheet(1)


@pytest.mark.parametrize(
    ("got", "expected"),
    [
        (torch.ones(2, 3), torch.ones(2, 3)),
        (torch.ones(2) + 1e-7, torch.ones(2)),
        (np.float32(1.5), 1.5),
        ([1, (2.0, "a")], [1, (2.0, "a")]),
        ({"a": torch.zeros(0), "b": None}, {"a": torch.zeros(0), "b": None}),
        (torch.tensor([math.inf, math.nan]), torch.tensor([math.inf, math.nan])),
        (torch.tensor([True, False]), np.array([True, False])),
        (np.bool_(True), True),
        (1e6 + 1, 1e6),
        (True, True),
    ],
)
def test_what_is_the_same(got, expected):
    marks.same(got, expected)
    assert not marks.differ(got, expected)


@pytest.mark.parametrize(
    ("got", "expected", "message"),
    [
        (None, 1.0, "is None: is a return missing"),
        (torch.ones(3), torch.ones(2), r"expected shape \(2,\), got \(3,\)"),
        (torch.tensor([1.0, 2, 4]), torch.tensor([1.0, 2, 3]), r"1 of 3 .* first at \[2\]"),
        ([1, 2], [1, 2, 3], "expected 3 values, got 2"),
        (7, [1, 2], "expected 2 values, got int 7"),
        ({"a": 1}, {"b": 1}, "expected keys"),
        (3, {"b": 1}, "got int 3"),
        ({"a": 1}, {"a": 2}, r"\['a'\]: expected 2, got 1"),
        ([1.0, 2.0], torch.ones(2), "expected a tensor, got list"),
        ("text", 1.0, "expected numbers, got str 'text'"),
        (torch.tensor([math.nan]), torch.ones(1), "differ"),
        (math.inf, 1.0, "expected 1, got inf"),
        (1.1, 1.0, "expected 1, got 1.1"),
        (1.0001, 1, "expected 1, got 1.0001"),
        (10**7 + 1, 10**7, "expected 10000000, got 10000001"),
        (torch.tensor([10**7 + 1]), torch.tensor([10**7]), "expected 10000000, got 10000001"),
        ("a", "b", "expected 'b', got str 'a'"),
        (1, True, "expected True, got int 1"),
        ([[1], [2, 3]], 1.0, "expected numbers"),
    ],
)
def test_what_is_not_the_same(got, expected, message):
    with pytest.raises(marks.Wrong, match=message):
        marks.same(got, expected)
    assert marks.differ(got, expected)


def test_an_answer_is_not_called_a_mistake_that_it_does_not_make():
    with pytest.raises(marks.Wrong) as error:
        marks.same(5.0, 1.0, mistakes={"twice": 2.0, "three times": 3.0})
    assert error.value.mistake is None
    with pytest.raises(marks.Wrong) as error:
        marks.same(3.0, 1.0, mistakes={"twice": 2.0, "three times": 3.0})
    assert error.value.mistake == "three times"


def test_refuses():
    def picky(x):
        if x < 0:
            raise ValueError(f"x must not be negative, got {x}")
        if x == 0:
            raise ValueError
        if x > 100:
            raise KeyError(x)

    marks.refuses(ValueError, picky, -1)
    for value, message in ((1, "the call returned"), (0, "no message"), (101, "got KeyError")):
        with pytest.raises(marks.Wrong, match=message):
            marks.refuses(ValueError, picky, value)

    def unwritten():
        raise NotImplementedError

    with pytest.raises(NotImplementedError):
        marks.refuses(Exception, unwritten)


def test_untouched_sees_values_modes_hooks_and_gradients():
    x, array, network = torch.ones(3), np.ones(3), nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3))
    with marks.untouched(x, array, network):
        network.eval()
        network(torch.ones(2, 3))
        network.train()

    def hook(*_):
        return None

    changes = {
        "argument": lambda: x.add_(1),
        "an argument": lambda: array.__setitem__(0, 2),
        "argument has": lambda: network[0].weight.data.mul_(2),
        "argument has changed": lambda: network(torch.randn(2, 3)),
        "mode": lambda: network[1].eval(),
        "hook": lambda: network[0].register_forward_hook(hook),
        "gradients": lambda: setattr(network[0].weight, "grad", torch.ones(3, 3)),
    }
    for word, change in changes.items():
        with pytest.raises(marks.Wrong, match=word), marks.untouched(x, array, network):
            change()


@pytest.mark.parametrize("value", [0.0, math.inf, 1.0])
def test_what_is_not_a_number_is_no_number(value):
    x = torch.full((2,), value)
    with pytest.raises(marks.Wrong, match="argument"), marks.untouched(x):
        x.fill_(math.nan)
    with marks.untouched(x):
        x.fill_(math.nan)
    with pytest.raises(marks.Wrong, match="argument"), marks.untouched(x):
        x.fill_(torch.finfo().max if value == math.inf else value)


def test_arrays_and_lists_are_compared_entry_by_entry():
    x = np.array([1.0, math.nan])
    with marks.untouched(x):
        pass
    with pytest.raises(marks.Wrong, match="argument"), marks.untouched(x):
        x[0] = 2
    one, two = torch.zeros(2), torch.ones(2)
    assert marks.alike([one, None, two], [one.clone(), None, two.clone()])
    assert not marks.alike([one, two], [one, one])
    assert not marks.alike([one], [one, two])
    assert not marks.alike([one, None], [one, two])


def test_without_withholds_an_operator_however_it_is_called():
    x, weight = torch.randn(1, 1, 5, 5), torch.randn(1, 1, 3, 3)
    with marks.without("convolution", "im2col"):
        assert marks.withheld() == ("convolution", "im2col")
        torch.einsum("ncij,ocij->no", x[..., :3, :3], weight)
        assert torch.zeros(2, dtype=torch.float64).dtype == torch.float64
        for call in (
            lambda: F.conv2d(x, weight),
            lambda: nn.Conv2d(1, 1, 3)(x),
            lambda: F.unfold(x, 3),
        ):
            with pytest.raises(marks.Wrong) as error:
                call()
            assert error.value.mistake == "copies PyTorch's function where forbidden"
    assert marks.withheld() == ()
    F.conv2d(x, weight)


def test_without_autograd_withholds_every_backward_pass_and_nothing_else():
    x = torch.randn(3, requires_grad=True)
    with marks.without("autograd"):
        y = (x * x).sum()
        (x.detach() * 2).exp()
        for call in (
            y.backward,
            lambda: torch.autograd.grad(y, x),
            lambda: torch.func.grad(lambda v: (v * v).sum())(x.detach()),
            lambda: torch.autograd.functional.jacobian(lambda v: v * v, x.detach()),
        ):
            with pytest.raises(marks.Wrong) as error:
                call()
            assert error.value.mistake == "autograd in place of the derivation"
    with marks.without("convolution"):
        torch.autograd.grad((x * x).sum(), x)


def test_variants_differ_by_student_and_assignment_and_the_grader_has_the_last_word(
    monkeypatch, capsys
):
    monkeypatch.delenv(marks.STUDENT, raising=False)

    def numbers(*who):
        return tuple(marks.variant(*who).integers(0, 10**9, 3))

    assert numbers("depth", "ana") == numbers("depth", " ana ")
    assert len({numbers("depth", "ana"), numbers("depth", "ben"), numbers("init", "ana")}) == 3
    with pytest.raises(ValueError, match="student must be your login"):
        marks.variant("depth", "")
    with pytest.raises(ValueError, match="student must be your login"):
        marks.variant("depth")
    assert not capsys.readouterr().out
    known = numbers("depth", "ana")
    monkeypatch.setenv(marks.STUDENT, "ana")
    assert numbers("depth", "ana") == numbers("depth", "") == known
    assert not capsys.readouterr().out
    assert numbers("depth", "ben") == known
    assert "you are 'ben', the grader knows 'ana'" in capsys.readouterr().out
