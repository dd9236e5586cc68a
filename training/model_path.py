"""Find the model that a study's `model.path` stands for: refuse it, identify it, or return its files.

A path is `tiny`, a folder, a GGUF file or a hub id. No torch is imported before a model is built or unpacked.
"""

import hashlib
import json
import re
from pathlib import Path
from typing import TYPE_CHECKING

from training.cached_model import cached_model
from training.data.fingerprint import fingerprint as data_fingerprint
from training.errors import StudyError
from training.model import ModelFiles, load_model, load_tokenizer
from training.spec import DataSource, ModelSpec

if TYPE_CHECKING:
    from training.data.corpus import Corpus

TINY_PATH = "tiny"  # the model.path that means the tiny model
TINY_RECIPE = "tiny-2"  # raised with every change to what `training/tiny.py` builds
TINY_SEED = 0
_HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")
_MODEL_FILES = {".safetensors", ".json", ".jinja", ".txt", ".model"}


def check(model: ModelSpec, place: str) -> None:
    """Refuse a model that cannot be loaded, without torch and without the network.

    Args:
        model: The model of a study file.
        place: The key in the message, for example `configs/demo.yaml: model`.

    Raises:
        StudyError: There is no such model, or it lacks a file.
    """
    path = Path(model.path)
    if model.path == TINY_PATH or (path.suffix == ".gguf" and path.is_file()):
        return
    if path.is_dir():
        present = {file.name for file in path.iterdir()}
        if not any(name.endswith(".safetensors") for name in present):
            raise StudyError(
                f"{place}.path: no .safetensors weights in {path}, and pickled weights are not loaded; "
                "save the model as safetensors"
            )
        for needed in ("config.json", "tokenizer_config.json"):
            if needed not in present:
                raise StudyError(
                    f"{place}.path: no {needed} in {path}; save the model with its tokenizer there"
                )
        return
    if path.is_file():
        raise StudyError(
            f"{place}.path: {path} is neither a folder of safetensors nor a .gguf file; name one"
        )
    if path.suffix == ".gguf" or not _HUB_ID.fullmatch(model.path):
        raise StudyError(
            f"{place}.path: nothing at '{model.path}'; give '{TINY_PATH}', a folder, a .gguf file or a "
            "hub id such as Qwen/Qwen2.5-0.5B-Instruct"
        )


def fingerprint(model: ModelSpec, data: DataSource) -> str:
    """Return 16 hex digits that identify the model.

    They hash the content of local files, a hub id with its revision, or the tiny model's recipe with the
    fingerprint of the data from which it is built.
    """
    path = Path(model.path)
    digest = hashlib.sha256()
    if model.path == TINY_PATH:
        digest.update(json.dumps([TINY_RECIPE, TINY_SEED, data_fingerprint(data)]).encode())
    elif path.exists():
        files = [path] if path.is_file() else sorted(f for f in path.iterdir() if f.suffix in _MODEL_FILES)
        for file in files:
            digest.update(b"" if path.is_file() else file.name.encode())
            with file.open("rb") as stream:
                digest.update(hashlib.file_digest(stream, "sha256").digest())
    else:
        digest.update(f"{model.path}@{model.revision}".encode())
    return digest.hexdigest()[:16]


def resolve_model(model: ModelSpec, data: DataSource, cache: Path) -> ModelFiles:
    """Return the model's files.

    On first use, the tiny model is built in `cache`, or a GGUF file is unpacked there; other processes wait.

    Args:
        model: The model of a study file.
        data: The source of the pairs, from whose text the tiny model is built.
        cache: The folder of models that are built or unpacked.
    """
    path = Path(model.path)
    if model.path == TINY_PATH:

        def build(folder: Path) -> None:
            from training import tiny
            from training.data import sources

            tiny.build(_conversations(sources.load_corpus(data)), folder, TINY_SEED)

        return ModelFiles(str(cached_model(cache / f"tiny-{fingerprint(model, data)}", build)))
    if path.is_file():
        return _unpacked(path, cache / f"gguf-{fingerprint(model, data)}")
    if path.is_dir():
        return ModelFiles(str(path.resolve()))
    return ModelFiles(model.path, revision=model.revision)


def _unpacked(gguf: Path, folder: Path) -> ModelFiles:
    """Return a GGUF file's model as safetensors, kept in `folder` because unpacking takes long."""

    def unpack(folder: Path) -> None:
        original = ModelFiles(str(gguf.resolve().parent), gguf_file=gguf.name)
        load_model(original, "float32").save_pretrained(folder)
        load_tokenizer(original).save_pretrained(folder)

    return ModelFiles(str(cached_model(folder, unpack)))


def _conversations(corpus: "Corpus") -> list[list[dict[str, str]]]:
    """Return every prompt with each of its answers, as chat messages."""
    pairs = corpus.pairs
    return [
        [*prompt, {"role": "assistant", "content": answer}]
        for answers in (pairs["chosen"], pairs["rejected"])
        for prompt, answer in zip(pairs["prompt"], answers, strict=True)
    ]
