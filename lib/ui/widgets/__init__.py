"""Parts that several pages are built of: text, tables, charts, code, progress, downloads."""
