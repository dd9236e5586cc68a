"""What is derived from a study's data and cached is made again when it is damaged."""

from pathlib import Path

import pandas as pd
import pytest

from orchestrator.plan.tables import load_tables
from orchestrator.run.group_files import write_group_files
from orchestrator.study.study import Study
from training.model_path import resolve_model

STUDY = Study.model_validate(
    {
        "study": "caches",
        "data": {"source": "twin", "users": 40, "history": "none"},
        "splits": {"S1": {"by": "random", "predicted": "A = B"}},
        "methods": {"dpo": {}},
        "seeds": [1],
        "training": {"max_steps": 2, "batch_size": 4},
    }
)


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def flip_a_bit(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize("harm", [truncate, flip_a_bit])
def test_a_damaged_group_table_is_written_again_and_a_whole_one_is_not(tmp_path: Path, harm) -> None:
    tables = load_tables(STUDY)
    file = write_group_files(STUDY, tables, tmp_path)["S1"]
    whole, written = pd.read_parquet(file), file.stat().st_mtime_ns
    write_group_files(STUDY, tables, tmp_path)
    assert file.stat().st_mtime_ns == written
    harm(file)
    write_group_files(STUDY, tables, tmp_path)
    pd.testing.assert_frame_equal(pd.read_parquet(file), whole)


@pytest.mark.parametrize(
    "harm", [truncate, flip_a_bit, Path.unlink], ids=["truncated", "a bit flipped", "gone"]
)
@pytest.mark.parametrize("file", ["model.safetensors", "tokenizer.json"])
def test_a_damaged_tiny_model_is_built_again(tmp_path: Path, file: str, harm) -> None:
    folder = Path(resolve_model(STUDY.model, STUDY.data, tmp_path).path)
    whole = {path.name: path.read_bytes() for path in folder.iterdir()}
    harm(folder / file)
    assert Path(resolve_model(STUDY.model, STUDY.data, tmp_path).path) == folder
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == whole
    assert {path.name.split(".")[0] for path in tmp_path.iterdir()} == {folder.name}  # nothing is left over
