"""Reports of experiments: one self-contained HTML page, and Markdown for a README.

The page loads nothing and runs no script but its own: a content security policy allows them by their hashes, and
forbids every other script, style, connection and markup made from text. What models wrote reaches it as JSON that
no markup can leave, and is shown through text nodes only.
"""

from __future__ import annotations

import base64
import hashlib
import html
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from string import Template

from langchain_linvit.errors import InvalidSettingError
from langchain_linvit.evaluation.charts import bar_chart, difference_chart, legend, line_chart
from langchain_linvit.evaluation.comparison import Comparison, compare, comparison_tables
from langchain_linvit.evaluation.curves import Curve, Family, family, group_rates, success_curves, widest
from langchain_linvit.evaluation.report_data import embedded, page_data
from langchain_linvit.evaluation.results import ExperimentResults
from langchain_linvit.evaluation.statistics import RESAMPLES
from langchain_linvit.evaluation.summary import (
    COSTS,
    ExperimentRow,
    experiment_row,
    grouping_keys,
    labels,
    one_line,
    summary_table,
)
from langchain_linvit.evaluation.tables import html_table, markdown_table, markdown_text

TITLE = "Planning experiments"
CURVES = ("llm_calls", "env_steps")
"""Costs that success is drawn against."""
MAX_GROUP_KEYS = 3
"""Metadata keys of which a page draws success by group."""


