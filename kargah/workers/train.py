"""Train what a plan says: ``python -m kargah.workers.train ATTEMPT_DIR``.

In: plan.json, inputs/, control.json. Out: events.jsonl, outputs/<model>/, and checkpoints/ in the job's directory, from
which a later attempt goes on.
"""

import hashlib
import importlib
import sys
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from kargah.contract import caches
from kargah.contract.attempt import AttemptDirectory
from kargah.contract.plans import DatasetInput, Plan, TrainPlan
from kargah.contract.results import Interval, ModelOutput, TeacherMeasured, TrainResult
from kargah.kit import collecting
from kargah.recipes import catalogue
from kargah.recipes.base import Recipe
from kargah.recipes.errors import CheckpointUnfit, NotYetSupported
from kargah.workers import sharing, sparing
from kargah.workers.edge import Attempt, run_attempt

if TYPE_CHECKING:
    import torch

    from kargah.recipes.runtime import Prepared, RecipeRuntime, Request, Task
    from kargah.recipes.table import Table
    from kargah.recipes.token_rows import KeptTokens
    from kargah.workers.checkpoint import TrainState
    from kargah.workers.loop import Loop
    from kargah.workers.planner import Planned
    from kargah.workers.steps import Group

    Found = tuple[Path, TrainState]

#: Settings of how it is kept, not of what is learnt: a training goes on from its checkpoint when only they differ.
_NOT_LEARNT = frozenset({"checkpoint_seconds", "checkpoint_steps", "keep_checkpoints", "keep_best_checkpoint", "skip_bad_rows"})


def train(plan: Plan, attempt: Attempt) -> dict[str, Any]:
    """Return the TrainResult as JSON. Raises a KargahError for what cannot be done."""
    assert isinstance(plan, TrainPlan)
    recipe = catalogue.get(plan.recipe)
    group, plan = sharing.group_of(plan, recipe, attempt)
    try:
        return _trained(plan, recipe, attempt, group).model_dump(mode="json")
    finally:
        group.close()


def _trained(plan: TrainPlan, recipe: Recipe, attempt: Attempt, group: "Group") -> TrainResult:
    request = request_of(plan, recipe, attempt.directory, attempt.tell.log, attempt.wants.check)
    with collecting.put_off():
        runtime = cast("RecipeRuntime", importlib.import_module(f"{recipe.runtime}.train"))
        prepared = runtime.prepare(request)
        if plan.dry_run and request.spec.baselines:
            for library in runtime.BASELINE_LIBRARIES:
                importlib.import_module(library)
        loop = _loop(plan, prepared, build(plan, runtime, prepared, request), request, attempt)
    loop.group, loop.compares = group, sharing.compares(plan, recipe)
    found = None if plan.dry_run else _found(loop, attempt)
    planned = _planned(loop, plan, found, attempt)
    tell_running(attempt, loop.task, prepared)
    if plan.dry_run:
        from kargah.workers import rehearsal

        _begin(loop, planned, None)
        return rehearsal.rehearse(loop, planned, plan, attempt)
    _resume(loop, plan, attempt, found)
    _begin(loop, planned, found)
    baselines: list[ModelOutput] = []
    if request.spec.baselines:
        loop.beside = lambda: baselines.extend(_baselines(plan, recipe, runtime, prepared, request, attempt))
    return _learn(plan, recipe, prepared, attempt, loop, baselines)


def _planned(loop: "Loop", plan: TrainPlan, found: "Found | None", attempt: Attempt) -> "Planned":
    from kargah.workers import compiling, planner, precision

    begun_in = (found[1].precision or precision.EXACT) if found else plan.precision
    loop.task.decisions.append(precision.settle(loop, plan.dry_run, begun_in))
    compiling.settle(loop, caches.programs_folder(attempt.directory.home), found[1].compiled if found else plan.compiled)
    with compiling.aside(loop):
        planned = planner.plan(loop)
    if planned.passes.recomputed:
        compiling.leave(loop, "why.compile_recomputed")
    if loop.group.count > 1:
        loop.task.decisions.append(sharing.decision(loop.spec, loop.group.count))
    loop.watch = planner.Foresight(loop, planned).note
    return planned


