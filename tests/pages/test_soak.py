"""Several visitors at once over real websockets: nobody meets an exception or another's things."""

import asyncio
from pathlib import Path

import pytest

from scripts import soak

VISITORS = 8


@pytest.mark.timeout(600)
def test_visitors_at_once_meet_no_exception_and_nothing_of_each_other(filled_folder: Path) -> None:
    with soak.app(filled_folder) as (url, pid, log):
        record, during, after = asyncio.run(
            soak.soak(url, pid, sessions=VISITORS, minutes=0, rest_minutes=0)
        )
        text = log.read_text(encoding="utf-8")
    soak.report(record, during, after, text)
    assert not record.exceptions
    assert not record.leaks
    assert not record.missed
    assert "Traceback" not in text
    # Each planted a row, and the jobs and runs that followed have ids of 128 bits.
    ids = [secret for secret in record.secrets if not secret.startswith("planted")]
    assert len(record.secrets) - len(ids) == 1 + VISITORS
    assert len(ids) > 3
    assert all(len(each) == 32 for each in ids)
    assert {"ingest", "search", "MMR", "delete", "benchmark"} <= set(record.seconds)
    assert '"action": "job"' in text
    assert not any(secret in text for secret in record.secrets)
