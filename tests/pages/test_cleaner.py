"""What nobody can find any more is deleted: folders of visitors who are gone, and old exports."""

import os
import time
from pathlib import Path

from lib.milvus.territory import Quota
from lib.runs.store import RunStore
from lib.ui.visitor.cleaner import EXPORT_KEPT_S, drop_expired_folders, drop_old_exports
from lib.ui.visitor.identity import Identity
from lib.ui.visitor.visitor import Visitor
from tests.run_builder import make_run
from tests.territories import new_territory


def test_the_folders_of_visitors_go_when_their_time_is_over_and_no_other(tmp_path: Path) -> None:
    gone, here = (
        Visitor(new_territory(ttl, Quota(1, 1)), Identity.new(ttl)).run_folder for ttl in (-1, 60)
    )
    others = ["visitor-nothing-else", "deleted", here]
    for name in (gone, *others):
        RunStore(tmp_path / name).save(make_run(), name="Mine")
    drop_expired_folders(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(others)
    assert all(RunStore(tmp_path / name).entries()[-1].card.name == "Mine" for name in others)


def test_an_exported_file_goes_after_an_hour(tmp_path: Path) -> None:
    old, new = tmp_path / "old.csv", tmp_path / "new.csv"
    for path in (old, new):
        path.touch()
    then = time.time() - EXPORT_KEPT_S - 1
    os.utime(old, (then, then))
    drop_old_exports(tmp_path)
    assert list(tmp_path.iterdir()) == [new]
    drop_old_exports(tmp_path / "missing")
