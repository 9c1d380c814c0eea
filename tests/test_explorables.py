"""Explorables in Chromium: the numbers of ``cnnbook``, by mouse, keyboard and URL.

Each is the twin of a function of the library: ``twins.py`` says which settings to try, and what the
page must compute for each.
"""

import random
import re
import runpy
from collections.abc import Iterator
from statistics import median
from typing import Any

import numpy as np
import pytest

from cnnbook.activations import ACTIVATIONS
from test_book import ROOT, entries_of, yaml
from test_pages import browser, pages_folder, pytestmark  # noqa: F401 - fixtures and marks
from twins import TWINS, State

FOLDER = ROOT / "extensions" / "static" / "explorables"
DATA = runpy.run_path(str(ROOT / "scripts" / "explorable_data.py"))
TOLERANCE = 1e-6

# Where each explorable stands, and how often.
USES = [
    (name, page)
    for page in entries_of(yaml.safe_load((ROOT / "_toc.yml").read_text(encoding="utf-8")))
    if (ROOT / f"{page}.ipynb").is_file()
    for name in re.findall(
        r"```\{explorable\} (\w+)", (ROOT / f"{page}.ipynb").read_text(encoding="utf-8")
    )
]


def test_every_explorable_has_a_page_and_a_twin() -> None:
    files = {path.stem for path in FOLDER.glob("*.js") if "-data" not in path.stem} - {"base"}
    assert files == set(TWINS) == {name for name, _ in USES}


@pytest.mark.parametrize("name", DATA["DATA"])
def test_what_is_shown_of_an_experiment_is_what_its_table_says(name: str) -> None:
    written = (FOLDER / f"{name}-data.js").read_text(encoding="utf-8")
    assert written == DATA["script"](name), "run python scripts/explorable_data.py"


@pytest.fixture(params=USES, ids=[name for name, _ in USES])
def place(request: Any, browser: Any) -> Iterator[Any]:  # noqa: F811
    """An explorable on its page: its name, and the page."""
    name, path = request.param
    with browser.new_context(offline=True) as context:
        page, errors = context.new_page(), []
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.goto((pages_folder() / f"{path}.html").as_uri())
        page.wait_for_function(f"document.querySelector('#explorable-{name}').explorable")
        yield name, page
        assert errors == []


def ask(place: Any, code: str) -> Any:
    """Evaluate JavaScript in which ``e`` is the explorable and ``p`` its place."""
    name, page = place
    start = f"const p = document.querySelector('#explorable-{name}'); const e = p.explorable;"
    return page.evaluate(f"() => {{ {start} return {code}; }}")


def set_state(place: Any, state: State) -> tuple[State, dict[str, Any]]:
    """Move the settings; return them as they then are, and the numbers."""
    name, page = place
    return page.evaluate(
        """([name, state]) => {
          const e = document.querySelector(`#explorable-${name}`).explorable;
          e.set(state);
          return [e.state, e.numbers];
        }""",
        [name, state],
    )


def test_the_numbers_are_those_of_the_library(place: Any) -> None:
    twin, draw = TWINS[place[0]], random.Random(place[0])
    for _ in range(twin.few):
        state, numbers = set_state(place, twin.draw(draw))
        for key, expected in twin.expect(state).items():
            np.testing.assert_allclose(
                np.asarray(numbers[key], dtype=float),
                np.asarray(expected, dtype=float),
                rtol=TOLERANCE,
                atol=TOLERANCE,
                err_msg=f"{key} at {state}",
            )


def test_every_slider_and_list_is_moved_by_the_keyboard(place: Any) -> None:
    """Each control answers a key, and the words and the link follow."""
    name, page = place
    controls = page.locator(f"#explorable-{name} .explorable-control:visible :is(input, select)")
    assert controls.count() > 0
    for number in range(controls.count()):
        ask(place, "e.reset()")
        before, link = (
            ask(place, "JSON.stringify(e.state)"),
            ask(place, "p.querySelector('a.explorable-link').href"),
        )
        controls.nth(number).focus()
        for key in ("ArrowRight", "ArrowLeft", "ArrowLeft", "ArrowDown"):
            page.keyboard.press(key)
            if ask(place, "JSON.stringify(e.state)") != before:
                break
        assert ask(place, "JSON.stringify(e.state)") != before, f"control {number} of {name}"
        assert ask(place, "p.querySelector('a.explorable-link').href") != link


def test_a_slider_is_dragged_with_the_mouse(place: Any) -> None:
    name, page = place
    slider = page.locator(f"#explorable-{name} input[type=range]:visible").first
    slider.scroll_into_view_if_needed()
    box = slider.bounding_box()
    before = ask(place, "JSON.stringify(e.state)")
    page.mouse.move(box["x"] + 2, box["y"] + box["height"] / 2)
    page.mouse.down()
    page.mouse.move(box["x"] + 0.6 * box["width"], box["y"] + box["height"] / 2, steps=4)
    page.mouse.up()
    assert ask(place, "JSON.stringify(e.state)") != before


def test_reset_brings_the_start_back(place: Any) -> None:
    name, page = place
    start = ask(place, "e.state")
    set_state(place, TWINS[name].draw(random.Random(1)))
    assert ask(place, "e.state") != start
    page.locator(f"#explorable-{name} button", has_text="Reset").click()
    assert ask(place, "e.state") == start


