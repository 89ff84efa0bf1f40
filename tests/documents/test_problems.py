"""Problems: their reasons in a few words."""

from lib.documents.problems import Problem, reasons


def test_one_reason_stands_alone_and_of_several_each_has_its_number() -> None:
    empty = [Problem("a.csv", f"line {i}", "it has no text in 'body'") for i in range(5)]
    note = Problem("a.csv", "", "its column 'source' is renamed", is_loss=False)
    assert reasons([*empty, note], 5) == "no text in 'body'"
    assert reasons([*empty, Problem("b.pdf", "", "it is broken")], 6) == (
        "no text in 'body': 5, it is broken: 1"
    )
    # Of very many not all are kept.
    assert reasons(empty, 9) == "no text in 'body': 5, other reasons: 4"
    other = [Problem("b", "", "why " * 50), Problem("c", "", "because")]
    told = reasons([*empty, *other], 7)
    assert told.endswith("…: 1, other reasons: 1")
    assert len(told) < 150
