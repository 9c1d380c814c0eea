"""The rules of the book, each a pure function from a notebook to its problems.

``test_book.py`` applies them to every notebook, and shows for each that it fires. While you write:

    python tests/book_rules.py chapters/convolution/operation.ipynb
"""

import ast
import base64
import json
import re
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat

Notebook = dict[str, Any]
Rule = Callable[[Notebook], list[str]]

ALLOWED_TAGS = {
    "nbval-check-output",
    "raises-exception",
    "remove-input",
    "hide-input",
    "remove-output",
    "hide-output",
    "remove-cell",
}
NO_CHECK_NEEDED = re.compile(r"^(exercises|recap|objectives|what you will\b.*)$", re.IGNORECASE)
OBJECTIVES = range(3, 6)
EXERCISES = range(3, 7)
MOST_LINES = 15
MOST_LINES_IN_SOLUTION = 20
SHORTEST_ALT = 40
MOST_NOTEBOOK_BYTES = 1_500_000
MOST_IMAGE_BYTES = 300_000


def _claim_functions(path: Path) -> set[str]:
    """The functions of ``cnnbook.check`` that state a claim: their first argument is ``claim``."""
    return {
        node.name
        for node in ast.parse(path.read_text(encoding="utf-8")).body
        if isinstance(node, ast.FunctionDef)
        and not node.name.startswith("_")
        and [argument.arg for argument in node.args.args[:1]] == ["claim"]
    }


CLAIMS = _claim_functions(Path(__file__).resolve().parent.parent / "src" / "cnnbook" / "check.py")


# Reading a notebook ------------------------------------------------------------------------------


@dataclass(frozen=True)
class Cell:
    """A cell with what the rules need to know of its place."""

    number: int  # in the notebook, from 0, as nbval counts
    kind: str
    source: str
    tags: list[str]
    metadata: dict[str, Any]
    outputs: list[dict[str, Any]]
    execution_count: int | None
    section: str | None  # text of the last ## heading above
    in_solution: bool

    @property
    def is_code(self) -> bool:
        return self.kind == "code" and bool(self.source.strip())


def cells_of(notebook: Notebook) -> list[Cell]:
    """All cells, each with the section and the solution it stands in."""
    result: list[Cell] = []
    section: str | None = None
    in_solution = False
    for number, raw in enumerate(notebook["cells"]):
        source = _joined(raw.get("source", ""))
        kind = raw["cell_type"]
        if kind == "markdown":
            headings = [text for level, text in headings_in(source) if level == 2]
            section = headings[-1] if headings else section
            for directive in directives_in(source):
                if directive.name == "solution-start":
                    in_solution = True
                elif directive.name == "solution-end":
                    in_solution = False
        metadata = raw.get("metadata", {})
        result.append(
            Cell(
                number=number,
                kind=kind,
                source=source,
                tags=list(metadata.get("tags", [])),
                metadata=metadata,
                outputs=raw.get("outputs", []),
                execution_count=raw.get("execution_count"),
                section=section,
                in_solution=in_solution,
            )
        )
    return result


def code_cells(notebook: Notebook) -> list[Cell]:
    """The code cells that hold code."""
    return [cell for cell in cells_of(notebook) if cell.is_code]


def markdown_of(notebook: Notebook) -> str:
    """All Markdown of the notebook, in order."""
    return "\n\n".join(cell.source for cell in cells_of(notebook) if cell.kind == "markdown")


def headings_in(text: str) -> Iterator[tuple[int, str]]:
    """Each ATX heading outside fences, as (level, text)."""
    for line in _without_fences(text, keep_prose_directives=False).splitlines():
        match = re.match(r" {0,3}(#{1,6})\s+(.*?)\s*#*\s*$", line)
        if match:
            yield len(match[1]), match[2]


@dataclass(frozen=True)
class Directive:
    """A MyST directive: its name, its argument and its options."""

    name: str
    argument: str
    options: dict[str, str]


