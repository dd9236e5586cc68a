"""The model of a study: refused early if it cannot be loaded, identified by content, built once."""

import json

import gguf
import numpy as np
import pytest
import torch
from huggingface_hub import constants
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, LlamaConfig, Mistral3Config

from training import tiny
from training.errors import StudyError
from training.model import ModelFiles, load_model, load_tokenizer
from training.model_path import check, expected_layout, fingerprint, resolve_model
from training.spec import ModelSpec, TwinData


@pytest.fixture
def folder(tiny_folder, tmp_path):
    """A copy of the tiny model, which a test may change."""
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
def test_a_path_to_nothing_is_refused(path):
    with pytest.raises(StudyError, match=r"study.yaml: model.path: nothing at .*give 'tiny', a folder"):
        check(ModelSpec(path=path), "study.yaml: model")


def test_a_folder_that_cannot_be_loaded_is_refused(folder):
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


def change_weights(folder, change):
    weights = load_file(folder / "model.safetensors")
    change(weights)
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda weights: weights.pop("model.norm.weight"),
            r"its weights lack model\.norm\.weight, which would",
        ),
        (
            lambda weights: weights.update(
                {
                    name.replace("layers.1", "layer.1"): weights.pop(name)
                    for name in [*weights]
                    if "layers.1" in name
                }
            ),
            r"its weights lack model\.layers\.1\..* and 11 more",
        ),
        (
            lambda weights: weights.update({"model.norm.weight": torch.ones(7)}),
            r"another shape than config\.json says, first model\.norm\.weight: \[7\] instead of \[32\]",
        ),
        (
            lambda weights: weights.update({"model.layers.2.mlp.up_proj.weight": torch.ones(1)}),
            r"config\.json leaves out model\.layers\.2\.mlp\.up_proj\.weight of its layers",
        ),
        (
            lambda weights: weights["model.norm.weight"][2:3].fill_(torch.nan),
            r"model\.norm\.weight holds numbers that are not finite",
        ),
    ],
    ids=["a key is missing", "a layer has another name", "another shape", "more layers", "NaN"],
)
def test_weights_that_are_not_whole_are_refused_in_one_line(folder, change, message, capfd):
    change_weights(folder, change)
    with pytest.raises(StudyError, match=message):
        load_model(ModelFiles(str(folder)), "float32")
    assert not capfd.readouterr().err  # transformers would print a table of the weights beside it


def test_a_head_that_is_missing_is_refused(tmp_path):
    """It would be drawn at random, in each process anew."""
    config = LlamaConfig(
        vocab_size=64, hidden_size=32, intermediate_size=48, num_hidden_layers=1, num_attention_heads=4
    )
    AutoModelForCausalLM.from_config(config).save_pretrained(tmp_path)
    load_model(ModelFiles(str(tmp_path)), "float32")
    change_weights(tmp_path, lambda weights: weights.pop("lm_head.weight"))
    with pytest.raises(StudyError, match=r"lack lm_head\.weight"):
        load_model(ModelFiles(str(tmp_path)), "float32")


def test_a_type_that_is_no_causal_language_model_is_refused(tmp_path):
    Mistral3Config().save_pretrained(tmp_path)
    with pytest.raises(StudyError, match=r"no causal language model of type mistral3; name another"):
        load_model(ModelFiles(str(tmp_path)), "float32")


def test_a_folder_that_is_replaced_while_a_study_runs_is_not_loaded(folder):
    files = resolve_model(ModelSpec(path=str(folder)), TwinData(), folder)
    load_model(files, "float32")
    change_weights(folder, lambda weights: weights["model.norm.weight"].add_(1))
    for load in (lambda: load_model(files, "float32"), lambda: load_tokenizer(files)):
        with pytest.raises(StudyError, match=r"its files have changed since the study was planned"):
            load()


def test_a_branch_of_the_hub_is_pinned_to_its_commit(folder, tmp_path, monkeypatch):
    """The hub's cache on disk stands for the hub; meanwhile the branch moves on."""
    hub = tmp_path / "hub"
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(hub))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    first, second = "a" * 40, "b" * 40
    repo = hub / "models--who--what"
    for commit in (first, second):
        (repo / "snapshots" / commit).mkdir(parents=True)
        (repo / "snapshots" / commit / "config.json").write_text("{}")
    (repo / "refs").mkdir()
    spec, cache = ModelSpec(path="who/what"), tmp_path / "cache"
    (repo / "refs/main").write_text(first)
    assert resolve_model(spec, TwinData(), cache).revision == first
    (repo / "refs/main").write_text(second)
    assert resolve_model(spec, TwinData(), cache).revision == first
    assert resolve_model(spec, TwinData(), tmp_path / "another study").revision == second
    with pytest.raises(StudyError, match=r"model\.path: who/else cannot be loaded"):
        resolve_model(ModelSpec(path="who/else"), TwinData(), cache)


