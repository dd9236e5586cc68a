"""What our code uses of libraries although they do not promise to keep it.

An upgrade that takes one of these away fails here by its name, before it fails in a sweep. The table in
docs/architecture.md says why each has no public counterpart.
"""

import ast
import inspect
from collections.abc import Callable, Iterator
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parent.parent
ROOMS = ("orchestrator", "training", "stats", "bench")
Check = Callable[[str], None]


def get(name: str) -> Any:
    """What a dotted name stands for: the longest module in it, then attribute by attribute."""
    parts = name.split(".")
    for end in range(len(parts), 0, -1):
        module = ".".join(parts[:end])
        try:
            found: Any = import_module(module)
        except ModuleNotFoundError as error:
            if not module.startswith(error.name or module):  # the module is there, and lacks another one
                raise
            continue
        for part in parts[end:]:
            found = getattr(found, part)
        return found
    raise ModuleNotFoundError(f"no module {parts[0]}")


def there(name: str) -> None:
    get(name)


def equals(value: object) -> Check:
    def check(name: str) -> None:
        assert get(name) == value, f"it is {get(name)!r}, no longer {value!r}"

    return check


def takes(*parameters: str) -> Check:
    """A function with exactly these parameters: those that we pass, or that our override of it takes."""

    def check(name: str) -> None:
        found = tuple(inspect.signature(get(name)).parameters)
        assert found == parameters, f"it takes {found}, no longer {parameters}"

    return check


def says(of: str, *texts: str) -> Check:
    """For what exists only while it runs: the source of `of` holds these texts."""

    def check(_: str) -> None:
        source = inspect.getsource(get(of))
        missing = [text for text in texts if text not in source]
        assert not missing, f"the source of {of} no longer says {missing}"

    return check


def of_trial(name: str) -> None:
    """An attribute of a Ray Tune trial, of a real one; a table of it can be cleared."""
    trial = "ray.tune.experiment.Trial"
    found = get(trial)("any", stub=True)
    for part in name.removeprefix(f"{trial}.").split("."):
        found = getattr(found, part)
    if part.startswith("metric_"):
        found.clear()


def columns(*names: str) -> Check:
    def check(name: str) -> None:
        missing = {*names} - {*get(name).__table__.columns.keys()}
        assert not missing, f"it has no columns {missing}"

    return check


def fields(*names: str) -> Check:
    def check(name: str) -> None:
        missing = {*names} - {*get(name).__dataclass_fields__}
        assert not missing, f"it has no fields {missing}"

    return check


@cache
def ui() -> str:
    """All scripts of MLflow's UI."""
    spec = find_spec("mlflow")
    assert spec is not None
    assert spec.origin is not None
    folder = Path(spec.origin).parent / "server/js/build/static/js"
    return "\n".join(path.read_text(encoding="utf-8") for path in folder.glob("*.js"))


def in_ui(*more: str) -> Check:
    def check(name: str) -> None:
        missing = [word for word in (name, *more) if word not in ui()]
        assert not missing, f"MLflow's UI no longer knows {missing}"

    return check


# Our files that need them, to be edited here where one moves.
AUTOSCALING, CLUSTER_FILES = "tests/chaos/test_autoscaling.py", "tests/test_cluster_files.py"
CALLBACK, LANES, CLUSTER = (
    f"orchestrator/run/{name}.py" for name in ("ledger_callback", "lane_backend", "cluster")
)
DRILL, KILL, LANE_TRAINER, PLACES = (
    "orchestrator/run/sweep_process.py",
    "orchestrator/run/kill.py",
    "orchestrator/run/lane_trainer.py",
    "orchestrator/record/places.py",
)
STORE_FILE, STATUSES, STUDY_RUN, EXPERIMENT, VIEWS, MOVED = (
    f"orchestrator/record/{name}.py"
    for name in ("mlflow_store", "cell_statuses", "study_run", "experiment", "views", "moved")
)
TRAINER, UNLOGGED, PACKED = "training/trainer.py", "training/unlogged.py", "training/packed.py"
CHECKPOINTING, COMPILED = "training/checkpointing.py", "training/compiled.py"
LOADING_TEST = "tests/test_safe_loading.py"
ISOLATION, LOADING, ARM = "training/isolation.py", "training/safe_loading.py", "training/arm.py"
MASTER, QUANTISED = "training/master_weights.py", "training/quantised.py"
BUNDLE, BUNDLE_ACCESS, OWN_GLOBALS = (
    f"training/{name}.py" for name in ("bundle", "bundle_access", "own_globals")
)
LOSSES = "tests/test_objectives.py"
STOCK_RAY, LANE_MEMORY = "bench/stock_ray.py", "bench/lane_memory.py"
DEEPSPEED = "tests/integration/test_deepspeed.py"
PARTITIONED, RESHARDING = "training/partitioned.py", "training/resharding.py"
STAGE_2, STAGE_3, UNFUSED, SAVED = (
    "deepspeed.runtime.zero.stage_1_and_2.DeepSpeedZeroOptimizer",
    "deepspeed.runtime.zero.stage3.DeepSpeedZeroOptimizer_Stage3",
    "deepspeed.runtime.fp16.unfused_optimizer.FP16_UnfusedOptimizer",
    "deepspeed.checkpoint.constants",
)
MEMORY, ARM_MEMORY, WAITS = "tests/test_memory.py", "tests/integration/test_arm_memory.py", "tests/waits.py"

