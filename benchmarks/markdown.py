"""Markdown tables for the results of benchmarks."""

from __future__ import annotations


def markdown_table(header: list[str], rows: list[list[str]], text_columns: int = 1) -> str:
    """Format a table with text in its first columns and numbers in the others.

    Not by pandas, whose ``to_markdown`` does not escape "|" and rewrites the digits of numbers.
    """
    lines = [header, ["---"] * text_columns + ["---:"] * (len(header) - text_columns), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)
