"""Cluster files that people start from: valid by Ray's own schema."""

from pathlib import Path

import yaml
from ray.autoscaler._private.util import prepare_config, validate_config

ROOT = Path(__file__).parent.parent


def test_ray_accepts_the_cluster_file() -> None:
    config = yaml.safe_load((ROOT / "ray_cluster.yaml").read_text())
    validate_config(prepare_config(config))
    head, worker = (config["available_node_types"][name] for name in ("head", "gpu_worker"))
    assert config["head_node_type"] == "head"
    assert worker["node_config"]["InstanceMarketOptions"]["MarketType"] == "spot"
    assert "InstanceMarketOptions" not in head["node_config"]  # the driver lives there
