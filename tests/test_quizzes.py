"""Quizzes: their files are whole, stand in their sections, and unfold in the browser."""

import copy
import runpy
from pathlib import Path
from typing import Any

import nbformat
import pytest
import yaml

from test_book import ROOT
from test_pages import browser, pages_folder, pytestmark  # noqa: F401 - fixtures and marks

FILES = sorted((ROOT / "chapters").glob("*/quiz.yml"))
RULES = runpy.run_path(str(ROOT / "extensions" / "quizzes.py"))
SECTIONS = [
    file.parent / section
    for file in FILES
    for section in yaml.safe_load(file.read_text(encoding="utf-8"))
]
browser_marks, pytestmark = pytestmark, []  # the files are read without one


def cells(path: Path) -> list[str]:
    return [cell.source for cell in nbformat.read(path, 4).cells if cell.cell_type == "markdown"]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.parent.name)
def test_the_questions_are_whole(file: Path) -> None:
    sections = yaml.safe_load(file.read_text(encoding="utf-8"))
    assert RULES["problems"](sections) == []
    texts = [item["question"] for questions in sections.values() for item in questions]
    assert len(set(texts)) == len(texts)
    places = [
        [answer.get("right", False) for answer in item["answers"]].index(True)
        for questions in sections.values()
        for item in questions
    ]
    assert len(set(places)) > 1, "the right answer always stands in the same place"


def test_every_section_with_exercises_shows_questions_before_them() -> None:
    """Those of the appendix, tables to look things up in, have none."""
    with_exercises = {
        path.with_suffix("")
        for path in (ROOT / "chapters").glob("*/*.ipynb")
        if path.parent.name != "reference" and any("## Exercises" in cell for cell in cells(path))
    }
    assert with_exercises == set(SECTIONS)
    for section in SECTIONS:
        found = cells(section.with_suffix(".ipynb"))
        place = found.index("```{quiz}\n```")
        assert found[place + 1].startswith("## Exercises"), section
        assert found.count("```{quiz}\n```") == 1, section


GOOD: dict[str, Any] = {
    "section": [
        {
            "question": f"Why {number}?",
            "answers": [
                {"text": "a", "right": True, "why": "so"},
                {"text": "b", "misconception": "no", "why": "so"},
                {"text": "c", "misconception": "no", "why": "so"},
            ],
        }
        for number in range(3)
    ]
}


def broken(*path: Any, value: Any = None, drop: bool = False) -> dict[str, Any]:
    """Return good questions with one thing changed."""
    changed = copy.deepcopy(GOOD)
    place: Any = changed
    for step in path[:-1]:
        place = place[step]
    if drop:
        del place[path[-1]]
    else:
        place[path[-1]] = value
    return changed


@pytest.mark.parametrize(
    ("sections", "message"),
    [
        ({}, "must have a list of questions for each section"),
        (["section"], "must have a list of questions for each section"),
        (broken("section", value=[]), "section, must have 3 to 5 questions"),
        (broken("section", 2, drop=True), "section, must have 3 to 5 questions"),
        (broken("section", 0, "hint", value="x"), "question 1 must have question and answers"),
        (broken("section", 1, "answers", 2, drop=True), "question 2 must have 3 to 4 answers"),
        (
            broken("section", 1, "answers", 2, value={"text": "c", "right": True, "why": "so"}),
            "question 2 must have one answer with right: true",
        ),
        (
            broken("section", 0, "answers", 1, "misconception", drop=True),
            "question 1 answer 2 must have misconception, text, why",
        ),
        (broken("section", 0, "answers", 0, "why", value=" "), "answer 1 must leave nothing empty"),
        (broken("section", 0, "answers", 2, "text", value="b"), "must not give an answer twice"),
    ],
)
def test_what_is_missing_is_named(sections: object, message: str) -> None:
    assert any(message in problem for problem in RULES["problems"](sections))
    assert RULES["problems"](GOOD) == []


@pytest.mark.parametrize("section", SECTIONS, ids=lambda path: "-".join(path.parts[-2:]))
@pytest.mark.usefixtures("needs_pages")
def test_answers_unfold_without_javascript(browser: Any, section: Path) -> None:  # noqa: F811
    questions = yaml.safe_load((section.parent / "quiz.yml").read_text(encoding="utf-8"))
    answers = [one for item in questions[section.name] for one in item["answers"]]
    with browser.new_context(offline=True, java_script_enabled=False) as context:
        page = context.new_page()
        path = section.relative_to(ROOT).as_posix()
        page.goto((pages_folder() / f"{path}.html").as_uri())
        shown = page.locator(".quiz details")
        assert shown.count() == len(answers)
        for number, one in enumerate(answers):
            reply = shown.nth(number).locator("p").first
            assert not reply.is_visible()
            shown.nth(number).locator("summary").focus()
            page.keyboard.press("Enter")
            assert reply.is_visible()
            assert reply.inner_text().startswith("Right." if one.get("right") else "No: ")


@pytest.fixture
def needs_pages() -> None:
    """Skip where no browser or no pages are."""
    for mark in browser_marks:
        if mark.args[0]:
            pytest.skip(mark.kwargs["reason"])
