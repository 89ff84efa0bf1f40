"""The groups of a run: the cells of one operation at one count, which are compared with another."""

from dataclasses import dataclass

from lib.results.catalogue import OPERATIONS
from lib.results.trials import Run


@dataclass(frozen=True)
class Focus:
    """The group of cells that the detailed charts look at: one operation at one count."""

    operation: str
    count: int

    @property
    def label(self) -> str:
        """The group in words: 'Add documents × 100'."""
        return group_label(self.operation, self.count)


def group_label(operation: str, count: int) -> str:
    """Return 'Add documents × 100', or of timed trials 'Similarity search, timed'."""
    much = f" × {count:,}" if count else ", timed"
    return f"{OPERATIONS[operation].label}{much}"


def groups(run: Run) -> tuple[Focus, ...]:
    """Return the groups of a run, as they were run."""
    found = {Focus(trial.operation, trial.count): None for trial in run.trials if not trial.warmup}
    operations = list(dict.fromkeys(focus.operation for focus in found))
    return tuple(sorted(found, key=lambda focus: (operations.index(focus.operation), focus.count)))


def largest_groups(run: Run) -> tuple[Focus, ...]:
    """Return each operation's group with the most calls."""
    # Counts ascend: the last one of an operation stays.
    return tuple({focus.operation: focus for focus in groups(run)}.values())