TRAIN = "ray.train.v2._internal"
WORKER_GROUP = f"{TRAIN}.execution.worker_group"
AUTOSCALER = "ray.autoscaler._private"
TABLES, STORE = (
    "mlflow.store.tracking.dbmodels.models",
    "mlflow.store.tracking.sqlalchemy_store.SqlAlchemyStore",
)
STAND_IN, FINITE = "tests/card.py", "training/finite_norm.py"
ZERO_STEP = "deepspeed.runtime.zero.stage_1_and_2.DeepSpeedZeroOptimizer.step"
UNFUSED_STEP = "deepspeed.runtime.fp16.unfused_optimizer.FP16_UnfusedOptimizer.step"
KERNEL = "trl.kernels.chunked_logprob"

# Name, who needs it, how to see that it is still what we take it for.
PRIVATE: list[tuple[str, tuple[str, ...], Check]] = [
    ("ray.tune.experiment.Trial.run_metadata.metric_analysis", (CALLBACK,), of_trial),
    ("ray.tune.experiment.Trial.run_metadata.metric_n_steps", (CALLBACK,), of_trial),
    ("ray.tune.experiment.Trial._default_result_or_future", (CALLBACK,), of_trial),
    ("ray.tune.experiment.Trial.last_result", (CALLBACK,), of_trial),
    ("ray.tune.experiment.Trial.num_failures", (CALLBACK,), of_trial),
    ("ray.train.torch.TorchConfig.train_func_context", (LANES,), there),
    ("ray.train.backend.BackendConfig", (LANES,), there),
    ("ray.train.v2.api.data_parallel_trainer.DataParallelTrainer", (LANE_TRAINER,), there),
    (
        f"{WORKER_GROUP}.execution_group.ExecutionGroup.execute",
        (LANES,),
        takes("self", "fn", "fn_args", "fn_kwargs"),
    ),
    (
        f"{WORKER_GROUP}.execution_group.ExecutionGroup.execute_single",
        (LANES,),
        takes("self", "rank", "fn", "fn_args", "fn_kwargs"),
    ),
    ("ray.train._internal.utils.get_address_and_port", (LANES,), takes()),
    (f"{WORKER_GROUP}.worker.RayTrainWorker", (DRILL, KILL, LANE_MEMORY), there),
    (
        "ray.train.v2.api.data_parallel_trainer.DataParallelTrainer._initialize_and_run_controller",
        (LANE_TRAINER,),
        takes("self", "controller_init_kwargs"),
    ),
    (
        f"{TRAIN}.execution.controller.TrainController",
        (LANE_TRAINER,),
        takes(
            "train_fn_ref",
            "train_run_context",
            "scaling_policy",
            "failure_policy",
            "callbacks",
            "validation_config",
        ),
    ),
    (f"{TRAIN}.callbacks.DatasetsCallback", (LANE_TRAINER,), there),
    (f"{TRAIN}.callbacks.placement_group_callback.PlacementGroupCleanerCallback", (LANE_TRAINER,), there),
    (f"{TRAIN}.constants.get_env_vars_to_propagate", (LANE_TRAINER,), takes()),
    (f"{TRAIN}.execution.context.TrainRunContext", (LANE_TRAINER,), there),
    (f"{TRAIN}.execution.scaling_policy.FixedScalingPolicy", (LANE_TRAINER,), there),
    (
        f"{TRAIN}.execution.scaling_policy.FixedScalingPolicy.after_controller_start",
        (LANE_TRAINER,),
        takes("self", "train_run_context"),
    ),
    (
        f"{TRAIN}.execution.scaling_policy.FixedScalingPolicy._maybe_send_resource_request",
        (LANE_TRAINER,),
        takes("self"),
    ),
    ("ray._private.runtime_env.packaging.RAY_PKG_PREFIX", (PLACES,), equals("_ray_pkg_")),
    ("ray._private.node.Node", (CLUSTER,), says("ray._private.node.Node", "timed out during startup")),
    (
        "ray.train.v2._internal.constants.ENABLE_PREEMPTION_WATCHER_ENV_VAR",
        (CLUSTER,),
        equals("RAY_TRAIN_ENABLE_PREEMPTION_WATCHER"),
    ),
    (
        "ray.tune.experimental.output.get_air_verbosity",
        (CLUSTER,),
        says("ray.tune.experimental.output.get_air_verbosity", "RAY_AIR_NEW_OUTPUT"),
    ),
    (
        f"{AUTOSCALER}.constants.AUTOSCALER_UPDATE_INTERVAL_S",
        (AUTOSCALING,),
        says("ray.cluster_utils", "AUTOSCALER_UPDATE_INTERVAL_S", "RAY_FAKE_CLUSTER"),
    ),
    (f"{AUTOSCALER}.util.prepare_config", (CLUSTER_FILES,), takes("config")),
    (f"{AUTOSCALER}.util.validate_config", (CLUSTER_FILES,), takes("config")),
    ("mlflow.tracking._tracking_service.utils._get_store", (STORE_FILE,), takes("store_uri", "artifact_uri")),
    (
        f"{TABLES}.SqlRun",
        (STATUSES, MOVED),
        columns("run_uuid", "experiment_id", "status", "lifecycle_stage", "artifact_uri"),
    ),
    (f"{TABLES}.SqlExperiment", (MOVED,), columns("artifact_location")),
    (f"{TABLES}.SqlTag", (STATUSES,), columns("run_uuid", "key", "value")),
    (f"{TABLES}.SqlLatestMetric", (STATUSES,), columns("run_uuid")),
    (
        f"{STORE}.ManagedSessionMaker",
        (STATUSES, MOVED),
        says(f"{STORE}.__init__", "self.ManagedSessionMaker = "),
    ),
    ("mlflow.store.db.utils._logger.name", (STORE_FILE,), equals("mlflow.store.db.utils")),
    ("mlflow.utils.mlflow_tags.MLFLOW_LOGGED_ARTIFACTS", (STUDY_RUN,), equals("mlflow.loggedArtifacts")),
    ("mlflow.experimentKind", (EXPERIMENT,), in_ui("custom_model_development")),
    ("mlflow.sharedViewState", (VIEWS,), in_ui("viewStateShareKey", "compareRunsMode", "workflowType")),
    (
        "compareRunCharts",
        (VIEWS,),
        in_ui(
            "searchFilter",
            "orderByKey",
            "orderByAsc",
            "selectedColumns",
            "columnOrder",
            "columnWidths",
            "compareRunSections",
            "isAccordionReordered",
            "runDateAndNestInfo",
            "metricSectionId",
            "runsCountToCompare",
            "metricKey",
            "selectedMetricKeys",
            "xAxisKey",
            "yAxisKey",
            "xAxisScaleType",
            "yAxisExpressions",
            "selectedXAxisMetricKey",
            "lineSmoothness",
            "ignoreOutliers",
            "groupBy",
            "groupByKeys",
            "groupByData",
            "aggregateFunction",
        ),
    ),
    (
        "trl.DPOTrainer._prepare_dataset",
        (TRAINER,),
        takes("self", "dataset", "processing_class", "args", "dataset_name"),
    ),
    ("trl.DPOTrainer._precompute_ref_logps", (TRAINER,), takes("self", "dataset", "name", "batch_size")),
    (
        "trl.DPOTrainer._compute_loss",
        (TRAINER, UNLOGGED, LOSSES),
        says(
            "trl.DPOTrainer._compute_loss",
            "model(**model_kwargs, labels=labels, fused_lm_head=True)",
            "self.accelerator.gather(",
            "self.accelerator.gather_for_metrics(",
            'loss_type == "sigmoid"',
        ),
    ),
    ("trl.DPOTrainer._metrics", (UNLOGGED,), says("trl.DPOTrainer.__init__", "self._metrics = ")),
    (
        "trl.trainer.utils.FusedCausalLMOutput",
        (TRAINER, PACKED, BUNDLE_ACCESS),
        fields("log_probs", "log_sum_sq_probs", "mean_logits"),
    ),
    (
        "trl.trainer.utils.add_fused_lm_head",
        (PACKED, BUNDLE, MEMORY, "tests/test_packed.py", "bench/card_check.py"),
        says("trl.trainer.utils.add_fused_lm_head", "fused_lm_head=False", "shift_labels=None"),
    ),
    ("trl.trainer.utils._CHUNKED_LOGPROB_CHUNK_SIZE", (MEMORY,), there),
    (f"{KERNEL}.TOKEN_CHUNK_SIZE", (MEMORY,), there),
    (
        "trl.trainer.utils._use_triton",
        (PACKED, STAND_IN),
        says("trl.trainer.utils.add_fused_lm_head", "compact = _use_triton(hidden_states.device)"),
    ),
    (f"{KERNEL}._use_triton", (STAND_IN,), takes("device")),
    (
        f"{KERNEL}._forward_kernel",
        (STAND_IN,),
        says(KERNEL, "fold = _forward_kernel[(n,)] if _use_triton(device) else _forward_tile"),
    ),
    (f"{KERNEL}._backward_kernel", (STAND_IN,), there),
    (f"{KERNEL}._forward_tile", (ARM_MEMORY, STAND_IN), there),
    (f"{KERNEL}._backward_tile", (ARM_MEMORY, STAND_IN), there),
    (f"{KERNEL}._addmm_fp32", (ARM_MEMORY,), takes("acc", "a", "b")),
    (
        "transformers.TrainingArguments._n_gpu",
        (ARM,),
        says("transformers.TrainingArguments", "self._n_gpu = ", "return self._n_gpu"),
    ),
    (
        "bitsandbytes.nn.Linear4bit.support_avx512bf16_for_cpu",
        (QUANTISED,),
        says(
            "bitsandbytes.nn.Linear4bit",
            "self.support_avx512bf16_for_cpu = ",
            "and self.support_avx512bf16_for_cpu",
        ),
    ),
    ("torch._foreach_copy_", (MASTER,), there),
    (
        "torch.optim.AdamW.found_inf",
        (MASTER,),
        says("torch.optim.Adam", 'found_inf=getattr(self, "found_inf", None)'),
    ),
    (
        "transformers.Trainer._load_from_checkpoint",
        (TRAINER,),
        takes("self", "resume_from_checkpoint", "model"),
    ),
    ("transformers.Trainer._clip_grad_norm", (TRAINER,), takes("self", "model")),
    (
        "transformers.Trainer._prepare_input",
        (TRAINER,),
        says("transformers.Trainer._prepare_input", "deepspeed_plugin.hf_ds_config.dtype()"),
    ),
    ("transformers.Trainer._get_grad_norm", (TRAINER,), takes("self", "model", "grad_norm")),
    ("transformers.Trainer.save_model", (TRAINER,), takes("self", "output_dir", "_internal_call")),
    (
        "transformers.Trainer.is_deepspeed_enabled",
        (TRAINER, "training/engine.py"),
        says("transformers.Trainer", "self.is_deepspeed_enabled = "),
    ),
    ("transformers.PreTrainedModel._is_stateful", (PACKED,), equals(False)),
    ("transformers.PreTrainedModel.is_backend_compatible", (PACKED,), takes()),
    ("transformers.PreTrainedConfig._attn_implementation", (PACKED, CHECKPOINTING), there),
    ("transformers.models.qwen2.modeling_qwen2.Qwen2DecoderLayer.forward.__wrapped__", (COMPILED,), there),
    (
        "transformers.PreTrainedModel._gradient_checkpointing_func",
        (COMPILED,),
        says(
            "transformers.modeling_layers",
            "._gradient_checkpointing_func(partial(forward, self, **kwargs), *args)",
        ),
    ),
    ("torch._dynamo.config.recompile_limit", (COMPILED,), there),
    ("torch._inductor.runtime.cache_dir_utils.cache_dir", (COMPILED,), takes()),
    ("torch._inductor.runtime.cache_dir_utils.default_cache_dir", (COMPILED,), takes()),
    ("torch._dynamo.utils.counters", ("tests/test_compiled.py",), there),
    ("torch._inductor.config.cpp.enable_kernel_profile", ("tests/test_compiled.py",), there),
    ("transformers.integrations.deepspeed.unset_hf_deepspeed_config", (ISOLATION,), takes()),
    (
        "accelerate.state.AcceleratorState._reset_state",
        (ISOLATION, STOCK_RAY),
        takes("reset_partial_state"),
    ),
    ("accelerate.state.GradientState._reset_state", (ISOLATION, STOCK_RAY), takes()),
    *(
        (
            f"accelerate.state.{state}._shared_state",
            (OWN_GLOBALS,),
            says(f"accelerate.state.{state}.__init__", "self.__dict__ = self._shared_state"),
        )
        for state in ("PartialState", "AcceleratorState", "GradientState")
    ),
    (
        "deepspeed.ops.__compatible_ops__",
        (ISOLATION,),
        says("deepspeed.comm.torch.build_shm_op", "deepspeed.ops.__compatible_ops__.get(builder.NAME"),
    ),
    ("deepspeed.ops.op_builder.cpu.ShareMemCommBuilder.NAME", (ISOLATION,), equals("deepspeed_shm_comm")),
    ("deepspeed.runtime.fp16.loss_scaler.LossScaler", (LOADING, DEEPSPEED), there),
    ("deepspeed.runtime.fp16.loss_scaler.DynamicLossScaler", (LOADING, LOADING_TEST), there),
    ("deepspeed.runtime.zero.config.ZeroStageEnum", (LOADING, DEEPSPEED), there),
    ("deepspeed.utils.tensor_fragment.fragment_address", (LOADING,), there),
    (
        "deepspeed.runtime.zero.stage_1_and_2.is_invalid_grad_norm",
        (FINITE,),
        says(ZERO_STEP, "if self.check_grad_overflow:", "is_invalid_grad_norm(scaled_global_grad_norm)"),
    ),
    (
        "deepspeed.runtime.zero.stage_1_and_2.mask_nan_or_inf_with_val_inplace",
        (FINITE,),
        takes("input", "device", "val"),
    ),
    (
        "deepspeed.runtime.zero.stage_1_and_2.DeepSpeedZeroOptimizer.check_overflow",
        (FINITE,),
        takes("self", "partition_gradients"),
    ),
    (
        "deepspeed.runtime.fp16.unfused_optimizer.FP16_UnfusedOptimizer.overflow_checker",
        (FINITE,),
        says(UNFUSED_STEP, "self.overflow_checker.check()", "is_invalid_grad_norm(self._global_grad_norm)"),
    ),
    (
        "deepspeed.DeepSpeedEngine.skipped_steps",
        ("training/engine.py",),
        says("deepspeed.DeepSpeedEngine", "self.skipped_steps = 0"),
    ),
    ("deepspeed.runtime.zero.partition_parameters.ZeroParamStatus", (PARTITIONED,), there),
    (
        "transformers.trainer.deepspeed_load_checkpoint",
        (RESHARDING,),
        takes("deepspeed_engine", "checkpoint_path", "load_module_strict"),
    ),
    (
        "deepspeed.DeepSpeedEngine.basic_optimizer",
        (RESHARDING,),
        says("deepspeed.DeepSpeedEngine", "self.basic_optimizer = basic_optimizer"),
    ),
    (
        f"{STAGE_3}.fp32_partitioned_groups_flat",
        (RESHARDING,),
        says(STAGE_3, "self.fp32_partitioned_groups_flat[", "self.fp16_groups"),
    ),
    (f"{STAGE_2}.bit16_groups", (RESHARDING,), says(STAGE_2, "self.bit16_groups = []")),
    (f"{UNFUSED}.fp16_groups", (RESHARDING,), says(UNFUSED, "self.fp16_groups = []")),
    (f"{SAVED}.SINGLE_PARTITION_OF_FP32_GROUPS", (RESHARDING,), equals("single_partition_of_fp32_groups")),
    (f"{SAVED}.FP32_FLAT_GROUPS", (RESHARDING,), equals("fp32_flat_groups")),
    (f"{SAVED}.BASE_OPTIMIZER_STATE", (RESHARDING,), equals("base_optimizer_state")),
    (f"{SAVED}.PARAM_SHAPES", (RESHARDING,), equals("param_shapes")),
    ("deepspeed.utils.logger.name", ("orchestrator/sweep.py",), equals("DeepSpeed")),
    ("torch.utils._python_dispatch.TorchDispatchMode", (WAITS, ARM_MEMORY), there),
    ("torch.ops.aten._local_scalar_dense", (WAITS,), there),
]