FENCE = re.compile(r"^\s{0,3}(?P<fence>`{3,}|~{3,}|:{3,})\s*(?P<info>.*?)\s*$")
DIRECTIVE = re.compile(r"^\{(?P<name>[\w:+.-]+)\}\s*(?P<argument>.*)$")
OPTION = re.compile(r"^\s*:(?P<key>[\w-]+):\s*(?P<value>.*?)\s*$")
# Directives whose body is prose; every other fence holds code, mathematics or data.
PROSE_DIRECTIVES = {
    "admonition", "attention", "caution", "danger", "dropdown", "error", "exercise",
    "exercise-start", "epigraph", "figure", "glue:figure", "grid", "grid-item", "card", "hint",
    "important", "list-table", "margin", "note", "pull-quote", "seealso", "sidebar", "solution",
    "solution-start", "tab-item", "tab-set", "table", "tip", "topic", "warning",
}  # fmt: skip
# Directives whose argument is a title; the argument of the others is a file or a label.
TITLED_DIRECTIVES = {
    "admonition", "card", "dropdown", "exercise", "exercise-start", "list-table", "sidebar",
    "tab-item", "table", "topic",
}  # fmt: skip


def directives_in(text: str) -> Iterator[Directive]:
    """Each directive that opens in ``text``, those within another included."""
    lines = text.splitlines()
    for index, line in enumerate(lines):
        fence = FENCE.match(line)
        directive = DIRECTIVE.match(fence["info"]) if fence else None
        if directive:
            options = {}
            for following in lines[index + 1 :]:
                option = OPTION.match(following)
                if not option:
                    break
                options[option["key"]] = option["value"]
            yield Directive(directive["name"], directive["argument"], options)


def _without_fences(text: str, keep_prose_directives: bool) -> str:
    """``text`` without fenced blocks; if asked, directives of prose keep title and body."""
    kept: list[str] = []
    inside: list[tuple[str, int, bool]] = []  # character and length of the fence, whether kept
    options = False
    for line in text.splitlines():
        fence = FENCE.match(line)
        if fence:
            character, length = fence["fence"][0], len(fence["fence"])
            if (
                not fence["info"]
                and inside
                and (character, True)
                == (
                    inside[-1][0],
                    length >= inside[-1][1],
                )
            ):
                inside.pop()
                continue
            if all(kept_here for *_, kept_here in inside):
                directive = DIRECTIVE.match(fence["info"])
                keep = bool(
                    keep_prose_directives and directive and directive["name"] in PROSE_DIRECTIVES
                )
                inside.append((character, length, keep))
                if keep and directive and directive["name"] in TITLED_DIRECTIVES:
                    kept.append(directive["argument"])
                options = True
                continue
        if options and OPTION.match(line):
            continue
        options = False
        if all(kept_here for *_, kept_here in inside):
            kept.append(line)
    return "\n".join(kept)


def _joined(text: str | list[str]) -> str:
    return text if isinstance(text, str) else "".join(text)


def _parsed(source: str) -> ast.Module:
    """The syntax tree of a cell, magics and shell lines left out."""
    lines = ["pass" if re.match(r"\s*[%!]", line) else line for line in source.splitlines()]
    return ast.parse("\n".join(lines))


def _imports(tree: ast.AST) -> bool:
    return any(isinstance(node, ast.Import | ast.ImportFrom) for node in ast.walk(tree))


def _claims(source: str) -> list[str]:
    """The names of the checks that a cell calls: ``check.close(...)`` gives ``close``."""
    return [
        node.func.attr
        for node in ast.walk(_parsed(source))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and isinstance(node.func.value, ast.Name)
        and node.func.value.id == "check"
        and node.func.attr in CLAIMS
    ]


def _data(output: dict[str, Any]) -> dict[str, Any]:
    return output.get("data", {})


def _printed(output: dict[str, Any]) -> str:
    if output["output_type"] == "stream":
        return _joined(output.get("text", ""))
    return _joined(_data(output).get("text/plain", ""))


# The rules ---------------------------------------------------------------------------------------


