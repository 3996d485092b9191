"""What damaged files brought to light: each was another exception, a hang, or a message as long as the file."""

import numpy as np
import pytest
import torch
from good_files import records, torch_file

from resdet.config import DetConfig, load_config
from resdet.data import pixel_mean
from resdet.data.formats.named_files import inside
from resdet.engine import checkpoint
from resdet.errors import LONGEST, InputError, UsageError
from resdet.eval.blacklist import blacklisted
from resdet.report.runs import read_history
from resdet.tensor_file import read_tensors


@pytest.mark.parametrize(
    "text",
    [
        "train: {lr: 2001-99-99}",  # no such day
        "train: {lr: 0b_}",  # digits are all that is missing
        f"train: {{lr: {'9' * 5000}}}",  # more digits than Python reads
        "train: {lr: !!int ''}",
        "train: {lr: !!bool x}",
        "train: {lr: !!timestamp x}",
        "train: !!map [a]",
        "- " * 5000,
        "[" * 500,
    ],
)
def test_yaml_that_its_reader_stumbles_over_is_no_yaml(tmp_path, text):
    (tmp_path / "a.yaml").write_text(text)
    with pytest.raises(UsageError, match=r"a\.yaml: not YAML: ."):
        load_config(DetConfig, tmp_path / "a.yaml")


def test_aliases_of_aliases_are_not_followed(tmp_path):
    lines = ["data: &a0 [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]"]
    lines += [f"m{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 20)]  # 10 ** 20 numbers
    (tmp_path / "a.yaml").write_text("\n".join(lines))
    with pytest.raises(UsageError, match=r"wanted settings written out, got the alias \*a0"):
        load_config(DetConfig, tmp_path / "a.yaml")
    (tmp_path / "a.yaml").write_text("data: &a {train: *a}")
    with pytest.raises(UsageError, match=r"alias \*a"):
        load_config(DetConfig, tmp_path / "a.yaml")


def test_a_config_of_any_size_is_not_read_into_memory(tmp_path):
    with (tmp_path / "a.yaml").open("wb") as sparse:
        sparse.truncate(2**40)
    with pytest.raises(UsageError, match="larger than 256 KiB"):
        load_config(DetConfig, tmp_path / "a.yaml")


def test_a_number_of_thousands_of_digits_is_no_image(tmp_path):
    (tmp_path / "b.txt").write_text("9" * 5000)
    with pytest.raises(InputError, match=r"b\.txt:1: wanted the number of an image"):
        blacklisted(records(), str(tmp_path / "b.txt"))


def test_a_name_longer_than_disks_allow_is_no_file():
    assert inside(f"{'a' * 255}/{'b' * 255}", "list.txt:1")
    for name in ("a" * 256, "é" * 128, f"a/{'b' * 256}"):
        with pytest.raises(InputError, match=r"list\.txt:1: no file can be named"):
            inside(name, "list.txt:1")


def test_a_header_of_numpy_that_is_no_python_is_no_array(tmp_path):
    for header in (b"{'descr': \0}", b"{'descr': (", b"{'descr': '<f4'"):
        magic = b"\x93NUMPY\x01\0" + len(header).to_bytes(2, "little")
        (tmp_path / "m.npy").write_bytes(magic + header)
        with pytest.raises(InputError, match=r"m\.npy: wanted a mean image"):
            pixel_mean.read(tmp_path / "m.npy", 4)
    np.save(tmp_path / "m.npy", np.array([{}], dtype=object), allow_pickle=True)
    with pytest.raises(InputError, match=r"m\.npy: wanted a mean image"):
        pixel_mean.read(tmp_path / "m.npy", 4)


def test_a_line_of_metrics_that_is_nested_deeply_is_no_line(tmp_path):
    (tmp_path / "metrics.jsonl").write_text('{"a": ' * 100_000 + "\n")
    with pytest.raises(InputError, match=r"metrics\.jsonl:1: not a line of JSON"):
        read_history(tmp_path, "top1_error")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        *(("task", 3), ("config", [1]), ("step", "3"), ("metrics", None), ("resume", 1), ("class_ids", 5)),
        *(("class_ids", (1, 2)), ("class_names", ("a",)), ("class_ids", ("n1", "n1")), ("model", {"w": 3})),
        *(("model", {3: torch.ones(1)}), ("model", None), ("format", torch.tensor([1, 1]))),
    ],
)
def test_a_checkpoint_with_something_else_in_it_is_none_of_ours(tmp_path, key, value):
    file = tmp_path / "w.pt"
    file.write_bytes(torch_file())
    content = torch.load(file, weights_only=True)
    checkpoint.load(file)
    torch.save({**content, key: value}, file)
    with pytest.raises(InputError, match=r"w\.pt: (not a checkpoint of resdet's|a checkpoint (without|of format))"):
        checkpoint.load(file)


def test_a_metric_of_hundreds_of_digits_is_not_known(tmp_path):
    (tmp_path / "metrics.jsonl").write_text(f'{{"epoch": 1, "val/top1_error": {"9" * 400}}}\n')
    (tmp_path / "config.yaml").write_text("model: {backbone: {shortcut: B}}\n")
    assert np.isnan(read_history(tmp_path, "top1_error").validation).all()


def test_what_is_told_of_a_file_moves_no_cursor_and_can_be_written_to_any_stream(tmp_path):
    text = str(InputError("caf\udce9.pkl: got \0\x1b[2J\u202e\u2028, not é or 热狗"))
    assert text == r"caf\udce9.pkl: got \x00\x1b[2J\u202e\u2028, not é or 热狗"
    (tmp_path / "w.pkl").write_bytes(b"\x80\x02c\x1b[2J\nsystem\n.")
    with pytest.raises(InputError, match=r"w\.pkl: refused.*got \\x1b\[2J\.system"):
        read_tensors(tmp_path / "w.pkl")


def test_what_is_told_of_a_file_is_not_as_long_as_the_file():
    text = str(InputError("a.txt:3: wanted a number, got '" + "9" * 10**6 + "' in the end"))
    assert len(text) < LONGEST
    assert text.startswith("a.txt:3: wanted a number, got '999")
    assert text.endswith("999' in the end")
    assert str(UsageError("short")) == "short"
    caught = "Caught InputError in DataLoader worker process 0.\n" + "frame\n" * 999 + "InputError: a.jpg: not found"
    assert str(InputError(caught)) == caught
