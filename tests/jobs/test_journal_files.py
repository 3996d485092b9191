"""Files that have the name of a journal: what a kill has cut is gone on with, what is somebody's own is refused."""

import json

import pytest

from resdet.data.records import Classes
from resdet.errors import InputError, UsageError
from resdet.jobs.journal import Journal

RUN = {"inputs": "2 files (0a1b2c3d)", "--top-k": "5"}


@pytest.mark.parametrize(
    "content",
    [b"dear journal,\nnothing happened\n", b"dear journal", b"[1, 2]\n", b"\xff\xfe\x00\n", b"\n", b'{"input": 3'],
    ids=["text", "a line that does not end", "a list", "bytes", "an empty line", "another key"],
)
def test_a_file_that_is_no_journal_is_one_clear_error_and_stays(tmp_path, content):
    file = tmp_path / "journal-notes.jsonl"
    file.write_bytes(content)
    with pytest.raises(UsageError, match=r"journal-notes\.jsonl: not a journal of infer\.py"):
        Journal(tmp_path, RUN, 2)
    assert file.read_bytes() == content


@pytest.mark.parametrize("kept", [0, 1, 5, 12, 30])
def test_a_first_line_that_a_kill_has_cut_is_begun_again(tmp_path, kept):
    head = json.dumps(RUN) + "\n"
    (tmp_path / "journal-0.jsonl").write_text(head[:kept])
    (tmp_path / "journal-1.jsonl").write_bytes(head[:kept].encode() + bytes(9))  # a power cut may leave zeros
    journal = Journal(tmp_path, RUN, 2)
    assert not journal.done.any()
    journal.begin(0)
    journal.close(done=False)
    assert (tmp_path / "journal-0.jsonl").read_text() == head


GOOD = '{"file": "a.jpg", "width": 4, "height": 4, "detections": [], "error": null}'


@pytest.mark.parametrize(
    "key", ["[2, null]", "[-1, null]", '["a", null]', '"ab"', "[0, []]", "[0, true]", "[0, -1]", "[1.0, 0]", "[" * 9999]
)
def test_a_line_about_no_file_or_frame_of_the_run_ends_what_is_gone_on_with(tmp_path, key):
    lines = [json.dumps(RUN), f"[0, null]\t{GOOD}", f"{key}\t{GOOD}", f"[1, null]\t{GOOD}"]
    (tmp_path / "journal-0.jsonl").write_text("\n".join(lines) + "\n")
    journal = Journal(tmp_path, RUN, 2)
    assert journal.done.tolist() == [True, False]
    journal.begin(0)
    journal.close(done=False)
    assert (tmp_path / "journal-0.jsonl").read_text() == "\n".join(lines[:2]) + "\n"


@pytest.mark.parametrize("result", [b"", b"\xff\xfe", GOOD[:-1].encode(), b"{}", b'{"file": 3}', b"[]"])
def test_a_damaged_result_is_told_with_its_file(tmp_path, result):
    head = json.dumps(RUN).encode() + b"\n"
    (tmp_path / "journal-0.jsonl").write_bytes(head + b"[0, null]\t" + result + b"\n")
    with pytest.raises(InputError, match=rf"journal-0\.jsonl: damaged at byte {len(head)}: without this file"):
        list(Journal(tmp_path, RUN, 2).results(Classes(("n1",), ("a",))))


def test_a_first_line_of_brackets_alone_is_no_journal(tmp_path):
    (tmp_path / "journal-0.jsonl").write_text("[" * 9999 + "\n")
    with pytest.raises(UsageError, match="not a journal"):
        Journal(tmp_path, RUN, 2)
