"""From a study to jobs: pairs scored once, groups in files, and a job for each trial."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial

import ray

from orchestrator.plan.tables import StudyTables
from orchestrator.record.places import Places
from orchestrator.run.group_files import write_group_files
from orchestrator.run.job import Job
from orchestrator.run.messages import Failure
from orchestrator.study.files import deepspeed_config
from orchestrator.study.study import Study
from orchestrator.study.trial import Trial
from training import scoring
from training.errors import StudyError
from training.lora import refuse_unknown_targets
from training.model_path import resolve_model, weights_fingerprint
from training.optimizer import optimizer_name
from training.rendering import render
from training.scoring import Scored
from training.shards import Shard

LOOK_EVERY_S = 1.0  # while parts of the scoring pass run


def make_jobs(
    study: Study,
    tables: StudyTables,
    places: Places,
    trials: Sequence[Trial],
    desk: ray.actor.ActorHandle,
    phase: Callable[[str, int, int], None] = lambda text, done, total: None,
) -> list[Job]:
    """Return a job for each trial. The desk's lanes score the pairs that have no scores yet.

    `phase` is told how far the scoring is.

    Raises:
        StudyError: The pairs cannot be scored because of a mistake in the study or its data, the model is not
            the one that was planned, or the optimiser is not installed.
    """
    optimizer_name(study.training)  # one that is not installed is refused before the pairs are scored
    model = resolve_model(study.model, study.data, places.cache)
    _refuse_replaced_model(study, trials)
    if study.model.lora:
        refuse_unknown_targets(study.model.lora, model)
    scored = score(
        study, tables, places, partial(score_on_lanes, desk, study.faults.max_attempts, phase=phase)
    )
    group_files = write_group_files(study, tables, places.cache)
    shapes, batch_size = study.shapes, study.training.batch_size
    deepspeed = {method: deepspeed_config(shape, study.training) for method, shape in shapes.items()}
    checkpoint_every = study.faults.checkpoint_every

    def job(trial: Trial) -> Job:
        shape = shapes[trial.method]
        return Job(
            trial=trial,
            model=model,
            scored=scored.path,
            groups=group_files[trial.split],
            store=f"{places.work}/{trial.trial_id}",
            log=places.logs / f"{trial.name.replace('/', '-')}.log",
            micro_batch=shape.micro_batch or batch_size // shape.workers,
            deepspeed=deepspeed[trial.method],
            shape=shape,
            checkpoint_every=checkpoint_every,
            check=scored.check,
            keep_models=study.keep.models == "final",
        )

    return [job(trial) for trial in trials]


def _refuse_replaced_model(study: Study, trials: Sequence[Trial]) -> None:
    """Raise StudyError if the model is no longer the one that the trials' identities hold."""
    found = weights_fingerprint(study.model, study.data)
    if any(trial.model != found for trial in trials):
        raise StudyError(
            f"model.path: {study.model.path} has changed since the study was planned (fingerprint {found}); "
            "put the planned files back, or start the sweep again"
        )


def score(
    study: Study, tables: StudyTables, places: Places, run_shards: Callable[[Sequence[Shard]], None]
) -> Scored:
    """Return the study's scored pairs. `run_shards` scores the parts that are not in the cache yet."""
    pairs = tables.rendered or render(
        tables.corpus.pairs, study.model, study.data, study.training, places.cache, study.prompt, study.checks
    )
    return scoring.score(pairs, study.model, study.data, study.training, places.cache, run_shards)


def score_on_lanes(
    desk: ray.actor.ActorHandle,
    max_attempts: int,
    shards: Sequence[Shard],
    phase: Callable[[str, int, int], None] = lambda text, done, total: None,
) -> None:
    """Score parts of the scoring pass on the desk's lanes. Each part has as many attempts as a cell.

    `phase` is told how many pairs are scored, of those that had no scores.

    Raises:
        StudyError: A part failed because of a mistake in the study or its data.
        RuntimeError: A part failed `max_attempts` times.
    """
    unscored, pairs = list(shards), sum(shard.pairs for shard in shards)
    for _ in range(max_attempts):
        running = {desk.run.remote(shard): shard for shard in unscored}
        before = pairs - sum(shard.pairs for shard in unscored)
        open_calls = list(running)
        while open_calls:
            phase("scoring the pairs", before + _scored(running, open_calls, desk), pairs)
            _, open_calls = ray.wait(open_calls, num_returns=len(open_calls), timeout=LOOK_EVERY_S)
        outcomes: list[Failure | None] = ray.get(list(running))
        failures = {shard: failure for shard, failure in zip(unscored, outcomes, strict=True) if failure}
        for failure in failures.values():
            if not failure.retriable:
                raise StudyError(failure.error)
        if not failures:
            phase("scoring the pairs", pairs, pairs)
            return
        unscored = list(failures)
    first = failures[unscored[0]]
    raise RuntimeError(f"{len(unscored)} parts of the scoring pass failed: {first}\n{first.traceback}")


def _scored(
    running: Mapping[ray.ObjectRef, Shard], open_calls: Sequence[ray.ObjectRef], desk: ray.actor.ActorHandle
) -> int:
    """Return how many pairs of the parts are scored; those of a part in work by its share of batches."""
    shares = {
        key: progress.step / progress.total for key, progress in ray.get(desk.progress.remote()).items()
    }
    waiting = set(open_calls)
    return sum(
        int(shard.pairs * shares.get(shard.key, 0)) if call in waiting else shard.pairs
        for call, shard in running.items()
    )
