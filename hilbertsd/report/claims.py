"""The page of claims: what the results in a folder say of what papers claim.

    results = stored_results(Path("figures"))
    results[0].claims[0].verdict
    print(claims_page("figures"))                # Markdown

Claims stand under their paper and study. A claim that is tested in several settings has one row, and its settings a
table of their own. What nobody has claimed stands at the end.
"""

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

from hilbertsd.errors import InvalidFile
from hilbertsd.studies.form import Claim, Verdict

PAPERS = {
    "MFB": ("Mobahi, Farajtabar & Bartlett 2020", "https://arxiv.org/abs/2002.05715"),
    "Allen-Zhu & Li": ("Allen-Zhu & Li 2020", "https://arxiv.org/abs/2012.09816"),
    "Jacot, Gabriel & Hongler": ("Jacot, Gabriel & Hongler 2018", "https://arxiv.org/abs/1806.07572"),
    "Lee et al. 2019": ("Lee et al. 2019", "https://arxiv.org/abs/1902.06720"),
    "Hu, Li & Yu": ("Hu, Li & Yu 2020", "https://arxiv.org/abs/1905.11368"),
    "Yang 2020": ("Yang 2020", "https://arxiv.org/abs/2006.14548"),
    "Yang & Littwin": ("Yang & Littwin 2021", "https://arxiv.org/abs/2105.03703"),
    "Dang, Patil & Rinaldo": ("Dang, Patil & Rinaldo 2026", "https://arxiv.org/abs/2602.17565"),
    "Pareek, Du & Oh": ("Pareek, Du & Oh 2024", "https://arxiv.org/abs/2407.04600"),
    "Das & Sanghavi": ("Das & Sanghavi 2023", "https://arxiv.org/abs/2301.13304"),
}
"""By what a source begins with: authors and year of the paper, and where it is."""

HEAD = """\
# Claims

What the studies here say of the papers' claims, made from every `result.json` by `hilbertsd claims FOLDER`. ± are
standard errors. Verdicts: *reproduced* and *not reproduced* where a claim is exact or a test of 5 % sees it; *not under
this protocol* where a test sees the opposite and the protocol is not the paper's; *undecided* where it sees nothing.
"""

AGAIN = "run the study again, or take the file away"


@dataclass(frozen=True)
class StoredResult:
    """What a study's folder says of claims.

    Attributes
    ----------
    name : name of the folder.
    command : command that gives the result.
    claims : claims of one paper, of all, or of nobody.
    pictures : names of the figures in the folder, without suffix.
    in_gallery : whether README.md beside the folder has a section of its name.
    """

    name: str
    command: str
    claims: tuple[Claim, ...]
    pictures: tuple[str, ...]
    in_gallery: bool

    def of(self, paper: str) -> Self:
        """The same with the claims of a paper alone, of nobody where it is empty."""
        return replace(self, claims=tuple(claim for claim in self.claims if _paper(claim) == paper))


def stored_results(folder: Path) -> list[StoredResult]:
    """Results with claims in the folders within a folder, in alphabetical order.

    Raises InvalidFile where there is none, or where a result is no JSON, or not what a study of this version writes.
    """
    gallery = folder / "README.md"
    sections = gallery.read_text(encoding="utf-8").splitlines() if gallery.is_file() else []
    results = []
    for file in sorted(folder.glob("*/result.json")):
        command, claims = _read(file)
        if claims:
            name, pictures = file.parent.name, sorted(picture.stem for picture in file.parent.glob("*.png"))
            results.append(StoredResult(name, command, claims, tuple(pictures), f"## {name}" in sections))
    if not results:
        raise InvalidFile(
            f"{folder} holds no result with claims; give a folder with folders that `hilbertsd run NAME` has written"
        )
    return results


