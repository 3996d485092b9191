import ast
import io
import os
import sys
from pathlib import Path
from subprocess import PIPE, Popen, run

import pytest
import torch

from resdet import cli
from resdet.errors import InputError, UsageError


def run_raising(error, *words):
    def main(argv):
        raise error

    return cli.run(main, words)


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (InputError("x.xml: object 2:\nno box"), 1, "x.xml: object 2: no box"),
        (UsageError("unknown setting 'trian'"), 2, "unknown setting 'trian'"),
        (FileNotFoundError(2, "No such file or directory", "out/x.json"), 1, "out/x.json: No such file or directory"),
        (FloatingPointError("step 7: the loss is nan"), 1, "step 7: the loss is nan"),
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB. GPU 0"), 1, "a smaller batch needs less"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: 9 bytes. Error 12"), 1, "out of memory, a smaller"),
        (MemoryError("step 3: out of memory with 2 images"), 1, "py: step 3: out of memory with 2 images"),
        (KeyboardInterrupt(), 130, "interrupted"),
    ],
)
def test_an_expected_failure_is_one_line_and_a_code(capsys, error, code, line):
    assert run_raising(error) == code
    captured = capsys.readouterr()
    assert line in captured.err
    assert captured.err.count("\n") == 1
    assert captured.out == ""


PRINTS = """
import sys
from resdet import cli
def main(words):
    for _ in range(100000):
        print("a line")
sys.exit(cli.run(main))
"""


def test_output_that_nobody_reads_any_more_ends_the_work_without_a_word():
    with Popen([sys.executable, "-c", PRINTS], stdout=PIPE, stderr=PIPE, text=True) as process:
        assert process.stdout.readline() == "a line\n"
        process.stdout.close()
        assert process.stderr.read() == ""
    assert process.returncode == 1


TELLS = """
import os, sys
os.close(2)
sys.stderr = None  # as Python begins where it is closed
from resdet import cli
from resdet.progress import TrainingProgress, follow
def main(words):
    TrainingProgress(1, 1).say("a line")
    print(*follow([1, 2], 2, "work"))
    raise FileNotFoundError(2, "No such file", "x")
sys.exit(cli.run(main))
"""


def test_where_standard_error_is_closed_the_work_is_done_all_the_same():
    with Popen([sys.executable, "-c", TELLS], stdout=PIPE, text=True) as process:
        assert process.stdout.read() == "1 2\n"
    assert process.returncode == 1


def test_another_broken_pipe_is_a_failure_like_any_other(capsys):
    assert run_raising(BrokenPipeError(32, "Broken pipe")) == 1
    assert "Broken pipe" in capsys.readouterr().err


def test_a_traceback_comes_with_debug_only(capsys):
    assert run_raising(InputError("no box"), "--debug") == 1
    assert "Traceback" in capsys.readouterr().err


def test_a_fault_of_the_program_is_not_hidden():
    with pytest.raises(KeyError):
        run_raising(KeyError("x"))


def test_success_is_0_and_main_gets_the_arguments():
    seen = []
    assert cli.run(seen.append, ["a", "--b"]) == 0
    assert seen == [["a", "--b"]]


def test_what_may_not_be_written_is_told_before_the_work(tmp_path, monkeypatch):
    locked, file = tmp_path / "locked", tmp_path / "file.json"
    locked.mkdir()
    file.touch()
    monkeypatch.setattr(os, "access", lambda place, mode: Path(place) not in (locked, file))  # root may write anywhere
    for results in ({"files": [None, locked / "new.json"]}, {"folders": [locked]}, {"files": [file]}):
        with pytest.raises(PermissionError, match="may not be written"):
            cli.make_room(**results)
    cli.make_room(files=[tmp_path / "deep" / "new.json"], folders=[None, tmp_path / "out"])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["deep", "file.json", "locked", "out"]


def test_two_results_do_not_go_into_one_file(tmp_path):
    with pytest.raises(UsageError, match=r"b\.html: named for two results"):
        cli.make_room(files=[tmp_path / "b.html", tmp_path / "new" / ".." / "b.html"])
    cli.make_room(files=[Path(os.devnull), Path(os.devnull)])


