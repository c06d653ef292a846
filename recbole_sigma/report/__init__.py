"""One HTML file that shows what a checkpoint learnt and how well it does."""

from recbole_sigma.report.write import Written, write_report

__all__ = ["Written", "write_report"]
