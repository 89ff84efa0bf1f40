"""Make the office files beside this script with LibreOffice, pandoc and git, none of them ours.

Run `python tests/documents/office/make.py` with `soffice` and `pandoc` on the path. The sources are
below; `expected.json` gets the visible words of each file, and those that must never be missing
(of tables, notes, headers, text boxes and form fields).
"""

import html
import json
import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
NAMES = (
    'xmlns:office="urn:oasis:names:tc:opendocument:xmlns:office:1.0" '
    'xmlns:text="urn:oasis:names:tc:opendocument:xmlns:text:1.0" '
    'xmlns:table="urn:oasis:names:tc:opendocument:xmlns:table:1.0" '
    'xmlns:style="urn:oasis:names:tc:opendocument:xmlns:style:1.0" '
    'xmlns:draw="urn:oasis:names:tc:opendocument:xmlns:drawing:1.0" '
    'xmlns:fo="urn:oasis:names:tc:opendocument:xmlns:xsl-fo-compatible:1.0" '
    'xmlns:svg="urn:oasis:names:tc:opendocument:xmlns:svg-compatible:1.0" '
    'xmlns:presentation="urn:oasis:names:tc:opendocument:xmlns:presentation:1.0" '
    'xmlns:form="urn:oasis:names:tc:opendocument:xmlns:form:1.0" '
    'xmlns:dc="http://purl.org/dc/elements/1.1/" office:version="1.3"'
)
BOX = 'svg:x="2cm" svg:y="2cm" svg:width="7cm" svg:height="2cm"'

ENGLISH = {
    "title": "Maintenance of rotary pumps",
    "header": "Harbour workshop manual",
    "footer": "Revision seventeen confidential",
    "body": "Before opening the housing, close both valves and wait until the gauge shows zero. "
    "Loosen the eleven bolts crosswise. Never use a hammer on the ceramic shaft.",
    "note": "Ceramic breaks without warning.",
    "comment": "Please verify this torque figure.",
    "box": "Danger: residual pressure remains",
    "cells": [
        ["Part", "Weight", "Supplier"],
        ["flange", "42 kg", "Olsen"],
        ["gasket", "7 g", "Pérez"],
    ],
    "items": ["Drain the oil", "Replace the gasket", "Record the hours"],
    "field": "Inspector Smith",
    "end": "Return worn parts to the store.",
}
GERMAN = {
    "title": "Größenprüfung der Überdruckventile",
    "header": "Werkstatthandbuch Süd",
    "footer": "Ausgabe neunzehn vertraulich",
    "body": "Vor dem Öffnen des Gehäuses schließt man beide Hähne und wartet, bis der Zeiger ruht. "
    "Die elf Schrauben löst man über Kreuz. Εγχειρίδιο χρήσης und русский текст stehen daneben.",
    "note": "Keramik zerspringt ohne Vorwarnung.",
    "comment": "Bitte dieses Drehmoment nachrechnen.",
    "box": "Achtung: Restdruck bleibt bestehen",
    "cells": [
        ["Teil", "Gewicht", "Händler"],
        ["Flansch", "42 kg", "Müller"],
        ["Dichtung", "7 g", "Weiß"],
    ],
    "items": ["Altöl ablassen", "Dichtung ersetzen", "Stunden eintragen"],
    "field": "Prüferin Schäfer",
    "end": "Verschlissene Teile zurückgeben.",
}
DECK = {
    "slides": [
        ("Quarterly figures", "Revenue rose by nine percent", "Mention the recall politely"),
        ("Outlook", "Two new harbours open in spring", "Pause here for questions"),
    ],
    "cells": [["Region", "Orders"], ["Nordic", "318"], ["Iberia", "207"]],
    "box": "Grouped caption about tides",
}
SHEET = [["Item", "Bought", "Count", "Remark"], ["anchor", "2024-05-17", "12", "rusty, keep dry"],
         ["winch", "2023-11-02", "3", "grease it monthly"], ["buoy", "2022-01-30", "45", "yellow"]]  # fmt: skip
