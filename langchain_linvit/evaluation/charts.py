"""Charts as inline SVG: small, without any outside part, coloured and themed by the page's own stylesheet.

Series have the classes `s0`, `s1`, ... (colour-blind-safe colours and dashes in `templates/report.css`); every mark
tells its numbers in a `<title>`, which browsers show as a tooltip and screen readers read.
"""

from __future__ import annotations

import html
import math
import textwrap
from collections.abc import Callable, Sequence
from itertools import pairwise

from langchain_linvit.evaluation.comparison import PairedComparison
from langchain_linvit.evaluation.curves import Curve, CurvePoint, GroupRates
from langchain_linvit.evaluation.statistics import Interval
from langchain_linvit.evaluation.tables import bounds, number, percent, points

SERIES = 8
"""Distinct looks; later series begin again."""
WIDTH, HEIGHT = 560, 320
LEFT, RIGHT, TOP, BOTTOM = 52, 14, 14, 46
_LOG_FROM = 30
"""How many times the widest curve may reach beyond the narrowest one before the axis becomes logarithmic."""
_LABEL = 190
"""Width of the labels on the left of a chart of differences."""
_LINE = 14
"""Height of a line of text."""
_ROW = 26
"""Height of a line in a chart of differences, at least."""


def line_chart(curves: Sequence[Curve], series: Sequence[int], *, title: str, x_label: str) -> str:
    """Success (0 to 100%) against a cost.

    Args:
        curves: What to draw.
        series: The look of each.
        title: What the chart shows, for those who can't see it.
        x_label: What the x axis counts.
    """
    ends = [curve.points[-1].x for curve in curves if curve.points[-1].x > 0] or [1.0]
    right, logarithmic = max(ends), max(ends) > _LOG_FROM * max(min(ends), 1.0)
    ticks = _decades(right) if logarithmic else nice_ticks(right)
    right = max(right, ticks[-1])

    def share(x: float) -> float:
        return math.log10(max(x, 1.0)) / math.log10(right) if logarithmic else x / right

    def across(x: float) -> float:
        return LEFT + share(x) * (WIDTH - LEFT - RIGHT)

    parts = [_rate_axis(), _cost_axis(ticks, across, x_label + (" (logarithmic)" if logarithmic else ""))]
    for index, (curve, look) in enumerate(zip(curves, series, strict=True)):
        parts.append(_line(curve, look, across, aside=4 * (index - (len(curves) - 1) / 2)))
    return _svg(title, parts, HEIGHT)


def _line(curve: Curve, look: int, across: Callable[[float], float], aside: float) -> str:
    """A curve; `aside` keeps its whiskers beside those of other curves at the same budget."""
    corners = [(across(point.x), _up(point.y)) for point in curve.points]
    path = f"M{corners[0][0]:.1f} {corners[0][1]:.1f}"
    for (_, _), (x, y) in pairwise(corners):
        path += f"L{x:.1f} {y:.1f}" if curve.by_budget else f"H{x:.1f}V{y:.1f}"
    if not curve.by_budget:
        path += f"H{WIDTH - RIGHT}"  # whoever has finished stays where it is
    marks = [_mark(curve, point, across(point.x), aside) for point in curve.points] if curve.by_budget else []
    told = html.escape(f"{curve.label}: {percent(curve.points[-1].y)} of {curve.n} runs")
    line = f'<path class="line" d="{path}"><title>{told}</title></path>'
    return f'<g class="s{look % SERIES}">{line}{"".join(marks)}</g>'


def _mark(curve: Curve, point: CurvePoint, x: float, aside: float) -> str:
    rate = Interval(estimate=point.y, low=point.low, high=point.high)
    told = html.escape(f"{curve.label} at {number(point.x)}: {percent(point.y)}, {bounds(rate, percent)}")
    circle = f'<circle class="mark" cx="{x:.1f}" cy="{_up(point.y):.1f}" r="4"><title>{told}</title></circle>'
    return _whisker(x + aside, rate) + circle


def bar_chart(rates: Sequence[GroupRates], series: Sequence[int], *, title: str, x_label: str) -> str:
    """Success by group: a bar per experiment in each group, with the interval as a whisker."""
    groups = list(dict.fromkeys(group for each in rates for group in each.rates))
    slot = (WIDTH - LEFT - RIGHT) / max(len(groups), 1)
    width = min(slot * 0.8 / max(len(rates), 1), 44)
    names = [_wrapped(group, slot) for group in groups]
    height = HEIGHT + _LINE * (max(map(len, names), default=1) - 1)
    parts = [_rate_axis()]
    for place, (group, lines) in enumerate(zip(groups, names, strict=True)):
        middle = LEFT + (place + 0.5) * slot
        for row, line in enumerate(lines):
            parts.append(_text(middle, HEIGHT - BOTTOM + 18 + _LINE * row, line, "tick", group))
        for index, (each, look) in enumerate(zip(rates, series, strict=True)):
            if group in each.rates:
                left = middle + (index - len(rates) / 2) * width
                parts.append(_bar(each, group, left, width, look))
    parts.append(_text((LEFT + WIDTH - RIGHT) / 2, height - 8, x_label, "label"))
    return _svg(title, parts, height)


