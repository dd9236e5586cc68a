"""Find the model that a study's `model.path` stands for: refuse it, identify it, or return its files.

A path is `tiny`, a folder, a GGUF file or a hub id. No torch is imported before a model is built or unpacked.
"""

import hashlib
import json
import re
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from filelock import FileLock

from training.cached_model import cached_model
from training.data.fingerprint import fingerprint as data_fingerprint
from training.errors import StudyError
from training.importing import importing
from training.model import ModelFiles, load_model, load_tokenizer
from training.model_content import content_fingerprint
from training.quantised import refuse_without_library
from training.spec import DataSource, ModelSpec

if TYPE_CHECKING:
    from training.data.corpus import Corpus

TINY_PATH = "tiny"  # the model.path that means the tiny model
TINY_RECIPE = "tiny-3"  # raised with every change to what `training/tiny.py` builds
TINY_SEED = 0
_HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")


def check(model: ModelSpec, place: str) -> None:
    """Refuse a model that cannot be loaded, without torch and without the network.

    Args:
        model: The model of a study file.
        place: The key in the message, for example `configs/demo.yaml: model`.

    Raises:
        StudyError: There is no such model, or it lacks a file.
    """
    if model.lora and model.lora.quantise:
        refuse_without_library(f"{place}.lora.quantise")
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
        _text_config(path / "config.json", place)
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


def expected_layout(model: ModelSpec) -> str:
    """Say how batches will be laid out, as far as a configuration on this disk tells."""
    measured = "packed, if that agrees with plain logits when the pairs are scored"
    path = Path(model.path)
    if model.path == TINY_PATH:
        return measured
    if not (path / "config.json").is_file():
        return "known once the model is loaded"
    text = _text_config(path / "config.json", "model")
    others = sorted({*(text.get("layer_types") or [])} - {"full_attention"})
    if others:
        return f"padded, because of {', '.join(others).replace('_', ' ')}"
    return measured


def known_config(model: ModelSpec) -> SimpleNamespace | None:
    """Return the sizes of a model's text part by their names in transformers, as far as this disk knows them.

    Neither torch nor the network is needed. None stands for a model that is not on this disk, or that a study
    builds or unpacks.
    """
    file = Path(model.path) / "config.json"
    if not file.is_file() and _HUB_ID.fullmatch(model.path):
        from huggingface_hub import try_to_load_from_cache

        cached = try_to_load_from_cache(model.path, "config.json", revision=model.revision)
        file = Path(cached) if isinstance(cached, str) else file
    if not file.is_file():
        return None
    defaults = {"tie_word_embeddings": True}  # those that transformers does not write
    return SimpleNamespace(**defaults | _text_config(file, "model"))


def _text_config(file: Path, place: str) -> dict[str, Any]:
    """Return what a config.json says of the text part; raise StudyError if it is not readable."""
    try:
        config = json.loads(file.read_text(encoding="utf-8"))
        text: dict[str, Any] = config.get("text_config", config)
    except (ValueError, AttributeError) as error:
        raise StudyError(f"{place}.path: {file} is not readable ({error}); save the model again") from error
    return text


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
        return content_fingerprint(path)
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
    """Return the model's files, and how they are to be held.

    On first use, the tiny model is built in `cache`, or a GGUF file is unpacked there; other processes wait.

    Args:
        model: The model of a study file.
        data: The source of the pairs, from whose text the tiny model is built.
        cache: The folder of models that are built or unpacked.
    """
    files = _resolved(model, data, cache)
    return replace(files, quantise=model.lora.quantise) if model.lora else files


def _resolved(model: ModelSpec, data: DataSource, cache: Path) -> ModelFiles:
    path = Path(model.path)
    if model.path == TINY_PATH:

        def build(folder: Path) -> None:
            from training.data import sources

            with importing():
                from training import tiny

            tiny.build(_conversations(sources.load_corpus(data)), folder, TINY_SEED)

        return _local(cached_model(cache / f"tiny-{fingerprint(model, data)}", build))
    if path.is_file():
        return _unpacked(path, cache / f"gguf-{fingerprint(model, data)}")
    if path.is_dir():
        return _local(path)
    return ModelFiles(model.path, revision=_pinned_commit(model, cache))


def _local(folder: Path) -> ModelFiles:
    return ModelFiles(str(folder.resolve()), fingerprint=content_fingerprint(folder))


def _pinned_commit(model: ModelSpec, cache: Path) -> str:
    """Return the commit that a hub revision stood for when it was first asked for, kept in `cache`.

    A branch such as `main` moves; a study that has begun must not move with it.

    Raises:
        StudyError: The hub does not have it, or cannot be reached.
    """
    from huggingface_hub import hf_hub_download

    name = hashlib.sha256(f"{model.path}@{model.revision}".encode()).hexdigest()[:16]
    pin = cache / f"hub-{name}.json"
    cache.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{pin}.lock"):
        if not pin.exists():
            try:
                file = Path(hf_hub_download(model.path, "config.json", revision=model.revision))
            except (OSError, ValueError) as error:
                reason = " ".join(str(error).split())[:200]
                raise StudyError(
                    f"model.path: {model.path} cannot be loaded ({reason}); correct the name, or "
                    "give a folder"
                ) from error
            unfinished = pin.with_suffix(".tmp")
            pinned = {"path": model.path, "revision": model.revision, "commit": file.parent.name}
            unfinished.write_text(json.dumps(pinned))
            unfinished.rename(pin)
        commit: str = json.loads(pin.read_text())["commit"]
    return commit


def _unpacked(gguf: Path, folder: Path) -> ModelFiles:
    """Return a GGUF file's model as safetensors, kept in `folder` because unpacking takes long."""

    def unpack(folder: Path) -> None:
        original = ModelFiles(str(gguf.resolve().parent), gguf_file=gguf.name)
        load_model(original, "float32").save_pretrained(folder)
        load_tokenizer(original).save_pretrained(folder)

    return _local(cached_model(folder, unpack))


def _conversations(corpus: "Corpus") -> list[list[dict[str, str]]]:
    """Return every prompt with each of its answers, as chat messages."""
    pairs = corpus.pairs
    return [
        [*prompt, {"role": "assistant", "content": answer}]
        for answers in (pairs["chosen"], pairs["rejected"])
        for prompt, answer in zip(pairs["prompt"], answers, strict=True)
    ]