MARKDOWN = """---
title: Field guide to lichens
---

# Crusts

They grow on *bare rock*, slowly[^slow], and [survive frost](https://example.com/frost).

| Species | Colour |
|---------|--------|
| Rhizocarpon | greenish |
| Xanthoria | orange |

- on walls
    - in crevices
- on bark

```python
def grow(years):
	return years * 0.5
```

# Shrubs

> Reindeer eat them in winter.

[^slow]: Half a millimetre yearly.
"""


def _paragraph(text: str) -> str:
    return f"<text:p>{html.escape(text)}</text:p>"


def _table(cells: list[list[str]], name: str = "t") -> str:
    rows = "".join(
        "<table:table-row>"
        + "".join(f"<table:table-cell>{_paragraph(cell)}</table:table-cell>" for cell in row)
        + "</table:table-row>"
        for row in cells
    )
    return f'<table:table table:name="{name}"><table:table-column table:number-columns-repeated="{len(cells[0])}"/>{rows}</table:table>'


def text_source(words: dict) -> str:
    note = f'<text:note text:id="n1" text:note-class="footnote"><text:note-citation>1</text:note-citation><text:note-body>{_paragraph(words["note"])}</text:note-body></text:note>'
    comment = f"<office:annotation><dc:creator>A</dc:creator>{_paragraph(words['comment'])}</office:annotation>"
    box = f'<draw:frame draw:name="b" text:anchor-type="paragraph" {BOX}><draw:text-box>{_paragraph(words["box"])}</draw:text-box></draw:frame>'
    form = f'<office:forms form:automatic-focus="false"><form:form form:name="f"><form:text form:name="who" form:id="c1" xml:id="c1" form:control-implementation="ooo:com.sun.star.form.component.TextField" form:current-value="{words["field"]}" form:value="{words["field"]}"/></form:form></office:forms>'
    control = '<text:p><draw:control text:anchor-type="as-char" draw:control="c1" svg:width="6cm" svg:height="0.8cm"/></text:p>'
    items = "".join(
        f"<text:list-item>{_paragraph(item)}</text:list-item>" for item in words["items"]
    )
    first, _, rest = words["body"].partition(". ")
    return (
        f'<?xml version="1.0" encoding="UTF-8"?><office:document {NAMES} xmlns:ooo="http://openoffice.org/2004/office" office:mimetype="application/vnd.oasis.opendocument.text">'
        '<office:automatic-styles><style:page-layout style:name="L"><style:page-layout-properties fo:page-width="21cm" fo:page-height="29.7cm" fo:margin="2cm"/><style:header-style/><style:footer-style/></style:page-layout></office:automatic-styles>'
        f'<office:master-styles><style:master-page style:name="Standard" style:page-layout-name="L"><style:header>{_paragraph(words["header"])}</style:header><style:footer>{_paragraph(words["footer"])}</style:footer></style:master-page></office:master-styles>'
        f'<office:body><office:text>{form}<text:h text:outline-level="1">{html.escape(words["title"])}</text:h>'
        f"<text:p>{html.escape(first)}.{note} {html.escape(rest)}{comment}</text:p><text:p>{box}</text:p>"
        f"{_table(words['cells'])}<text:list>{items}</text:list>{control}{_paragraph(words['end'])}</office:text></office:body></office:document>"
    )


