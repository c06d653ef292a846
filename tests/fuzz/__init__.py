"""Random small data sets through the whole package, compared with ``tests.reference``."""
