"""A finished trial's main tables for a paper, in LaTeX with booktabs."""

from brittle.analysis.finished import Finished
from brittle.reporting.tables import TableCell, transform_table

SPECIAL = {
    "\\": r"\textbackslash{}",
    **{character: f"\\{character}" for character in "&%$#_{}"},
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "\u2212": "$-$",
    "–": "--",
    "×": r"$\times$",
    "°": r"$^\circ$",
    "…": r"\dots{}",
}


def latex(trial: Finished) -> str:
    """A table for each protection under the first editor; it takes the package booktabs."""
    return "\n".join(_table(trial, arm) for arm in trial.summary.primary.arms)


def _table(trial: Finished, arm: str) -> str:
    table = transform_table(trial, arm, trial.editor)
    heads = ["transform", *table.columns, "reach", "left"]
    heads += ["verdict", "attacker"] if table.verdicts else []
    lines = [
        r"\begin{table}",
        r"\centering",
        rf"\caption{{{_escaped(f'{arm}: {table.caption}. {trial.summary.scope.statement}.')}}}",
        rf"\begin{{tabular}}{{l{'r' * (len(table.columns) + 2)}{'ll' * table.verdicts}r}}",
        r"\toprule",
        _line([*heads, "n"]),
        r"\midrule",
    ]
    for row in table.rows:
        verdicts = [row.effect, row.attacker] if table.verdicts else []
        cells = [*row.outcomes, row.reach, row.retention, *verdicts, row.n]
        lines.append(_line([row.name, *map(_text, cells)]))
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}", r"\end{table}", ""])


def _line(cells: list[str]) -> str:
    return f"{' & '.join(map(_escaped, cells))} \\\\"


def _text(cell: TableCell) -> str:
    return f"{cell.main} {cell.small}".strip()


def _escaped(text: str) -> str:
    return "".join(SPECIAL.get(character, character) for character in text)
