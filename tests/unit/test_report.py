"""Reports as text: what they say, that nothing in them can do anything, and that they stay small."""

import base64
import hashlib
import json
import re
from html.parser import HTMLParser

import pytest
from experiments import experiment, hostile, outcomes

from langchain_linvit.errors import InvalidSettingError
from langchain_linvit.evaluation import write_markdown, write_report
from langchain_linvit.evaluation.report_data import embedded, kept_nodes, page_data, plain_text
from langchain_linvit.evaluation.results import ExperimentResults, ItemRecord
from langchain_linvit.planner.result import TreeNode

FAST = {"resamples": 99}


class Parsed(HTMLParser):
    """The elements of a page, their attributes, and the text of those that matter here."""

    def __init__(self, page):
        super().__init__()
        self.elements, self.texts, self._open = [], {}, None
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))
        self._open = f"{tag}#{dict(attributes).get('id', '')}"

    def handle_data(self, data):
        self.texts[self._open] = self.texts.get(self._open, "") + data

    def tags(self):
        return {tag for tag, _ in self.elements}


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    path = tmp_path_factory.mktemp("report") / "report.html"
    methods = ("slinvit", "greedy", "slinvit_oracle")
    write_report([experiment(method) for method in methods], path, title="A & B", **FAST)
    return path.read_text(encoding="utf-8")


def test_one_file_that_asks_for_nothing(page):
    parsed = Parsed(page)
    assert not parsed.tags() & {"img", "iframe", "object", "embed", "base", "a", "image", "use"}
    for tag, attributes in parsed.elements:
        assert not {"src", "srcset", "style", "action", "data", "xlink:href"} & set(attributes), (tag, attributes)
        assert not [name for name in attributes if name.startswith("on")], (tag, attributes)
        assert attributes.get("href") in (None, "data:,")
    assert "http://" not in page
    assert "https://" not in page
    assert "url(" not in page


