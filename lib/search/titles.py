"""What to call a row: the short text among its metadata that people would call it by."""

import re
from collections.abc import Mapping
from typing import Any

# Names that such a field goes by, the surest first; also behind another word, as `ticket_subject`.
TITLE_FIELDS = ("title", "subject", "headline", "summary")
# This counts only alone: a `customer_name` is not the row's own.
NAME_FIELD = "name"
# A longer text is no title but another body.
MAX_TITLE_CHARACTERS = 120
WORD_ENDS = re.compile(r"[\W_]+|(?<=[a-z])(?=[A-Z])")


def title_of(metadata: Mapping[str, Any]) -> str:
    """Return the title or the name that a row has, "" without one."""
    values = {name.strip().lower(): value for name, value in metadata.items()}
    last = {WORD_ENDS.split(name.strip())[-1].lower(): value for name, value in metadata.items()}
    candidates = (
        *(values.get(name) for name in (*TITLE_FIELDS, NAME_FIELD)),
        *(last.get(name) for name in TITLE_FIELDS),
    )
    return next(filter(None, map(_in_one_line, candidates)), "")


def _in_one_line(value: Any) -> str:
    line = " ".join(value.split()) if isinstance(value, str) else ""
    return line if len(line) <= MAX_TITLE_CHARACTERS else ""
