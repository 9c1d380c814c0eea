import copy
import json
import math
import socket
import threading

import nbformat
import numpy as np
import pandas as pd
import pytest
import torch
from grader import notebooks, results, sandbox, session, text, wire
from grader.remarks import remarks, unusual
from torch import nn


def cell(source, grade_id="", **flags):
    made = nbformat.v4.new_code_cell(source)
    if grade_id:
        made.metadata["nbgrader"] = {"grade_id": grade_id, "schema_version": 3, **flags}
    return made


@pytest.fixture
def source():
    answer = "def f():\n    ### BEGIN SOLUTION\n    return 1\n    ### END SOLUTION"
    test = "f()\n### BEGIN HIDDEN TESTS\nassert f() == 1\n### END HIDDEN TESTS\n1.0"
    return nbformat.v4.new_notebook(
        cells=[
            cell("import torch", "setup", locked=True),
            cell(answer, "f", solution=True, grade=False, locked=False),
            cell(test, "f-test", grade=True, locked=True, solution=False, points=2),
            nbformat.v4.new_markdown_cell(
                "because",
                metadata={
                    "nbgrader": {"grade_id": "why", "solution": True, "grade": True, "points": 1}
                },
            ),
        ]
    )


@pytest.fixture
def submission(source):
    found = text.reference(source)
    found.cells[1].source = "def f():\n    return 2"
    return found


def sources(notebook):
    return [found.source for found in notebook.cells]


def test_a_rebuilt_submission_has_its_answers_and_the_tests_of_the_source(source, submission):
    submission.cells.insert(2, cell("print('mine')"))
    submission.cells.insert(0, nbformat.v4.new_markdown_cell("A note"))
    found = notebooks.rebuild(source, submission)
    assert sources(found) == [
        "A note",
        "import torch",
        "def f():\n    return 2",
        "print('mine')",
        source.cells[2].source,
        "because",
    ]


def edited(notebook):
    notebook.cells[2].source = "2.0"


def deleted(notebook):
    del notebook.cells[2]


def everything_deleted(notebook):
    notebook.cells = []


def reversed_order(notebook):
    notebook.cells.reverse()


def duplicated_before(notebook):
    twin = copy.deepcopy(notebook.cells[2])
    twin.source = "2.0"
    notebook.cells.insert(0, twin)


def duplicated_after(notebook):
    twin = copy.deepcopy(notebook.cells[2])
    twin.source = "2.0"
    notebook.cells.append(twin)


def made_an_answer(notebook):
    notebook.cells[2].source = "2.0"
    notebook.cells[2].metadata.nbgrader.update(solution=True, locked=False, points=100)


def worth_more(notebook):
    notebook.cells[2].metadata.nbgrader["points"] = 1000


def made_text(notebook):
    notebook.cells[2] = nbformat.v4.new_markdown_cell("2.0", metadata=notebook.cells[2].metadata)


def nonsense_in_metadata(notebook):
    notebook.cells[2].metadata["nbgrader"] = "f-test"
    notebook.cells[1].metadata["nbgrader"]["grade_id"] = ["f"]


@pytest.mark.parametrize(
    "tampered",
    [edited, deleted, everything_deleted, reversed_order, duplicated_before, duplicated_after,
     made_an_answer, worth_more, made_text, nonsense_in_metadata],
)  # fmt: skip
def test_tampering_with_tests_changes_nothing(source, submission, tampered):
    tampered(submission)
    found = notebooks.rebuild(source, submission)
    tests = [made for made in found.cells if notebooks.grade_id(made) == "f-test"]
    assert len(tests) == 1
    assert tests[0].source == source.cells[2].source
    assert tests[0].metadata == source.cells[2].metadata
    names = [notebooks.grade_id(made) for made in found.cells if notebooks.grade_id(made)]
    assert names == ["setup", "f", "f-test", "why"]


def test_the_reference_has_neither_markers_nor_hidden_tests(source):
    found = text.reference(source)
    assert found.cells[1].source == "def f():\n    return 1"
    assert found.cells[2].source == "f()\n1.0"


def test_a_wrong_submission_is_the_reference_but_for_its_cells(source, tmp_path):
    path = tmp_path / "always_three.py"
    path.write_text(
        '"""It is three,\nalways.\n\npoints f-test 0.5\nmistake three for one\n"""\n\n'
        "# %% f\ndef f():\n    return 3\n"
    )
    found = text.read(path)
    assert found == text.Submission(
        "always three", "It is three, always.", {"f-test": 0.5}, ("three for one",),
        {"f": "def f():\n    return 3"},
    )  # fmt: skip
    written = text.written(source, found)
    assert written.cells[1].source == "def f():\n    return 3"
    assert written.cells[3].source == "because"
    path.write_text("# %% f\n")
    with pytest.raises(ValueError, match=r"always_three.py must begin with a docstring"):
        text.read(path)
    path.write_text('"""Why."""\n\n# %% g\n1\n')
    with pytest.raises(ValueError, match=r"cell must be one of \['f'\], got 'g'"):
        text.written(source, text.read(path))


