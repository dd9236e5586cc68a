"""From a study to jobs: data checked, groups assigned, pairs scored once, cells told where things are."""

import hashlib
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import ray
from filelock import FileLock

from orchestrator.plan.tables import StudyTables
from orchestrator.record.places import Places
from orchestrator.run.desk import Failure
from orchestrator.run.job import Job
from orchestrator.study.canonical import canonical
from orchestrator.study.files import deepspeed_config
from orchestrator.study.study import Study
from orchestrator.study.trial import Trial
from training import model as models
from training import scoring
from training.data.fingerprint import fingerprint
from training.errors import StudyError
from training.scoring import Scored, Shard


def jobs(
    study: Study, tables: StudyTables, places: Places, trials: Sequence[Trial], desk: ray.actor.ActorHandle
) -> list[Job]:
    """What the trials' workers need: model, pairs scored by the desk's lanes, groups, folders."""
    scored = score(study, tables, places, partial(score_on_lanes, study, desk))
    files = models.resolve(study.model, study.data, places.cache)
    groups = {name: _keep_groups(study, tables, name, places.cache) for name in tables.groups}
    shapes = study.shapes
    return [
        Job(
            trial=trial,
            model=files,
            scored=scored.path,
            groups=groups[trial.split],
            work=f"{places.work}/{trial.trial_id}",
            log=places.logs / f"{trial.name.replace('/', '-')}.log",
            micro_batch=shape.micro_batch or study.training.batch_size // shape.workers,
            deepspeed=deepspeed_config(shape),
            checkpoint_every=study.faults.checkpoint_every,
            shape=shape,
        )
        for trial in trials
        for shape in [shapes[trial.method]]
    ]


def score(
    study: Study, tables: StudyTables, places: Places, run_shards: Callable[[Sequence[Shard]], None]
) -> Scored:
    """The study's scored pairs; `run_shards` has those parts of the pass done that are not there already."""
    pairs = tables.corpus.pairs
    return scoring.score(pairs, study.model, study.data, study.training, places.cache, run_shards)


def score_on_lanes(study: Study, desk: ray.actor.ActorHandle, shards: Sequence[Shard]) -> None:
    """Have parts of the scoring pass done by the desk's lanes, each tried as often as a cell would be."""
    left = list(shards)
    for _ in range(study.faults.max_attempts):
        failures: list[Failure | None] = ray.get([desk.run.remote(shard) for shard in left])
        failed = {shard: failure for shard, failure in zip(left, failures, strict=True) if failure}
        for failure in failed.values():
            if not failure.retriable:
                raise StudyError(failure.error)
        if not failed:
            return
        left = list(failed)
    last = failed[left[0]]
    raise RuntimeError(f"{len(left)} parts of the scoring pass failed: {last.error}\n{last.traceback}")


def _keep_groups(study: Study, tables: StudyTables, name: str, cache: Path) -> Path:
    """Write a split's groups where the workers find them, named by their content."""
    split = study.grid_splits.get(name)
    identity = canonical(
        {
            "data": fingerprint(study.data),
            "held_out": study.held_out.model_dump(mode="json"),
            "split": split.model_dump(mode="json", exclude={"predicted"}) if split else None,
        }
    )
    path = cache / "groups" / f"{hashlib.sha256(identity.encode()).hexdigest()[:16]}.parquet"
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{path}.lock"):
        if not path.exists():
            about = tables.corpus.pairs[["pair_id", "source_model", "score_gap"]]
            unfinished = path.with_suffix(".tmp")
            tables.groups[name].merge(about, on="pair_id", how="left").to_parquet(unfinished, index=False)
            unfinished.rename(path)
    return path