def is_valid_nbformat(notebook: Notebook) -> list[str]:
    """The notebook is valid nbformat 4.5: cells have ids, so that differences stay readable."""
    version = (notebook.get("nbformat"), notebook.get("nbformat_minor"))
    if version != (4, 5):
        return [f"nbformat is {version[0]}.{version[1]}, expected 4.5"]
    ids = Counter(raw.get("id") for raw in notebook["cells"])
    twice = [f"{n} cells have the id {name!r}" for name, n in ids.items() if n > 1]
    if twice:
        return twice
    try:
        nbformat.validate(nbformat.from_dict(notebook))
    except nbformat.ValidationError as error:
        return [f"not a valid notebook: {str(error).splitlines()[0]}"]
    return []


def uses_the_kernel_of_the_environment(notebook: Notebook) -> list[str]:
    """The notebook asks for the kernel ``python3``, which every environment has."""
    name = notebook["metadata"].get("kernelspec", {}).get("name")
    return [] if name == "python3" else [f"kernel is {name!r}, expected 'python3'"]


def executed_in_order(notebook: Notebook) -> list[str]:
    """Every code cell was executed, once, from top to bottom."""
    problems = [
        f"cell {cell.number}: code cell without code"
        for cell in cells_of(notebook)
        if cell.kind == "code" and not cell.is_code
    ]
    for expected, cell in enumerate(code_cells(notebook), start=1):
        if cell.execution_count != expected:
            problems.append(
                f"cell {cell.number}: execution count {cell.execution_count}, expected {expected}"
            )
    return problems


def no_errors_or_stderr(notebook: Notebook) -> list[str]:
    """No output is an error, unless it is the lesson, or came by standard error."""
    problems = []
    for cell in code_cells(notebook):
        for output in cell.outputs:
            if output["output_type"] == "error" and "raises-exception" not in cell.tags:
                problems.append(f"cell {cell.number}: error output {output.get('ename')}")
            if output["output_type"] == "stream" and output.get("name") == "stderr":
                problems.append(f"cell {cell.number}: output on stderr")
    return problems


def only_allowed_tags(notebook: Notebook) -> list[str]:
    """Tags come from a short list; markers in comments, nbval's other way, are not used."""
    problems = [
        f"cell {cell.number}: tag {tag!r} is not allowed"
        for cell in cells_of(notebook)
        for tag in cell.tags
        if tag not in ALLOWED_TAGS
    ]
    for cell in code_cells(notebook):
        for marker in re.findall(r"^\s*#\s*((?:NBVAL|PYTEST_VALIDATE)_\w+)", cell.source, re.M):
            problems.append(f"cell {cell.number}: comment marker {marker}, use a tag")
    return problems


def only_light_outputs(notebook: Notebook) -> list[str]:
    """Outputs are text, tables or bitmaps: no vector graphics, scripts or widgets."""
    problems = []
    for cell in code_cells(notebook):
        for output in cell.outputs:
            for kind, value in _data(output).items():
                heavy = re.search(r"svg|pdf|javascript|widget|video|audio", kind)
                scripted = "html" in kind and re.search(r"<(script|iframe|svg)\b", _joined(value))
                if heavy or scripted:
                    problems.append(f"cell {cell.number}: output of kind {kind}")
    return problems


def within_size(notebook: Notebook) -> list[str]:
    """The notebook and each of its images stay small."""
    size = len(json.dumps(notebook, ensure_ascii=False, indent=1).encode())
    problems = []
    if size > MOST_NOTEBOOK_BYTES:
        problems.append(f"notebook of {size:,} bytes, at most {MOST_NOTEBOOK_BYTES:,}")
    for cell in code_cells(notebook):
        for output in cell.outputs:
            for kind, value in _data(output).items():
                if "image/" in kind:
                    size = len(base64.b64decode(_joined(value)))
                    if size > MOST_IMAGE_BYTES:
                        problems.append(
                            f"cell {cell.number}: image of {size:,} bytes, "
                            f"at most {MOST_IMAGE_BYTES:,}"
                        )
    return problems


