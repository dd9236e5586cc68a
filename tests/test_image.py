"""What a lane on a GPU needs at run time is in the image, and is on the page for other machines."""

from pathlib import Path

import pytest

from orchestrator.run.lane import worker_environment
from orchestrator.study.shape import Shape

ROOT = Path(__file__).resolve().parent.parent
NEEDS = {
    "gcc": "Triton compiles a launcher of its kernels at the first step",
    "libc6-dev": "the headers that the launcher includes",
    "wget": "KubeRay's probes of a node call it",
}


@pytest.mark.parametrize("package", NEEDS)
def test_the_image_holds_it(package: str) -> None:
    (installed,) = (
        line for line in (ROOT / "Dockerfile").read_text().splitlines() if "apt-get install" in line
    )
    assert package in installed.split(), NEEDS[package]


def test_the_page_names_what_no_wheel_brings() -> None:
    page = (ROOT / "docs/clusters.md").read_text()
    assert all(f"`{package}`" in page for package in ("gcc", "libc6-dev", "nvidia-cuda-mps-control"))


def test_a_lane_without_a_card_sees_none() -> None:
    """Ray leaves CUDA_VISIBLE_DEVICES of a worker without GPUs as the node has it."""
    assert worker_environment(Shape(gpus_per_worker=0), {"A": "1"}) == {"A": "1", "CUDA_VISIBLE_DEVICES": ""}
    assert worker_environment(Shape(gpus_per_worker=0.5), {"A": "1"}) == {"A": "1"}


def test_deterministic_kernels_have_their_workspace_before_cuda_starts() -> None:
    variables = worker_environment(Shape(gpus_per_worker=1, deterministic=True), {})
    assert variables == {"CUBLAS_WORKSPACE_CONFIG": ":4096:8"}
