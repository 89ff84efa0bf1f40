"""A visitor is recognised by a signed cookie; without one they share the place of their address."""

import stat
import threading
from pathlib import Path

import pytest

from lib import jobs
from lib.jobs import Share
from lib.milvus.territory import Quota, Territory
from lib.ui.visitor.identity import KEY_BYTES, KEY_FILE, Identity, host_key, read
from lib.ui.visitor.visitor import VISITOR_KEY, address
from tests.pages.conftest import OpenApp
from tests.pages.test_public_mode import PUBLIC
from tests.waiting import PATIENCE_S

KEY = bytes(range(32))


def test_a_cookie_names_its_visitor_and_only_with_the_key_that_signed_it() -> None:
    mine = Identity.new(60)
    assert read(mine.cookie(KEY), KEY) == mine
    assert read(mine.cookie(KEY), bytes(32)) is None
    assert read(Identity(mine.id, mine.expires + 1).cookie(bytes(32)), KEY) is None
    assert read(Identity.new(-1).cookie(KEY), KEY) is None


def test_no_changed_cookie_is_taken() -> None:
    cookie = Identity.new(3_600).cookie(KEY)
    for place, letter in enumerate(cookie):
        changed = "0" if letter != "0" else "1"
        assert read(cookie[:place] + changed + cookie[place + 1 :], KEY) is None
    for other in ("", "x", cookie.upper(), f"{cookie} ", f"{cookie}\n", cookie[:-1], "2|a|b|1"):
        assert read(other, KEY) is None


def test_what_a_visitor_owns_is_named_alike_after_a_restart_and_by_the_key_alone() -> None:
    mine = Identity.new(60)
    again = read(mine.cookie(KEY), KEY)
    assert again is not None
    secrets = [
        mine.secret(KEY, "collections"),
        mine.secret(KEY, "other"),
        mine.secret(bytes(32), "collections"),
        Identity(mine.id, mine.expires + 1).secret(KEY, "collections"),
    ]
    assert again.secret(KEY, "collections") == secrets[0]
    assert len(set(secrets)) == len(secrets)
    assert all(len(bytes.fromhex(each)) == 16 for each in secrets)
    assert secrets[0] not in mine.cookie(KEY)


def test_the_host_keeps_one_key_which_nobody_else_may_read(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    found: list[bytes] = []
    threads = [threading.Thread(target=lambda: found.append(host_key(folder))) for _ in range(9)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 9
    assert set(found) == {host_key(folder)}
    assert len(found[0]) == KEY_BYTES
    assert [path.name for path in folder.iterdir()] == [KEY_FILE]
    assert stat.S_IMODE((folder / KEY_FILE).stat().st_mode) == 0o600
    assert host_key(tmp_path / "another") != found[0]


def test_where_no_key_can_be_kept_there_is_one_for_the_process(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert len(host_key(tmp_path / "file" / "data")) == KEY_BYTES


@pytest.mark.parametrize(
    ("connected", "forwarded", "proxies", "expected"),
    [
        ("203.0.113.7", [], 0, "203.0.113.7"),
        # What a visitor wrote is not believed, unless the host has proxies, and then from there on.
        ("203.0.113.7", ["198.51.100.1"], 0, "203.0.113.7"),
        ("10.0.0.1", ["1.1.1.1, 203.0.113.7"], 1, "203.0.113.7"),
        ("10.0.0.2", ["1.1.1.1, 203.0.113.7, 10.0.0.1"], 2, "203.0.113.7"),
        ("10.0.0.2", ["1.1.1.1", "203.0.113.7", "10.0.0.1"], 2, "203.0.113.7"),
        ("10.0.0.1", [], 1, "10.0.0.1"),
        ("10.0.0.1", ["203.0.113.7"], 2, "10.0.0.1"),
        # One customer has 2^64 addresses of IPv6.
        ("2001:db8:1:2:3:4:5:6", [], 0, "2001:db8:1:2::/64"),
        ("2001:db8:1:2::9", [], 0, "2001:db8:1:2::/64"),
        (None, [], 0, ""),
    ],
)
def test_the_address_of_a_place_is_one_that_nobody_can_choose(
    connected: str | None, forwarded: list[str], proxies: int, expected: str
) -> None:
    assert address(connected, forwarded, proxies) == f"address {expected}"


def test_sessions_without_a_cookie_share_a_place_and_nothing_else(open_app: OpenApp) -> None:
    visitors = [open_app(**PUBLIC).session_state[VISITOR_KEY] for _ in range(2)]
    one, other = visitors
    assert one.id != other.id
    assert one.territory.prefix != other.territory.prefix
    assert one.territory.ends_with_session
    gate, order = threading.Event(), list[str]()
    registry = jobs.Jobs()
    registry.submit("first", lambda job: gate.wait(5), subject="x")
    for visitor in visitors:
        share = Share(visitor.id, place="address ")
        for number in range(2):
            name = f"{visitors.index(visitor)}{number}"
            registry.submit(name, lambda job: order.append(job.label), subject="x", share=share)
    registry.submit("mine", lambda job: order.append("mine"), subject="x", share=Share("me"))
    gate.set()
    for job in registry.all():
        assert job.finished.wait(PATIENCE_S)
    assert order.index("mine") == 1


def test_what_an_earlier_process_wrote_counts_against_the_quota_once() -> None:
    territory = Territory.of("0" * 32, 2**33, Quota(2, 100), is_new=False)
    asked = []

    def count() -> dict[str, int]:
        asked.append(1)
        return {"a": 60, "b": 30}

    territory.recall(count)
    territory.recall(count)
    assert len(asked) == 1
    assert territory._rows == {"a": 60, "b": 30}
    fresh = Territory.of("0" * 32, 2**33, Quota(2, 100), is_new=True)
    fresh.recall(count)
    assert len(asked) == 1
    assert fresh.ends_with_session
    assert not territory.ends_with_session
    fresh.comes_back()
    assert not fresh.ends_with_session
