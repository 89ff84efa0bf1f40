"""Blanks of a template are filled with literals, and nothing that is filled in becomes code."""

import ast
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lib.programs import filling
from lib.programs.filling import Code, fill, literal
from lib.results.catalogue import OPERATIONS

HOSTILE = "\"\"\"\n'); print('owned') #\\ {0} \u2028 K KEY {K}"


@given(st.text())
def test_any_text_comes_back_from_its_literal(text: str) -> None:
    assert ast.literal_eval(literal(text)) == text


@pytest.mark.parametrize("text", ["", "plain", 'a "quoted" one', HOSTILE])
def test_a_text_stays_a_text_and_is_not_searched_for_blanks(text: str) -> None:
    [printed] = ast.parse(fill("show metadata", FOUND=Code("found"), KEY=text)).body
    constants = {node.value for node in ast.walk(printed) if isinstance(node, ast.Constant)}
    assert constants == {1, text}


def test_lines_of_code_stand_as_deep_as_their_blank() -> None:
    lines = Code("one()\ntwo(\n    3,\n)")
    filled = fill("measured", START=Code("a = 1"), CALLS=7, PART=lines, CALL=lines, REPORT=None)
    assert filled.splitlines() == [
        "a = 1",
        "started = perf_counter()",
        "results = []",
        "for i in range(7):",
        "    one()",
        "    two(",
        "        3,",
        "    )",
        "    results.append(one()",
        "    two(",
        "        3,",
        "    ))",
        "seconds = perf_counter() - started",
    ]


def test_no_value_takes_the_line_away_and_an_empty_one_its_comma() -> None:
    assert "sleep" not in fill("bundled", PATH="model", SECONDS=None)
    plain = fill("call delete", CALL=Code("store.delete"), DELETE_BY="pk", LEVEL=Code(""))
    assert plain == "store.delete(expr=f\"pk == '{documents[i].id}'\")"


@pytest.mark.parametrize("words", ["it's", 'a "word"', "{x}", "a\nb", "\\"])
def test_nothing_that_ends_a_text_is_put_into_one(words: str) -> None:
    with pytest.raises(ValueError, match="cannot stand in a text"):
        fill("call delete", CALL=Code("f"), DELETE_BY=words, LEVEL=Code(""))


def test_a_blank_without_a_value_is_an_error() -> None:
    with pytest.raises(KeyError, match="NUMBER"):
        fill("make made", OWN="mine")


def test_each_name_of_a_cell_is_in_one_template() -> None:
    paths = sorted(filling.TEMPLATES.glob("*.py"))
    names = [name for path in paths for name in filling.read(path).cells]
    assert len(names) == len(set(names)) > 40


def test_a_template_says_what_it_leaves_blank(tmp_path: Path) -> None:
    path = tmp_path / "one.py"
    path.write_text(
        '"""One."""\nimport asyncio\nfrom time import sleep\n\nfrom blanks import SECONDS, store\n'
        "\n# %% first\nsleep(SECONDS)\n\n\n# %% second one\nstore.close()\n",
        encoding="utf-8",
    )
    template = filling.read(path)
    assert template.cells == {"first": "sleep(SECONDS)", "second one": "store.close()"}
    assert template.blanks == {"SECONDS"}
    assert template.modules == {"asyncio": "", "sleep": "time"}


def test_the_calls_of_every_operation_are_written_and_its_batch_where_it_takes_one() -> None:
    cells = filling.read(filling.TEMPLATES / "measured.py").cells
    assert {f"call {name}" for name in OPERATIONS} <= cells.keys()
    batches = {f"batch {name}" for name, one in OPERATIONS.items() if one.takes_batches}
    assert batches == {name for name in cells if name.startswith("batch ")}