def write_report(
    results: Sequence[ExperimentResults],
    path: str | Path,
    *,
    title: str = TITLE,
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> None:
    """Write one self-contained HTML page: tables, paired comparisons, charts, and every run to open and follow.

    Per benchmark, the first experiment at each budget is what the others at that budget are compared with. Large
    experiments are cut to a page that a browser can hold; each run says what was left out.

    Args:
        results: The experiments, the one of interest first.
        path: Where to write the page.
        title: Its heading.
        seed: Of the bootstrap.
        resamples: Of the bootstrap.

    Raises:
        InvalidSettingError: There is no experiment with any record, or the page can't be written.
    """
    page = _page(_with_records(results), title, seed, resamples)
    _write(path, page)


def write_markdown(
    results: Sequence[ExperimentResults],
    path: str | Path | None = None,
    *,
    title: str = TITLE,
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> str:
    """The report's tables as Markdown, also written to a file where one is named.

    Raises:
        InvalidSettingError: There is no experiment with any record, or the file can't be written.
    """
    parts = [f"## {markdown_text(title)}\n"]
    for section in _sections(_with_records(results), seed, resamples):
        parts.append(markdown_table(summary_table(section.rows, section.benchmark)))
        parts += [comparison.to_markdown() for comparison in section.comparisons]
    text = "\n".join(parts)
    if path is not None:
        _write(path, text)
    return text


def _write(path: str | Path, text: str) -> None:
    try:
        Path(path).write_text(text, encoding="utf-8")
    except OSError as error:
        raise InvalidSettingError(f"the report can't be written to {path}: {error.strerror}") from error


def _with_records(results: Sequence[ExperimentResults]) -> list[ExperimentResults]:
    found = [each for each in results if each.records]
    if not found:
        raise InvalidSettingError("a report needs at least one experiment with a record; run one first")
    return found


@dataclass(frozen=True)
class _Section:
    """The experiments of one benchmark.

    Attributes:
        benchmark: Its name.
        results: The experiments.
        names: What each is called.
        looks: The colour of each: one per method, whatever its budget.
        rows: Their rows.
        comparisons: Each against the first one at the same budget.
    """

    benchmark: str
    results: list[ExperimentResults]
    names: list[str]
    looks: list[int]
    rows: list[ExperimentRow]
    comparisons: list[Comparison]

    def look(self, name: str) -> int:
        """The colour of an experiment by its name."""
        return self.looks[self.names.index(name)]


def _sections(results: Sequence[ExperimentResults], seed: int, resamples: int) -> Iterator[_Section]:
    by_benchmark: dict[str, list[ExperimentResults]] = defaultdict(list)
    for each in results:
        by_benchmark[each.info.benchmark].append(each)
    for benchmark, members in by_benchmark.items():
        names = labels(members)
        families = list(dict.fromkeys(map(family, members)))
        rows = [experiment_row(each, name, seed=seed) for each, name in zip(members, names, strict=True)]
        comparisons = [
            compare(
                *(members[index] for index in group), names=[names[index] for index in group], seed=seed,
                resamples=resamples,
            )
            for group in _comparable(members)
        ]  # fmt: skip
        looks = [families.index(family(each)) for each in members]
        yield _Section(one_line(benchmark), members, names, looks, rows, comparisons)


def _comparable(members: Sequence[ExperimentResults]) -> list[list[int]]:
    """Which experiments to compare, the reference first: those at one budget; who is alone at its, with the first."""
    by_budget: dict[str, list[int]] = defaultdict(list)
    for index, each in enumerate(members):
        by_budget[each.info.budget.model_dump_json()].append(index)
    groups = [group for group in by_budget.values() if len(group) > 1]
    alone = [group[0] for group in by_budget.values() if len(group) == 1 and group[0] > 0]
    groups.append([0, *(index for index in alone if family(members[index]) != family(members[0]))])
    return [kept for kept in ([group[0], *_sharing(members, group)] for group in groups) if len(kept) > 1]


def _sharing(members: Sequence[ExperimentResults], group: Sequence[int]) -> list[int]:
    """Those that have run an item that the group's first has run."""
    known = {record.key for record in members[group[0]].records}
    return [index for index in group[1:] if any(record.key in known for record in members[index].records)]


def _page(results: Sequence[ExperimentResults], title: str, seed: int, resamples: int) -> str:
    sections = list(_sections(results, seed, resamples))
    ordered = [each for section in sections for each in section.results]
    looks = [look for section in sections for look in section.looks]
    data = page_data(ordered, labels(ordered), looks, grouping_keys(ordered))
    style, script = (
        files(__package__).joinpath(f"templates/report.{kind}").read_text("utf-8") for kind in ("css", "js")
    )
    left_out = sum("plan" in run and run["plan"]["more_nodes"] > 0 for item in data["items"] for run in item["runs"])
    template = Template(files(__package__).joinpath("templates/report.html").read_text("utf-8"))
    return template.substitute(
        title=html.escape(one_line(title)),
        lede=html.escape(_lede(sections, len(data["items"]))),
        sections="\n".join(map(_section_html, sections)),
        cuts=f" The search trees of {left_out} runs are cut; each says by how much." if left_out else "",
        footer="Made by langchain-linvit. This page is one file: it loads nothing and sends nothing.",
        data=embedded(data),
        style=style,
        script=script,
        style_hash=_hash(style),
        script_hash=_hash(script),
    )


def _hash(text: str) -> str:
    """What a content security policy knows a script or style by."""
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _lede(sections: Sequence[_Section], items: int) -> str:
    rows = [row for section in sections for row in section.rows]
    where = ", ".join(section.benchmark for section in sections)
    return f"{len(rows)} experiments on {where}: {items} items, {sum(row.n for row in rows)} runs"


def _section_html(section: _Section) -> str:
    parts = [f"<section><h2>{html.escape(section.benchmark)}</h2>", html_table(summary_table(section.rows, "Summary"))]
    parts += ['<div class="cards">', *_plots(section), *_differences(section), "</div>"]
    tables = [
        html_table(table)
        for each in section.comparisons
        for pair in each.against
        for table in comparison_tables(pair, each)
    ]
    if tables:
        parts += [
            "<h2>Paired comparisons</h2>",
            '<p class="note">On the same items; each difference is the first method minus the second. '
            "Intervals by bootstrap over items.</p>",
            '<div class="cards">',
            *tables,
            "</div>",
        ]
    return "\n".join([*parts, "</section>"])


def _plots(section: _Section) -> Iterator[str]:
    for against in CURVES:
        curves = success_curves(section.results, against=against)
        if any(point.x > 0 for curve in curves for point in curve.points):
            looks = list(range(len(curves)))
            caption = f"Success against {COSTS[against]}"
            chart = line_chart(curves, looks, title=caption, x_label=f"{COSTS[against]} per run")
            note = _curve_note(curves, several=len(curves) < len(section.results))
            yield _figure(caption, chart + legend([curve.label for curve in curves], looks), note)
    for key in grouping_keys(section.results)[:MAX_GROUP_KEYS]:
        widest_ones = _widest(section)
        rates = group_rates([each for each, _ in widest_ones], key)
        looks = [look for _, look in widest_ones]
        caption = f"Success by {one_line(key)}"
        chart = bar_chart(rates, looks, title=caption, x_label=one_line(key))
        yield _figure(caption, chart + legend([each.label for each in rates], looks), "Whiskers are 95% intervals.")


def _widest(section: _Section) -> list[tuple[ExperimentResults, int]]:
    """One experiment per method, at its largest budget, with its colour."""
    members: dict[Family, list[ExperimentResults]] = defaultdict(list)
    for each in section.results:
        members[family(each)].append(each)
    return [(widest(found), look) for look, found in enumerate(members.values())]


def _curve_note(curves: Sequence[Curve], *, several: bool) -> str:
    notes = []
    if any(curve.by_budget for curve in curves):
        notes.append("Points: an experiment at that budget, with its 95% interval.")
    if any(not curve.by_budget for curve in curves):
        which = " of the experiment with the largest budget" if several else ""
        notes.append(f"Steps: the share of runs{which} that were solved for at most so much.")
    unplaced = sum(curve.unplaced for curve in curves)
    if unplaced:
        notes.append(f"{unplaced} solved runs of unknown cost are left out.")
    return " ".join(notes)


def _differences(section: _Section) -> Iterator[str]:
    pairs = [pair for comparison in section.comparisons for pair in comparison.against]
    if pairs:
        caption = "Success: the first minus the others"
        looks = [section.look(pair.second) for pair in pairs]
        note = f"Right of zero, {pairs[0].first if len(section.comparisons) == 1 else 'the first'} is ahead."
        yield _figure(caption, difference_chart(pairs, looks, title=caption), note)


def _figure(caption: str, chart: str, note: str) -> str:
    below = f'<p class="note">{html.escape(note)}</p>' if note else ""
    return f'<figure class="plot"><figcaption>{html.escape(caption)}</figcaption>{chart}{below}</figure>'
