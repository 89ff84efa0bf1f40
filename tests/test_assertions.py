"""The tests themselves: each checks something, and none waits for a time."""

from scripts import assertions


def test_every_test_checks_something_and_none_sleeps() -> None:
    assert assertions.without_assertion() == []
    assert assertions.sleeping() == []