def test_a_plan_says_what_a_configuration_tells_of_the_layout(folder):
    def expected(**values):
        (folder / "config.json").write_text(json.dumps(values))
        return expected_layout(ModelSpec(path=str(folder)))

    assert expected(layer_types=["full_attention"] * 2).startswith("packed")
    assert (
        expected(layer_types=["sliding_attention", "full_attention"])
        == "padded, because of sliding attention"
    )
    assert expected(text_config={"layer_types": ["conv"]}) == "padded, because of conv"
    assert expected_layout(ModelSpec(path="who/what")) == "known once the model is loaded"
    (folder / "config.json").write_text("{")
    with pytest.raises(StudyError, match=r"m\.path: .*config\.json is not readable"):
        check(ModelSpec(path=str(folder)), "m")


def test_a_fingerprint_follows_weights_tokenizer_and_template(folder):
    def now() -> str:
        return fingerprint(ModelSpec(path=str(folder)), TwinData())

    fingerprints = [now()]
    (folder / "README.md").write_text("words about it")
    assert now() == fingerprints[0]
    weights = load_file(folder / "model.safetensors")
    weights["model.norm.weight"][0] += 1e-3
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    fingerprints.append(now())
    for name in ("tokenizer.json", "chat_template.jinja"):
        (folder / name).write_text((folder / name).read_text() + "\n")
        fingerprints.append(now())
    assert len(set(fingerprints)) == 4


def test_a_hub_model_is_identified_by_its_id_and_revision():
    def of(**spec):
        return fingerprint(ModelSpec(**spec), TwinData())

    assert of(path="a/b") == of(path="a/b", revision="main")
    assert len({of(path="a/b"), of(path="a/c"), of(path="a/b", revision="v1")}) == 3


def test_the_tiny_model_is_identified_by_its_data():
    ours = fingerprint(ModelSpec(), TwinData(seed=1))
    assert ours == fingerprint(ModelSpec(), TwinData(seed=1))
    assert ours != fingerprint(ModelSpec(), TwinData(seed=2))


def test_a_tokenizer_without_a_template_is_refused(folder):
    (folder / "chat_template.jinja").unlink()
    with pytest.raises(StudyError, match="no chat template"):
        load_tokenizer(ModelFiles(str(folder)))


def test_the_tiny_model_is_reproducible_and_learns_its_text(pairs, tmp_path, monkeypatch):
    monkeypatch.setattr(tiny, "SHARE", 1)
    chats = [[*row.prompt, {"role": "assistant", "content": row.chosen}] for row in pairs.itertuples()] * 6
    torch.manual_seed(5)
    one = tiny.build(chats, tmp_path / "one", seed=0)
    torch.manual_seed(6)
    other = tiny.build(chats, tmp_path / "other", seed=0)
    for name in ("model.safetensors", "tokenizer.json", "config.json"):
        assert (one / name).read_bytes() == (other / name).read_bytes()
    assert {path.name for path in tmp_path.iterdir()} == {"one", "other"}
    model, tokenizer = load_model(ModelFiles(str(one)), "float32"), load_tokenizer(ModelFiles(str(one)))
    ids = torch.tensor([tokenizer.apply_chat_template(chats[0], return_dict=False)])
    with torch.no_grad():
        loss = model(input_ids=ids, labels=ids).loss.item()
    assert loss < 0.7 * torch.tensor(float(len(tokenizer))).log()  # far from uniform over the vocabulary


def test_a_gguf_file_is_unpacked_into_a_model_that_can_be_tuned(tmp_path):
    file = tmp_path / "model.gguf"
    norm = _write_gguf(file)
    files = resolve_model(ModelSpec(path=str(file)), TwinData(), tmp_path / "cache")
    assert files.gguf_file is None
    model = load_model(files, "float32")
    assert not getattr(model, "is_quantized", False)
    assert not hasattr(model.config, "quantization_config")
    assert model.get_parameter("model.norm.weight").detach().numpy() == pytest.approx(norm)
    assert load_tokenizer(files).chat_template


