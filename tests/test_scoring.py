"""The scored table: what it holds, and that it is written once, whole, and for its own inputs."""

from itertools import groupby

import numpy as np
import pandas as pd
import pytest
import torch
from conftest import MAX_LENGTH, make_pairs
from datasets import Dataset
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from training import scoring
from training.errors import StudyError
from training.model import ModelFiles, load_model
from training.scored_folder import DESCRIPTION_FILE, DamagedScores
from training.scoring import open_scored, score
from training.shards import cut, score_shard, serial
from training.spec import ModelSpec, TrainingSpec, TwinData
from training.tokenise import IDENTICAL, NO_ROOM

TRAINING = TrainingSpec(max_length=MAX_LENGTH, dtype="float32")


@pytest.fixture
def run(tiny_folder, tmp_path, monkeypatch):
    """Scores pairs in shards of about ten; `scored` lists the shards that the last call ran."""
    monkeypatch.setattr(scoring, "SHARD_PAIRS", 10)

    class Run:
        scored: list[int] = []  # noqa: RUF012
        cache = tmp_path

        def __call__(self, pairs, training=TRAINING, model=tiny_folder, fail_at=None):
            self.scored = []

            def run_shards(shards):
                for shard in shards:
                    number = int(shard.out.name[:4])
                    if number == fail_at:
                        raise ConnectionError("a node was lost")
                    score_shard(shard)
                    self.scored.append(number)

            return score(pairs, ModelSpec(path=str(model)), TwinData(), training, tmp_path, run_shards)

    return Run()


def test_reference_scores_are_the_models(scored, tiny_folder):
    model = load_model(ModelFiles(str(tiny_folder)), "float32")
    for row in scored.select(range(0, len(scored), 7)):
        for side in ("chosen", "rejected"):
            ids = (row["prompt_ids"] + row[f"{side}_ids"])[:MAX_LENGTH]
            labels = [-100] * row["prompt_tokens"] + ids[row["prompt_tokens"] :]
            with torch.no_grad():
                mean_loss = model(input_ids=torch.tensor([ids]), labels=torch.tensor([labels])).loss.item()
            assert row[f"ref_{side}_logps"] == pytest.approx(-mean_loss * row[f"{side}_tokens"], rel=1e-5)


def test_shards_do_not_change_the_table(run, pairs, scored):
    table = open_scored(run(pairs).path).to_pandas()
    pd.testing.assert_frame_equal(table, scored.to_pandas(), rtol=1e-5, atol=1e-5)