def _begin(loop: "Loop", planned: "Planned", found: "Found | None") -> None:
    from kargah.workers import precision
    from kargah.workers.steps import Start

    loop.state.processes, loop.state.device = loop.group.count, loop.device.type
    checkpoint = found[0] if found else None
    loop.group.begin(loop.task, Start(loop.state.precision or precision.EXACT, planned.passes.recomputed, checkpoint))


def _baselines(
    plan: TrainPlan, recipe: Recipe, runtime: "RecipeRuntime", prepared: "Prepared", request: "Request", attempt: Attempt
) -> list[ModelOutput]:
    from kargah.workers import baselines

    return baselines.all_of(plan, recipe, runtime, prepared, request, attempt)


def _learn(
    plan: TrainPlan, recipe: Recipe, prepared: "Prepared", attempt: Attempt, loop: "Loop", baselines: list[ModelOutput]
) -> TrainResult:
    device = loop.device  # from which the network comes back at its end
    models = [_network(loop, plan, recipe, attempt), *baselines]
    return TrainResult(
        models=models,
        recommended=recommended(models, prepared),
        primary_metric=prepared.problem.primary_metric,
        lower_is_better=prepared.problem.lower_is_better,
        steps=loop.state.step,
        outcome=_outcome(loop, models[0], device),
        teacher=_teacher(plan, prepared),
    )


def _teacher(plan: TrainPlan, prepared: "Prepared") -> TeacherMeasured | None:
    """On the rows that its students are told of. After the training: a network that is loaded changes threads."""
    from kargah.recipes.parts import VALIDATION
    from kargah.recipes.predictor import about

    if plan.teacher_model is None or prepared.teacher is None:
        return None
    if prepared.problem.learns_limits:
        prepared.evaluate(VALIDATION, prepared.teacher(prepared.validation_rows))
    told = prepared.report(prepared.teacher(prepared.rows_of(prepared.reported)))
    return TeacherMeasured(
        title=plan.teacher_model.title,
        version_id=plan.teacher_model.version_id,
        architecture=about(prepared.teacher.folder)["architecture"],
        split=prepared.reported,
        metrics=told.metrics,
        interval=Interval(low=told.interval[0], high=told.interval[1]) if told.interval else None,
    )


def _outcome(loop: "Loop", network: ModelOutput, device: "torch.device") -> dict[str, Any]:
    from kargah.workers import memory

    training, evaluating = round(loop.state.train_seconds, 1), round(loop.state.evaluation_seconds, 1)
    return {
        "train_seconds": training,
        "evaluation_seconds": evaluating,
        "total_seconds": round(training + evaluating, 1),
        "peak_memory_bytes": memory.peak_bytes(device),
        "disk_bytes": network.size_bytes + sum(path.stat().st_size for path in loop.keeper.folder.rglob("*") if path.is_file()),
        "total_steps": loop.state.step,
    }


def request_of(
    plan: TrainPlan, recipe: Recipe, directory: AttemptDirectory, log: Callable[..., None], check: Callable[[], None]
) -> "Request":
    from kargah.recipes.runtime import Request

    if plan.teacher_model is not None and not recipe.learns_from_teachers:
        raise NotYetSupported(field="teacher_model")
    inputs, spec = directory.inputs, recipe.spec.model_validate(plan.spec)
    recipe.check(spec, plan.base_model is not None)
    return Request(
        recipe=recipe.name,
        spec=spec,
        chosen=frozenset(plan.chosen),
        tables=[_table(inputs / dataset.folder, dataset) for dataset in plan.datasets],
        base_model=inputs / plan.base_model.folder if plan.base_model else None,
        scratch=directory.path,
        threads=plan.threads,
        log=log,
        check=check,
        teacher_model=inputs / plan.teacher_model.folder if plan.teacher_model else None,
        kept=_kept(plan, directory),
    )


