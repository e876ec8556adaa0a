"""Headings of the columns of tables, on the terminal and on pages."""

HEADINGS = {
    "multiplier": "multiplier c",
    "target_mean_square": "‖y_t‖²/n",
    "effective_dimension": "effective\ndimension",
    "leave_one_out_error": "leave-one-\nout error",
    "grid_error": "error vs sin(2πx)",
    "distillation_error": "distillation",
    "early_stopping_error": "early stopping",
    "tightness_5%": "tightness 5 %",
    "tightness_median": "median",
    "tightness_95%": "95 %",
    "best_test_error": "lowest test error",
    "standard_error": "± s.e.",
    "minus_tuned_ridge": "− tuned ridge",
    "minus_tuned_ridge_standard_error": "± s.e. ",
    "eigenvalues_above_c": "d > c",
}
"""Headings of columns, where they are not the keys of the rows with blanks for underscores."""


def heading(name: str) -> str:
    """Heading of a column of a narrow terminal, which may have two lines."""
    return HEADINGS.get(name, name.replace("_", " "))


def heading_of_one_line(name: str) -> str:
    """Heading of a column of a page, which breaks lines itself."""
    return heading(name).replace("-\n", "-").replace("\n", " ").strip()
