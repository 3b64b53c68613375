"""Results on disk: what is written is read again, and a line that was cut short is not an item."""

import pytest

from langchain_linvit.errors import InvalidSettingError
from langchain_linvit.evaluation.results import INFO_FILE, ITEMS_FILE, ExperimentInfo, ExperimentResults, ItemRecord


def write(folder, records, ending=""):
    info = ExperimentInfo(name="e", benchmark="b", method="m", prior="p", items=["x", "y"], repetitions=2)
    (folder / INFO_FILE).write_text(info.model_dump_json())
    text = "".join(record.model_dump_json() + "\n" for record in records)
    (folder / ITEMS_FILE).write_text(text + ending)


def test_records_come_back_in_the_order_of_the_items(tmp_path):
    records = [ItemRecord(item=item, repetition=n, scores={"success": 1.0}) for item, n in (("y", 1), ("x", 0))]
    write(tmp_path, records)
    loaded = ExperimentResults.load(tmp_path)
    assert [record.key for record in loaded.records] == [("x", 0), ("y", 1)]
    assert not loaded.complete


def test_a_line_that_was_cut_short_is_no_item(tmp_path):
    write(tmp_path, [ItemRecord(item="x")], ending='{"item": "y", "repe')
    assert [record.item for record in ExperimentResults.load(tmp_path).records] == ["x"]


def test_a_broken_line_in_the_middle_is_an_error(tmp_path):
    write(tmp_path, [ItemRecord(item="x")], ending="nonsense\n")
    with pytest.raises(InvalidSettingError, match="line 2"):
        ExperimentResults.load(tmp_path)


def test_a_folder_without_results_is_an_error(tmp_path):
    with pytest.raises(InvalidSettingError, match="no experiment"):
        ExperimentResults.load(tmp_path)


def test_all_repetitions_of_all_items_are_complete(tmp_path):
    write(tmp_path, [ItemRecord(item=item, repetition=n) for item in "xy" for n in range(2)])
    assert ExperimentResults.load(tmp_path).complete
