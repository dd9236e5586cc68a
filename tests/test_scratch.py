"""What a killed process leaves is removed by the next one; two writers of a folder do not collide."""

import subprocess
import sys
import threading
from pathlib import Path

import pytest

from orchestrator.record.replaced import replaced
from training.scratch import scratch

HOLD = """
import sys, time
from pathlib import Path
from training.scratch import scratch
with scratch(Path(sys.argv[1])) as folder:
    (folder / "weights").write_bytes(bytes(1000))
    print(folder, flush=True)
    time.sleep(600)
"""


def test_the_folder_of_a_killed_process_is_removed_and_that_of_a_living_one_stays(tmp_path: Path) -> None:
    holders = [
        subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    try:
        killed, living = (Path(holder.stdout.readline().strip()) for holder in holders)
        holders[0].kill()
        holders[0].wait()
        assert (killed / "weights").exists()
        with scratch(tmp_path) as own:
            assert not killed.exists()
            assert (living / "weights").exists()
            assert own.is_dir()
    finally:
        for holder in holders:
            holder.kill()
            holder.wait()
    with scratch(tmp_path):
        pass
    assert list(tmp_path.iterdir()) == []


def test_of_two_writers_at_once_both_write_all_their_files_and_the_last_one_wins(tmp_path: Path) -> None:
    both_write = threading.Barrier(2)
    seen: list[set[str]] = []

    def write(name: str) -> None:
        with replaced(tmp_path / "report") as folder:
            (folder / f"{name} 1").touch()
            both_write.wait()
            (folder / f"{name} 2").touch()
            seen.append({path.name for path in folder.iterdir()})

    writers = [threading.Thread(target=write, args=(name,)) for name in "ab"]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert sorted(map(sorted, seen)) == [["a 1", "a 2"], ["b 1", "b 2"]]
    assert {path.name for path in (tmp_path / "report").iterdir()} in seen


def test_a_writer_that_fails_leaves_the_old_folder(tmp_path: Path) -> None:
    with replaced(tmp_path / "report") as folder:
        (folder / "old").touch()

    def fail() -> None:
        with replaced(tmp_path / "report") as folder:
            (folder / "new").touch()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert [path.name for path in (tmp_path / "report").iterdir()] == ["old"]
