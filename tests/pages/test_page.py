"""What a page is made of."""

import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from xml.etree import ElementTree as ET

import numpy as np
import pytest

from hilbertsd.errors import InvalidFile
from hilbertsd.pages.page import Page, Section, write_page
from hilbertsd.pages.picture import Picture, lighter
from hilbertsd.pages.rounds import COLOURS, LOOKS, MEASURES, Curve, Panel, Rounds, embedded_json, panel_drawing
from hilbertsd.pages.table import MOST_ROWS, Table
from hilbertsd.pages.text import Code, Facts, Links, Text

NASTY = '</script><b onclick="x">&amp;\''


class Reader(HTMLParser):
    """Elements, attributes and text of a page."""

    def __init__(self, page):
        super().__init__()
        self.elements, self.texts, self.hrefs = [], [], []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.elements.append(tag)
        self.hrefs += [value for name, value in attrs if name in ("href", "src")]

    def handle_data(self, data):
        self.texts.append(data)


def rounds(name="fit", n_rounds=3):
    x = np.arange(4.0)
    panel = Panel(
        name,
        name,
        name,
        (
            Curve(name, "data", "markers", x, x),
            Curve(name, "round", "lines", x, np.outer(np.arange(n_rounds) / 3, x)),
        ),
    )
    return Rounds(range(n_rounds), n_rounds - 1, [{name: t / 3} for t in range(n_rounds)], (panel,))


def page_of(*parts):
    return Page(NASTY, NASTY, (Section(NASTY, parts),)).markup()


def test_what_is_inserted_is_text_and_no_markup():
    parts = (
        Text((NASTY,)),
        Code(NASTY),
        Facts({NASTY: NASTY}),
        Links((NASTY,)),
        Table(NASTY, [{NASTY: NASTY}, {NASTY: 1}]),
        Picture(NASTY, ".svg", b"<svg/>"),
    )
    found = Reader(page_of(*parts))
    assert "b" not in found.elements
    assert found.elements.count("script") == 1  # the tables'
    said = [text for text in found.texts if NASTY in text]
    assert len(said) == 2 + 2 + 1 + 1 + 2 + 1 + 3 + 1  # title twice, summary and heading, and each part


@pytest.mark.parametrize("name", [NASTY, "_begins so", "$x$ and $y$", "100 %"])
def test_what_figures_say_is_text_and_no_markup_or_mathematics(name):
    markup = page_of(rounds(name))
    found = Reader(markup)
    assert "b" not in found.elements
    assert found.elements.count("script") == 3
    (svg,) = re.findall(r"<svg.*</svg>", markup, re.DOTALL)
    drawn = [text for text in Reader(svg).texts if text.strip()]
    assert sum(text == name for text in drawn) == 2 + 2 + 2  # axes, legend, and the curves' own titles


def test_json_cannot_end_its_element():
    text = embedded_json({"a": "</script><!--&"})
    assert not set("<>&") & set(text)
    assert json.loads(text) == {"a": "</script><!--&"}
    with pytest.raises(ValueError, match="not JSON compliant"):
        embedded_json([np.nan])


def test_a_page_without_slider_is_light_and_nothing_is_requested():
    page = page_of(Text(("words",)), Links(("a b/c:d.json",)))
    assert len(page) < 20_000
    assert "default-src 'none'" in page
    assert Reader(page).hrefs == ["data:,", "./a%20b/c%3Ad.json"]


def curves_of(svg):
    """Points of every curve that is drawn, by its identifier: of the line, and of the markers."""
    root = ET.fromstring(svg)
    found = {}
    for group in root.findall(".//{*}g"):
        if re.fullmatch(r"figure-0-\d+", group.get("id", "")):
            line = group.find("{*}path")
            pairs = [] if line is None else re.findall(r"[ML] (\S+) (\S+)", line.get("d", ""))
            marks = [(use.get("x"), use.get("y")) for use in group.findall(".//{*}use")]
            found[group.get("id")] = [np.array(points, dtype=float) for points in (pairs, marks)]
    return found


def in_figure(place):
    return np.array(place, dtype=float).T


