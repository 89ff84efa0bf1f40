"""The parts of the ingestion page, from the source to the report."""
