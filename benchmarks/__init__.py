"""What must be good or fast, as scripts that print a ratio against a baseline run beside it."""
