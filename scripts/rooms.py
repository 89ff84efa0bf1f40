"""Draw the rooms of lib from their contract, and count the import arrows between them.

`python -m scripts.rooms` prints the Mermaid picture that the README shows, and the arrows.
"""

import sys
import tomllib
from pathlib import Path

import grimp

ROOT = Path(__file__).resolve().parent.parent


def layers() -> list[list[str]]:
    """Return the rooms of each layer from the top down, as import-linter's contract names them."""
    tools = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]
    return [
        [room.strip() for room in layer.split("|")]
        for contract in tools["importlinter"]["contracts"]
        if contract["type"] == "layers" and contract["containers"] == ["lib"]
        for layer in contract["layers"]
    ]


def picture() -> str:
    """Return the layers as a Mermaid flowchart, the top one first."""
    lines = ["flowchart TD"]
    for depth, rooms in enumerate(layers()):
        lines.append(f'    layer{depth}["{" · ".join(rooms)}"]')
        if depth:
            lines.append(f"    layer{depth - 1} --> layer{depth}")
    return "\n".join(lines)


def arrows() -> set[tuple[str, str]]:
    """Return (importing room, imported room) for every pair of rooms with an import."""
    sys.path.insert(0, str(ROOT))
    graph = grimp.build_graph("lib")
    found = {
        (module.split(".")[1], other.split(".")[1])
        for module in graph.modules - {"lib"}
        for other in graph.find_modules_directly_imported_by(module) - {"lib"}
    }
    return {(room, other) for room, other in found if room != other}


def main() -> None:
    """Print the picture, and the arrows that point down and up."""
    depth = {room: i for i, rooms in enumerate(layers()) for room in rooms}
    folders = {room for room in depth if (ROOT / "lib" / room).is_dir()}
    found = arrows()
    between_folders = [pair for pair in found if folders.issuperset(pair)]
    upwards = [pair for pair in found if depth[pair[0]] >= depth[pair[1]]]
    print(picture())
    into_one = {
        tuple(room if room in folders else "small modules" for room in pair) for pair in found
    }
    print(f"\nArrows between folders: {len(between_folders)}")
    print(f"with the small modules as one room: {len([a for a, b in into_one if a != b])}")
    print(f"with each small module as a room: {len(found)}")
    print(f"upwards or within a layer: {len(upwards)} {sorted(upwards)}")


if __name__ == "__main__":
    main()
