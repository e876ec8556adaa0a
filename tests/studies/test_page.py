"""report.html of every study."""

import json
import re
from dataclasses import dataclass

import pytest

from hilbertsd.errors import InvalidFile
from hilbertsd.pages.picture import Picture
from hilbertsd.pages.text import Code, Text
from hilbertsd.studies import form
from hilbertsd.studies.page import described, pictures_of


@dataclass(frozen=True)
class Config(form.Config):
    name: str = form.option("<i>", "A name.")


@dataclass(frozen=True, eq=False)
class Result(form.Result[Config]):
    def rows(self):
        return [{"setting": "<i>", "standard_error": 1 / 3}, {"setting": None, "standard_error": 2.0}]

    def numbers(self):
        return {"rows": self.rows()}

    def headline(self):
        return ["first <i> line"]

    def closing(self):
        return ["\nlast line"]

    def claims(self):
        return [form.Claim("it <i> holds", form.Verdict.REPRODUCED, {"n": 3}, "on 3", source="MFB §1")]


def save(_result, folder):
    (folder / "parts").mkdir()
    inside, outside = folder / "parts/a b.npz", folder.parent / "elsewhere.npz"
    for file in (inside, outside):
        file.write_bytes(b"")
    return [inside, outside]


STUDY = form.Study("a-study", "Shows <i> it.\n\nWords.\n\n    code()\n", Config, Result, save=save)


def test_a_page_has_the_words_numbers_claims_and_files_of_a_study(tmp_path):
    folder = tmp_path / "out"
    folder.mkdir()
    outcome = STUDY.execute(Config(), folder)
    assert [file.name for file in outcome.files] == ["a b.npz", "elsewhere.npz", "result.json", "report.html"]
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert len(page) < 20_000  # no script where nothing moves
    assert "<i>" not in page
    for words in (
        "<p>Shows &lt;i&gt; it.</p>",
        "<p>first &lt;i&gt; line</p>\n<p>last line</p>",
        "hilbertsd run a-study --name &#x27;&lt;i&gt;&#x27;",
        "<p>Words.</p>",
        "<code>code()</code>",
        ">it &lt;i&gt; holds</td>",
        ">reproduced</td>",
        ">0.3333</td>",
        f"<dt>python</dt><dd>{outcome.record['versions']['python']}</dd>",
    ):
        assert words in page
    assert re.findall(r'href="\./([^"]*)"', page) == ["parts/a%20b.npz", "result.json"]
    assert str(tmp_path) not in page


def test_a_report_that_cannot_be_written_leaves_the_result(tmp_path):
    (tmp_path / "report.html").mkdir()
    with pytest.raises(InvalidFile, match=r"report.html cannot be written"):
        form.Study("a-study", "Shows.", Config, Result).execute(Config(), tmp_path)
    assert json.loads((tmp_path / "result.json").read_text(encoding="utf-8"))["rows"][1]["standard_error"] == 2


def test_the_lighter_file_of_a_figure_is_shown_and_heavy_ones_are_named(tmp_path):
    for name, size in (("a.png", 50), ("a.svg", 30), ("b.png", 300), ("c.svg", 60), ("d.npz", 1)):
        (tmp_path / name).write_bytes(b"x" * size)
    shown = pictures_of(sorted(tmp_path.iterdir()), 120)
    assert [(part.name, part.suffix) for part in shown if isinstance(part, Picture)] == [("a", ".svg"), ("c", ".svg")]
    assert [part for part in shown if isinstance(part, Text)] == [
        Text(("b.png is too heavy for this page; open it below.",))
    ]


def test_descriptions_are_paragraphs_and_code():
    parts = described("First line.\n\nSome\nwords.\n\n    a = 1\n        b\n\n")
    assert parts == (Text(("Some words.",)), Code("a = 1\n    b"))
    assert described("First line.") == ()
