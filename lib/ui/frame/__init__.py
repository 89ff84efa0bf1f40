"""What stands around each page: first screen, sidebar, corpus, presentation."""
