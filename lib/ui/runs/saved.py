"""Where this visitor's runs are kept."""

from lib.runs.store import RunStore
from lib.settings import Settings
from lib.ui.common import visitor


def run_store(settings: Settings) -> RunStore:
    """Return the host's runs; on a public host each visitor has a folder of their own.

    There all visitors share one process, and nobody may read, rename or delete another's runs.
    """
    folder = settings.data_dir / "runs"
    who = visitor.current(settings)
    if who is not None:
        folder /= who.run_folder
    return RunStore(folder, most=settings.max_runs)
