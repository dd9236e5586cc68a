"""Which model a study means: told early if it cannot be loaded, identified by content, built once."""

import pytest
import torch
from safetensors.torch import load_file, save_file

from training import tiny
from training.errors import StudyError
from training.model import ModelFiles, check, fingerprint, load_model, load_tokenizer
from training.spec import ModelSpec, TwinData


@pytest.fixture
def folder(tiny_folder, tmp_path):
    """A copy of the tiny model that a test may change."""
    for file in tiny_folder.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    return tmp_path


@pytest.mark.parametrize("path", ["tiny", "Qwen/Qwen2.5-0.5B-Instruct"])
def test_known_models_pass(path):
    assert refusal(path) is None


def refusal(path):
    try:
        check(ModelSpec(path=path), "study.yaml: model")
    except StudyError as error:
        return str(error)
    return None


@pytest.mark.parametrize("path", ["qwen", "./no/such/folder", "/no/model.gguf", "org/model.gguf", "a b/c"])
def test_a_path_to_nothing_is_told(path):
    with pytest.raises(StudyError, match=r"study.yaml: model.path: nothing at .*give 'tiny', a folder"):
        check(ModelSpec(path=path), "study.yaml: model")


def test_a_folder_that_cannot_be_loaded_is_told(folder):
    check(ModelSpec(path=str(folder)), "m")
    weights = folder / "model.safetensors"
    weights.rename(folder / "pytorch_model.bin")
    with pytest.raises(StudyError, match=r"no \.safetensors weights in"):
        check(ModelSpec(path=str(folder)), "m")
    with pytest.raises(OSError, match=r"model\.safetensors"):
        load_model(ModelFiles(str(folder)), "float32")
    (folder / "pytorch_model.bin").rename(weights)
    (folder / "tokenizer_config.json").unlink()
    with pytest.raises(StudyError, match=r"no tokenizer_config\.json"):
        check(ModelSpec(path=str(folder)), "m")
    with pytest.raises(StudyError, match="neither a folder of safetensors"):
        check(ModelSpec(path=str(weights)), "m")


def test_a_fingerprint_follows_weights_tokenizer_and_template(folder):
    def now():
        return fingerprint(ModelSpec(path=str(folder)), TwinData())

    seen = [now()]
    (folder / "README.md").write_text("words about it")
    assert now() == seen[0]
    weights = load_file(folder / "model.safetensors")
    weights["model.norm.weight"][0] += 1e-3
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    seen.append(now())
    for name in ("tokenizer.json", "chat_template.jinja"):
        (folder / name).write_text((folder / name).read_text() + "\n")
        seen.append(now())
    assert len(set(seen)) == 4


def test_a_hub_model_is_its_id_and_revision():
    def of(**spec):
        return fingerprint(ModelSpec(**spec), TwinData())

    assert of(path="a/b") == of(path="a/b", revision="main")
    assert len({of(path="a/b"), of(path="a/c"), of(path="a/b", revision="v1")}) == 3


def test_the_tiny_model_is_its_data():
    ours = fingerprint(ModelSpec(), TwinData(seed=1))
    assert ours == fingerprint(ModelSpec(), TwinData(seed=1))
    assert ours != fingerprint(ModelSpec(), TwinData(seed=2))


def test_a_tokenizer_without_a_template_is_refused(folder):
    (folder / "chat_template.jinja").unlink()
    with pytest.raises(StudyError, match="no chat template"):
        load_tokenizer(ModelFiles(str(folder)))


def test_the_tiny_model_is_built_alike_and_learns_its_text(pairs, tmp_path, monkeypatch):
    monkeypatch.setattr(tiny, "SHARE", 1)
    talks = [[*row.prompt, {"role": "assistant", "content": row.chosen}] for row in pairs.itertuples()] * 6
    torch.manual_seed(5)
    one = tiny.build(talks, tmp_path / "one", seed=0)
    torch.manual_seed(6)
    other = tiny.build(talks, tmp_path / "other", seed=0)
    for name in ("model.safetensors", "tokenizer.json", "config.json"):
        assert (one / name).read_bytes() == (other / name).read_bytes()
    assert {path.name for path in tmp_path.iterdir()} == {"one", "other"}
    model, tokenizer = load_model(ModelFiles(str(one)), "float32"), load_tokenizer(ModelFiles(str(one)))
    ids = torch.tensor([tokenizer.apply_chat_template(talks[0], return_dict=False)])
    with torch.no_grad():
        loss = model(input_ids=ids, labels=ids).loss.item()
    assert loss < 0.7 * torch.tensor(float(len(tokenizer))).log()  # far from uniform over the vocabulary