@pytest.mark.parametrize("log_x", [False, True])
def test_points_of_every_round_are_where_matplotlib_draws_them(log_x):
    """The figure of each round, drawn as the first, against the places that the script moves the points to."""
    x, rounds = np.geomspace(1, 1000, 7), 3
    versions = 1e6 + np.arange(rounds)[:, None] * np.sin(x)  # what moves is a millionth of what it is
    curves = [Curve(role, role, "lines+markers", x, versions + k) for k, role in enumerate(LOOKS)]
    first, moving = panel_drawing(Panel("title", "x", "y", tuple(curves), log_x, not log_x), "figure-0")
    assert list(moving) == [f"figure-0-{k}" for k in range(len(LOOKS))]
    for t in range(rounds):
        turned = [replace(curve, y=np.roll(curve.y, -t, axis=0)) for curve in curves]
        svg, _ = panel_drawing(Panel("title", "x", "y", tuple(turned), log_x, not log_x), "figure-0")
        for (identifier, points), look in zip(curves_of(svg).items(), LOOKS.values(), strict=True):
            expected = in_figure([moving[identifier]["x"], moving[identifier]["y"][t]])
            for drawn in points if "marker" in look else points[:1]:
                np.testing.assert_allclose(drawn, expected, atol=0.011)
    assert np.ptp(moving["figure-0-1"]["y"]) > 20  # the axis does not begin at zero
    assert "#0101" not in first  # all colours are the style sheet's
    assert {f"var(--{variable})" for _, variable in COLOURS.values()} == set(re.findall(r"var\(--[\w-]+\)", first))
    assert set(MEASURES) < set(LOOKS)


def test_what_is_no_number_is_a_gap_and_axes_hold_all():
    x = np.array([1.0, 10, 1000])
    y = np.array([[0, 1 / 3, np.nan], [5, 6, 7]])
    curves = (Curve("still", "guide", "lines", x, x / 1000), Curve("", "round", "lines", x, y))
    svg, moving = panel_drawing(Panel("t", "x", "y", curves, True), "figure-0")
    assert list(moving) == ["figure-0-1"]
    places = moving["figure-0-1"]
    assert places["y"][0][2] is None
    width, height = (float(size) for size in re.findall(r'viewBox="0 0 (\S+) (\S+)"', svg)[0])
    assert 0 < min(places["y"][1]) < max(places["y"][0][:2]) < height
    assert places["y"][1][2] is not None
    assert 0 < min(places["x"]) < max(places["x"]) < width
    assert svg.count("<title>") == 1


def test_an_axis_of_one_value_has_room():
    for value in (0.0, 5.0):
        still = np.array([value])
        svg, _ = panel_drawing(Panel("t", "x", "y", (Curve("a", "data", "markers", still, still),)), "figure-0")
        ((_, mark),) = curves_of(svg).values()
        assert 20 < mark[0, 0] < 300


def test_long_names_are_shortened_and_numbers_have_no_offset():
    x = np.linspace(1.6e9, 1.6e9 + 1, 5)
    name = "from the beginning " + "y" * 200 + " to the end"
    svg, _ = panel_drawing(Panel("t", name, name, (Curve(name, "guide", "lines", x, 1e-12 * x),)), "figure-0")
    texts = [text for text in Reader(svg).texts if text.strip()]
    assert sum(text.startswith("from the beginning") and text.endswith("yy to the end") for text in texts) == 4
    assert max(len(text) for text in texts if text != name) < 50
    assert name in texts  # who points at the curve reads all of it
    assert any(re.fullmatch(r"1600000000\.\d", text) for text in texts)
    assert not any(text.startswith(("+", "1e")) for text in texts)


def test_tables_show_four_digits_and_sort_by_all():
    markup = Table("c", [{"target_mean_square": 1 / 3, "holds": True, "n": 7, "none": None, "list": [1, 0.5]}]).markup()
    assert "‖y_t‖²/n" in markup
    assert 'data-value="0.3333333333333333">0.3333<' in markup
    assert 'data-value="1.0">yes<' in markup
    assert 'data-value="7.0">7<' in markup
    assert ">1, 0.5<" in markup
    assert "none" not in markup


def test_a_long_table_says_that_it_is_thinned():
    markup = Table("c", [{"n": n} for n in range(10 * MOST_ROWS)]).markup()
    assert markup.count("<tr>") == 1 + MOST_ROWS
    assert f"({MOST_ROWS} of {10 * MOST_ROWS:,} rows, evenly spread)" in markup
    shown = [int(n) for n in re.findall(r">(\d+)</td>", markup)]
    assert (shown[0], shown[-1]) == (0, 10 * MOST_ROWS - 1)


def test_the_lighter_picture_is_taken():
    heavy, light = Picture("a", ".png", b"12345"), Picture("a", ".svg", b"1")
    assert lighter([heavy, light]) is light
    assert (heavy.weight, light.weight) == (8, 4)
    assert 'src="data:image/svg+xml;base64,MQ=="' in light.markup()


def test_a_place_that_cannot_be_written_is_one_error(tmp_path):
    page = Page("a", "b", ())
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_text("", encoding="utf-8")
    for place in ("folder", "none/page.html", "file/page.html"):
        with pytest.raises(InvalidFile, match=r"cannot be written: .*; give another folder or name"):
            write_page(page, tmp_path / place)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "folder"]
    assert write_page(page, tmp_path / "page.html").read_text(encoding="utf-8") == page.markup()
