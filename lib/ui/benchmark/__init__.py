"""The parts of the benchmark page: the form and the run in progress."""
