"""Reports in a real browser: rows, filters, trees and keys work; what models wrote does nothing."""

import pytest
from experiments import METHODS, experiment, hostile, outcomes

from langchain_linvit.evaluation import write_report
from langchain_linvit.evaluation.results import ExperimentResults
from tests.integration.browser import browser_path, chromium

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(browser_path() is None, reason="no Chromium is installed; .ci/install-browser installs it"),
]
FAST = {"resamples": 99}
TEXT = "document.getElementById('{}').textContent"
COUNT = TEXT.format("count")


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    with chromium(tmp_path_factory.mktemp("profile")) as page:
        yield page


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    """A report of four methods on nine items."""
    path = tmp_path_factory.mktemp("report") / "report.html"
    write_report([experiment(method) for method in METHODS], path, title="Nine problems", **FAST)
    return path


@pytest.fixture
def page(browser, report):
    browser.open(report)
    yield browser
    assert browser.logged == []
    assert list(browser.requested.values()) == [report.as_uri()]


def choose(page, field, value):
    """Set a filter as a person does."""
    page.run(
        f"(() => {{ const field = document.getElementById('filter-{field}'); field.value = {value!r};"
        "field.dispatchEvent(new Event(field.tagName === 'INPUT' ? 'input' : 'change')); })()"
    )
    page.run("new Promise((resolve) => setTimeout(resolve, 400))")  # the text filter waits for the next key


def chips(page):
    return page.run("[...document.querySelectorAll('.chip')].map((chip) => chip.textContent)")


def test_shows_its_rows(page):
    assert page.run("document.title") == "Nine problems"
    assert page.run("document.querySelectorAll('.item').length") == 9
    assert len(chips(page)) == 36
    assert page.run(COUNT) == "9 items, 36 runs"
    assert page.run("document.querySelectorAll('svg.chart').length") == 4
    assert page.run("document.querySelector('#items noscript').checkVisibility()") is False


def test_filters_by_method_group_outcome_and_text(page):
    choose(page, "method", "1")
    assert page.run(COUNT) == "9 items, 9 runs"
    assert all("greedy" in chip for chip in chips(page))
    choose(page, "outcome", "solved")
    assert page.run(COUNT) == "No run matches these filters."
    choose(page, "method", "0")
    choose(page, "group", '["optimal_steps","6"]')
    solved = [
        record for record in experiment("slinvit").records if record.metadata["optimal_steps"] == 6 and record.success
    ]
    assert page.run(COUNT) == f"{len(solved)} of 9 items, {len(solved)} runs"
    choose(page, "text", "ORANGE block is on top of the red")
    assert [solved[-1].item] == page.run("[...document.querySelectorAll('.item-id')].map((id) => id.textContent)")
    page.run("document.querySelector('#filters button').click(); new Promise((resolve) => setTimeout(resolve, 50))")
    assert page.run(COUNT) == "9 items, 36 runs"


def test_finds_where_methods_disagree(page):
    choose(page, "outcome", "differ")
    by_item = zip(*(experiment(method).records for method in METHODS), strict=True)
    differing = sum(len({record.success for record in records}) > 1 for records in by_item)
    assert page.run(COUNT).startswith(f"{differing} ")


def test_a_run_opens_with_its_trajectory_and_tree(page):
    record = experiment("slinvit").records[-1]
    page.run("document.querySelectorAll('.item')[8].querySelector('.chip').click()")
    actions = page.run("[...document.querySelectorAll('.run .action')].map((action) => action.textContent)")
    assert actions == [step.action for step in record.result.trajectory]
    assert "novice: " in page.run("document.querySelector('.facts').textContent")
    assert page.run("location.hash") == "#run-8-0"
    decisions = {node.decision for node in record.result.tree if node.status != "root"}
    assert page.run("document.querySelectorAll('.decision').length") == len(decisions)
    page.run("document.querySelector('.tree-tools button').click()")
    nodes = page.run("[...document.querySelectorAll('.tree .what')].map((what) => what.textContent)")
    shown = sorted(node.text + (" ✓ solved" if node.solved else "") for node in record.result.tree[1:])
    assert sorted(nodes) == sorted([*shown, *["proposal"] * len(decisions)]) or sorted(nodes) == shown
    chosen = page.run("[...document.querySelectorAll('.tree .k-chosen .what')].map((what) => what.textContent)")
    assert [text.removesuffix(" ✓ solved") for text in chosen if text.removesuffix(" ✓ solved") in actions]
    page.run("document.querySelectorAll('.item')[8].querySelector('.chip').click()")
    assert page.run("document.querySelectorAll('.run').length") == 0


def test_pruned_nodes_can_be_hidden(page):
    page.run("document.querySelectorAll('.item')[8].querySelector('.chip').click()")
    page.run("document.querySelector('.tree-tools button').click()")
    visible = "[...document.querySelectorAll('.tree li')].filter((node) => node.checkVisibility()).length"
    before = page.run(visible)
    page.run("document.querySelector('.tree-tools input').click()")
    assert 0 < page.run(visible) < before
    assert page.run("[...document.querySelectorAll('.k-pruned')].some((node) => node.checkVisibility())") is False


def test_oracles_are_marked_wherever_they_show(page):
    assert sum("oracle12" in chip or "oracle" in chip for chip in chips(page)) == 9
    page.run("document.querySelectorAll('.item')[8].querySelectorAll('.chip')[3].click()")
    assert "it saw the benchmark's verdict" in page.run("document.querySelector('.run').textContent")