def test_results_do_not_take_the_place_of_what_is_read(tmp_path):
    found = tmp_path / "found.jsonl"
    found.write_text("{}")
    with pytest.raises(UsageError, match=r"found\.jsonl: is read"):
        cli.make_room(files=[tmp_path / "new" / ".." / "found.jsonl"], reads=[None, "torchvision:NAME", found])
    cli.make_room(files=[tmp_path / "eval.json", Path(os.devnull)], reads=[found, os.devnull])


def test_weights_of_another_s_name_are_read_from_their_file(tmp_path):
    (tmp_path / "resnet.json").touch()
    weights = f"torchvision:ResNet18_Weights.IMAGENET1K_V1={tmp_path}/resnet.json"
    with pytest.raises(UsageError, match=r"resnet\.json: is read"):
        cli.make_room(files=[tmp_path / "resnet.json"], reads=[weights])


@pytest.mark.parametrize("above", ["", "deep/deeper"])
def test_a_file_where_a_folder_is_wanted_is_called_one(tmp_path, above):
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to("nowhere")
    for name, what in (("file", "a file"), ("link", "a link to nothing")):
        message = rf"{tmp_path}/{name}: {what}, where a folder is wanted"
        with pytest.raises(UsageError, match=message):
            cli.make_room(folders=[tmp_path / name / above])
        with pytest.raises(UsageError, match=message):
            cli.make_room(files=[tmp_path / name / above / "new.json"])
    cli.check_folder(tmp_path / "new" / above)
    assert not (tmp_path / "new").exists()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_really_may_not_be_written_is_told_before_the_work(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(PermissionError, match="may not be written"):
        cli.make_room(files=[tmp_path / "new.json"])
    tmp_path.chmod(0o700)


@pytest.mark.parametrize("script", sorted((Path(__file__).parents[1] / "tools").glob("*.py")), ids=lambda p: p.name)
def test_every_script_exits_with_the_code_it_is_given(script):
    last = ast.parse(script.read_text(encoding="utf-8")).body[-1]
    assert ast.unparse(last) == "if __name__ == '__main__':\n    sys.exit(cli.run(main))"


@pytest.mark.parametrize(
    ("encoding", "said"), [("ascii", b"\\xdcbel"), ("latin-1", b"\xdcbel"), ("utf-8", b"\xc3\x9cbel")]
)
def test_a_name_that_standard_output_has_no_letters_for_is_spelt_out(monkeypatch, encoding, said):
    output = io.BytesIO()
    monkeypatch.setattr("sys.stdout", io.TextIOWrapper(output, encoding=encoding))
    assert cli.run(lambda argv: print("Übel \udcff"), []) == cli.DONE
    sys.stdout.flush()
    assert output.getvalue() == said + b" \\udcff\n"


@pytest.mark.parametrize(
    "words",
    [
        ["tools/train_loc.py", "configs/loc/shapes.yaml"],
        ["tools/infer.py", "x.jpg", "--weights", "x.pt"],
        ["tools/eval_loc.py", "--weights", "x.pt", "--data", "shapes:x:val"],
    ],
    ids=lambda words: words[0],
)
def test_an_empty_word_is_no_folder_for_results(words):
    """As of a variable that a shell does not know: the results would go into the current folder."""
    command = [sys.executable, *words, "--out", ""]
    tried = run(command, cwd=Path(__file__).parents[1], capture_output=True, text=True, check=False)
    assert tried.returncode == 2
    assert tried.stderr.splitlines()[-1].endswith("argument --out: wanted a folder, got ''")


@pytest.mark.skipif(sys.platform != "linux", reason="names of files are in UTF-8 whatever the locale")
def test_a_locale_without_the_letters_of_a_files_name_is_one_line(tmp_path):
    for name in ("cat/ü.jpg", "dog/ö.jpg"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).touch()
    script = Path(__file__).parents[1] / "tools" / "check_data.py"
    odd = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    done = run(
        [sys.executable, script, f"folder:{tmp_path}"], env={**os.environ, **odd}, capture_output=True, text=True
    )
    assert done.returncode == 1
    assert done.stderr == (
        "check_data.py: names of files cannot be in ascii, as this locale has it: LC_ALL=C.UTF-8 helps\n"
    )
