"""What every page shares: session, sidebar, jobs in progress, errors, charts, code and text."""
