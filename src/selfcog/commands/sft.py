"""``selfcog sft``: settings → rows → tokens → training → a run directory.

``run`` reads as the data flow of ARCHITECTURE.md. All that can be refused without the model is
refused before torch is loaded; under torchrun every rank runs it, and rank 0 alone talks and asks.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from selfcog import __version__
from selfcog.commands import scaling, scoring, teaching
from selfcog.commands.recipe import count_steps, warn_of_recipe
from selfcog.commands.rows import CollectedRows, collect_rows, report_rows
from selfcog.config.load import Parsed, dump_yaml
from selfcog.config.parallel import choose_sharding
from selfcog.config.schema import SftConfig
from selfcog.console import TrainingView, make_console, print_notes
from selfcog.data import Shares, apply_shares, count_tokens, find_shares, parse_source
from selfcog.errors import ConfigError, DataError
from selfcog.events import EventLog, WarningEvent
from selfcog.model.locate import ModelPaths, fetch_model, resolve_model
from selfcog.model.quant import check_quantization
from selfcog.runs import CheckpointInfo, RunDir, write_text_atomic
from selfcog.startup import preload
from selfcog.types import RejectedRow, TokenizedExample

if TYPE_CHECKING:
    from rich.console import Console

    from selfcog.evaluate.scorecard import Scorecard
    from selfcog.tokens.render import Renderer
    from selfcog.train.dist import World
    from selfcog.train.sharding import Shards


@dataclass(frozen=True, slots=True)
class SftResult:
    """Where the run lies. ``metrics`` are those of the last evaluation.

    ``scorecard`` is that of the best checkpoint; None where nothing was asked.
    """

    run_dir: Path
    last_checkpoint: Path
    best_checkpoint: Path
    num_steps: int
    metrics: dict[str, float]
    scorecard: Scorecard | None = None


@dataclass(frozen=True, slots=True)
class TokenRows:
    """The mixture as tokens; ``rejected`` are the rows that the renderer could not use.

    ``num_split`` training rows exist because the template rewrites past turns (thinking models):
    such a turn is learnt in a row of its own.
    """

    train: list[TokenizedExample]
    dev: list[TokenizedExample]
    rejected: list[RejectedRow]
    num_split: int = 0
    replay: list[TokenizedExample] = field(default_factory=list)
    shares: Shares | None = None


def run(config: SftConfig, notices: Sequence[str] = ()) -> SftResult:
    """Train as ``config`` says. Raises SelfcogError; nothing is trained on a doubt."""
    config = settle(config)
    is_main = os.environ.get("RANK", "0") == "0"
    print_notes(notices if is_main else (), stderr=False)
    paths = resolve_model(config.model.model, config.model.model_revision)
    rows = collect_rows(config)
    console = make_console()
    console.quiet = not is_main
    for line in rows.summary:
        console.print(line, markup=False)

    paths = fetch_model(paths)
    renderer = make_renderer(config, paths)
    tokens = render_rows(rows, renderer, config)

    preload("torch")
    from selfcog.train.dist import join_world
    from selfcog.train.loop import train

    world = join_world(ddp_backend=config.train.ddp_backend)
    run_dir = open_run(config, paths, world)
    view = TrainingView(
        console,
        logging_steps=config.output.logging_steps,
        progress=config.output.progress,
    )
    log = EventLog(run_dir.events_path, [view]) if world.is_main else EventLog()
    if world.is_main:
        write_text_atomic(run_dir.config_path, dump_yaml(config))
        console.print(f"run directory: {run_dir.path}", markup=False)
    try:
        model, shards = make_model(config, paths, world)
        if teaching.is_asked(config):
            with shards.led_by_main() as leads:
                if leads:
                    rows = learn_from_base(
                        config, rows, model, renderer, paths, world, run_dir, console
                    )
            rows = teaching.share_rows(rows, world)
            tokens = render_rows(rows, renderer, config)
        tokens = share_loss(tokens, config)
        evaluators = []
        if scoring.asks_questions(config):
            evaluators.append(scoring.make_dev_evaluator(config, renderer, rows.old_names))
        if world.is_main:
            report_rows(
                run_dir.data_report_path,
                rows,
                tokens.train,
                tokens.dev,
                tokens.rejected,
                tokens.replay,
                tokens.shares,
            )
            show_rows(console, renderer, tokens)
        for text in (*world.notices, *warn_of_recipe(config, model, len(tokens.train), world)):
            log.emit(WarningEvent(text))
        result = train(
            model=model,
            tokenizer=renderer.tokenizer,
            train_rows=tokens.train,
            dev_rows=tokens.dev,
            config=config,
            run=run_dir,
            info=describe_checkpoint(config, paths),
            log=log,
            evaluators=evaluators,
            is_ready=scoring.Readiness() if config.score.stop_when_ready else None,
            resume_from=find_resume(config),
            replay_rows=tokens.replay,
            shards=shards,
        )
        if evaluators:
            best = Path(result.best_checkpoint)
            with shards.led_by_main() as leads:
                if leads:
                    scaling.fit_scale(config, model, best, evaluators[0], console)
        del model, shards
    finally:
        view.close()
    console.print(f"last_model_checkpoint: {result.last_checkpoint}", markup=False)
    console.print(f"best_model_checkpoint: {result.best_checkpoint}", markup=False)
    card = None
    if scoring.asks_questions(config) and world.is_main:
        from selfcog.commands import eval as evaluation

        card = evaluation.run(scoring.final_config(config, Path(result.best_checkpoint))).card
    return SftResult(
        run_dir.path,
        Path(result.last_checkpoint),
        Path(result.best_checkpoint),
        result.num_steps,
        dict(result.metrics),
        card,
    )


def settle(config: SftConfig) -> SftConfig:
    """The config with "auto" decided where only the command can decide it, and the folder of the
    adapter that goes on (a run directory means its best checkpoint)."""
    metric = scoring.choose_metric(config)
    update: dict[str, Any] = {
        "output": config.output.model_copy(update={"metric_for_best_model": metric})
    }
    if (adapter := find_adapter(config)) is not None:
        update["adapter"] = config.adapter.model_copy(update={"adapters": str(adapter)})
    return config.model_copy(update=update)


def find_adapter(config: SftConfig) -> Path | None:
    """The folder of the adapter that the training goes on with. Raises SelfcogError."""
    name = config.adapter.adapters
    if name is None:
        return None
    found = resolve_model(config.model.model, config.model.model_revision, ckpt_dir=name).adapter
    if found is None:
        raise ConfigError(f"--adapters {name} holds a whole model; start from it with --model")
    return found


def make_renderer(config: SftConfig, paths: ModelPaths) -> Renderer:
    from selfcog.model.load import load_tokenizer
    from selfcog.tokens.render import Renderer

    tokenizer = load_tokenizer(paths.path, trust_remote_code=config.model.trust_remote_code)
    return Renderer(
        tokenizer, system=config.model.system, enable_thinking=config.data.enable_thinking
    )


def render_rows(rows: CollectedRows, renderer: Renderer, config: SftConfig) -> TokenRows:
    """Raises DataError when no row is left to train; under strategy "error" when any is lost."""
    train, dev = (
        renderer.render_all(examples, config.data.max_length, config.data.truncation_strategy)
        for examples in (rows.mixture.train, rows.mixture.dev)
    )
    replay = renderer.render_all(rows.replay, config.data.max_length, "right")
    rejected = [*train.rejected, *dev.rejected, *replay.rejected]
    if rejected and config.data.check_dataset_strategy == "error":
        first = rejected[0]
        raise DataError(
            f"{first.source}:{first.line}: {first.reason} ({len(rejected)} rows in all); raise "
            "--max_length, or leave such rows out with --check_dataset_strategy warning"
        )
    if not train.rows:
        reason = f"; the first: {rejected[0].reason}" if rejected else ""
        raise DataError(f"no row is left to train: {len(rejected)} were rejected{reason}")
    return TokenRows(train.rows, dev.rows, rejected, train.num_split, replay.rows)


def learn_from_base(
    config: SftConfig,
    rows: CollectedRows,
    model: Any,
    renderer: Renderer,
    paths: ModelPaths,
    world: World,
    run_dir: RunDir,
    console: Console,
) -> CollectedRows:
    """``rows`` with what the base gives; a continued run reads what it had."""
    if find_resume(config) is not None and run_dir.rows_path.is_file():
        return teaching.load_rows(run_dir.rows_path, rows)
    num_steps, per_step = count_steps(config, len(rows.mixture.train), world)
    teacher = config.teacher
    num_replay = min(teacher.replay_sample, num_steps * teacher.replay_per_step(per_step))
    found = teaching.ask_base(config, rows, model, renderer, paths, num_replay, console)
    for line in found.summary:
        console.print(line, markup=False)
    teaching.save_rows(run_dir.rows_path, found)
    return found


def share_loss(tokens: TokenRows, config: SftConfig) -> TokenRows:
    """The training rows with the weights that give the identity its share of the loss."""
    shares = find_shares(tokens.train, config.teacher.identity_share)
    return replace(tokens, train=apply_shares(tokens.train, shares), shares=shares)


def show_rows(console: Console, renderer: Renderer, tokens: TokenRows) -> None:
    """Tokens by kind, shares of the loss; one row of each kind, trained tokens in colour."""
    counts = [
        f"{kind} {found.rows:,} rows, {found.supervised_tokens:,} trained tokens"
        for kind, found in count_tokens((*tokens.train, *tokens.replay)).items()
    ]
    console.print("; ".join(counts))
    shares = tokens.shares
    if shares is not None and shares.natural != shares.share:
        console.print(
            f"shares: identity rows are {shares.natural:.0%} of these tokens without replay and "
            f"get {shares.share:.0%} of their loss (a token of theirs counts "
            f"{shares.identity_weight:.2f}, any other {shares.other_weight:.2f})"
        )
    shown: set[str] = set()
    for row in (*tokens.train, *tokens.replay):
        if row.kind not in shown:
            shown.add(row.kind)
            console.print(f"first {row.kind} row, [bold green]trained[/] tokens in colour:")
            console.print(renderer.show(row))
    if tokens.num_split:
        console.print(f"note: {tokens.num_split} past turns became rows of their own")
    if tokens.rejected:
        first = tokens.rejected[0]
        console.print(
            f"left out: {len(tokens.rejected)} rows, the first {first.source}:{first.line}: "
            f"{first.reason}",
            markup=False,
        )


def open_run(config: SftConfig, paths: ModelPaths, world: World) -> RunDir:
    """The run's directory: a new one, or that of the checkpoint to resume from."""
    resume = find_resume(config)
    if resume is not None:
        return RunDir(resume.parent)
    path: Path | None = None
    if world.is_main:
        label = config.output.run_name or paths.label
        output_dir = Path(config.output.output_dir).expanduser().resolve()
        path = RunDir.create(output_dir, label, add_version=config.output.add_version).path
    return RunDir(world.share(path))