def test_works_by_keyboard(page):
    page.run("document.getElementById('filter-outcome').focus()")
    page.press("Tab")
    page.press("Tab")
    assert page.run("document.activeElement.className").startswith("chip")
    page.press("Enter")
    assert page.run("document.activeElement.getAttribute('aria-expanded')") == "true"
    page.run("document.querySelectorAll('.chip')[24].focus()")  # a longer problem takes several decisions
    page.press("Enter")
    page.run("document.querySelectorAll('.run')[1].querySelectorAll('.decision > summary')[1].focus()")
    page.press("Enter")
    assert page.run("document.querySelectorAll('.run')[1].querySelectorAll('.decision')[1].open") is True


def test_an_address_opens_its_run(browser, report):
    browser.open(report, "#run-4-1")
    assert browser.run("document.querySelector('.run h3').textContent") == "greedy"


def test_a_page_is_shown_in_parts(browser, tmp_path):
    write_report([outcomes("a", "10" * 60)], tmp_path / "page.html", **FAST)
    browser.open(tmp_path / "page.html")
    assert browser.run("document.querySelectorAll('.item').length") == 50
    browser.run("document.getElementById('more').click()")
    assert browser.run("document.querySelectorAll('.item').length") == 100
    assert browser.run(TEXT.format("more")) == "Show more (20 left)"


def test_nothing_that_models_wrote_does_anything(browser, tmp_path):
    path = tmp_path / "page.html"
    write_report([hostile("a"), hostile("b")], path, title="</title><script>document.title='owned'</script>", **FAST)
    browser.open(path)
    browser.run("document.querySelectorAll('.chip').forEach((chip) => chip.click())")
    browser.run("document.querySelectorAll('.tree-tools button:first-child').forEach((button) => button.click())")
    browser.run("new Promise((resolve) => setTimeout(resolve, 200))")
    assert "owned" not in browser.run("document.title").replace("document.title='owned'", "")
    assert browser.run("document.querySelectorAll('img, iframe, script:not(body > script)').length") == 0
    assert browser.run("document.querySelectorAll('script').length") == 2
    assert "<img src=x onerror=" in browser.run("document.querySelector('.run').textContent")
    assert browser.logged == []
    assert list(browser.requested.values()) == [path.as_uri()]


def test_the_policy_stops_what_slips_through(browser, report, tmp_path):
    """A page whose escaping failed: script, image and style are in it, and none of them comes to anything."""
    slipped = (
        "<script>document.title='owned'</script>"
        "<img src='https://example.org/x.png' onerror=\"document.title='owned'\">"
        "<link rel=stylesheet href='https://example.org/x.css'><p style='color:red' id=slipped>x</p></main>"
    )
    path = tmp_path / "slipped.html"
    path.write_text(report.read_text(encoding="utf-8").replace("</main>", slipped), encoding="utf-8")
    browser.open(path)
    tried = "fetch('https://example.org/').then(() => 'sent', () => 'refused')"
    assert browser.run(tried) == "refused"
    assert browser.run("document.title") == "Nine problems"
    assert browser.run("getComputedStyle(document.getElementById('slipped')).color") != "rgb(255, 0, 0)"
    with pytest.raises(Exception, match="TrustedHTML"):
        browser.run("document.body.innerHTML = '<b>x</b>'")
    assert sum("Content Security Policy" in line for line in browser.logged) >= 4
    assert list(browser.requested.values()) == [path.as_uri()]


def contrast(page, selector):
    """The contrast of an element's text with the first opaque background behind it (WCAG 2.2, 1.4.3)."""
    return page.run(
        "(() => { const rgb = (text) => text.match(/[\\d.]+/g).map(Number);"
        "const linear = (v) => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;"
        "const light = (c) => c.slice(0, 3).map((v) => linear(v / 255))"
        ".reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);"
        f"const e = document.querySelector({selector!r}); let b = e;"
        "while (b.parentElement && (rgb(getComputedStyle(b).backgroundColor)[3] ?? 1) === 0) b = b.parentElement;"
        "const [x, y] = [light(rgb(getComputedStyle(e).color)), light(rgb(getComputedStyle(b).backgroundColor))];"
        "return (Math.max(x, y) + 0.05) / (Math.min(x, y) + 0.05); })()"
    )


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_text_stands_out_by_day_and_by_night(browser, report, dark):
    browser.open(report, "#run-8-3", dark=dark)
    for selector in ("h1", ".lede", ".note", ".warning", ".chip .cost", ".chip .icon", ".oracle-mark", ".badge",
                     ".item-text", ".tag", ".k-chosen .tag", ".verdict", ".metrics", ".step .below"):  # fmt: skip
        assert contrast(browser, selector) >= 4.5, selector


def test_fits_a_phone(browser, report):
    browser.open(report, "#run-8-0", width=390, height=800)
    assert browser.run("document.documentElement.scrollWidth") <= 390


def test_failed_and_missing_runs_are_shown_as_such(browser, tmp_path):
    failed = outcomes("a", "00")
    records = [failed.records[0].model_copy(update={"error": "the server is gone"})]
    write_report([ExperimentResults(failed.info, records)], tmp_path / "page.html", **FAST)
    browser.open(tmp_path / "page.html", "#run-0-0")
    assert "a: 1 runs are missing" in browser.run("document.body.textContent")
    assert "run failed" in browser.run("document.querySelector('.run').textContent")
    assert "the server is gone" in browser.run("document.querySelector('.run').textContent")