@pytest.mark.parametrize(("name", "used_by", "check"), PRIVATE, ids=[name for name, _, _ in PRIVATE])
def test_the_library_still_has_it(name: str, used_by: tuple[str, ...], check: Check) -> None:
    try:
        check(name)
    except Exception as error:
        pytest.fail(f"{name}, which {' and '.join(used_by)} needs: {error}", pytrace=False)


@pytest.mark.parametrize(
    ("name", "check"),
    [
        ("ray.tune.experiment.Trial.run_metadata.nothing", of_trial),
        ("ray.train.nothing", there),
        ("nothing.at.all", there),
        ("ray._private.runtime_env.packaging.RAY_PKG_PREFIX", equals("_pkg_")),
        ("trl.DPOTrainer._prepare_dataset", takes("self", "dataset")),
        ("trl.DPOTrainer._metrics", says("trl.DPOTrainer.__init__", "self._numbers = ")),
        (f"{TABLES}.SqlRun", columns("run_uuid", "nothing")),
        ("trl.trainer.utils.FusedCausalLMOutput", fields("nothing")),
        ("mlflow.sharedViewState", in_ui("no such key in any script")),
    ],
    ids=["trial", "attribute", "module", "value", "signature", "source", "column", "field", "UI"],
)
def test_what_is_gone_is_seen(name: str, check: Check) -> None:
    with pytest.raises((AttributeError, ImportError, AssertionError)):
        check(name)


