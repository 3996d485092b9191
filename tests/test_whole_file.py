import pytest

from resdet.whole_file import replacing


def test_a_file_takes_the_others_place_when_it_is_whole(tmp_path):
    file = tmp_path / "x.txt"
    file.write_text("old")
    with replacing(file) as part:
        part.write_text("new")
        assert file.read_text() == "old"
    assert file.read_text() == "new"
    assert [*tmp_path.iterdir()] == [file]


@pytest.mark.parametrize("error", [KeyboardInterrupt(), ValueError("of another kind"), OSError(28, "No space left")])
def test_half_a_file_is_removed_and_the_old_one_stays(tmp_path, error):
    file = tmp_path / "x.txt"
    file.write_text("old")
    with pytest.raises(type(error)) as caught, replacing(file) as part:
        part.write_text("n")
        raise error
    assert [*tmp_path.iterdir()] == [file]
    assert file.read_text() == "old"
    if isinstance(error, OSError):
        assert caught.value.filename == str(file)


def test_what_the_disk_said_is_told_where_a_library_hides_it(tmp_path):
    with pytest.raises(OSError, match="No space left; what was saved before is as it was"), replacing(tmp_path / "x"):
        try:
            raise OSError(28, "No space left")
        except OSError:
            raise RuntimeError("unexpected position 64 against 0")  # noqa: B904 - as torch does
