"""Trials → words and files: kept runs, findings, comparisons, reports, decks, measured code.

It may import `lib.charts` and every room below it.
"""
