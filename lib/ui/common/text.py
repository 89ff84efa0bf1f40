"""Texts from files and visitors, shown as what they are."""

MARKUP = "\\`*_{}[]<>#|$~:"


def literal(text: str) -> str:
    """Escape what Markdown would take for markup."""
    return "".join(f"\\{char}" if char in MARKUP else char for char in text)