def every_section_checks(notebook: Notebook) -> list[str]:
    """Each ``##`` section calls a check."""
    cells = cells_of(notebook)
    sections = [
        text
        for cell in cells
        if cell.kind == "markdown"
        for level, text in headings_in(cell.source)
        if level == 2
    ]
    problems = [
        f"two sections are called {text!r}" for text, n in Counter(sections).items() if n > 1
    ]
    checked = {cell.section for cell in cells if cell.is_code and _claims(cell.source)}
    problems += [
        f"section {text!r} checks nothing"
        for text in sections
        if not NO_CHECK_NEEDED.match(text) and text not in checked
    ]
    if not any(not NO_CHECK_NEEDED.match(text) for text in sections):
        problems.append("no ## section")
    return problems


def ticks_are_compared(notebook: Notebook) -> list[str]:
    """Where a claim is printed, nbval compares the print; where it is compared, it is printed."""
    problems = []
    for cell in code_cells(notebook):
        ticked = any(
            line.startswith("✓")
            for output in cell.outputs
            for line in _printed(output).splitlines()
        )
        if ticked and "nbval-check-output" not in cell.tags:
            problems.append(f"cell {cell.number}: prints ✓ without the tag nbval-check-output")
        if _claims(cell.source) and not ticked:
            problems.append(f"cell {cell.number}: calls a check and prints no ✓")
    return problems


def code_is_short(notebook: Notebook) -> list[str]:
    """No code cell is long; solutions of exercises may be a little longer."""
    problems = []
    for cell in code_cells(notebook):
        lines = len(cell.source.strip("\n").splitlines())
        most = MOST_LINES_IN_SOLUTION if cell.in_solution else MOST_LINES
        if lines > most:
            problems.append(f"cell {cell.number}: {lines} lines of code, at most {most}")
    return problems


def figures_are_described(notebook: Notebook) -> list[str]:
    """Each image has a caption, a name and an alternative text of its own."""
    problems = []
    names: list[str] = []
    for cell in code_cells(notebook):
        images = [o for o in cell.outputs if any(kind.startswith("image/") for kind in _data(o))]
        if not images:
            continue
        if len(images) > 1:
            problems.append(f"cell {cell.number}: {len(images)} images, one caption")
        mystnb = cell.metadata.get("mystnb", {})
        figure, image = mystnb.get("figure", {}), mystnb.get("image", {})
        caption, name = str(figure.get("caption") or ""), str(figure.get("name") or "")
        alt = str(image.get("alt") or "")
        if not caption.strip():
            problems.append(f"cell {cell.number}: image without mystnb.figure.caption")
        if not name.strip():
            problems.append(f"cell {cell.number}: image without mystnb.figure.name")
        if len(alt.strip()) < SHORTEST_ALT:
            problems.append(
                f"cell {cell.number}: mystnb.image.alt has {len(alt.strip())} characters, "
                f"at least {SHORTEST_ALT}"
            )
        elif alt.strip() == caption.strip():
            problems.append(f"cell {cell.number}: the alternative text repeats the caption")
        names.append(name)
    problems += [
        f"two figures are named {name!r}" for name, n in Counter(names).items() if name and n > 1
    ]
    return problems


def exercises_have_solutions(notebook: Notebook) -> list[str]:
    """Three to six exercises, each with one folded solution, and no solution without exercise."""
    directives = list(directives_in(markdown_of(notebook)))
    exercises = [d for d in directives if d.name in ("exercise", "exercise-start")]
    solutions = [d for d in directives if d.name in ("solution", "solution-start")]
    labels = [d.options.get("label", "") for d in exercises]
    targets = [d.argument for d in solutions]
    problems = []
    if len(exercises) not in EXERCISES:
        problems.append(f"{len(exercises)} exercises, expected {EXERCISES[0]} to {EXERCISES[-1]}")
    problems += [
        f"{n} exercises are labelled {label!r}" if label else "exercise without a label"
        for label, n in Counter(labels).items()
        if n > 1 or not label
    ]
    problems += [f"exercise {x!r} has no solution" for x in labels if x and x not in targets]
    problems += [f"solution {x!r} has no exercise" for x in targets if x not in labels]
    problems += [f"{n} solutions of {x!r}" for x, n in Counter(targets).items() if n > 1]
    problems += [
        f"solution {d.argument!r} is not folded, add :class: dropdown"
        for d in solutions
        if "dropdown" not in d.options.get("class", "").split()
    ]
    for kind in ("exercise", "solution"):
        starts = sum(d.name == f"{kind}-start" for d in directives)
        ends = sum(d.name == f"{kind}-end" for d in directives)
        if starts != ends:
            problems.append(f"{starts} {kind}-start, {ends} {kind}-end")
    return problems