def claims_page(folder: Path | str) -> str:
    """Markdown page of all claims in a folder of results; its links are relative to the folder.

    Parameters
    ----------
    folder : folder whose folders each hold a `result.json`, as `hilbertsd run NAME --out folder/NAME` writes it.

    Raises
    ------
    InvalidFile
        As :func:`stored_results`.
    """
    results = stored_results(Path(folder))
    claims = [claim for result in results for claim in result.claims]
    found = {_paper(claim) for claim in claims if claim.source}
    papers = [*(paper for paper in PAPERS if paper in found), *sorted(found - set(PAPERS))]
    parts = [HEAD, *_counts(papers, claims)]
    for paper in papers:
        parts += [f"## {_title(paper)}\n", *_sections(results, paper)]
    if any(not claim.source for claim in claims):
        parts += ["## Claimed by nobody\n", *_sections(results, "")]
    return "\n".join(parts)


def _read(file: Path) -> tuple[str, tuple[Claim, ...]]:
    """Command and claims of a result."""
    try:
        record: Any = json.loads(file.read_text(encoding="utf-8"))
        return record["command"], tuple(Claim.from_dict(claim) for claim in record.get("claims", []))
    except KeyError as error:
        raise InvalidFile(f"{file} lacks {error}, as results of other versions do; {AGAIN}") from error
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise InvalidFile(f"{file} is no result of a study ({error}); {AGAIN}") from error


def _paper(claim: Claim) -> str:
    """What a claim's source begins with: a known paper, or else all of it."""
    return next((paper for paper in PAPERS if claim.source.startswith(paper)), claim.source)


def _title(paper: str) -> str:
    if paper not in PAPERS:
        return paper
    name, address = PAPERS[paper]
    return f"[{name}]({address})" + ("" if name.startswith(paper) else f" ({paper})")


def _counts(papers: list[str], claims: list[Claim]) -> Iterator[str]:
    """Table of verdicts by paper, and a line on what counts."""
    counted = {paper: Counter(claim.verdict for claim in claims if _paper(claim) == paper) for paper in papers}
    shown = [verdict for verdict in Verdict if any(counts[verdict] for counts in counted.values())]
    if shown:
        rows = [[_title(paper), *(str(counts[verdict]) for verdict in shown)] for paper, counts in counted.items()]
        yield _table(["paper", *shown], rows)
        yield "A claim that is tested in several settings (kernels, losses, networks) counts once in each.\n"


def _sections(results: Iterable[StoredResult], paper: str) -> Iterator[str]:
    """One section for every study that says something of a paper's claims."""
    for result in (each.of(paper) for each in results):
        if not result.claims:
            continue
        links = [f"[{name}]({result.name}/{name}.png)" for name in result.pictures]
        links += [f"[gallery](README.md#{result.name})"] if result.in_gallery else []
        yield f"### {result.name}\n"
        yield " · ".join([f"`{result.command}`", *links]) + "\n"
        by_claim: dict[str, list[Claim]] = {}
        for claim in result.claims:
            by_claim.setdefault(claim.claim, []).append(claim)
        yield _table(["claim", *(["source"] if paper else []), "verdict", "numbers"], map(_row, by_claim.values()))
        for text, same in by_claim.items():
            if len(same) > 1:
                rows = [[claim.setting, claim.verdict, claim.note] for claim in same]
                yield _table([text, "verdict", "numbers"], rows)


def _row(same: list[Claim]) -> list[str]:
    """Row of one claim: in words, its sources, its verdicts and numbers, summed up where it has several settings."""
    first = same[0]
    sources = list(dict.fromkeys(claim.source for claim in same if claim.source))
    words = [first.claim, *(["; ".join(sources)] if sources else [])]
    if len(same) == 1:
        return [*words, first.verdict, ": ".join(filter(None, (first.setting, first.note)))]
    counts = Counter(claim.verdict for claim in same)
    verdicts = ", ".join(f"{verdict} in {counts[verdict]}" for verdict in Verdict if counts[verdict])
    return [*words, verdicts, f"{len(same)} settings, below"]


def _table(heading: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """Markdown table, with an empty line after it."""
    cells = [[cell.replace("|", "\\|") for cell in row] for row in (heading, *rows)]
    lines = [f"| {' | '.join(row)} |" for row in cells]
    return "\n".join([lines[0], "|" + "---|" * len(cells[0]), *lines[1:]]) + "\n"
