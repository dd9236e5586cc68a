"""Explore schedules of an arm's checkpoints: cut-off and refused saves, damage, other numbers of workers.

The real `Checkpoints` and `CheckpointStore` work on a disk in memory. It can fail or end the process at each
of its operations, with half of a file written.
"""

import io
import os
import random
import shutil
import tempfile
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from training import checkpoint_store
from training.checkpoint_store import CheckpointStore
from training.checkpoints import KEPT, Checkpoints

EVERY, LAST = 10, 80
LOCAL = object()
FOLDER = SimpleNamespace(Directory="folder")


class Killed(BaseException):
    """The process was killed."""


@dataclass
class Disk:
    """A disk: path -> content. `fault` is called before each change, and may raise."""

    draw: random.Random
    files: dict[str, bytes] = field(default_factory=dict)
    folders: set[str] = field(default_factory=set)
    fault: Callable[[], None] = lambda: None

    def create_dir(self, path: str, recursive: bool) -> None:
        self.fault()
        self.folders.add(path)

    def get_file_info(self, what: Any) -> Any:
        if isinstance(what, str):
            return SimpleNamespace(type="folder" if what in self.folders else "nothing")
        below = [folder for folder in self.folders if folder.startswith(f"{what.root}/")]
        return [SimpleNamespace(type="folder", base_name=folder.rsplit("/", 1)[1]) for folder in below]

    def delete_dir(self, path: str) -> None:
        inside = [file for file in self.files if file.startswith(f"{path}/")]
        self.draw.shuffle(inside)
        for file in inside:
            self.fault()
            del self.files[file]
        self.fault()
        self.folders.discard(path)

    def write(self, path: str, content: bytes) -> None:
        try:
            self.fault()
        except BaseException:
            if self.draw.random() < 0.5:
                self.files[path] = content[: len(content) // 2]
            raise
        self.files[path] = content

    def open_input_stream(self, path: str) -> io.BytesIO:
        if path not in self.files:
            raise FileNotFoundError(path)
        return io.BytesIO(self.files[path])

    def open_output_stream(self, path: str) -> AbstractContextManager[Any]:
        disk = self

        class Stream:
            def __enter__(self) -> Any:
                return SimpleNamespace(write=lambda content: disk.write(path, content))

            def __exit__(self, *_: object) -> None:
                pass

        return Stream()

    def copy_files(self, source: str, target: str, source_disk: object, target_disk: object) -> None:
        if source_disk is LOCAL:
            names = os.listdir(source)
            self.draw.shuffle(names)
            for name in names:
                self.write(f"{target}/{name}", Path(source, name).read_bytes())
            return
        if source not in self.folders:
            raise FileNotFoundError(source)
        for file, content in self.files.items():
            if file.startswith(f"{source}/"):
                Path(target, file.rsplit("/", 1)[1]).write_bytes(content)


class Story:
    """One arm, over several lives of its lane, and what its disk holds."""

    def __init__(self, draw: random.Random, scratch: Path) -> None:
        self.draw, self.scratch, self.disk = draw, scratch, Disk(draw)
        self.workers = draw.choice((1, 1, 2))
        self.checkpoints = Checkpoints(CheckpointStore("memory"), every=EVERY)
        self.number = 0
        self.sure_of = KEPT  # so many usable checkpoints must stay

    def new_folder(self) -> Path:
        self.number += 1
        return self.scratch / str(self.number)

    @staticmethod
    def content(step: int, rank: int, workers: int) -> dict[str, bytes]:
        """What a worker saves at a step, which is the same in every life."""
        names = [f"rank-{rank}", *(["shared"] if rank == 0 else [])]
        return {name: f"{name} of {workers} at {step}".encode() * 2 for name in names}

    def usable(self) -> dict[int, int]:
        """The steps whose checkpoints are whole, and how many workers put every byte of each."""
        found = {}
        for step in range(EVERY, LAST + 1, EVERY):
            root = f"root/checkpoint-{step}"
            for workers in (1, 2):
                whole = all(
                    self.disk.files.get(f"{root}/{name}") == content
                    for rank in range(workers)
                    for name, content in self.content(step, rank, workers).items()
                )
                lists = [self.disk.files.get(f"{root}/part-{rank}.json", b"") for rank in range(workers)]
                if whole and all(
                    text.endswith(b"}}") and f'"parts": {workers},'.encode() in text for text in lists
                ):
                    found[step] = workers
        return found

    def play(self) -> None:
        draw = self.draw
        for _ in range(draw.randint(1, 6)):
            if draw.random() < 0.2:
                self.workers = draw.choice((1, 2))
            damages = draw.choice((0, 0, 0, 1, 2))
            for _ in range(damages):
                self.damage()
            # Old checkpoints are not read again for each new one, so one of them may be damaged unnoticed.
            self.sure_of = 1 if damages else self.sure_of
            try:
                if self.live():
                    return
            except (Killed, OSError):  # the attempt failed
                pass
            self.disk.fault = lambda: None

    def damage(self) -> None:
        if files := sorted(self.disk.files):
            file = self.draw.choice(files)
            if self.draw.random() < 0.3:
                del self.disk.files[file]
            else:
                self.disk.files[file] = self.disk.files[file][:-3]

    def plan_fault(self) -> None:
        """Let the disk fail, or end the process, some operations from now."""
        left, lasting = self.draw.randrange(25), self.draw.random() < 0.3
        error: BaseException = self.draw.choice((Killed(), OSError("full")))

        def fault() -> None:
            nonlocal left
            left -= 1
            if left < 0 and (lasting or left == -1 or isinstance(error, Killed)):
                raise error

        self.disk.fault = fault

    def live(self) -> bool:
        """Resume and train on, as an arm does; return whether it got to its end."""
        draw = self.draw
        if draw.random() < 0.3:
            self.plan_fault()
        usable = self.usable()
        expected = max(usable, default=None)
        os.environ.update({"RANK": "0", "WORLD_SIZE": str(self.workers)})
        copy, notes = self.checkpoints.newest(self.new_folder())
        step = int(copy.name.removeprefix("checkpoint-")) if copy else None
        assert step == expected, f"resumed at {step} instead of {expected}: {notes}"
        if copy and step:
            for rank in range(usable[step]):
                for name, content in self.content(step, rank, usable[step]).items():
                    assert (copy / name).read_bytes() == content
        for later in range((step or 0) + EVERY, LAST + 1, EVERY):
            if draw.random() < 0.3:
                self.plan_fault()
            self.save(later)
        return True

    def save(self, step: int) -> None:
        """Save as all workers do, one after the other in any order, each of which may fail."""
        before, failed = set(self.usable()), False
        try:
            ranks = list(range(self.workers))
            self.draw.shuffle(ranks)
            for rank in ranks:
                folder = self.new_folder()
                folder.mkdir()
                for name, content in self.content(step, rank, self.workers).items():
                    (folder / name).write_bytes(content)
                os.environ.update({"RANK": str(rank), "WORLD_SIZE": str(self.workers)})
                try:
                    self.checkpoints.save(folder, step)
                except OSError:
                    failed = True
        except Killed:
            failed = True
            raise
        finally:
            after = set(self.usable())
            assert len(after) >= min(self.sure_of, len(before - {step})), (
                f"a usable checkpoint was removed: {before}, {after}"
            )
            assert failed or step in after, "a checkpoint that was kept cannot be used"
            assert not failed or max(before - {step}, default=0) <= max(after, default=0), (
                "the newest is gone"
            )
            stored = [name for name in self.disk.folders if name.startswith("root/")]
            assert failed or len([name for name in stored if int(name.split("-")[1]) <= step]) <= KEPT + 1


def explore(seed: int) -> str:
    """Play the schedule of a seed; raise AssertionError if it broke a rule."""
    draw = random.Random(seed)
    scratch = Path(tempfile.mkdtemp(dir="/dev/shm" if Path("/dev/shm").is_dir() else None))
    story = Story(draw, scratch)
    disk = story.disk
    in_memory = SimpleNamespace(
        copy_files=disk.copy_files,
        LocalFileSystem=lambda: LOCAL,
        FileSelector=lambda root, allow_not_found: SimpleNamespace(root=root),
        FileType=FOLDER,
        FileSystem=SimpleNamespace(from_uri=lambda uri: (disk, "root")),
    )
    real, environment = checkpoint_store.fs, {name: os.environ.get(name) for name in ("RANK", "WORLD_SIZE")}
    checkpoint_store.fs = in_memory  # type: ignore[assignment]
    try:
        story.play()
    except BaseException as error:
        error.add_note(
            f"shelf schedule {seed}; replay it with tests/schedules.py shelf --first {seed} --count 1"
        )
        raise
    finally:
        checkpoint_store.fs = real
        for name, value in environment.items():
            os.environ.pop(name, None) if value is None else os.environ.update({name: value})
        shutil.rmtree(scratch)
    return "shelf"