def _list_items(text: str) -> list[str]:
    """Top-level list items outside fences."""
    plain = _without_fences(text, keep_prose_directives=False)
    return [line for line in plain.splitlines() if re.match(r"([-*+]|\d+[.)])\s+\S", line)]


def opens_with_question_and_objectives(notebook: Notebook) -> list[str]:
    """One title, first of all; then a question, then a list of objectives, then code."""
    cells = cells_of(notebook)
    titles = [text for level, text in headings_in(markdown_of(notebook)) if level == 1]
    problems = []
    if len(titles) != 1:
        problems.append(f"{len(titles)} titles, expected one # heading")
    if not cells or next(headings_in(cells[0].source), (0, ""))[0] != 1:
        problems.append("the first cell does not open with the title")
    opening = ""
    for cell in cells:
        if cell.is_code:
            break
        if cell.section and not NO_CHECK_NEEDED.match(cell.section):
            break
        opening += cell.source + "\n\n"
    items = _list_items(opening)
    before = opening[: opening.index(items[0])] if items else opening
    if "?" not in before:
        problems.append("no question between title and objectives")
    if len(items) not in OBJECTIVES:
        problems.append(
            f"{len(items)} objectives, expected {OBJECTIVES[0]} to {OBJECTIVES[-1]} list items"
        )
    return problems


def recap_mirrors_objectives(notebook: Notebook) -> list[str]:
    """The last ``##`` section is a recap: a list with as many items as there are objectives."""
    cells = [cell for cell in cells_of(notebook) if cell.kind == "markdown"]
    sections = [cell.section for cell in cells if cell.section]
    if not sections or sections[-1].lower() != "recap":
        return ["the last ## section is not called Recap"]
    recap = "\n\n".join(cell.source for cell in cells if cell.section == sections[-1])
    recap = re.split(r"^##\s+recap\s*$", recap, flags=re.IGNORECASE | re.MULTILINE)[-1]
    first_section = next(
        (c.number for c in cells if c.section and not NO_CHECK_NEEDED.match(c.section)), len(cells)
    )
    code = code_cells(notebook)
    end = min(first_section, code[0].number if code else first_section)
    objectives = _list_items("\n\n".join(cell.source for cell in cells if cell.number < end))
    items = _list_items(recap)
    if len(items) != len(objectives):
        return [f"the recap lists {len(items)} items for {len(objectives)} objectives"]
    return []


def one_import_cell(notebook: Notebook) -> list[str]:
    """The first code cell imports, and no other does; cells that no reader sees do not count."""
    problems = []
    seen = [cell for cell in code_cells(notebook) if "remove-cell" not in cell.tags]
    for position, cell in enumerate(seen):
        try:
            imports = _imports(_parsed(cell.source))
        except SyntaxError as error:
            problems.append(f"cell {cell.number}: not Python: {error.msg}")
            continue
        if position == 0 and not imports:
            problems.append(f"cell {cell.number}: the first code cell imports nothing")
        if position > 0 and imports:
            problems.append(f"cell {cell.number}: imports belong to the first code cell")
    return problems


def no_typed_numbers(notebook: Notebook) -> list[str]:
    """No measured number is typed into Markdown, a caption or an alternative text."""
    problems = []
    for cell in cells_of(notebook):
        if cell.kind == "markdown":
            problems += [f"cell {cell.number}: {text}" for text in typed_numbers(cell.source)]
        else:
            mystnb = cell.metadata.get("mystnb", {})
            for text in (
                mystnb.get("figure", {}).get("caption"),
                mystnb.get("image", {}).get("alt"),
            ):
                problems += [f"cell {cell.number}: {p}" for p in typed_numbers(str(text or ""))]
    return problems


