"""This visitor's runs: where they are kept, and how one is measured."""

from lib.benchmark import measurement
from lib.jobs import Job
from lib.milvus.connection import Connection
from lib.milvus.embeddings import EmbeddingModel
from lib.results.plan import Plan
from lib.runs.store import Room, RunStore
from lib.ui.visitor import session, visitor
from lib.ui.visitor.memory import check_room


def run_store() -> RunStore:
    """Return the host's runs; on a public host each visitor has a folder of their own.

    There all visitors share one process, and nobody may read, rename or delete another's runs.
    """
    settings = session.current_settings()
    folder = everybodys = settings.data_dir / "runs"
    who = visitor.current(settings)
    if who is not None:
        folder /= who.run_folder
    return RunStore(folder, room=Room.of(settings, everybodys))


def measure(plan: Plan, opened: Connection, model: EmbeddingModel) -> Job:
    """Queue a benchmark and return its job at once. Raises LabError."""
    settings = session.current_settings()
    check_room(settings)
    plan = plan.within(settings)
    return measurement.queue(
        plan, opened, model, settings=settings, store=run_store(), share=session.share()
    )
