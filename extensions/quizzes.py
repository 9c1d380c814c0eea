"""A directive for questions: ``{quiz}`` shows those that ``quiz.yml`` has for this section.

The file stands beside the sections of a chapter and has a list of questions for each, by file name.
An answer is a disclosure: a click or a key unfolds what is to be said of it, without JavaScript.
"""

from pathlib import Path
from typing import Any

import yaml
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

QUESTIONS, ANSWERS = (3, 5), (3, 4)


class answer(nodes.General, nodes.Element):
    """An answer: its first child is what always shows, the others what unfolds."""


class summary(nodes.General, nodes.Element):
    """The part of an answer that always shows."""


def problems(sections: object) -> list[str]:
    """Return what is wrong with the contents of a ``quiz.yml``; nothing, if all is well."""
    if not isinstance(sections, dict) or not sections:
        return ["must have a list of questions for each section"]
    return [
        f"{section}, {problem}"
        for section, questions in sections.items()
        for problem in _of_section(questions)
    ]


def _of_section(questions: object) -> list[str]:
    least, most = QUESTIONS
    if not isinstance(questions, list) or not least <= len(questions) <= most:
        return [f"must have {least} to {most} questions"]
    found = []
    for number, item in enumerate(questions, 1):
        if not isinstance(item, dict) or set(item) != {"question", "answers"}:
            found.append(f"question {number} must have question and answers, and no other key")
        else:
            found += [f"question {number} {problem}" for problem in _of_answers(item["answers"])]
    return found


def _of_answers(answers: object) -> list[str]:
    least, most = ANSWERS
    if not isinstance(answers, list) or not least <= len(answers) <= most:
        return [f"must have {least} to {most} answers"]
    found = []
    if sum(one.get("right") is True for one in answers) != 1:
        found.append("must have one answer with right: true")
    for number, one in enumerate(answers, 1):
        wanted = {"text", "why", "right" if one.get("right") else "misconception"}
        if set(one) != wanted:
            found.append(f"answer {number} must have {', '.join(sorted(wanted))}, and no other key")
        elif not all(str(one[key]).strip() for key in wanted):
            found.append(f"answer {number} must leave nothing empty")
    if len({str(one.get("text")) for one in answers}) < len(answers):
        found.append("must not give an answer twice")
    return found


class Quiz(SphinxDirective):
    """``{quiz}``, without arguments."""

    def run(self) -> list[nodes.Node]:
        """Return the questions of this section, their answers folded."""
        source = Path(self.env.doc2path(self.env.docname))
        file = source.parent / "quiz.yml"
        self.env.note_dependency(str(file))
        if not file.is_file():
            raise self.error(f"quiz needs the file {file.name} beside {source.name}")
        sections = yaml.safe_load(file.read_text(encoding="utf-8"))
        if found := problems(sections):
            raise self.error(f"{file.name}: {'; '.join(found)}")
        if source.stem not in sections:
            raise self.error(f"{file.name} has no questions for {source.stem}")
        place = nodes.container(classes=["quiz"])
        place += nodes.paragraph("", "Check yourself", classes=["quiz-title"])
        for number, item in enumerate(sections[source.stem], 1):
            one = nodes.container(classes=["quiz-question"])
            one += self.parse_text_to_nodes(f"**{number}.** {item['question']}")
            one += [self._answer(each) for each in item["answers"]]
            place += one
        return [place]

    def _answer(self, given: dict[str, Any]) -> answer:
        right = given.get("right", False)
        shown = summary()
        shown += self.parse_text_to_nodes(str(given["text"]))[0].children
        verdict = "Right." if right else f"No: {given['misconception']}."
        folded = answer(right=right)
        folded += [shown, *self.parse_text_to_nodes(f"**{verdict}** {given['why']}")]
        return folded


def visit_answer(writer: Any, node: answer) -> None:
    """Open an answer."""
    writer.body.append(f'<details class="quiz-answer {"right" if node["right"] else "wrong"}">')


def skip(_writer: Any, _node: nodes.Node) -> None:
    """Leave an answer out where nothing unfolds."""
    raise nodes.SkipNode


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the directive; Sphinx calls this."""
    app.add_node(
        answer,
        html=(visit_answer, lambda writer, _: writer.body.append("</details>")),
        latex=(skip, None),
        text=(skip, None),
    )
    app.add_node(
        summary,
        html=(
            lambda writer, _: writer.body.append("<summary>"),
            lambda writer, _: writer.body.append("</summary>"),
        ),
        latex=(skip, None),
        text=(skip, None),
    )
    app.add_directive("quiz", Quiz)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
