"""Texts from files and visitors, shown as what they are."""

MARKUP = "\\`*_{}[]<>#|$~:"


def literal(text: str) -> str:
    """Escape what Markdown would take for markup."""
    return "".join(f"\\{char}" if char in MARKUP else char for char in text)


def counted(number: int, noun: str, plural: str = "", *, bold: bool = False) -> str:
    """Return a number with its noun, in the plural unless there is one of it."""
    shown = f"**{number:,}**" if bold else f"{number:,}"
    return f"{shown} {noun if number == 1 else plural or noun + 's'}"
