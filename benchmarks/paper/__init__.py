"""The tables of the paper as grids of runs.

``plan`` lists the runs of a table in ``tables/``. ``run`` does the missing ones, each by ``one_run`` in its own
process, which appends a line to ``results/``. ``select`` writes the best settings of the search to ``selected.yaml``.
``report`` writes ``RESULTS.md`` and its plots.
"""