def test_a_setting_travels_in_the_address(place: Any) -> None:
    """The link opened in a new page, and the address bar, both hold the whole state."""
    name, page = place
    state, numbers = set_state(place, TWINS[name].draw(random.Random(2)))
    link = ask(place, "p.querySelector('a.explorable-link').href")
    assert page.url == link
    other = page.context.new_page()
    other.goto(link)
    other.wait_for_function(f"document.querySelector('#explorable-{name}').explorable")
    assert ask((name, other), "e.state") == state
    assert ask((name, other), "e.numbers") == numbers
    assert ask((name, other), "p.getBoundingClientRect().top < innerHeight")


@pytest.mark.parametrize("nonsense", ["?=1", "stride=x&padding=1e99&kernel=1,2", "%", "a=b=c&&=&"])
def test_nonsense_in_the_address_is_left(place: Any, nonsense: str) -> None:
    name, page = place
    page.goto(f"{page.url.partition('#')[0]}#explorable-{name}:{nonsense}")
    page.reload()
    page.wait_for_function(f"document.querySelector('#explorable-{name}').explorable")
    numbers = np.concatenate([np.ravel(part) for part in ask(place, "Object.values(e.numbers)")])
    assert np.isfinite(numbers.astype(float)).all()


def test_a_change_is_told_in_words(place: Any) -> None:
    before = ask(place, "p.querySelector('[role=status]').textContent")
    set_state(place, TWINS[place[0]].draw(random.Random(3)))
    after = ask(place, "p.querySelector('[role=status]').textContent")
    assert before != after and len(after) > 40
    assert not re.search(r"NaN|undefined|null|\[object", after)


def test_a_change_is_drawn_within_fifty_milliseconds(place: Any) -> None:
    name, page = place
    draw = random.Random(4)
    states = [TWINS[name].draw(draw) for _ in range(25)]
    times = page.evaluate(
        """async ([name, states]) => {
          const e = document.querySelector(`#explorable-${name}`).explorable, times = [];
          for (const state of states) {
            await new Promise((go) => requestAnimationFrame(go));
            const begin = performance.now();
            e.set(state);
            document.body.getBoundingClientRect();  // lays the page out
            times.push(performance.now() - begin);
          }
          return times;
        }""",
        [name, states],
    )
    assert median(times) < 50


# What only one of them has ------------------------------------------------------------------------


@pytest.fixture
def only(request: Any, browser: Any) -> Iterator[Any]:  # noqa: F811
    """The explorable that a test names: its name, and the page."""
    path = dict(USES)[request.param]
    with browser.new_context(offline=True) as context:
        page = context.new_page()
        page.goto((pages_folder() / f"{path}.html").as_uri())
        page.wait_for_function(f"document.querySelector('#explorable-{request.param}').explorable")
        yield request.param, page


@pytest.mark.parametrize("only", ["convolution"], indirect=True)
def test_the_window_of_the_convolution_is_moved_and_its_kernel_edited(only: Any) -> None:
    page = only[1]
    root = page.locator("#explorable-convolution")
    root.locator(".explorable-focus .cell", has_text="0").last.click()
    assert ask(only, "[e.state.row, e.state.column]") == [5, 5]
    root.locator(".explorable-focus").focus()
    for key in ("ArrowUp", "ArrowUp", "ArrowLeft"):
        page.keyboard.press(key)
    assert ask(only, "[e.state.row, e.state.column]") == [3, 4]
    sum_ = "p.querySelector('.explorable-sum').textContent"
    assert ask(only, sum_).endswith("= 0")
    weight = root.get_by_label("Weight in row 2, column 2")
    weight.fill("2.5")
    weight.press("Enter")
    assert ask(only, "e.state.kernel[4]") == 2.5 and ask(only, "e.state.filter") == "own"
    assert ask(only, sum_).endswith("= 2.5")
    before = ask(only, "e.state.image")
    root.locator(".explorable-grid").first.locator(".cell").first.click()
    assert ask(only, "e.state.image").count(1) == before.count(1) + 1


@pytest.mark.parametrize("only", ["activations"], indirect=True)
def test_every_activation_of_the_library_can_be_chosen(only: Any) -> None:
    options = "[...p.querySelector('select').options].map((o) => [o.value, o.textContent])"
    assert ask(only, options) == [[name, phi.label] for name, phi in ACTIVATIONS.items()]


# And what all of them have ------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "path"), USES)
def test_without_javascript_a_figure_stands_for_it(browser: Any, name: str, path: str) -> None:  # noqa: F811
    with browser.new_context(offline=True, java_script_enabled=False) as context:
        page = context.new_page()
        page.goto((pages_folder() / f"{path}.html").as_uri())
        link = page.locator(f"#explorable-{name} .without-script a")
        target = link.get_attribute("href")
        assert target.startswith("#")
        assert page.locator(f"figure{target} img, {target} img").first.is_visible()


def test_pages_without_an_explorable_load_none() -> None:
    with_one = {page for _, page in USES}
    for path in pages_folder().rglob("*.html"):
        page = path.relative_to(pages_folder()).with_suffix("").as_posix()
        assert ("_static/explorables/" in path.read_text(encoding="utf-8")) == (page in with_one)
