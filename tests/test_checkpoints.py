"""Checkpoints that cannot be used never push out those that can."""

from pathlib import Path

import pytest

from training.checkpoint_store import CheckpointStore
from training.checkpoints import Checkpoints


@pytest.fixture
def checkpoints(tmp_path: Path) -> Checkpoints:
    return Checkpoints(CheckpointStore(str(tmp_path / "store")), every=10)


def save(checkpoints: Checkpoints, step: int, workers: int, scratch: Path) -> None:
    """Save a checkpoint as the given number of workers would, one after the other, the first of them last."""
    for rank in reversed(range(workers)):
        folder = scratch / "state"
        folder.mkdir()
        (folder / f"state-{rank}-of-{workers}").write_text(str(step))
        with pytest.MonkeyPatch.context() as environment:
            environment.setenv("RANK", str(rank))
            environment.setenv("WORLD_SIZE", str(workers))
            checkpoints.save(folder, step)


def newest(checkpoints: Checkpoints, scratch: Path) -> tuple[str | None, list[str]]:
    """Return the files of the newest whole checkpoint, and the notes."""
    copy, notes = checkpoints.newest(scratch)
    return (copy and next(copy.glob("state-*")).read_text()), notes


def damage(checkpoints: Checkpoints, tmp_path: Path, step: int) -> None:
    (state,) = tmp_path.glob(f"store/checkpoint-{step}/state-0-*")
    state.write_text("damaged")


@pytest.mark.parametrize("fault", ["of no use", "both damaged"])
def test_after_a_restart_from_0_new_saves_at_lower_steps_are_kept(
    checkpoints: Checkpoints, tmp_path: Path, fault: str
) -> None:
    for step in (100, 200):
        save(checkpoints, step, 2, tmp_path)
        if fault == "both damaged":
            damage(checkpoints, tmp_path, step)
    found, notes = checkpoints.newest(
        tmp_path / "first", lambda copy: "of no use" if fault == "of no use" else ""
    )
    assert found is None
    assert [note.split(":")[0] for note in notes] == ["skipped checkpoint-200", "skipped checkpoint-100"]
    for step in (10, 20, 30):
        save(checkpoints, step, 1, tmp_path)
        assert newest(checkpoints, tmp_path / f"after {step}") == (str(step), [])
    assert checkpoints.store.names() == ["checkpoint-20", "checkpoint-30"]


@pytest.mark.parametrize(("before", "after"), [(1, 2), (2, 1), (3, 2)])
def test_a_checkpoint_of_another_number_of_workers_is_used_and_kept_until_there_is_a_newer_one(
    checkpoints: Checkpoints, tmp_path: Path, before: int, after: int
) -> None:
    for step in (10, 20):
        save(checkpoints, step, before, tmp_path)
    copy, notes = checkpoints.newest(tmp_path / "first")
    assert (copy and copy.name, notes) == ("checkpoint-20", [])
    assert {path.name for path in copy.glob("state-*")} == {
        f"state-{rank}-of-{before}" for rank in range(before)
    }
    folder = tmp_path / "part"
    folder.mkdir()
    with pytest.MonkeyPatch.context() as environment:  # the first of several workers is ahead of the others
        environment.setenv("RANK", "0")
        environment.setenv("WORLD_SIZE", str(after))
        checkpoints.save(folder, 30)
    copy, _ = checkpoints.newest(tmp_path / "second")
    assert (copy and copy.name) == ("checkpoint-30" if after == 1 else "checkpoint-20")


def test_checkpoints_that_cannot_be_removed_push_out_nothing(
    checkpoints: Checkpoints, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for step in (100, 200):
        save(checkpoints, step, 1, tmp_path)
        damage(checkpoints, tmp_path, step)

    def drop(store: CheckpointStore, name: str) -> None:
        raise OSError("read-only for a while")

    with monkeypatch.context() as failing:
        failing.setattr(CheckpointStore, "drop", drop)
        _, notes = newest(checkpoints, tmp_path / "first")
    assert "could not remove checkpoint-200: read-only for a while" in notes
    save(checkpoints, 10, 1, tmp_path)
    save(checkpoints, 20, 1, tmp_path)
    assert newest(checkpoints, tmp_path / "second")[0] == "20"


def test_a_folder_that_is_put_again_holds_no_older_file(tmp_path: Path) -> None:
    store = CheckpointStore(str(tmp_path / "store"))
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        (tmp_path / name / f"{name}.txt").write_text(name)
    for part in (0, 1):
        store.put(tmp_path / "first", "arm", part, parts=2)
    store.put(tmp_path / "second", "arm")
    store.fetch("arm", tmp_path / "back")
    assert sorted(path.name for path in (tmp_path / "back").iterdir()) == ["second.txt"]
