"""How soon a page of a path is read and drawn, and what it weighs.

Chromium opens the page from its file, anew in every repetition, with an empty cache. In seconds from the start of the
navigation, printed as one JSON object with --json and stored with --out:

- first_paint: the words, the tables and the round's numbers are on the screen.
- drawn: the script has run, and all four figures show round 0.
- drawn_cpu: processor time of the page's main thread until then, which does not count a neighbour's.
- moved: from a key on the slider until all four figures show the next round; here from the key, not the navigation.

`bytes` is the size of the page.
"""

import argparse
import shutil
import tempfile
from pathlib import Path

import numpy as np
from dense_path import problem, recorded
from playwright.sync_api import Browser, sync_playwright

import hilbertsd

FLAGS = ("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking")

WATCH = """
window.drawnAt = [];
new MutationObserver(changes => {
  if (changes.some(change => change.attributeName === "data-drawn"))
    requestAnimationFrame(() => setTimeout(() => window.drawnAt.push(performance.now())));
}).observe(document, {attributes: true, subtree: true});
"""
"""Script that notes when figures are on the screen, which is in the task after the frame."""

BUSY = "TaskDuration"
"""Chromium's name of the time that the main thread was at work."""


def opened(browser: Browser, file: Path) -> dict[str, float]:
    """Seconds of one opening."""
    context = browser.new_context(viewport={"width": 1200, "height": 900})
    page = context.new_page()
    page.add_init_script(WATCH)
    metrics = context.new_cdp_session(page)
    metrics.send("Performance.enable", {"timeDomain": "threadTicks"})
    page.goto(file.as_uri())
    paint, drawn = _noted(page, 1)
    busy = next(each["value"] for each in metrics.send("Performance.getMetrics")["metrics"] if each["name"] == BUSY)
    page.evaluate("document.querySelector('input').addEventListener('input', () => window.pressed = performance.now())")
    page.get_by_role("slider").press("ArrowRight")
    _, shown = _noted(page, 2)
    moved = shown - float(page.evaluate("window.pressed"))
    context.close()
    return {"first_paint": paint / 1000, "drawn": drawn / 1000, "drawn_cpu": busy, "moved": moved / 1000}


def _noted(page, count: int) -> tuple[float, float]:
    """Milliseconds of the first paint, and of the last drawing after so many."""
    while page.evaluate("window.drawnAt.length") < count:
        page.wait_for_timeout(20)
    paint = page.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime")
    return float(paint), float(page.evaluate("window.drawnAt.at(-1)"))


def measure(arguments: argparse.Namespace) -> dict:
    """All figures of one run."""
    kernel_matrix, targets = problem(arguments.n, 1, arguments.seed)
    path = hilbertsd.distill(kernel_matrix, targets[:, 0], multiplier=1e-4, max_rounds=arguments.rounds)
    chromium = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))))
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        file = path.to_html(Path(folder) / "path.html")
        size = file.stat().st_size
        browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS, headless=True)
        runs = [opened(browser, file) for _ in range(arguments.repeats)]
        version = browser.version
        browser.close()
    return {
        "chromium": version,
        "bytes": size,
        **{name: sorted(run[name] for run in runs) for name in runs[0]},
        **{f"median_{name}": float(np.median([run[name] for run in runs])) for name in runs[0]},
    }


def main() -> None:
    """Parse, measure, print."""
    parser = argparse.ArgumentParser(description="Time to read and to draw a page, and its weight.")
    parser.add_argument("--n", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--repeats", type=int, default=7)
    arguments, record = recorded(parser, "report_page.py", measure)
    if arguments.json:
        return
    print(f"{record['bytes']:,} bytes")
    for name in ("first_paint", "drawn", "drawn_cpu", "moved"):
        print(f"{name.replace('_', ' ')}: {record[f'median_{name}']:.2f} s (median)")


if __name__ == "__main__":
    main()
