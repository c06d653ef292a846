"""Inputs that once gave a wrong result, by their numbers, each with the right value from its definition.

They are the situations of public bug reports and questions. ``test_case_05_...`` is the test of case 5.
"""