# Typed numbers -----------------------------------------------------------------------------------

SMALL = "two|three|four|five|six|seven|eight|nine|ten|twelve|twenty|fifty|hundred|thousand"
MORE = (
    "as|more|less|fewer|better|worse|\\w+er than|faster|slower|larger|smaller|bigger|deeper|higher"
    "|lower|longer|shorter|wider|greater|stronger|weaker|the"
)
TYPED = [
    ("thousands", re.compile(r"\b\d{1,3}(?:,\d{3})+\b")),
    ("scientific notation", re.compile(r"\b\d+(?:\.\d+)?[eE][-+−]?\d+\b|\b10[⁻⁰¹²³⁴⁵⁶⁷⁸⁹]+")),
    ("percentage", re.compile(r"\d\s*(?:%|percent\b|per cent\b)")),
    ("decimal", re.compile(r"(?<![\w.])[-+−]?\d*\.\d+(?![\w]|\.\d)|\b\d+\.\d+")),
    ("comparison", re.compile(rf"\b(?:\d+|{SMALL})\s+times\s+(?:{MORE})\b", re.IGNORECASE)),
    ("comparison", re.compile(rf"\b(?:\d+|{SMALL})-?fold\b", re.IGNORECASE)),
    ("comparison", re.compile(r"\d\s?×(?!\s*[\d\w])|\d\s?×\s+(?:as|more|less|faster|slower)\b")),
    ("long number", re.compile(r"(?<![\w.,])\d{3,}(?![\w])")),
]
CITED_YEAR = re.compile(r"\([^()]*\b(?:19|20)\d\d[a-z]?\)")
MATH = re.compile(r"\$\$(?P<display>.+?)\$\$|(?<![\\$])\$(?P<inline>[^$\n]+?)(?<!\\)\$", re.DOTALL)
# What may surround a number without making a formula of it.
MATH_PADDING = re.compile(
    r"\\(?:approx|sim|simeq|cong|pm|mp|lesssim|gtrsim|leq?|geq?|ll|gg|text|mathrm|quad|[,;:! ])"
    r"|[=<>≈~±+\-−{}\s]"
)
BARE_NUMBER = re.compile(
    r"\d*\.\d+(?:\\?%)?|\d+\\?%|\d*\.?\d+(?:\\times|\\cdot)10\^-?\d+|10\^-?\d+"
)
ROUGH_DECIMAL = re.compile(r"\\(?:approx|simeq|sim)\s*-?\{?\d*\.\d+|≈\s*-?\d*\.\d+")


def typed_numbers(markdown: str) -> list[str]:
    """Numbers in Markdown that look measured and typed by hand.

    Code, formulas, roles, addresses and the options of directives do not count; a formula that is
    nothing but a decimal, or that says "about" a decimal, does.
    """
    text = re.sub(r"<!--.*?-->", " ", markdown, flags=re.DOTALL)
    text = re.sub(r"\A---\n.*?\n---\n", "", text, flags=re.DOTALL)
    text = _without_fences(text, keep_prose_directives=True)
    text = re.sub(r"\{[\w:.+-]+\}(`+).+?\1", " ", text, flags=re.DOTALL)  # roles
    text = re.sub(r"(?<!`)(`+)(?!`).+?(?<!`)\1(?!`)", " ", text, flags=re.DOTALL)  # inline code
    text = re.sub(r"\]\([^)\s]*(?:\s+\"[^\"]*\")?\)", "]", text)  # targets of links
    text = re.sub(r"https?://\S+|\barXiv:\d+\.\d+|\bdoi:\S+", " ", text)
    text = re.sub(r"^\s{0,3}\(\S+\)=\s*$", "", text, flags=re.MULTILINE)  # labels
    text = re.sub(r"</?[a-zA-Z][^>]*>", " ", text)  # tags

    problems = []
    for match in MATH.finditer(text):
        formula = match["display"] or match["inline"]
        bare = MATH_PADDING.sub("", formula)
        if BARE_NUMBER.fullmatch(bare) or ROUGH_DECIMAL.search(formula):
            problems.append(f"typed number in a formula: {match[0].strip()!r}")
    text = MATH.sub(" formula ", text)
    text = CITED_YEAR.sub(" ", text)
    for name, pattern in TYPED:
        for match in pattern.finditer(text):
            around = text[max(0, match.start() - 20) : match.end() + 20].replace("\n", " ")
            problems.append(f"typed number ({name}): {match[0].strip()!r} in {around.strip()!r}")
        text = pattern.sub(" ", text)
    return problems


