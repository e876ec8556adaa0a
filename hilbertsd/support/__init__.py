"""Tools that every room may use: checks, files, progress, the machine, provenance, plots."""
