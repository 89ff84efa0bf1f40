"""Runs → words and files: kept runs, findings, reports, decks, the numbers of measured code.

It may import `lib.charts` and the rooms below it that load no Milvus.
"""