RULES: list[Rule] = [
    is_valid_nbformat,
    uses_the_kernel_of_the_environment,
    executed_in_order,
    no_errors_or_stderr,
    only_allowed_tags,
    only_light_outputs,
    within_size,
    every_section_checks,
    ticks_are_compared,
    code_is_short,
    figures_are_described,
    exercises_have_solutions,
    opens_with_question_and_objectives,
    recap_mirrors_objectives,
    one_import_cell,
    no_typed_numbers,
]


# Floors of the library ---------------------------------------------------------------------------

FLOORS = {
    "ops": 1,
    "geometry": 0,
    "activations": 0,
    "repro": 0,
    "timing": 0,
    "check": 0,
    "marks": 0,
    "grads": 2,
    "verdicts": 1,
    "init": 1,
    "theory": 1,
    "data": 1,
    "models": 2,
    "probes": 3,
    "train": 3,
    "sweep": 4,
    "clinic": 4,
    "recorded": 5,
    "plots": 5,
}
NOTEBOOK_TOOLS = {"chapters", "import_ipynb", "importnb", "nbclient", "nbconvert", "papermill"}


# The private helpers that other private helpers may import.
GROUND = ("_arguments", "_files", "_kernels")


def floor_of(module: str) -> int | None:
    """The floor of a module; private helpers stand in the basement, unknown ones nowhere."""
    if module in GROUND:
        return -2
    return -1 if module.startswith("_") else FLOORS.get(module)


def library_imports(source: str) -> set[str]:
    """The modules of ``cnnbook`` that ``source`` imports, by name."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {a.name.split(".")[1] for a in node.names if a.name.startswith("cnnbook.")}
        elif isinstance(node, ast.ImportFrom):
            path = (node.module or "").split(".")
            if node.level == 0 and path[0] == "cnnbook":
                path = path[1:]
            elif node.level != 1:
                continue
            path = [part for part in path if part]
            found |= {path[0]} if path else {a.name for a in node.names}
    return found


def import_problems(module: str, source: str) -> list[str]:
    """What a module of the library imports against the order of the floors."""
    problems = [
        f"{module} reaches for a notebook: {node.value!r}"
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and node.value.endswith(".ipynb")
    ]
    for node in ast.walk(ast.parse(source)):
        names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom) and node.level == 0:
            names = [node.module or ""]
        problems += [
            f"{module} imports {name}, a way to run notebooks"
            for name in names
            if name.split(".")[0] in NOTEBOOK_TOOLS
        ]
    if module == "__init__":
        return problems
    floor = floor_of(module)
    if floor is None:
        return [*problems, f"{module} has no floor"]
    for other in sorted(library_imports(source)):
        below = floor_of(other)
        if below is None:
            problems.append(f"{module} imports {other}, which has no floor")
        elif below >= floor:
            problems.append(f"{module} (floor {floor}) imports {other} (floor {below})")
    return problems


def main(paths: list[str]) -> int:
    """Print the problems of each notebook or Markdown file; return how many there are."""
    count = 0
    for path in paths:
        text = Path(path).read_text(encoding="utf-8")
        if path.endswith(".ipynb"):
            notebook = json.loads(text)
            problems = [f"[{rule.__name__}] {p}" for rule in RULES for p in rule(notebook)]
        else:
            problems = typed_numbers(text)
        for problem in problems:
            print(f"{path}: {problem}")
        count += len(problems)
    print(f"{count} problems")
    return count


if __name__ == "__main__":
    sys.exit(min(main(sys.argv[1:]), 1))
