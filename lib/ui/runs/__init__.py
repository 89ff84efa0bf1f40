"""What shows runs: one run, the list of kept runs, downloads."""
