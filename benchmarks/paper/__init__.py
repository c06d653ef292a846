"""The tables of the paper as grids of runs.

``plan`` makes the runs of a table of ``tables/``, ``run`` does what is missing (each with ``one_run`` in a process of
its own, which appends a line to ``results/``), ``select`` writes the best settings of the search to ``selected.yaml``,
and ``report`` writes ``RESULTS.md``.
"""