def deck_source() -> str:
    pages = []
    for number, (title, body, notes) in enumerate(DECK["slides"]):
        more = ""
        if number == 0:
            more = f'<draw:frame svg:x="2cm" svg:y="9cm" svg:width="12cm" svg:height="4cm">{_table(DECK["cells"])}</draw:frame>'
        else:
            more = f'<draw:g><draw:frame svg:x="2cm" svg:y="9cm" svg:width="9cm" svg:height="2cm"><draw:text-box>{_paragraph(DECK["box"])}</draw:text-box></draw:frame><draw:rect svg:x="2cm" svg:y="12cm" svg:width="2cm" svg:height="1cm"/></draw:g>'
        pages.append(
            f'<draw:page draw:name="p{number}" draw:master-page-name="M"><draw:frame presentation:class="title" svg:x="1cm" svg:y="1cm" svg:width="20cm" svg:height="2cm"><draw:text-box>{_paragraph(title)}</draw:text-box></draw:frame>'
            f'<draw:frame svg:x="1cm" svg:y="5cm" svg:width="20cm" svg:height="2cm"><draw:text-box>{_paragraph(body)}</draw:text-box></draw:frame>{more}'
            f'<presentation:notes><draw:page-thumbnail svg:x="1cm" svg:y="1cm" svg:width="8cm" svg:height="6cm"/><draw:frame presentation:class="notes" svg:x="2cm" svg:y="12cm" svg:width="15cm" svg:height="9cm"><draw:text-box>{_paragraph(notes)}</draw:text-box></draw:frame></presentation:notes></draw:page>'
        )
    return (
        f'<?xml version="1.0" encoding="UTF-8"?><office:document {NAMES} office:mimetype="application/vnd.oasis.opendocument.presentation">'
        '<office:automatic-styles><style:page-layout style:name="L"><style:page-layout-properties fo:page-width="28cm" fo:page-height="21cm"/></style:page-layout></office:automatic-styles>'
        '<office:master-styles><style:master-page style:name="M" style:page-layout-name="L"/></office:master-styles>'
        f"<office:body><office:presentation>{''.join(pages)}</office:presentation></office:body></office:document>"
    )


def sheet_source() -> str:
    tables = "".join(
        _table(SHEET if name == "Stock" else [["Port", "Depth"], ["Vigo", "14"]], name)
        for name in ("Stock", "Ports")
    )
    return f'<?xml version="1.0" encoding="UTF-8"?><office:document {NAMES} office:mimetype="application/vnd.oasis.opendocument.spreadsheet"><office:body><office:spreadsheet>{tables}</office:spreadsheet></office:body></office:document>'


def words_of(*texts: str) -> list[str]:
    """Return the words of texts, each once."""
    return list(dict.fromkeys(re.findall(r"[^\W\d]+|\d+", " ".join(texts))))


def office(folder: Path, ending: str, *sources: Path) -> None:
    """Convert files with LibreOffice; each is called after its source."""
    subprocess.run(
        ["soffice", f"-env:UserInstallation=file://{folder}/profile", "--headless", "--convert-to", ending, "--outdir", str(folder), *map(str, sources)],
        check=True, capture_output=True, timeout=500,
    )  # fmt: skip


