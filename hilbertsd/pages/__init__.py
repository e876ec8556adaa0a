"""Pages of results that a browser opens from a file: text, tables that sort, pictures, and a slider over rounds.

    write_page(Page("Two rounds", "What they do.", (Section("Table", (Table(rows),)),)), Path("report.html"))

A page is one file. It holds its figures, its style and its scripts, and may request nothing else.
"""