def _kept(plan: TrainPlan, directory: AttemptDirectory) -> "KeptTokens | None":
    from kargah.recipes.token_rows import KeptTokens

    tables = {f"{dataset.folder}/data.parquet" for dataset in plan.datasets}
    folder = caches.tokens_folder(directory.home, [file.sha256 for file in plan.inputs if file.path in tables])
    return KeptTokens(folder) if folder else None


def _table(folder: Path, dataset: DatasetInput) -> "Table":
    from kargah.recipes import table

    found = replace(table.read(folder, dataset.normaliser), title=dataset.title, weight=dataset.weight)
    return table.renamed(found, dataset.columns) if dataset.columns else found


def tell_running(attempt: Attempt, task: "Task", prepared: "Prepared") -> None:
    choices = [asdict(decision) for decision in [*prepared.decisions, *task.decisions]]
    attempt.tell(
        "Running", total_steps=task.settings.total_steps(prepared.rows_an_epoch), total_epochs=task.settings.epochs, choices=choices
    )


def build(plan: TrainPlan, runtime: "RecipeRuntime", prepared: "Prepared", request: "Request") -> "Task":
    """A recipe may take fewer threads than the plan grants, never more; and compute on the processor where a card would gain nothing."""
    import torch

    torch.set_num_threads(plan.threads)
    torch.set_deterministic_debug_mode("warn")
    task = runtime.build(prepared, request)
    sharing.place(task)
    return task


def _loop(plan: TrainPlan, prepared: "Prepared", task: "Task", request: "Request", attempt: Attempt) -> "Loop":
    from kargah.workers.checkpoint import Keeping, TrainState
    from kargah.workers.keeper import Keeper
    from kargah.workers.loop import Loop

    state, spec = TrainState(plan=fingerprint(plan), threads=plan.threads), request.spec
    keeper = Keeper(attempt.directory.job_path, Keeping(spec.keep_checkpoints, spec.keep_best_checkpoint), attempt.tell)
    return Loop(task, prepared, state, attempt.tell, attempt.wants, keeper, spec)


def fingerprint(plan: TrainPlan) -> str:
    """What is being trained: a checkpoint with another fingerprint is another training's.

    What stands at its default is left out, so that a field that a later release adds makes no checkpoint of an older one a stranger's.
    """
    learnt = plan.model_copy(update={"spec": {name: value for name, value in plan.spec.items() if name not in _NOT_LEARNT}})
    told = learnt.model_dump_json(include={"recipe", "spec", "datasets", "base_model", "teacher_model", "inputs"}, exclude_defaults=True)
    begun = plan.start_from.model_dump_json(exclude_defaults=True) if plan.start_from else ""
    return hashlib.sha256((told + begun).encode()).hexdigest()


def _found(loop: "Loop", attempt: Attempt) -> "Found | None":
    """The last whole checkpoint of this training; those that are not whole are told of."""
    from kargah.workers import checkpoint

    def damaged(name: str) -> None:
        attempt.tell.log("train.checkpoint_damaged", "warning", name=name)

    return checkpoint.latest(loop.keeper.folder, loop.state.plan, damaged)


def _resume(loop: "Loop", plan: TrainPlan, attempt: Attempt, found: "Found | None") -> None:
    """Go on from ``found``, or, in a later attempt without it, from the beginning; tell which points count."""
    fitted, exact = loop.state, found is None or _is_as_it_was(loop, plan, found[1])
    if found is not None:
        loop.take_up(*found)
        loop.state.precision, loop.state.compiled = fitted.precision, fitted.compiled
        if loop.state.micro_batch_tokens is None:  # of an older release, which counted passes in rows
            loop.state.micro_batch_tokens = fitted.micro_batch_tokens
    elif plan.start_from is not None:
        _begin_from(attempt.directory.inputs / plan.start_from.folder, loop)
    if plan.memory_splits > 1:
        _split(loop, plan.memory_splits)
    if found is not None or plan.attempt > 1:
        attempt.tell.step = loop.state.step
        attempt.tell("Resumed", from_step=loop.state.step, exact=exact)