def find_resume(config: SftConfig) -> Path | None:
    """The checkpoint to resume from; a run directory means its last one."""
    text = config.output.resume_from_checkpoint
    if text is None:
        return None
    folder = Path(text).expanduser().resolve()
    if not folder.is_dir():
        raise ConfigError(f"--resume_from_checkpoint {text}: no such folder")
    if (folder / "checkpoint.json").is_file():
        return folder
    checkpoints = RunDir(folder).checkpoints()
    if not checkpoints:
        raise ConfigError(f"--resume_from_checkpoint {text}: no checkpoint-N in that folder")
    return checkpoints[-1][1]


def make_model(config: SftConfig, paths: ModelPaths, world: World) -> tuple[Any, Shards]:
    """The base with the adapter that is to be trained, or the base itself for ``full``; spread
    over the ranks where that is asked for."""
    from selfcog.model.adapter import add_adapter, load_adapter
    from selfcog.model.load import load_model
    from selfcog.train.random_state import seed_everything
    from selfcog.train.sharding import choose_place, shard_model

    # The adapter's first matrix is drawn at random; every rank gets rank 0's afterwards.
    seed_everything(config.train.seed, 0)
    model = load_model(
        paths.path,
        trust_remote_code=config.model.trust_remote_code,
        attn_impl=config.model.attn_impl,
        in_4_bits=config.model.quant_bits is not None,
        **choose_place(config, world, paths.path),
    )
    if config.adapter.tuner_type == "lora":
        goes_on = config.adapter.adapters
        model = (
            add_adapter(model, config.adapter)
            if goes_on is None
            else load_adapter(model, goes_on, is_trainable=True)
        )
    return model, shard_model(model, config, world)


