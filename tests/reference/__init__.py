"""What the numbers mean, in plain Python: tables, filters, splits, seen items, ranked lists and metrics.

Written from the definitions with the standard library alone. It shares no code with the package or RecBole, and is slow
and short on purpose: tests compare the package with it.
"""
