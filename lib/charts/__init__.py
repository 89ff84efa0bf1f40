"""Runs and data frames → `altair.Chart`: the tables that charts draw, the charts, their colours.

It may import `lib.results` and the small modules.
"""
