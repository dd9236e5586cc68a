"""The shipped cluster files are valid and complete."""

import subprocess
from pathlib import Path

import ray
import yaml
from ray.autoscaler._private.util import prepare_config, validate_config

ROOT = Path(__file__).parent.parent


def test_ray_accepts_the_cluster_file() -> None:
    config = yaml.safe_load((ROOT / "ray_cluster.yaml").read_text())
    validate_config(prepare_config(config))
    head, worker = (config["available_node_types"][name] for name in ("head", "gpu_worker"))
    assert config["head_node_type"] == "head"
    assert worker["node_config"]["InstanceMarketOptions"]["MarketType"] == "spot"
    assert "InstanceMarketOptions" not in head["node_config"]  # the driver runs there


def test_the_kubernetes_manifest_runs_this_ray_with_a_token_and_a_shared_volume() -> None:
    spec = yaml.safe_load((ROOT / "configs" / "clusters" / "kuberay.yaml").read_text())["spec"]
    cluster = spec["rayClusterSpec"]
    assert cluster["rayVersion"] == ray.__version__
    assert cluster["authOptions"]["mode"] == "token"
    home = yaml.safe_load(spec["runtimeEnvYAML"])["env_vars"]["ORCHESTRATOR_HOME"]
    for group in (cluster["headGroupSpec"], *cluster["workerGroupSpecs"]):
        pod = group["template"]["spec"]
        (container,) = pod["containers"]
        mounts = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
        assert mounts["studies"] == home
        assert {volume["name"] for volume in pod["volumes"]} == set(mounts)


def test_the_slurm_script_is_bash() -> None:
    script = ROOT / "configs" / "clusters" / "slurm.sbatch"
    parsed = subprocess.run(["bash", "-n", str(script)], capture_output=True, text=True, check=False)
    assert (parsed.returncode, parsed.stderr) == (0, "")