@given(
    pairs=st.lists(st.tuples(st.integers(0, 5), st.integers(2, 40)), min_size=1, max_size=60),
    count=st.integers(1, 12),
)
def test_parts_hold_about_equally_many_tokens_and_keep_the_pairs_of_a_prompt_together(pairs, count):
    tokenised = Dataset.from_dict(
        {
            "prompt_ids": [[prompt] * 3 for prompt, _ in pairs],
            "prompt_tokens": [3] * len(pairs),
            "chosen_tokens": [tokens // 2 for _, tokens in pairs],
            "rejected_tokens": [tokens - tokens // 2 for _, tokens in pairs],
        }
    )
    parts = cut(tokenised, count)
    assert sorted(row for part in parts for row in part) == list(range(len(pairs)))
    assert 1 <= len(parts) <= count
    tokens = [3 + answers for _, answers in pairs]
    assert all(sum(tokens[row] for row in part) <= sum(tokens) / count + max(tokens) for part in parts)
    prompts = [prompt for part in parts for prompt in dict.fromkeys(pairs[row][0] for row in part)]
    assert len(prompts) - len(set(prompts)) <= len(parts) - 1
    in_a_row = [prompt for prompt, _ in groupby(pairs[row][0] for part in parts for row in part)]
    assert len(in_a_row) == len(set(in_a_row))


def test_parts_of_other_rows_are_scored_again(run, pairs, scored, monkeypatch):
    """As an interrupted pass leaves them that another version of this software has cut."""
    with pytest.raises(ConnectionError):
        run(pairs, fail_at=4)
    monkeypatch.setattr(scoring, "cut", lambda rows, count: cut(rows.select(range(len(rows))[::-1]), count))
    table = open_scored(run(pairs).path).to_pandas()
    assert run.scored == list(range(7))
    pd.testing.assert_frame_equal(table, scored.to_pandas(), rtol=1e-5, atol=1e-5)


def test_a_second_pass_scores_nothing(run, pairs):
    first = run(pairs)
    again = run(pairs)
    assert (first.computed, again.computed) == (True, False)
    assert run.scored == []
    assert again.path == first.path


def test_every_input_of_a_score_is_in_its_key(run, pairs, tiny_folder, tmp_path):
    paths = {run(pairs).path}
    paths.add(run(pairs.iloc[:-1]).path)
    paths.add(run(pairs.assign(chosen=pairs["chosen"] + ".")).path)
    paths.add(run(pairs, TRAINING.model_copy(update={"max_length": MAX_LENGTH - 1})).path)
    other = tmp_path / "other"
    other.mkdir()
    for file in tiny_folder.iterdir():
        (other / file.name).write_bytes(file.read_bytes())
    weights = load_file(other / "model.safetensors")
    weights["model.norm.weight"][0] += 1e-3
    save_file(weights, other / "model.safetensors", metadata={"format": "pt"})
    paths.add(run(pairs, model=other).path)
    assert len(paths) == 5


def test_the_method_is_not_in_the_key(run, pairs):
    faster = TRAINING.model_copy(update={"learning_rate": 1.0, "max_steps": 3, "group_by_length": True})
    assert run(pairs, faster).path == run(pairs).path


def test_an_interrupted_pass_continues_with_the_shards_it_lacks(run, pairs):
    with pytest.raises(ConnectionError):
        run(pairs, fail_at=4)
    assert run.scored == [0, 1, 2, 3]
    truncated = next(run.cache.glob("*.parts/0001*"))
    truncated.write_bytes(truncated.read_bytes()[:-20])
    assert run(pairs).pairs == len(pairs)
    assert run.scored == [1, 4, 5, 6]
    assert not list(run.cache.glob("*.parts"))


@pytest.mark.parametrize("damage", ["truncated", "changed", "about", "foreign"])
def test_a_damaged_table_is_named_and_scored_again(run, pairs, damage, caplog):
    table = run(pairs)
    intact = open_scored(table.path).to_pandas()
    arrow = next(table.path.glob("*.arrow"))
    content = bytearray(arrow.read_bytes())
    if damage == "truncated":
        arrow.unlink()  # `intact` still maps the old file
        arrow.write_bytes(content[:-100])
    elif damage == "changed":
        content[len(content) // 2] ^= 1
        arrow.unlink()
        arrow.write_bytes(content)
    elif damage == "about":
        (table.path / DESCRIPTION_FILE).unlink()
    else:
        other = run(make_pairs(20, seed=5))
        for file in table.path.iterdir():
            file.unlink()
        for file in other.path.iterdir():
            (table.path / file.name).write_bytes(file.read_bytes())
    if damage != "foreign":
        with pytest.raises(DamagedScores, match=table.path.name):
            open_scored(table.path)
    assert run(pairs).computed
    assert table.path.name in caplog.text
    pd.testing.assert_frame_equal(open_scored(table.path).to_pandas(), intact)


def test_pairs_a_runner_left_out_are_refused(pairs, tiny_folder, tmp_path, monkeypatch):
    monkeypatch.setattr(scoring, "SHARD_PAIRS", 10)
    left_out = []

    def run_shards(shards):
        left_out.append(shards[0].pairs)
        serial(shards[1:])

    with pytest.raises(RuntimeError, match="pairs were never scored, first p000") as refusal:
        score(pairs, ModelSpec(path=str(tiny_folder)), TwinData(), TRAINING, tmp_path, run_shards)
    assert f" {left_out[0]} pairs" in str(refusal.value)


def test_scores_that_are_not_finite_stop_with_their_pairs(pairs, tiny_folder, tmp_path):
    def run_shards(shards):
        for shard in shards:
            written = dict(np.load(score_shard(shard)))
            written["values"][0] = np.nan
            np.savez(shard.out, **written)

    with pytest.raises(StudyError, match=r"64 pairs are not finite, first p000, p001"):
        score(pairs, ModelSpec(path=str(tiny_folder)), TwinData(), TRAINING, tmp_path, run_shards)


def test_pairs_without_room_for_an_answer_are_dropped_and_counted(run, pairs):
    short = run(pairs, TRAINING.model_copy(update={"max_length": 16}))
    lacking = [pair_id for ids in short.rendered.dropped.values() for pair_id in ids]
    assert short.pairs + len(lacking) == len(pairs)
    assert 0 < len(short.rendered.dropped[NO_ROOM]) < len(pairs)
    assert not set(lacking) & set(open_scored(short.path)["pair_id"])
    with pytest.raises(StudyError, match="max_length: 8"):
        run(pairs, TRAINING.model_copy(update={"max_length": 8}))


def test_pairs_that_are_all_the_same_tokens_are_refused_before_they_are_scored(run, pairs):
    same = pairs.assign(rejected=pairs["chosen"] + " and so on", chosen=pairs["chosen"] + " and never so")
    same[["chosen", "rejected"]] = "the dog sleeps " * MAX_LENGTH + same[["chosen", "rejected"]]
    with pytest.raises(StudyError, match="same tokens in every one of 64 pairs"):
        run(same)
    assert run.scored == []
    some = pd.concat([same.head(10), pairs.tail(20)], ignore_index=True)
    scored = run(some)
    assert set(scored.rendered.dropped[IDENTICAL]) == set(same["pair_id"].head(10))
    assert scored.pairs == 20


def test_another_template_with_the_same_ids_needs_no_new_scores(run, pairs, tiny_folder, tmp_path):
    commented = tmp_path / "commented"
    commented.mkdir()
    for file in tiny_folder.iterdir():
        (commented / file.name).write_bytes(file.read_bytes())
    template = commented / "chat_template.jinja"
    template.write_text("{# a comment #}" + template.read_text())
    assert run(pairs).computed
    commented_scores = run(pairs, model=commented)
    assert not commented_scores.computed
    template.write_text("always " + template.read_text())
    assert run(pairs, model=commented).path != commented_scores.path