def describe_checkpoint(config: SftConfig, paths: ModelPaths) -> CheckpointInfo:
    """What every checkpoint of the run remembers, so that infer and export need only its path."""
    return CheckpointInfo(
        base_model=paths.name,
        base_revision=paths.revision,
        tuner_type=config.adapter.tuner_type,
        system=config.model.system,
        torch_dtype=config.model.torch_dtype,
        quant_bits=config.model.quant_bits,
        model_name=config.identity.model_name,
        model_author=config.identity.model_author,
        selfcog_version=__version__,
    )


def check_paths(config: SftConfig) -> None:
    """Answer missing paths, and what the card could not use, before any process is started."""
    resolve_model(config.model.model, config.model.model_revision)
    choose_sharding(config)
    if config.model.quant_bits is not None:
        check_quantization()
    data = config.data
    own = config.identity.self_cognition_file
    files = (*data.dataset, *data.val_dataset, *own, *config.teacher.replay_dataset)
    for name in (*files, *config.score.retention_dataset):
        parse_source(name)
    if scoring.asks_questions(config):
        # Also what the card at the end needs is refused now, not after the training.
        scoring.check_card(config)
    find_adapter(config)
    find_resume(config)


def main(parsed: Parsed[SftConfig]) -> int:
    check_paths(parsed.config)
    from selfcog.train.launch import maybe_relaunch

    code = maybe_relaunch(["sft", *parsed.words])
    if code is not None:
        return code
    run(parsed.config, parsed.notices)
    return 0
