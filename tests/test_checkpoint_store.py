"""A checkpoint store gives back what was put there, or says that it is damaged."""

import json
from pathlib import Path

import pytest

from training.checkpoint_store import CheckpointStore, DamagedFolder
from training.errors import StudyError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    source = tmp_path / "source"
    (source / "deep").mkdir(parents=True)
    (source / "a.txt").write_text("a")
    (source / "deep" / "b.bin").write_bytes(bytes(range(256)))
    return source


@pytest.fixture(params=["path", "file URI", "fsspec"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> CheckpointStore:
    root = tmp_path / "store"
    uris = {"path": str(root), "file URI": root.as_uri(), "fsspec": f"local://{root}"}
    return CheckpointStore(uris[request.param])


def test_a_folder_comes_back_as_it_was_put(store: CheckpointStore, folder: Path, tmp_path: Path) -> None:
    store.put(folder, "one")
    store.put(folder, "two")
    assert store.names() == ["one", "two"]
    store.fetch("one", tmp_path / "back")
    assert (tmp_path / "back" / "deep" / "b.bin").read_bytes() == bytes(range(256))
    store.drop("one")
    assert store.names() == ["two"]
    store.clear()
    assert store.names() == []
    store.clear()  # clearing an absent store is no error


def test_a_folder_that_several_workers_put_is_whole_with_the_last_part(
    store: CheckpointStore, folder: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "c.txt").write_text("c")
    store.put(folder, "x", part=0, parts=2)
    with pytest.raises(DamagedFolder, match="part-1"):
        store.fetch("x", tmp_path / "too early")
    assert not store.is_complete("x")
    store.put(other, "x", part=1, parts=2)
    store.fetch("x", tmp_path / "back")
    assert (tmp_path / "back" / "c.txt").read_text() == "c"
    assert store.is_complete("x")


def test_parts_of_different_numbers_of_workers_are_no_folder(
    store: CheckpointStore, folder: Path, tmp_path: Path
) -> None:
    store.put(folder, "x", part=1, parts=2)
    store.put(folder, "x", part=0, parts=3)
    with pytest.raises(DamagedFolder, match="by 3 and by 2 workers"):
        store.fetch("x", tmp_path / "mixed")
    assert not store.is_complete("x")


@pytest.mark.parametrize(
    "harm",
    [
        lambda folder: (folder / "deep" / "b.bin").write_bytes(bytes(range(255))),
        lambda folder: (folder / "a.txt").unlink(),
        lambda folder: (folder / "part-0.json").unlink(),
        lambda folder: (folder / "part-0.json").write_text('{"parts": 1, "sha2'),
        lambda folder: (folder / "part-0.json").write_text(json.dumps({"parts": 2, "sha256": {}})),
    ],
    ids=["file truncated", "file lost", "list lost", "list truncated", "another number of workers"],
)
def test_damage_is_found(folder: Path, tmp_path: Path, harm) -> None:
    store = CheckpointStore(str(tmp_path / "store"))
    store.put(folder, "one")
    harm(tmp_path / "store" / "one")
    with pytest.raises(DamagedFolder, match="one"):
        store.fetch("one", tmp_path / "back")


@pytest.mark.parametrize("uri", ["s4://bucket/folder", "/proc/nowhere", "abfs://"])
def test_a_store_that_cannot_be_opened_is_reported_in_one_line(uri: str) -> None:
    with pytest.raises(StudyError, match="storage") as caught:
        CheckpointStore(uri).open()
    assert uri in str(caught.value)
    assert "\n" not in str(caught.value)
