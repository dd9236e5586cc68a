"""Find the model that a study's `model.path` stands for: refuse it, identify it, or return its files.

A path is `tiny`, a folder, a GGUF file or a hub id. No torch is imported before a model is built or unpacked.
"""

import hashlib
import json
import re
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import FileLock

from training.data.fingerprint import fingerprint as data_fingerprint
from training.errors import StudyError
from training.model import ModelFiles, load_model, load_tokenizer
from training.spec import DataSource, ModelSpec

if TYPE_CHECKING:
    from training.data.corpus import Corpus

TINY_PATH = "tiny"  # the model.path that means the tiny model
TINY_RECIPE = "tiny-3"  # raised with every change to what `training/tiny.py` builds
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


def weights_fingerprint(model: ModelSpec, data: DataSource) -> str:
    """Return 16 hex digits that identify the model without its tokenizer and chat template.

    They identify what a log-probability of given token ids depends on. Only a folder holds the two apart.
    """
    path = Path(model.path)
    if model.path == TINY_PATH or not path.is_dir():
        return fingerprint(model, data)
    digest = hashlib.sha256()
    for file in sorted(f for f in path.iterdir() if f.suffix == ".safetensors" or f.name == "config.json"):
        digest.update(file.name.encode())
        with file.open("rb") as stream:
            digest.update(hashlib.file_digest(stream, "sha256").digest())
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
        folder = cache / f"tiny-{fingerprint(model, data)}"
        cache.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{folder}.lock"):
            if not folder.exists():
                from training import tiny
                from training.data import sources

                tiny.build(_conversations(sources.load_corpus(data)), folder, TINY_SEED)
        return ModelFiles(str(folder.resolve()))
    if path.is_file():
        return _unpacked(path, cache / f"gguf-{fingerprint(model, data)}")
    if path.is_dir():
        return ModelFiles(str(path.resolve()))
    return ModelFiles(model.path, revision=model.revision)


def _unpacked(gguf: Path, folder: Path) -> ModelFiles:
    """Return a GGUF file's model as safetensors, kept in `folder` because unpacking takes long."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{folder}.lock"):
        if not folder.exists():
            original = ModelFiles(str(gguf.resolve().parent), gguf_file=gguf.name)
            model, tokenizer = load_model(original, "float32"), load_tokenizer(original)
            unfinished = Path(tempfile.mkdtemp(dir=folder.parent, prefix=folder.name))
            model.save_pretrained(unfinished)
            tokenizer.save_pretrained(unfinished)
            unfinished.rename(folder)
    return ModelFiles(str(folder.resolve()))


def _conversations(corpus: "Corpus") -> list[list[dict[str, str]]]:
    """Return every prompt with each of its answers, as chat messages."""
    pairs = corpus.pairs
    return [
        [*prompt, {"role": "assistant", "content": answer}]
        for answers in (pairs["chosen"], pairs["rejected"])
        for prompt, answer in zip(pairs["prompt"], answers, strict=True)
    ]
