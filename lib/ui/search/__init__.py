"""The parts of the search page: the question, both answers, every method, the map."""