@pytest.mark.parametrize("content", ["", "{", "[]", '{"cells": 3}', "\x00\xff", "[" * 100_000])
def test_a_damaged_submission_is_named(tmp_path, content):
    path = tmp_path / "work.ipynb"
    with pytest.raises(notebooks.Damaged, match=r"work.ipynb is missing"):
        notebooks.read(path)
    path.write_text(content)
    with pytest.raises(notebooks.Damaged, match=r"work.ipynb is not a notebook"):
        notebooks.read(path)


def test_a_submission_that_is_too_large_is_not_read(tmp_path, source):
    path = tmp_path / "work.ipynb"
    with path.open("wb") as file:
        file.truncate(notebooks.MAX_BYTES + 1)
    with pytest.raises(notebooks.Damaged, match="larger than 20 MiB"):
        notebooks.read(path)
    source.cells = [cell("1")] * (notebooks.MAX_CELLS + 1)
    for number, made in enumerate(source.cells):
        source.cells[number] = nbformat.from_dict({**made, "id": f"c{number}"})
    nbformat.write(source, path)
    with pytest.raises(notebooks.Damaged, match="1001 cells"):
        notebooks.read(path)


def travel(value):
    objects = []

    def keep(thing):
        inner = wire.opaque(thing)
        if inner is None:
            return None
        objects.append(inner)
        return {"kind": "remote", "id": len(objects) - 1}

    return wire.decode(*wire.encode(value, keep), lambda found: objects[found["id"]])


def test_plain_data_travels():
    stays = object()
    leaf = torch.randn(2, 3, requires_grad=True)
    (leaf**2).sum().backward()
    value = {
        "numbers": [1, 2.5, -math.inf, True, None, 10**40],
        ("a", 1): (torch.arange(3), np.ones((0, 2)), np.float32(1.5), {1, 2}),
        "leaf": leaf,
        "object": stays,
        "type": torch.float32,
    }
    found = travel(value)
    assert found["numbers"] == value["numbers"]
    tensor, array, number, members = found["a", 1]
    assert torch.equal(tensor, torch.arange(3)) and tensor.dtype == torch.int64
    assert array.shape == (0, 2) and number == 1.5 and members == {1, 2}
    assert found["leaf"].requires_grad and torch.equal(found["leaf"].grad, leaf.grad)
    assert found["object"] is stays and found["type"] == "torch.float32"
    table = pd.DataFrame({"layer": ["a", "b"], "rms": [1.0, np.nan]}, index=[3, 4])
    pd.testing.assert_frame_equal(travel(table), table, check_column_type=False)
    pd.testing.assert_series_equal(travel(table["rms"]), table["rms"], check_names=False)


@pytest.mark.parametrize(
    ("message", "blob"),
    [
        (b"", b""),
        (b"{", b""),
        (b'{"kind": "list"}', b""),
        (b'{"kind": "spell"}', b""),
        (b"[1, 2]", b""),
        (b"[" * 200_000, b""),
        (b"1" * 10_000, b""),
        (b'{"kind": "dict", "value": [[{"kind": "list", "value": []}, 1]]}', b""),
        (b'{"kind": "tensor", "dtype": "<f4", "shape": [2], "bytes": 4}', b"1234"),
        (b'{"kind": "tensor", "dtype": "<f4", "shape": [1000000000000], "bytes": 4}', b"1234"),
        (b'{"kind": "tensor", "dtype": "<f4", "shape": [-1, -1], "bytes": 4}', b"1234"),
        (b'{"kind": "tensor", "dtype": "<f4", "shape": [1], "bytes": 4}', b""),
        (b'{"kind": "array", "dtype": "O", "shape": [1], "bytes": 8}', b"12345678"),
    ],
)
def test_nonsense_is_refused(message, blob):
    def revive(found):
        raise ValueError(found)

    with pytest.raises(wire.Broken):
        wire.decode(message, blob, revive)


def test_a_message_has_a_largest_length():
    here, there = socket.socketpair()
    with here, there:
        sender = threading.Thread(target=wire.send, args=(there, b"{}", b"data"))
        sender.start()
        assert wire.receive(here) == (b"{}", b"data")
        sender.join()
        there.sendall(b"\xff" * 8)
        with pytest.raises(wire.Broken, match="bytes"):
            wire.receive(here)
        there.shutdown(socket.SHUT_WR)
        with pytest.raises(EOFError):
            wire.receive(here)