def test_the_policy_allows_this_script_and_style_only(page):
    policy = next(a["content"] for _, a in Parsed(page).elements if a.get("http-equiv") == "Content-Security-Policy")
    directives = dict(part.split(" ", 1) for part in policy.split("; "))
    assert directives["default-src"] == "'none'"
    assert "unsafe" not in policy
    assert directives["require-trusted-types-for"] == "'script'"
    for kind, tag in (("script-src", "script"), ("style-src", "style")):
        (text,) = re.findall(rf"<{tag}>(.*?)</{tag}>", page, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert directives[kind] == f"'sha256-{digest}'"


def test_tables_say_what_was_measured(page):
    assert "<title>A &amp; B</title>" in page
    assert '<th scope="row" class="words">slinvit</th>' in page
    assert "slinvit against greedy" in page
    assert "slinvit against slinvit_oracle" in page
    assert "McNemar&#x27;s exact test: p = 0.00781" in page
    assert "log π of" in page
    assert "slinvit_oracle uses an oracle" in page


def test_every_run_is_in_the_data(page):
    data = json.loads(Parsed(page).texts["script#data"])
    assert len(data["items"]) == 9
    assert all(len(item["runs"]) == 3 for item in data["items"])
    assert [each["oracle"] for each in data["experiments"]] == [False, False, True]
    run = data["items"][-1]["runs"][0]
    record = experiment("slinvit").records[-1]
    assert [step["a"] for step in run["plan"]["steps"]] == record.result.plan
    assert [node["k"] for node in run["plan"]["tree"]] == [node.status for node in record.result.tree]
    parents = {node.id: place for place, node in enumerate(record.result.tree)}
    assert [node.get("u") for node in run["plan"]["tree"]] == [parents.get(node.parent) for node in record.result.tree]


def test_the_same_results_give_the_same_page(page, tmp_path):
    again = tmp_path / "again.html"
    methods = ("slinvit", "greedy", "slinvit_oracle")
    write_report([experiment(method) for method in methods], again, title="A & B", **FAST)
    assert again.read_text(encoding="utf-8") == page


def test_hostile_text_adds_no_element(page, tmp_path):
    path = tmp_path / "hostile.html"
    write_report([hostile("a"), hostile("b")], path, title="<img src=x onerror=alert(1)>", **FAST)
    parsed = Parsed(path.read_text(encoding="utf-8"))
    assert parsed.tags() <= Parsed(page).tags()
    assert len([tag for tag, _ in parsed.elements if tag == "script"]) == 2
    assert not [name for _, attributes in parsed.elements for name in attributes if name.startswith("on")]
    assert "</script><script>" in json.dumps(json.loads(parsed.texts["script#data"]))


def test_embedded_data_cannot_end_a_script_and_come_back_whole():
    evil = {"x": "</script><!--<script>&lt;\u2028\u2029"}
    text = embedded(evil)
    assert not set("<>&\u2028\u2029") & set(text)
    assert json.loads(text) == evil


def test_plain_text_has_no_character_that_a_page_obeys():
    assert plain_text("a\x00b\x1b[2J\u202ec\ud800\r\nd\te") == "a�b�[2J�c?\nd\te"
    assert plain_text("x" * 50, 10) == "xxxxxxxxxx… (50 characters)"


def node(name, parent, status="open", solved=None):
    return TreeNode(id=name, parent=parent, text=name, decision=0, status=status, solved=solved)


def test_a_cut_tree_keeps_what_matters_with_its_ancestors():
    tree = [
        node("root", None, "root"), node("a", "root", "pruned"), node("b", "root", "kept"), node("c", "root", "chosen"),
        node("d", "a", "open", solved=True), node("e", "b", "pruned"), node("f", "c", "chosen"),
    ]  # fmt: skip
    assert [each.id for each in kept_nodes(tree, 7)] == ["root", "a", "b", "c", "d", "e", "f"]
    assert [each.id for each in kept_nodes(tree, 5)] == ["root", "a", "c", "d", "f"]
    assert [each.id for each in kept_nodes(tree, 3)] == ["root", "c", "f"]


def test_a_tree_whose_nodes_are_each_others_parents_is_cut_all_the_same():
    assert kept_nodes([node("a", "b"), node("b", "a"), node("c", "c")], 2)


def test_large_experiments_stay_a_page_that_a_browser_can_hold():
    base = experiment("slinvit").records[-1]
    tree = [node("root", None, "root"), *(node(str(n), "root") for n in range(700))]
    plan = base.result.model_copy(update={"tree": tree})
    items = [str(number) for number in range(200)]
    records = [base.model_copy(update={"item": item, "result": plan}) for item in items]
    results = ExperimentResults(experiment("slinvit").info.model_copy(update={"items": items}), records)
    data = page_data([results], ["slinvit"], [0], [])
    plans = [run["plan"] for item in data["items"] for run in item["runs"]]
    assert sum(len(each["tree"]) for each in plans) <= 40_000
    assert all(len(each["tree"]) + each["more_nodes"] == 701 for each in plans)
    assert len(embedded(data)) < 5_000_000


def test_numbers_that_json_does_not_know_are_left_out(tmp_path):
    record = experiment("slinvit").records[0]
    odd = record.result.tree[1].model_copy(update={"value": float("nan"), "log_prob": float("-inf")})
    plan = record.result.model_copy(update={"tree": [record.result.tree[0], odd]})
    scores = {"success": 1.0, "x": float("inf")}
    results = outcomes("a", "1")
    results.records[:] = [record.model_copy(update={"item": "0", "result": plan, "scores": scores})]
    write_report([results], tmp_path / "page.html", **FAST)
    run = json.loads(Parsed((tmp_path / "page.html").read_text()).texts["script#data"])["items"][0]["runs"][0]
    assert "v" not in run["plan"]["tree"][1]
    assert run["scores"] == {"x": None}


def test_compares_within_a_budget(tmp_path):
    results = [outcomes(name, marks, budget={"completions": n})
               for n in (4, 16) for name, marks in (("a", "1100"), ("b", "1000"))]  # fmt: skip
    text = write_markdown(results, **FAST)
    assert "a, ≤ 4 completions against b, ≤ 4 completions" in text
    assert "a, ≤ 16 completions against b, ≤ 16 completions" in text
    assert "different budgets" not in text


def test_who_is_alone_at_its_budget_is_compared_with_the_first_and_that_is_said():
    text = write_markdown([outcomes("a", "1100", budget={"completions": 9}), outcomes("b", "1000")], **FAST)
    assert "**a against b**" in text
    assert "Warning: different budgets: ≤ 9 completions and no bound" in text


def test_benchmarks_have_sections_of_their_own():
    text = write_markdown([outcomes("a", "10", benchmark="x"), outcomes("a", "10", benchmark="y")], **FAST)
    assert "**x**" in text
    assert "**y**" in text
    assert "against" not in text


def test_markdown_has_the_tables_and_goes_to_a_file(tmp_path):
    path = tmp_path / "report.md"
    text = write_markdown([experiment("slinvit"), experiment("greedy")], path, title="On *this*", **FAST)
    assert path.read_text(encoding="utf-8") == text
    assert text.startswith("## On \\*this\\*\n")
    assert "| slinvit | novice | rules | 9 | 88.9% |" in text
    assert "**slinvit against greedy**" in text


def test_hostile_names_are_no_markup_in_markdown():
    text = write_markdown([hostile("a"), hostile("b")], **FAST)
    assert "<script" not in text
    assert "<img" not in text
    assert all(line.count("|") - line.count("\\|") in (0, 12, 7) for line in text.splitlines())


def test_no_records_are_an_error(tmp_path):
    empty = ExperimentResults(outcomes("a", "1").info, [])
    with pytest.raises(InvalidSettingError, match="at least one experiment"):
        write_report([empty], tmp_path / "page.html")


def test_a_place_that_cannot_be_written_is_an_error(tmp_path):
    with pytest.raises(InvalidSettingError, match="can't be written"):
        write_report([outcomes("a", "1")], tmp_path / "nowhere" / "page.html", **FAST)


def test_experiments_without_a_common_item_are_reported_side_by_side():
    a, b = outcomes("a", "1"), outcomes("b", "1")
    b.records[:] = [ItemRecord(item="other", scores={"success": 1.0})]
    assert "against" not in write_markdown([a, b], **FAST)