def _write_gguf(path):
    """A Llama with one layer and random weights; returns those of its last norm."""
    hidden, inside, rng = 32, 64, np.random.default_rng(0)
    tokens = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256))]
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_context_length(64)
    writer.add_embedding_length(hidden)
    writer.add_block_count(1)
    writer.add_feed_forward_length(inside)
    writer.add_head_count(2)
    writer.add_head_count_kv(2)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_dimension_count(hidden // 2)
    writer.add_vocab_size(len(tokens))
    writer.add_tokenizer_model("llama")
    writer.add_token_list(tokens)
    writer.add_token_scores([0.0] * len(tokens))
    writer.add_token_types([2, 3, 3] + [6] * 256)
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_chat_template("{{ messages[0]['content'] }}")
    vocabulary = (len(tokens), hidden)
    matrices = {"token_embd": vocabulary, "output": vocabulary, "blk.0.ffn_down": (hidden, inside)}
    matrices |= dict.fromkeys(("blk.0.ffn_gate", "blk.0.ffn_up"), (inside, hidden))
    matrices |= {f"blk.0.attn_{name}": (hidden, hidden) for name in ("q", "k", "v", "output")}
    for name, shape in matrices.items():
        writer.add_tensor(f"{name}.weight", rng.normal(size=shape).astype(np.float16))
    norms = {name: rng.normal(size=hidden).astype(np.float32) for name in ("attn", "ffn", "output")}
    for name, place in (("attn", "blk.0.attn_norm"), ("ffn", "blk.0.ffn_norm"), ("output", "output_norm")):
        writer.add_tensor(f"{place}.weight", norms[name])
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return norms["output"]


@pytest.mark.parametrize("count", [1, 4, 20, 60])
def test_a_tiny_model_of_few_short_pairs_has_learned_something(tmp_path, count):
    """20 to 100 of one's own rows are a study; a model of random weights would predict every token alike."""
    chats = [
        [
            {"role": "user", "content": f"why is the {word} wet ?"},
            {"role": "assistant", "content": f"because of the {word}"},
        ]
        for word in ("dog", "cat", "rain", "sun") * 15
    ][:count]
    folder = tiny.build(chats, tmp_path / "model", seed=0)
    model, tokenizer = (load(ModelFiles(str(folder))) for load in (_in_float32, load_tokenizer))
    ids = torch.tensor([tokenizer.apply_chat_template(chats[0], tokenize=True, return_dict=False)])
    with torch.no_grad():
        loss = model(input_ids=ids, labels=ids).loss.item()
    assert loss < 0.8 * np.log(len(tokenizer))


def _in_float32(files):
    return load_model(files, "float32")


def cut(folder):
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])


def without_a_part(folder):
    (folder / "model.safetensors").rename(folder / "model-00001-of-00002.safetensors")
    parts = {"model.norm.weight": "model-00001-of-00002.safetensors"}
    parts["lm_head.weight"] = "model-00002-of-00002.safetensors"
    index = {"metadata": {}, "weight_map": parts}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))


def reconfigured(**keys):
    def change(folder):
        config = folder / "config.json"
        config.write_text(json.dumps(json.loads(config.read_text()) | keys))

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (cut, "header"),
        (lambda folder: (folder / "model.safetensors").write_text("version https://git-lfs..."), "header"),
        (without_a_part, "00002-of-00002"),
        (reconfigured(model_type="unheard_of"), "unheard_of"),
        (reconfigured(vocab_size="many"), "vocab_size"),
        (reconfigured(quantization_config={"quant_method": "awq", "bits": 4}), "AWQ"),
    ],
    ids=["cut", "a pointer of LFS", "a part is missing", "type", "a text as a size", "a library"],
)
def test_a_damaged_folder_is_named_in_one_line(folder, change, message):
    change(folder)
    with pytest.raises(StudyError, match=rf"model .*: it cannot be loaded \(.*{message}.*another") as caught:
        load_model(ModelFiles(str(folder)), "float32")
    assert "\n" not in str(caught.value)
    assert ("model.safetensors: " in str(caught.value)) == (message == "header")  # the file itself


@pytest.mark.parametrize("file", ["tokenizer.json", "tokenizer_config.json"])
def test_a_damaged_tokenizer_is_named_in_one_line(folder, file):
    (folder / file).write_text("{")
    with pytest.raises(StudyError, match=r"it cannot be loaded \(Expecting property name"):
        load_tokenizer(ModelFiles(str(folder)))


def test_a_damaged_gguf_file_is_named(tmp_path):
    (tmp_path / "cut.gguf").write_bytes(b"GGUF1234")
    with pytest.raises(StudyError, match=r"model .*cut\.gguf: it cannot be loaded"):
        load_model(ModelFiles(str(tmp_path), gguf_file="cut.gguf"), "float32")


def test_a_tokenizer_without_an_end_or_padding_token_is_refused(folder):
    config = folder / "tokenizer_config.json"
    named = json.loads(config.read_text()) | {"eos_token": None, "pad_token": None}
    config.write_text(json.dumps(named))
    with pytest.raises(StudyError, match=r"neither a token that ends.*; add eos_token or pad_token"):
        load_tokenizer(ModelFiles(str(folder)))
