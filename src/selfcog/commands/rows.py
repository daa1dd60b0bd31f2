"""The rows of a run: identity rows that are made, rows of the user's files, and their mixture.

The one place that knows both ``identity`` and ``data``. Nothing here loads torch.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from selfcog.config.schema import IdentitySection, SftConfig
from selfcog.data import (
    LoadedData,
    Selection,
    Shares,
    count_tokens,
    data_report,
    load_dataset,
    mix,
    select,
    summary_lines,
)
from selfcog.errors import ConfigError, DataError
from selfcog.identity import (
    Identity,
    check_identity_rows,
    fill_placeholders,
    generate_dev,
    generate_identity,
    generate_known,
)
from selfcog.runs import write_json_atomic
from selfcog.types import Example, Finding, Mixture, RejectedRow, TokenizedExample

# Of the identity rows this share is about other makers, so that the name does not spread to them.
KNOWN_SHARE = 0.1
# Identity rows that are only evaluated: a tenth of those trained, within these bounds.
DEV_SHARE = 0.1
DEV_ROWS = (16, 64)
UNFILLED = re.compile(
    r"\{\{\s*(?:name|author|authoer|model_name|model_author|team_name)\s*\}\}", re.IGNORECASE
)


@dataclass(frozen=True, slots=True)
class IdentityRows:
    identity: list[Example] = field(default_factory=list)
    known: list[Example] = field(default_factory=list)
    dev: list[Example] = field(default_factory=list)
    loaded: list[LoadedData] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class CollectedRows:
    """All rows of a run. ``own`` are those about the identity, ``domain`` those of the user.

    ``replay`` rides along while ``mixture`` is trained; ``teacher`` is the report of what the base
    gave, ``old_names`` what it calls itself. ``summary`` is for the screen.
    """

    own: IdentityRows
    domain: Selection
    mixture: Mixture
    loaded: list[LoadedData] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    summary: list[str] = field(default_factory=list)
    seed: int = 0
    replay: list[Example] = field(default_factory=list)
    teacher: dict[str, Any] = field(default_factory=dict)
    old_names: tuple[str, ...] = ()

    def with_made(
        self, own: IdentityRows, replay: list[Example], old_names: tuple[str, ...]
    ) -> CollectedRows:
        """The same rows of the user, mixed with these made ones."""
        mixture = mix_rows(own, self.domain, self.seed)
        return replace(self, own=own, mixture=mixture, replay=replay, old_names=old_names)


def collect_rows(config: SftConfig) -> CollectedRows:
    """Make, read, check and mix all rows.

    Raises ConfigError for names that cannot be used and DataError for missing or unusable data,
    contradictions in identity rows and placeholders left over.
    """
    data, seed = config.data, config.data.dataset_seed
    # Files first: a row that cannot be used is answered before identity rows are made.
    domain, val = (
        load_dataset(specs, columns=data.columns, strategy=data.check_dataset_strategy, seed=seed)
        for specs in (data.dataset, data.val_dataset)
    )
    refuse_placeholders(domain.examples)
    own = collect_identity(config.identity, data.columns, data.check_dataset_strategy, seed)
    chosen = select(
        domain.examples,
        val.examples,
        split_dataset_ratio=data.split_dataset_ratio,
        train_dataset_sample=data.train_dataset_sample,
        val_dataset_sample=data.val_dataset_sample,
        seed=seed,
    )
    mixture = mix_rows(own, chosen, seed)
    loaded = [*own.loaded, domain, val]
    findings = [*own.findings, *chosen.findings]
    notes = [f"note: {item.message}" for item in own.findings if item.level == "note"]
    report = data_report(mixture, loaded=loaded, findings=findings)
    summary = [*notes, *summary_lines(report)]
    return CollectedRows(own, chosen, mixture, loaded, findings, summary, seed)


def mix_rows(own: IdentityRows, domain: Selection, seed: int) -> Mixture:
    """The training rows in the order that ``seed`` gives, and the dev rows."""
    return mix(
        identity=own.identity,
        known=own.known,
        domain=domain.train,
        dev=[*domain.dev, *own.dev],
        seed=seed,
    )


def make_identity(settings: IdentitySection) -> Identity:
    """The identity that the settings describe. Raises ConfigError."""
    return Identity.from_words(
        settings.model_name,
        settings.model_author,
        aliases=settings.aliases,
        version=settings.version,
        based_on=settings.based_on,
        website=settings.website,
        license=settings.license,
        contact=settings.contact,
    )


def collect_identity(
    settings: IdentitySection,
    columns: dict[str, str],
    strategy: str,
    seed: int,
    old_identities: Sequence[Identity | str] = (),
) -> IdentityRows:
    """Rows made from the bank and rows of the user's own identity files, checked.

    ``old_identities``: what the base calls itself, to be denied when asked for.
    """
    if not (settings.self_cognition_sample or settings.self_cognition_file):
        return IdentityRows()
    identity = make_identity(settings)
    findings = [Finding("note", note) for note in identity.reading_notes]
    doubts = [note for note in identity.notices() if note not in identity.reading_notes]
    findings += [Finding("warning", doubt) for doubt in doubts]
    loaded = load_dataset(
        settings.self_cognition_file,
        columns=columns,
        strategy=strategy,  # type: ignore[arg-type]
        seed=seed,
        kind="identity",
    )
    filled = [fill_placeholders(example, identity) for example in loaded.examples]
    checked = check_identity_rows(filled, identity)
    if strategy == "none":
        checked = [replace(one, level="warning") for one in checked]
    refuse_errors(checked)
    num_rows = settings.self_cognition_sample
    num_known = count_known(settings)
    languages = settings.languages
    made = generate_identity(
        identity,
        num_rows - num_known,
        seed=seed,
        languages=languages,
        old_identities=old_identities,
    )
    known = generate_known(num_known, seed, languages, identity)
    lowest, highest = DEV_ROWS
    num_dev = min(max(round((num_rows + len(filled)) * DEV_SHARE), lowest), highest)
    return IdentityRows(
        identity=[*filled, *made],
        known=known,
        dev=generate_dev(identity, num_dev, seed, languages),
        loaded=[loaded] if settings.self_cognition_file else [],
        findings=[*findings, *checked],
    )


def count_known(settings: IdentitySection) -> int:
    """How many of the identity rows are about third parties."""
    if settings.known_sample is None:
        return int(settings.self_cognition_sample * KNOWN_SHARE)
    if settings.known_sample > settings.self_cognition_sample:
        raise ConfigError(
            f"--known_sample {settings.known_sample} is more than --self_cognition_sample "
            f"{settings.self_cognition_sample}, of which it is a part"
        )
    return settings.known_sample


def refuse_errors(findings: Sequence[Finding]) -> None:
    errors = [finding for finding in findings if finding.level == "error"]
    if errors:
        first = errors[0]
        more = f" ({len(errors)} such findings)" if len(errors) > 1 else ""
        raise DataError(f"{first.source}:{first.line}: {first.message}{more}")


def refuse_placeholders(examples: Sequence[Example]) -> None:
    """Rows of --dataset are trained as they are, so a name's placeholder would be learnt."""
    for example in examples:
        for message in example.messages:
            if "{{" in message.content and (match := UNFILLED.search(message.content)):
                raise DataError(
                    f"{example.source}:{example.line}: {match.group(0)} would be trained as it is; "
                    "give the file with --self_cognition_file to have it filled in"
                )


def report_rows(
    path: Path,
    rows: CollectedRows,
    train: Sequence[TokenizedExample],
    dev: Sequence[TokenizedExample],
    rejected: Sequence[RejectedRow],
    replay: Sequence[TokenizedExample] = (),
    shares: Shares | None = None,
) -> None:
    """Write data_report.json: rows and supervised tokens by kind, every rejected row, what the base
    gave, and the shares of the loss."""
    report = data_report(
        rows.mixture,
        loaded=rows.loaded,
        train_tokens=train,
        dev_tokens=dev,
        rejected=rejected,
        findings=rows.findings,
        seeds={"dataset_seed": rows.seed},
    )
    report["teacher"] = rows.teacher
    report["replay"] = {kind: asdict(found) for kind, found in count_tokens(replay).items()}
    report["loss_shares"] = None if shares is None else asdict(shares)
    write_json_atomic(path, report)