def _is_as_it_was(loop: "Loop", plan: TrainPlan, before: "TrainState") -> bool:
    """Whether going on from ``before`` makes the very weights that there would have been. (A card adds up gradients in any order.)"""
    on_processor = before.device == loop.device.type == "cpu"
    same_steps = before.precision in (None, loop.state.precision) and before.compiled == loop.state.compiled
    return on_processor and same_steps and (before.threads, before.processes) == (plan.threads, loop.group.count)


def _split(loop: "Loop", splits: int) -> None:
    """Memory ran out before, beyond mending: so many passes for what could go through at once."""
    from kargah.workers import mending, planner

    tokens, limit = max(1, planner.whole_tokens(loop) // splits), loop.state.micro_batch_tokens
    if limit is None or tokens < limit:
        mending.limit_tokens(loop, tokens)


def _begin_from(folder: Path, loop: "Loop") -> None:
    """The weights of another job's checkpoint. Raises CheckpointUnfit when they are not this network's."""
    from safetensors.torch import load_file

    try:
        loop.task.module.load_state_dict(load_file(folder / "model.safetensors"))
    except RuntimeError as error:
        raise CheckpointUnfit(reason=str(error).splitlines()[-1].strip()[:200]) from error


def _network(loop: "Loop", plan: TrainPlan, recipe: Recipe, attempt: Attempt) -> ModelOutput:
    import torch

    from kargah.workers import keeper
    from kargah.workers.outputs import Made, describe

    try:
        evaluation = loop.run()
    except BaseException:
        loop.keeper.give_up()
        raise
    folder = attempt.directory.outputs / "model"
    folder.mkdir(parents=True, exist_ok=True)
    parameters = loop.task.parameters
    task, state = loop.task, loop.state
    made = Made("model", task.family, task.architecture, parameters, evaluation, state.best_value, state.train_seconds)
    settings = {decision.name: decision.value for decision in [*loop.prepared.decisions, *loop.task.decisions]}

    def write() -> ModelOutput:
        loop.task.use_device(torch.device("cpu"))
        with sparing.in_one_piece():
            loop.task.save(folder)
        return describe(folder, made, loop.prepared, plan, recipe.version, settings)

    return keeper.when_there_is_room(write, folder, 4 * parameters, attempt.tell, attempt.wants.check_while_waiting)


def recommended(models: list[ModelOutput], prepared: "Prepared") -> str | None:
    """The best by the primary metric on the validation rows; among equals the first, which is the network.

    A simple model that was within one standard error of the best, and has learnt from more rows since, goes before it: the rule of one
    standard error of Breiman, Friedman, Olshen and Stone (Classification and Regression Trees, 1984, 3.4.3).
    """
    best = _best(models, prepared)
    if best is None:
        return None
    near = [model for model in models if model.validation_error is not None and _reaches(model, best, prepared)]
    chosen = _best(near, prepared)
    return chosen.name if chosen else best.name


def _best(models: list[ModelOutput], prepared: "Prepared") -> ModelOutput | None:
    best: ModelOutput | None = None
    for model in models:
        if prepared.problem.better(_chosen_by(model), _chosen_by(best) if best else None):
            best = model
    return best


def _reaches(model: ModelOutput, best: ModelOutput, prepared: "Prepared") -> bool:
    value, aim, error = _chosen_by(model), _chosen_by(best), model.validation_error
    if value is None or aim is None or error is None:
        return False
    return not prepared.problem.better(aim, value - error if prepared.problem.lower_is_better else value + error)


def _chosen_by(model: ModelOutput) -> float | None:
    """A baseline that an older release left behind was measured on the validation rows alone."""
    return model.validation_value if model.validation_value is not None else model.metrics[model.primary_metric]


def main() -> int:
    if len(sys.argv) != 2:
        sys.stderr.write("usage: python -m kargah.workers.train ATTEMPT_DIR\n")
        return 2
    sparing.begin()
    return run_attempt(Path(sys.argv[1]), train)


if __name__ == "__main__":
    sys.exit(main())
