"""The model of a study: its files, what identifies it, and how it is loaded.

Weights come as safetensors or GGUF only, and no code is taken from a model's repository, so that loading a
model cannot run anything. Torch is imported where a model is loaded, not before: a plan needs none.
"""

import hashlib
import json
import re
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import FileLock

from training.data.fingerprint import fingerprint as data_fingerprint
from training.errors import StudyError
from training.spec import DataSource, ModelSpec

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from training.data.corpus import Corpus

TINY_PATH = "tiny"  # the model.path that means the tiny model
TINY_RECIPE = "tiny-2"  # raised with every change of what `training/tiny.py` builds
TINY_SEED = 0
_HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")
_MODEL_FILES = {".safetensors", ".json", ".jinja", ".txt", ".model"}


@dataclass(frozen=True)
class ModelFiles:
    """Where `from_pretrained` finds a model: a folder or hub id, and a GGUF file in it."""

    path: str
    revision: str | None = None
    gguf_file: str | None = None


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
    """Return what identifies the model, as 16 hex digits.

    This is the content of local files, a hub id with its revision, or the tiny model's recipe with the data
    from which it is built.
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

    The tiny model is built in `cache`, and a GGUF file unpacked there, on first use; other processes wait.
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
    """Return a GGUF file as safetensors, which `folder` keeps, since unpacking takes long."""
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


def load_tokenizer(files: ModelFiles) -> "PreTrainedTokenizerBase":
    """Load the tokenizer and give it a padding token; raise StudyError if it has no chat template."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(files.path, **_options(files))
    if tokenizer.chat_template is None:
        raise StudyError(
            f"model {files.path}: its tokenizer has no chat template, and preference pairs are chats; name "
            "another model, or add chat_template to its tokenizer_config.json"
        )
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer


def load_config(files: ModelFiles) -> Any:
    """Load the configuration of a model's text part: its sizes, by their names in transformers."""
    from transformers import AutoConfig

    return AutoConfig.from_pretrained(files.path, **_options(files)).get_text_config()


def load_model(files: ModelFiles, dtype: str) -> "PreTrainedModel":
    """Load the model to the CPU, in evaluation mode, with weights of `dtype` ("float32" or "bfloat16")."""
    import torch
    from transformers import AutoModelForCausalLM, GgufConfig
    from transformers.utils import logging

    logging.disable_progress_bar()
    # Otherwise a model from GGUF counts as quantised, and transformers' Trainer refuses to tune it.
    unpacked = {"quantization_config": GgufConfig(dequantize=True)} if files.gguf_file else {}
    return AutoModelForCausalLM.from_pretrained(
        files.path, dtype=getattr(torch, dtype), use_safetensors=True, **unpacked, **_options(files)
    )


def _options(files: ModelFiles) -> dict[str, Any]:
    """Return the arguments of `from_pretrained` beside the path."""
    options = {"revision": files.revision, "gguf_file": files.gguf_file}
    return {"trust_remote_code": False} | {key: value for key, value in options.items() if value is not None}
