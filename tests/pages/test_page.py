"""What a page is made of."""

import json
import re
from html.parser import HTMLParser

import numpy as np
import pytest

from hilbertsd.errors import InvalidFile
from hilbertsd.pages.page import Page, Section, write_page
from hilbertsd.pages.picture import Picture, lighter
from hilbertsd.pages.rounds import LOOKS, MEASURES, Curve, Panel, Rounds, embedded_json, panel_figure
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


def test_what_figures_say_is_escaped_for_html_and_for_plotly(monkeypatch):
    monkeypatch.setattr("plotly.offline.get_plotlyjs", lambda: "")
    found = Reader(page_of(rounds(NASTY)))
    assert "b" not in found.elements
    assert found.elements.count("script") == 4
    content = json.loads(next(text for text in found.texts if text.startswith('{"rounds"')))
    (figure,) = content["panels"]
    escaped = "&lt;/script&gt;&lt;b onclick=&quot;x&quot;&gt;&amp;amp;&#x27;"  # plotly reads some of HTML's marks
    assert figure["data"][0]["name"] == figure["layout"]["xaxis"]["title"]["text"] == escaped


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


def test_figures_are_plotlys():
    """Names and values that plotly does not know are errors of its own classes."""
    from plotly.graph_objects import Figure

    x = np.linspace(1, 2, 3)
    curves = [Curve(role, role, "lines+markers", x, np.vstack([x, x])) for role in LOOKS]
    for log_x in (True, False):
        figure = panel_figure(Panel("title", "x", "y", tuple(curves), log_x=log_x, whole_x=not log_x))
        figure.pop("moving")
        drawn = Figure(figure)
        assert [trace.meta for trace in drawn.data] == list(LOOKS)
    assert set(MEASURES) < set(LOOKS)


def test_moving_curves_have_a_version_per_round_and_axes_hold_all():
    x = np.array([1.0, 10, 1000])
    y = np.array([[0, 1 / 3, np.nan], [5, 6, 7]])
    figure = panel_figure(
        Panel("t", "x", "y", (Curve("still", "guide", "lines", x, x / 1000), Curve("", "round", "lines", x, y)), True)
    )
    assert figure["moving"] == {1: {"y": [[0.0, 0.3333, None], [5.0, 6.0, 7.0]]}}
    assert figure["data"][1]["y"] == [0.0, 0.3333, None]
    low, high = figure["layout"]["yaxis"]["range"]
    assert low < 0 < 7 < high < 8
    low, high = figure["layout"]["xaxis"]["range"]
    assert -0.5 < low < 0
    assert 3 < high < 3.5
    assert not figure["data"][1]["showlegend"]


def test_an_axis_of_one_value_has_room():
    for value in (0.0, 5.0):
        still = np.array([value])
        figure = panel_figure(Panel("t", "x", "y", (Curve("a", "guide", "lines", still, still),)))
        low, high = figure["layout"]["yaxis"]["range"]
        assert low < value < high


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