def main() -> None:
    """Make all files and what is expected of them."""
    expected: dict[str, dict[str, list[str]]] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        texts = {"english": ENGLISH, "german": GERMAN}
        for source, words in texts.items():
            (folder / f"{source}.fodt").write_text(text_source(words), encoding="utf-8")
        (folder / "deck.fodp").write_text(deck_source(), encoding="utf-8")
        (folder / "stock.fods").write_text(sheet_source(), encoding="utf-8")
        (folder / "plain.csv").write_text(
            "\n".join(";".join(row) for row in SHEET), encoding="utf-8"
        )
        (folder / "lichens.md").write_text(MARKDOWN, encoding="utf-8")
        fodt = [folder / f"{source}.fodt" for source in texts]
        for ending in ("docx", "odt", "rtf", "html", "pdf", "epub"):
            office(folder, ending, *fodt)
        for ending in ("pptx", "odp", "pdf"):
            office(folder, ending, folder / "deck.fodp")
        for ending in ("xlsx", "ods", "pdf"):
            office(folder, ending, folder / "stock.fods")
        for ending in ("xlsx", "ods"):
            office(folder, ending, folder / "plain.csv")
        for ending, kind in {
            "docx": "docx",
            "odt": "odt",
            "rtf": "rtf",
            "epub": "epub",
            "html": "html",
            "pptx": "pptx",
            "gfm.md": "gfm",
        }.items():
            subprocess.run(
                [
                    "pandoc",
                    "-s",
                    "-t",
                    kind,
                    str(folder / "lichens.md"),
                    "-o",
                    str(folder / f"lichens.{ending}"),
                ],
                check=True,
            )
        (folder / "lichens.md").unlink()
        mails(folder)
        for source, words in texts.items():
            inner = [cell for row in words["cells"] for cell in row]
            shown = [
                *inner,
                words["title"],
                words["body"],
                words["box"],
                words["end"],
                *words["items"],
            ]
            for ending in ("docx", "odt", "rtf", "html", "pdf", "epub"):
                always = [*inner, words["note"], words["box"]]
                if ending not in {"html", "epub"}:  # LibreOffice writes none of these there
                    always += [words["header"], words["footer"]]
                if ending in {"odt", "pdf"}:  # in a DOCX it is an ActiveX control, which is named
                    always += [words["field"]]
                if ending in {"odt", "docx", "rtf"}:
                    always += [words["comment"]]
                expected[f"{source}.{ending}"] = {
                    "words": words_of(*shown, *always),
                    "always": words_of(*always),
                }
        inner = [cell for row in DECK["cells"] for cell in row]
        bodies = [text for title, body, _ in DECK["slides"] for text in (title, body)]
        spoken = [notes for _, _, notes in DECK["slides"]]
        for ending in ("pptx", "odp", "pdf"):
            always = [*inner, DECK["box"], *([] if ending == "pdf" else spoken)]
            expected[f"deck.{ending}"] = {
                "words": words_of(*bodies, *always),
                "always": words_of(*always),
            }
        cells = [cell for row in SHEET for cell in row]
        for ending in ("xlsx", "ods", "pdf"):
            always = words_of(*cells, "Port Depth Vigo 14")
            expected[f"stock.{ending}"] = {"words": always, "always": always}
        for ending in ("xlsx", "ods"):
            always = [cell for cell in cells if not re.fullmatch(r"\d{4}-\d\d-\d\d", cell)]
            expected[f"plain.{ending}"] = {"words": words_of(*cells), "always": words_of(*always)}
        body = re.sub(
            r"\(https.*?\)|\[\^slow\]|^---$|^```.*$|title:", " ", MARKDOWN, flags=re.MULTILINE
        )
        for ending in ("docx", "odt", "rtf", "epub", "html", "pptx", "gfm.md"):
            always = words_of(
                "Species Colour Rhizocarpon greenish Xanthoria orange Half a millimetre yearly"
            )
            expected[f"lichens.{ending}"] = {"words": words_of(body), "always": always}
        for number in (1, 2, 3):
            words = words_of(
                "Grease the winch monthly",
                "Rust eats the chain where nobody looks",
                "winch drum lever",
            )
            expected[f"mail{number}.eml"] = {"words": words, "always": words}
        for file in expected:
            shutil.copy(folder / file, HERE / file)
    text = json.dumps(expected, ensure_ascii=False, indent=1)
    (HERE / "expected.json").write_text(text + "\n", encoding="utf-8")


def mails(folder: Path) -> None:
    """Write three mails with git: plain, with a part attached, and with one inline."""
    repository = folder / "repository"
    who = {f"GIT_{role}_{what}": value for role in ("AUTHOR", "COMMITTER") for what, value in (("NAME", "José Ångström"), ("EMAIL", "jose@example.com"), ("DATE", "2026-01-02T03:04:05Z"))}  # fmt: skip

    def git(*arguments: str) -> None:
        subprocess.run(
            ["git", "-C", str(repository), *arguments],
            check=True,
            capture_output=True,
            env={**os.environ, **who},
        )

    repository.mkdir()
    git("init", "-q")
    (repository / "parts.txt").write_text("winch\ndrum\nlever\n")
    git("add", ".")
    git("commit", "-q", "-m", "Grease the winch monthly\n\nRust eats the chain where nobody looks.")
    for number, how in enumerate(([], ["--attach"], ["--inline"]), 1):
        git(
            "format-patch", "--root", "-1", *how, "--no-signature", "-o", str(folder / f"m{number}")
        )
        [made] = (folder / f"m{number}").glob("*.patch")
        made.rename(folder / f"mail{number}.eml")


if __name__ == "__main__":
    main()
