"""A machine that lacks shared memory, room for temporary files or open files; and a clock that is set."""

import os
import shutil
import subprocess
import tempfile
import time
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
from driver_process import DriverProcess
from fake_study import Setting, journal_entries
from fixtures import own_environment, table_of_faults  # noqa: F401
from judge import Record, judge
from moments import has_made, kill, mid_arm

from training.checkpoint_store import CheckpointStore

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(5400)]
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="mounts a small file system, which needs root")

# Adds the seconds in the file $CLOCK_OFFSET to the time of day of every process that loads it.
CLOCK = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/time.h>
#include <time.h>

static long offset(void) {
    static __thread int busy;
    long seconds = 0;
    const char *path = getenv("CLOCK_OFFSET");
    if (busy || !path) return 0;
    busy = 1;
    FILE *file = fopen(path, "r");
    if (file) { if (fscanf(file, "%ld", &seconds) != 1) seconds = 0; fclose(file); }
    busy = 0;
    return seconds;
}
int clock_gettime(clockid_t clock, struct timespec *at) {
    static int (*real)(clockid_t, struct timespec *);
    if (!real) real = dlsym(RTLD_NEXT, "clock_gettime");
    int result = real(clock, at);
    if (clock == CLOCK_REALTIME) at->tv_sec += offset();
    return result;
}
int gettimeofday(struct timeval *at, void *zone) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    at->tv_sec = now.tv_sec;
    at->tv_usec = now.tv_nsec / 1000;
    return 0;
}
time_t time(time_t *at) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (at) *at = now.tv_sec;
    return now.tv_sec;
}
"""


@needs_root
def test_shared_memory_is_full(tmp_path: Path, record: Record) -> None:
    """The sweep sees a /dev/shm of its own, of 1 MB."""
    setting = Setting(tmp_path, cells=4)
    mount = 'mount -t tmpfs -o size=1m none /dev/shm && exec "$@"'
    driver = DriverProcess(setting, before=("unshare", "-m", "sh", "-c", mount, "sh")).start()
    assert driver.finish() == 0, driver.output[-3000:]
    record(judge("/dev/shm full", 1, setting))


@needs_root
def test_the_temporary_folder_and_rays_folder_are_full_for_a_while(tmp_path: Path, record: Record) -> None:
    """Both, with the place for spilled objects, are on one disk, which is full for half a minute."""
    disk = Path("/tmp/chaos-small")  # Ray's sockets need a short path
    disk.mkdir(exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=400m", "none", disk], check=True)
    try:
        setting = Setting(tmp_path)
        driver = DriverProcess(setting, TMPDIR=str(disk), RAY_TMPDIR=str(disk)).start()
        driver.wait_until(has_made(setting, 6))
        ballast = disk / "ballast"
        with ballast.open("wb", buffering=0) as file, suppress(OSError):
            while True:  # until it is full, since Ray writes there, too
                file.write(bytes(2**16))
        time.sleep(30)
        ballast.unlink()
        if driver.finish():
            assert driver.start().finish() == 0, driver.output[-3000:]
    finally:
        subprocess.run(["umount", "-l", disk], check=True)
    record(judge("temporary folder and spill disk full for a while", 1, setting))


def test_few_open_files_are_allowed(tmp_path: Path, record: Record) -> None:
    """With `ulimit -n 256`, a worker is killed, too."""
    setting = Setting(tmp_path, cells=4)
    limit = ("sh", "-c", 'ulimit -n 256 && exec "$@"', "sh")
    driver = DriverProcess(setting, before=limit).start()
    driver.wait_until(lambda: mid_arm(setting))
    kill(mid_arm(setting) or 0)
    assert driver.finish() == 0, driver.output[-3000:]
    record(judge("ulimit -n 256, worker killed", 1, setting, min_failed_attempts=1))


@pytest.mark.skipif(shutil.which("cc") is None, reason="needs a C compiler")
def test_the_clock_is_set_by_an_hour(tmp_path: Path, record: Record) -> None:
    """For the driver and all its processes, the time of day jumps forward, and then back by two hours."""
    source, library, offset = tmp_path / "clock.c", tmp_path / "clock.so", tmp_path / "offset"
    source.write_text(CLOCK)
    subprocess.run(["cc", "-shared", "-fPIC", "-o", library, source, "-ldl"], check=True)
    offset.write_text("0")
    setting = Setting(tmp_path)
    driver = DriverProcess(setting, LD_PRELOAD=str(library), CLOCK_OFFSET=str(offset)).start()
    for steps, seconds in ((6, 3600), (40, -3600)):
        driver.wait_until(has_made(setting, steps))
        offset.write_text(str(seconds))
    assert driver.finish() == 0, driver.output[-3000:]
    assert "stalled" not in driver.output
    record(judge("clock set by an hour, forward and back", 2, setting))


def test_500_cells_leave_nothing_behind(tmp_path: Path, record: Record) -> None:
    setting = Setting(tmp_path, cells=500, step_s=0.0, tells_ray=False)
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    rays = Path(tempfile.mkdtemp(prefix="r", dir="/tmp"))  # Ray's sockets need a short path
    try:
        driver = DriverProcess(setting, TMPDIR=str(scratch), RAY_TMPDIR=str(rays)).start()
        driver.wait_until(has_made(setting, 500))
        started = driver.children()
        kill(journal_entries(setting)[-1].pid)
        assert driver.finish() == 0, driver.output[-3000:]
        _, alive = psutil.wait_procs(started, timeout=120)
        assert not alive, f"processes are left: {alive}"
        left = [path for path in scratch.rglob("*") if path.is_file()]
        assert not left, f"files are left: {left}"
        assert not CheckpointStore(setting.places.work).names(), "recorded cells left their stores"
    finally:
        shutil.rmtree(rays)
    record(judge("500 cells, worker killed, leftovers counted", 1, setting))