def test_a_module_that_changed_there_changes_here():
    def state(network):
        return {
            "outline": wire.outline(network),
            "values": [value.clone() for value in network.state_dict().values()],
            "grads": [torch.ones_like(p) for p in network.parameters()],
            "frozen": [False, True],
            "modes": [False, True],
            "hooks": 2,
        }

    here, there = nn.Sequential(nn.Linear(2, 2)), nn.Sequential(nn.Linear(2, 2))
    wire.mirror(here, state(there))
    assert torch.equal(here[0].weight, there[0].weight)
    assert torch.equal(here[0].bias.grad, torch.ones(2))
    assert here[0].weight.requires_grad and not here[0].bias.requires_grad
    assert [layer.training for layer in here.modules()] == [False, True]
    other = nn.Sequential(nn.Linear(2, 2), nn.ReLU())
    with pytest.raises(AssertionError, match="layers of the network"):
        wire.mirror(here, state(other))
    with pytest.raises(AssertionError, match="another shape"):
        wire.mirror(torch.zeros(2), torch.zeros(3))


def test_a_result_belongs_to_one_notebook_of_one_student(tmp_path, source, submission):
    notebook = notebooks.rebuild(source, submission)
    outputs = [[], [], [nbformat.v4.new_output("execute_result", {"text/plain": "2"})]]
    found = {"key": results.key("ana", notebook), "outputs": outputs}
    results.save(tmp_path, "demo", "ana", found)
    assert results.fill(tmp_path, "demo", "ana", notebook)
    assert notebook.cells[2].outputs[0].data == {"text/plain": "2"}
    assert not results.fill(tmp_path, "demo", "ben", notebook)
    results.save(tmp_path, "demo", "ben", found)
    assert not results.fill(tmp_path, "demo", "ben", notebook), "another student's result"
    notebook.cells[1].source += "\n"
    assert not results.fill(tmp_path, "demo", "ana", notebook), "the answer has changed"
    path = results.path(tmp_path, "demo", "ana")
    path.write_text(json.dumps(found)[:-20])
    assert not results.fill(tmp_path, "demo", "ana", notebooks.rebuild(source, submission))
    assert [path.name for path in tmp_path.rglob("*.part")] == []


def test_a_name_whose_cell_stopped_is_missed_with_the_reason(source, submission):
    submission.cells[1].source = "from cnnbook import nowhere\n\n\ndef f():\n    return 1"
    notebook = notebooks.rebuild(source, submission)
    session.run(notebook, "ana", isolated=sandbox.available())
    (error,) = notebook.cells[2].outputs
    assert error.evalue.startswith("f is not defined: its cell stopped with ImportError: cannot")
    notebook.cells[1].source = "raise NotImplementedError"
    session.run(notebook, "ana", isolated=sandbox.available())
    (error,) = notebook.cells[2].outputs
    assert error.evalue == "f is not defined"


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("import threading, math", {"threading"}),
        ("from concurrent.futures import ThreadPoolExecutor", {"concurrent.futures.ThreadPool"}),
        ("from scipy import signal\nimport torch.nn as nn", {"scipy.signal"}),
        ("from torch import _C", {"torch._C"}),
        (
            "with torch._C._DisableTorchDispatch():\n    pass",
            {"torch._C", "._DisableTorchDispatch"},
        ),
        ("f = getattr(F, 'conv' + '2d')", {"getattr(…)"}),
        ("exec(text); eval(text); net.eval()", {"exec(…)", "eval(…)"}),
        ("f = np.array.__globals__['x']", {".__globals__"}),
        ("from cnnbook import marks, data", {"cnnbook.marks"}),
        ("!cat /etc/passwd\nx = 1", {"a command"}),
        ("%matplotlib inline\nimport os", {"os"}),
        ("class A(nn.Module):\n    def __init__(self):\n        super().__init__()", set()),
        ("getattr(layer, 'bias', None)\nself._weight = cls._size\nx.data\nf.__name__", set()),
        ("this is no Python", set()),
    ],
)
def test_what_is_out_of_the_ordinary_is_pointed_out(source, found):
    named = set(unusual(source))
    assert {next((f for f in found if what.startswith(f)), what) for what in named} == found


def test_remarks_name_the_cell_and_leave_tests_alone(source, submission):
    submission.cells[1].source = "import threading, ctypes"
    submission.cells.insert(2, cell("import subprocess"))
    source.cells[0].source = "import os"
    found = remarks(notebooks.rebuild(source, submission))
    assert found == ["f: ctypes, threading", "a cell of their own: subprocess"]
    assert remarks(text.reference(source)) == []
