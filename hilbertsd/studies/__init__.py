"""Reproduced figures and tables, one module each: run(config) -> result, plot(result, folder) -> files."""

STUDIES = {
    "spline-toy": "The paper's spline example: eleven points, fits round by round, basis weights (MFB Figures 2, 3).",
}
"""Name on the command line and what it shows; `hilbertsd list` prints it."""
