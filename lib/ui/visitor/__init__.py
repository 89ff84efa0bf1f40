"""Whose session it is: visitor, settings, connection, jobs, and the bounds of this host."""
