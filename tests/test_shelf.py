"""A shelf gives back what was put there, or says that it is damaged."""

import json
from pathlib import Path

import pytest

from training.checkpoint_store import CheckpointStore, Damaged
from training.errors import StudyError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "made"
    (made / "deep").mkdir(parents=True)
    (made / "a.txt").write_text("a")
    (made / "deep" / "b.bin").write_bytes(bytes(range(256)))
    return made


@pytest.fixture(params=["path", "file URI", "fsspec"])
def shelf(request: pytest.FixtureRequest, tmp_path: Path) -> CheckpointStore:
    root = tmp_path / "shelf"
    uris = {"path": str(root), "file URI": root.as_uri(), "fsspec": f"local://{root}"}
    return CheckpointStore(uris[request.param])


def test_a_folder_comes_back_as_it_was_put(shelf: CheckpointStore, folder: Path, tmp_path: Path) -> None:
    shelf.put(folder, "one")
    shelf.put(folder, "two")
    assert shelf.names() == ["one", "two"]
    shelf.fetch("one", tmp_path / "back")
    assert (tmp_path / "back" / "deep" / "b.bin").read_bytes() == bytes(range(256))
    shelf.drop("one")
    assert shelf.names() == ["two"]
    shelf.clear()
    assert shelf.names() == []
    shelf.clear()  # what is not there is gone already


def test_several_workers_put_one_folder_and_it_is_whole_with_the_last_part(
    shelf: CheckpointStore, folder: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "c.txt").write_text("c")
    shelf.put(folder, "x", part=0, parts=2)
    with pytest.raises(Damaged, match="part-1"):
        shelf.fetch("x", tmp_path / "too early", parts=2)
    shelf.put(other, "x", part=1, parts=2)
    shelf.fetch("x", tmp_path / "back", parts=2)
    assert (tmp_path / "back" / "c.txt").read_text() == "c"
    with pytest.raises(Damaged, match="put by 2 workers, not 1"):
        shelf.fetch("x", tmp_path / "by another number", parts=1)


@pytest.mark.parametrize(
    "harm",
    [
        lambda kept: (kept / "deep" / "b.bin").write_bytes(bytes(range(255))),
        lambda kept: (kept / "a.txt").unlink(),
        lambda kept: (kept / "part-0.json").unlink(),
        lambda kept: (kept / "part-0.json").write_text('{"parts": 1, "sha2'),
        lambda kept: (kept / "part-0.json").write_text(json.dumps({"parts": 2, "sha256": {}})),
    ],
    ids=["cut short", "file lost", "list lost", "list cut short", "another number of workers"],
)
def test_damage_is_found(folder: Path, tmp_path: Path, harm) -> None:
    shelf = CheckpointStore(str(tmp_path / "shelf"))
    shelf.put(folder, "one")
    harm(tmp_path / "shelf" / "one")
    with pytest.raises(Damaged, match="one"):
        shelf.fetch("one", tmp_path / "back")


@pytest.mark.parametrize("uri", ["s4://bucket/folder", "/proc/nowhere", "abfs://"])
def test_a_store_that_cannot_be_opened_is_a_mistake_of_one_line(uri: str) -> None:
    with pytest.raises(StudyError, match="storage") as caught:
        CheckpointStore(uri).open()
    assert uri in str(caught.value)
    assert "\n" not in str(caught.value)
