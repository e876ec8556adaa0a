"""Pages in a real browser: the slider, the tables, dark and narrow screens, and that nothing is requested."""

import json
import re
import shutil
from contextlib import contextmanager

import numpy as np
import pandas as pd
import pytest
from commands import write_table
from playwright.sync_api import sync_playwright

from hilbertsd import TableModel
from hilbertsd.studies import study
from hilbertsd.studies.table_path import TableConfig

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
FLAGS = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync"),
)
HOSTILE = "</script><b>price</b>"

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")


@pytest.fixture(scope="module")
def browser():
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS, headless=True)
        yield browser
        browser.close()


@contextmanager
def opened(browser, file, **settings):
    """Page of a file in a fresh context; in the end the console is empty, and only the file was requested."""
    context = browser.new_context(**{"viewport": {"width": 1100, "height": 800}, **settings})
    page = context.new_page()
    said, requested = [], []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("request", lambda request: requested.append(request.url))
    page.goto(file.as_uri())
    page.wait_for_selector(".rounds[data-drawn='0']")
    yield page
    context.close()
    assert said == []
    assert requested == [file.as_uri()]


DRAWN = """[...document.querySelectorAll('.plot')].map(plot => [...plot.querySelectorAll('[id^=figure]')]
    .filter(group => /^figure-[0-9]+-[0-9]+$/.test(group.id)).map(group => {
        const line = group.querySelector(':scope > path');
        const marks = [...group.querySelectorAll('use')].map(use => [use.getAttribute('x'), use.getAttribute('y')]);
        const pairs = [...(line ? line.getAttribute('d') : '').matchAll(/[ML] ?([^ ]+) ([^ MLz]+)/g)];
        return marks.length ? marks : pairs.map(([_, x, y]) => [x, y]);
    }))"""
"""Places of the points of every curve in every figure."""


def drawn(page, figure, still, curve):
    """Points of the last curve of a figure in the units of its axes, which a curve that stays tells: (x, y) of it."""
    places = [np.array(points, dtype=float).T for points in page.evaluate(DRAWN)[figure]]
    scales = [np.polyfit(at, value, 1) for at, value in zip(places[curve], still, strict=True)]
    return [np.polyval(scale, at) for scale, at in zip(scales, places[-1], strict=True)]


def luminance(colour):
    red, green, blue = map(int, re.findall(r"\d+", colour)[:3])
    return (0.2126 * red + 0.7152 * green + 0.0722 * blue) / 255


def cells(page, heading):
    """Text of every cell of the table in a section, row by row, by its heading."""
    table = page.locator("section", has=page.get_by_role("heading", name=heading, exact=True)).locator("table")
    names, *rows = table.evaluate("table => [...table.rows].map(row => [...row.cells].map(cell => cell.textContent))")
    return [dict(zip(names, row, strict=True)) for row in rows]


@pytest.fixture
def distilled(hilbertsd, table, tmp_path):
    """Folder of `distill` on a table whose target has a hostile name, and its result.json."""
    frame = pd.read_csv(table).rename(columns={"price": HOSTILE, "a": "<img src=x>"})
    frame.to_csv(tmp_path / "t.csv", index=False)
    code, _, err = hilbertsd("distill", "t.csv", "--target", HOSTILE, "--relative-tolerance", 0.05, "--out", "o")
    assert (code, err) == (0, "")
    return tmp_path / "o", json.loads((tmp_path / "o/result.json").read_text(encoding="utf-8"))


