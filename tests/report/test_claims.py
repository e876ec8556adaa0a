"""The page of claims: that of the gallery is up to date, its numbers are the results', and bad folders are refused."""

import json
import re
from pathlib import Path

import pytest
from commands import one_line

from hilbertsd.errors import InvalidFile
from hilbertsd.report import claims_page
from hilbertsd.report.claims import stored_results

GALLERY = Path(__file__).parents[2] / "figures"
WORDS = {"verdict": "reproduced", "note": "1.5 ± 0.5", "source": "MFB §1", "setting": ""}


def write(folder, name, *claims, command="hilbertsd run it"):
    (folder / name).mkdir(exist_ok=True)
    record = {"command": command, "claims": [{**WORDS, **claim} for claim in claims]}
    (folder / name / "result.json").write_text(json.dumps(record), encoding="utf-8")


def values(numbers):
    """Every number in numbers of any depth."""
    if isinstance(numbers, int | float):
        yield numbers
    elif isinstance(numbers, dict | list):
        for each in numbers.values() if isinstance(numbers, dict) else numbers:
            yield from values(each)


def not_among_numbers(claim):
    """Decimal numbers of a claim's note that none of its numbers rounds to."""
    known = list(values(claim.numbers))
    for word in re.findall(r"[-+]?\d+\.\d+(?!\d*e)", claim.note):
        half = 0.501 * 10.0 ** -len(word.partition(".")[2])
        if not any(abs(float(word) - value) <= half for value in known):
            yield word


def test_the_page_of_the_gallery_is_up_to_date():
    """`hilbertsd claims figures --out figures/CLAIMS.md` writes it anew."""
    assert (GALLERY / "CLAIMS.md").read_text(encoding="utf-8") == claims_page(GALLERY)


def test_words_of_the_gallery_say_its_numbers():
    claims = [claim for result in stored_results(GALLERY) for claim in result.claims]
    assert len(claims) > 60
    assert [(claim.claim, word) for claim in claims for word in not_among_numbers(claim)] == []
    assert [claim.claim for claim in claims if (claim.verdict == "reported") != (not claim.source)] == []


def test_a_spoilt_number_is_noticed(tmp_path):
    for name in ("network-chains", "spline-toy"):
        (tmp_path / name).mkdir()
        text = (GALLERY / name / "result.json").read_text(encoding="utf-8")
        (tmp_path / name / "result.json").write_text(text, encoding="utf-8")
    right, record = claims_page(tmp_path), json.loads(text)
    record["claims"][0]["note"] = record["claims"][0]["note"].replace("0.154", "0.145")
    (tmp_path / name / "result.json").write_text(json.dumps(record), encoding="utf-8")
    assert claims_page(tmp_path) == right.replace("0.154", "0.145") != right
    (claim, *_) = stored_results(tmp_path)[1].claims
    assert list(not_among_numbers(claim)) == ["0.145"]


def test_claims_stand_under_paper_and_study_and_their_settings_are_summed_up(tmp_path):
    settings = [("a", "reproduced"), ("b", "undecided"), ("c", "reproduced")]
    several = [{"claim": "it | rises", "setting": setting, "verdict": verdict} for setting, verdict in settings]
    write(tmp_path, "first", {"claim": "it falls", "n": 3}, *several, command="hilbertsd run first")
    write(tmp_path, "other", {"claim": "it is", "source": "Nobody & Else"}, {"claim": "ours", "source": ""})
    write(tmp_path, "third")
    (tmp_path / "first/up.png").touch()
    (tmp_path / "README.md").write_text("## first\n", encoding="utf-8")
    head, mfb, own, nobody = re.split(r"^## ", claims_page(tmp_path), flags=re.MULTILINE)
    assert "(MFB) | 3 | 1 |" in head
    assert "| Nobody & Else | 1 | 0 |" in head
    assert mfb.splitlines()[4] == "`hilbertsd run first` · [up](first/up.png) · [gallery](README.md#first)"
    assert "| it falls | MFB §1 | reproduced | 1.5 ± 0.5 |" in mfb
    assert "| it \\| rises | MFB §1 | reproduced in 2, undecided in 1 | 3 settings, below |" in mfb
    assert "| b | undecided | 1.5 ± 0.5 |" in mfb
    assert own.startswith("Nobody & Else\n\n### other\n\n`hilbertsd run it`\n\n| claim | source |")
    assert nobody.splitlines()[-1] == "| ours | reproduced | 1.5 ± 0.5 |"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "holds no result with claims"),
        ("{", "is no result of a study"),
        ("[]", "is no result of a study"),
        ('{"claims": []}', "lacks 'command'"),
        ('{"command": "", "claims": [{"claim": "", "verdict": "undecided"}]}', "lacks 'note'"),
        (json.dumps({"command": "", "claims": [{"claim": "", **WORDS, "verdict": "true"}]}), "'true'"),
    ],
)
def test_what_is_no_folder_of_results_is_refused(tmp_path, content, message):
    if content is not None:
        (tmp_path / "study").mkdir()
        (tmp_path / "study/result.json").write_text(content, encoding="utf-8")
    with pytest.raises(InvalidFile, match=re.escape(message)):
        claims_page(tmp_path)


def test_the_command_prints_or_writes_the_page(hilbertsd, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write(tmp_path, "study", {"claim": "it is"})
    page = claims_page(tmp_path)
    assert hilbertsd("claims") == (0, page, "")
    assert hilbertsd("claims", ".", "--out", "page.md") == (0, "wrote page.md\n", "")
    assert (tmp_path / "page.md").read_text(encoding="utf-8") == page
    assert "nothing holds no result" in one_line(*hilbertsd("claims", "nothing"))
    assert "cannot be written" in one_line(*hilbertsd("claims", ".", "--out", "no/page.md"))