def test_the_page_lists_each_and_our_files_are_where_it_says() -> None:
    page = (ROOT / "docs/architecture.md").read_text(encoding="utf-8")
    rows = {
        row.split("|")[2].strip(): row for row in page.splitlines() if row.startswith("| ") and "`" in row
    }
    for name, used_by, _ in PRIVATE:
        assert f"`{name}`" in rows, f"docs/architecture.md does not list {name}"
        for file in used_by:
            assert f"`{file}`" in rows[f"`{name}`"], f"docs/architecture.md: {name}: {file} is missing"
            assert (ROOT / file).is_file(), f"{name}: no file {file}"


@pytest.mark.parametrize("room", ROOMS)
def test_every_private_name_in_our_code_is_listed(room: str) -> None:
    listed = {part for name, _, _ in PRIVATE for part in name.split(".")} | {"os._exit"}
    for path in sorted((ROOT / room).rglob("*.py")):
        unlisted = {*private_names(ast.parse(path.read_text(encoding="utf-8")))} - listed
        assert not unlisted, f"{path.relative_to(ROOT)}: list {unlisted} in {Path(__file__).name}"


def private_names(tree: ast.Module) -> Iterator[str]:
    """Names of other modules and objects that begin with an underscore, as far as a file's text shows."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module:
            parts = [*node.module.split("."), *(name.name for name in node.names)]
            yield from (part for part in parts if private(part))
        elif isinstance(node, ast.Import):
            yield from (part for name in node.names for part in name.name.split(".") if private(part))
        elif isinstance(node, ast.Attribute) and private(node.attr):
            owner = node.value.id if isinstance(node.value, ast.Name) else ""
            if owner not in ("self", "cls"):
                yield f"os.{node.attr}" if owner == "os" else node.attr


def private(name: str) -> bool:
    ordinary = {"__doc__", "__file__", "__name__", "__module__", "__dict__", "__version__", "__traceback__"}
    ordinary |= {"__future__", "__init__", "__call__", "__cause__", "__context__"}
    return name.startswith("_") and name not in ordinary


def test_every_private_method_that_the_trainer_overrides_is_listed() -> None:
    from transformers import Trainer
    from trl import DPOTrainer

    from training.trainer import PairTrainer

    ours = {name for name in vars(PairTrainer) if name.startswith("_") and not name.endswith("__")}
    listed = {name.rpartition(".")[2] for name, _, _ in PRIVATE}
    theirs = {name for name in ours if hasattr(DPOTrainer, name) or hasattr(Trainer, name)}
    assert theirs <= listed, f"list {theirs - listed}"
    assert theirs, "overrides are looked for in the wrong class"
