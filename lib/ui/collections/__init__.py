"""The parts of the collections page: the list, the rows, export and drop."""