def _wrapped(name: str, width: float) -> list[str]:
    """A group's name on lines that fit its slot; words may be joined by underscores."""
    characters = max(int(width / 6.5), 3)
    return textwrap.wrap(name.replace("_", " "), characters, max_lines=3, placeholder="…") or [name]


def _bar(each: GroupRates, group: str, left: float, width: float, look: int) -> str:
    rate = each.rates[group]
    top = _up(rate.estimate)
    told = f"{each.label}, {group}: {percent(rate.estimate)} of {each.n[group]} runs, {bounds(rate, percent)}"
    rect = (
        f'<rect class="bar" x="{left + 1:.1f}" y="{min(top, _up(0) - 1.5):.1f}" width="{max(width - 2, 1):.1f}" '
        f'height="{max(_up(0) - top, 1.5):.1f}"><title>{html.escape(told)}</title></rect>'
    )
    return f'<g class="s{look % SERIES}">{rect}{_whisker(left + width / 2, rate)}</g>'


def difference_chart(pairs: Sequence[PairedComparison], series: Sequence[int], *, title: str) -> str:
    """The difference in success with its interval, one line per comparison, around a line at zero."""
    height = max(TOP + _ROW * len(pairs) + BOTTOM, HEIGHT)
    middle, half = (_LABEL + WIDTH - 24) / 2, (WIDTH - 24 - _LABEL) / 2
    gap = (height - TOP - BOTTOM) / len(pairs)
    parts = []
    for tick in (-100, -50, 0, 50, 100):
        x = middle + tick / 100 * half
        parts.append(f'<path class="{"zero" if tick == 0 else "grid"}" d="M{x:.1f} {TOP}V{height - BOTTOM}"/>')
        parts.append(_text(x, height - BOTTOM + 18, f"{tick:+d}" if tick else "0", "tick"))
    for row, (pair, look) in enumerate(zip(pairs, series, strict=True)):
        found, y = pair.success.difference, TOP + gap * (row + 0.5)
        x = middle + found.estimate * half
        told = f"{pair.first} minus {pair.second}: {points(found.estimate)} points, {bounds(found, points)}"
        name = pair.second if len(pair.second) < 27 else f"{pair.second[:25]}…"
        whisker = ""
        if found.low is not None and found.high is not None:
            whisker = (
                f'<path class="whisker" d="M{middle + found.low * half:.1f} {y}H{middle + found.high * half:.1f}"/>'
            )
        parts.append(_text(_LABEL - 12, y + 4, name, "end", pair.second))
        parts.append(
            f'<g class="s{look % SERIES}">{whisker}<circle class="mark" cx="{x:.1f}" cy="{y}" r="5">'
            f"<title>{html.escape(told)}</title></circle></g>"
        )
    parts.append(_text(middle, height - 8, "difference in success, percentage points", "label"))
    return _svg(title, parts, height)


def legend(names: Sequence[str], series: Sequence[int]) -> str:
    """A list of names, each with its line's look."""
    rows = "".join(
        f'<li><svg class="s{look % SERIES}" viewBox="0 0 26 10" width="26" height="10" aria-hidden="true">'
        f'<path class="line" d="M1 5H25"/></svg>{html.escape(name)}</li>'
        for name, look in zip(names, series, strict=True)
    )
    return f'<ul class="legend">{rows}</ul>'


def nice_ticks(right: float, count: int = 6) -> list[float]:
    """Round numbers from 0 to at least `right`, at most about `count` of them."""
    rough = max(right, 1e-9) / count
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough * 0.999)
    return [round(index * step, 10) for index in range(math.ceil(right / step - 1e-9) + 1)]


def _decades(right: float) -> list[float]:
    return [float(10**power) for power in range(math.ceil(math.log10(right) - 1e-9) + 1)]


def _up(rate: float) -> float:
    return HEIGHT - BOTTOM - rate * (HEIGHT - BOTTOM - TOP)


def _whisker(x: float, rate: Interval) -> str:
    if rate.low is None or rate.high is None:
        return ""
    return f'<path class="whisker" d="M{x:.1f} {_up(rate.low):.1f}V{_up(rate.high):.1f}"/>'


def _rate_axis() -> str:
    lines = [
        f'<path class="{"zero" if tick == 0 else "grid"}" d="M{LEFT} {_up(tick / 100):.1f}H{WIDTH - RIGHT}"/>'
        + _text(LEFT - 8, _up(tick / 100) + 4, f"{tick}%", "end")
        for tick in (0, 25, 50, 75, 100)
    ]
    middle = (TOP + HEIGHT - BOTTOM) / 2
    label = f'<text class="label" transform="translate(12 {middle:.0f}) rotate(-90)">solved</text>'
    return "".join(lines) + label


def _cost_axis(ticks: Sequence[float], across: Callable[[float], float], label: str) -> str:
    marks = [_text(across(tick), HEIGHT - BOTTOM + 18, number(tick), "tick") for tick in ticks]
    return "".join(marks) + _text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 8, label, "label")


def _text(x: float, y: float, text: str, kind: str, full: str | None = None) -> str:
    title = f"<title>{html.escape(full)}</title>" if full is not None else ""
    return f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}">{html.escape(text)}{title}</text>'


def _svg(title: str, parts: Sequence[str], height: int) -> str:
    return (
        f'<svg class="chart" role="img" viewBox="0 0 {WIDTH} {height}" aria-label="{html.escape(title)}">'
        f"{''.join(parts)}</svg>"
    )
