"""The groups of a run: the cells of one operation at one count, which are compared with another."""

from collections.abc import Iterable
from dataclasses import dataclass

from lib.results.catalogue import OPERATIONS, STRATEGIES
from lib.results.trials import CellKey


@dataclass(frozen=True)
class Focus:
    """The group of cells that the detailed charts look at: one operation at one count."""

    operation: str
    count: int

    @property
    def label(self) -> str:
        """The group in words: 'Add documents × 100'."""
        return group_label(self.operation, self.count)


WHOLE = Focus("", 0)  # for what looks at the whole run


def group_label(operation: str, count: int) -> str:
    """Return 'Add documents × 100', or of timed trials 'Similarity search, timed'."""
    much = f" × {count:,}" if count else ", timed"
    return f"{OPERATIONS[operation].label}{much}"


def in_order(cells: Iterable[CellKey]) -> list[CellKey]:
    """Return cells by work, as the works appear, and in each the ways in their order everywhere."""
    found = list(cells)
    works = [*dict.fromkeys((cell.operation, cell.count) for cell in found)]
    ways = [*STRATEGIES]
    return sorted(
        found,
        key=lambda cell: (works.index((cell.operation, cell.count)), ways.index(cell.strategy)),
    )


def groups(cells: Iterable[CellKey]) -> tuple[Focus, ...]:
    """Return the groups of some cells, which stand as they were run."""
    found = {Focus(cell.operation, cell.count): None for cell in cells}
    operations = list(dict.fromkeys(focus.operation for focus in found))
    return tuple(sorted(found, key=lambda focus: (operations.index(focus.operation), focus.count)))