def test_the_slider_moves_all_figures_and_the_numbers_are_those_of_the_result(browser, distilled):
    folder, record = distilled
    assert (folder / "report.html").stat().st_size < 1e6
    path = TableModel.load(folder).path
    targets = path.spectrum.from_eigenbasis(np.ones(90))[:, 0]
    with opened(browser, folder / "report.html") as page:
        slider = page.get_by_role("slider")
        by_heading = {
            "multiplier c": record["multipliers"],
            "‖y_t‖²/n": record["target_mean_squares"],
            "training error": record["training_errors"],
            "effective dimension": path.basis_weights.sum(axis=1),
            "leave-one-out error": record["leave_one_out_errors"],
            "test error": record["test_errors"],
        }
        table = cells(page, "Table")
        assert len(table) == record["n_rounds"] > 3
        colours = []
        for t in range(record["n_rounds"]):
            expected = {"round": str(t)} | {name: f"{values[t]:.4g}" for name, values in by_heading.items()}
            assert table[t] == expected
            slider.press("ArrowRight" if t else "Home")
            page.wait_for_selector(f".rounds[data-drawn='{t}']")
            assert slider.get_attribute("aria-valuetext") == f"round {t}"
            assert page.get_by_role("status").inner_text() == str(t)
            names = page.locator(".numbers dt").all_inner_texts()
            assert dict(zip(names, page.locator(".numbers dd").all_inner_texts(), strict=True)) == expected

            predictions, first = path.train_predictions(t), path.train_predictions(0)
            fit = drawn(page, 0, [targets, first], 1)
            weights = drawn(page, 1, [np.log(path.eigenvalues), path.basis_weights[0]], 0)
            residuals = drawn(page, 2, [targets, targets - first], 1)
            rounds = np.arange(record["n_rounds"] + 1)
            training = [*record["training_errors"], record["target_mean_squares"][0]]
            errors = drawn(page, 3, [rounds, training], 0)
            # A hundredth of a figure's unit is the accuracy of what is drawn.
            np.testing.assert_allclose(fit, [targets, predictions], atol=1e-3 * np.ptp(targets))
            np.testing.assert_allclose(residuals, [targets, targets - predictions], atol=1e-3 * np.ptp(targets))
            np.testing.assert_allclose(np.exp(weights[0]), path.eigenvalues, rtol=3e-3)
            np.testing.assert_allclose(weights[1], path.basis_weights[t], atol=1e-3)
            at_round = [by_heading[name][t] for name in ("training error", "leave-one-out error", "test error")]
            np.testing.assert_allclose(errors, [[t] * 3, at_round], atol=1e-3 * max(record["training_errors"]))
            curve = page.locator(".plot [id='figure-1-1'] > path")
            colours.append(luminance(curve.evaluate("curve => getComputedStyle(curve).stroke")))
        assert colours == sorted(set(colours))  # lighter from round to round, and darker than the paper
        assert colours[0] < 0.15
        assert 0.4 < colours[-1] < 0.6

        everything = page.locator("body").inner_text()
        assert f"of {HOSTILE}" in everything
        assert page.locator("b").count() == page.locator("section img:not(.picture img)").count() == 0
        assert {link.get_attribute("href") for link in page.locator("a").all()} == {
            f"./{name}" for name in ("distill.png", "distill.svg", "model.npz", "result.json")
        }


@pytest.fixture(scope="module")
def bounds(browser, tmp_path_factory):
    """Page of `check-bounds` on a dark telephone, and its result.json."""
    folder = tmp_path_factory.mktemp("bounds")
    config = TableConfig(write_table(folder / "table.csv", np.random.default_rng(20)), "price")
    record = study("check-bounds").execute(config, folder).record
    with opened(browser, folder / "report.html", color_scheme="dark", viewport={"width": 360, "height": 740}) as page:
        yield page, json.loads(json.dumps(record))


def test_bounds_are_those_of_the_result_and_sort_by_any_column(bounds):
    page, record = bounds
    statements = {row["formula"]: row for row in record["statements"]}
    rows = cells(page, "Bounds")
    assert [row["statement"] for row in rows] == list(statements)
    for row in rows:
        of = statements[row["statement"]]
        numbers = [f"{of[side]:.4g}" for side in ("left", "right")]
        assert [row["left"], row["right"], row["round"]] == [*numbers, str(of["round"])]
        assert row["tightness"] == f"{max(of['right'], 0) / of['left']:.4g}"
        assert row["holds"] == "yes"
    assert {row["source"] for row in rows} == {row["source"] for row in record["statements"]}

    left = page.get_by_role("columnheader", name="left")
    left.get_by_role("button").press("Enter")
    assert left.get_attribute("aria-sort") == "ascending"
    order = sorted(row["left"] for row in record["statements"])
    assert [row["left"] for row in cells(page, "Bounds")] == [f"{value:.4g}" for value in order]
    left.get_by_role("button").click()
    assert left.get_attribute("aria-sort") == "descending"
    assert [row["left"] for row in cells(page, "Bounds")] == [f"{value:.4g}" for value in order[::-1]]
    page.get_by_role("button", name="source").click()
    assert left.get_attribute("aria-sort") is None


def test_dark_and_light_follow_the_screen_and_a_telephone_has_no_sideways_scroll(bounds):
    page, _ = bounds
    assert not page.evaluate("document.documentElement.scrollWidth > innerWidth")  # tables scroll in their boxes
    script = """[getComputedStyle(document.body).backgroundColor,
        getComputedStyle(document.querySelector('.plot text')).fill,
        getComputedStyle(document.querySelector('.plot .legend text, .plot [id^=legend] text')).fill]"""
    paper, axis, legend = map(luminance, page.evaluate(script))
    assert paper < 0.1
    assert min(axis, legend) > 0.5
    page.emulate_media(color_scheme="light")
    paper, axis, legend = map(luminance, page.evaluate(script))
    assert paper > 0.9
    assert max(axis, legend) < 0.45
    page.emulate_media(media="print")
    assert page.locator(".control input").is_hidden()
