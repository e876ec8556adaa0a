"""Reproduced figures and tables, one module each: run(config) -> result, plot(result, folder) -> files."""

STUDIES = {
    "spline-toy": "The paper's spline example: eleven points, fits round by round, basis weights (MFB Figures 2, 3).",
    "bounds": "Every bound of the paper, and sharper ones, on random problems: violations and tightness (MFB §3).",
    "early-stopping": "Weights and test error of distillation and of single fits at equal training error (MFB §3.4).",
    "filters": "Spectral filters side by side: distillation, ridge, iterated Tikhonov, gradient flow, truncation.",
    "green-functions": "Green's functions found for given operators, against every closed form.",
    "spectrum": "TABLE: a kernel's eigenvalues, where the target lies, where ε cuts, what each round keeps.",
    "ntk-cifar": "Neural tangent kernels of wide networks on CIFAR: accuracy by round, kernels × images × ε.",
    "ntk-ensembles": "Ensembles, averages and distillation of finite networks' tangent kernels (Allen-Zhu & Li).",
}
"""Name on the command line and what it shows; `hilbertsd list` prints it."""
