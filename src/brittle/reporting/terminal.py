"""The report's answer and main table as text, for a terminal."""

from collections.abc import Sequence

from brittle.analysis.finished import Finished
from brittle.record.check import Checked
from brittle.record.store import MEND
from brittle.reporting.black_box import black_box
from brittle.reporting.formatting import count, sentence, unscoped
from brittle.reporting.plain import plain_answers, raw_distances
from brittle.reporting.tables import TransformTable, transform_table

ILLUSTRATION = "This is {}: counts and ranges; no interval over photos and no verdict."


def answer(trial: Finished) -> str:
    """The first lines of a trial's report, its verdicts and its main tables."""
    summary = trial.summary
    models = black_box(trial)
    parts = [summary.headline.sentence]
    if plain := plain_answers(summary):
        about = summary.scope.statement.strip()
        said = unscoped(summary, summary.headline.sentence)
        parts = ["\n".join(plain), *([f"{about}."] if about else []), said]
    parts = [*(models.answer if models else ()), *parts]
    parts += summary.fair.sentences if summary.fair else []
    if summary.style:
        parts.append(sentence(summary.style.unit_words))
    elif summary.illustration:
        parts.append(ILLUSTRATION.format(summary.illustration_words))
    else:
        parts += [unscoped(summary, verdict.sentence) for verdict in summary.verdicts]
    for arm in trial.protections:
        parts.append(as_text(transform_table(trial, arm, trial.editor)))
        parts += [alone] if (alone := raw_distances(trial, arm, trial.editor)) else []
    if models:
        lines = [(arm, name, *(one.short for one in cells)) for arm, name, cells in models.rows]
        parts += [as_columns([models.columns, *lines]), models.sentence]
    if summary.agreement.marked or not summary.usable_reason:
        parts.append(summary.agreement.sentence)
    if trial.manifest.made:  # nobody was told these while it ran
        parts += [f"Note: {note}" for note in trial.manifest.notes]
    parts += [f"Flag: {flag.name} ({flag.where})." for flag in summary.flags]
    return "\n\n".join(parts)


def check_words(found: Checked) -> str:
    """What a look at a folder's files found, in words."""
    looked = f"{count(found.pictures, 'picture')} and {count(found.cells, 'cell')}"
    if found.fine_tunes:
        looked += f", {count(found.fine_tunes, 'fine-tune')}"
    lines = [f"{looked}: all whole." if not found.damaged else f"{looked}; damaged:"]
    lines += [f"  {damage.path}: {damage.what}" for damage in found.damaged]
    if found.damaged:
        lines.append(f"To mend it: {MEND}.")
    if found.unchecked:
        lines.append(
            f"{found.unchecked} of these are a former version's, which kept no digests: they can "
            "be read, and nothing would tell whether two were swapped."
        )
    if not found.finished:
        lines.append("The folder has no table yet: its trial is not finished.")
    return "\n".join(lines)


def as_text(table: TransformTable) -> str:
    """A protection's table, under its name."""
    verdicts = ["verdict", "attacker"] if table.verdicts else []
    lines = [["transform", *table.columns, "reach", "retention", *verdicts, "n"]]
    for row in table.rows:
        numbers = [cell.short for cell in (*row.outcomes, row.reach, row.retention)]
        words = [row.effect.main, row.attacker.main] if table.verdicts else []
        lines.append([row.name, *numbers, *words, row.n.main])
    return f"{table.arm}; {table.outcome.lower()}:\n{as_columns(lines)}"


def as_columns(lines: Sequence[Sequence[str]]) -> str:
    """Lines of cells as text, the first line as the head."""
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    rows = [
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    ]
    return "\n".join([rows[0], "-" * len(rows[0]), *rows[1:]])
