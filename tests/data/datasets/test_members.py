"""Archives are read where they lie, and what has no business in them is refused by name."""

import io
import stat
import tarfile
import tracemalloc
import zipfile

import pytest

from folk.data.datasets import miniature
from folk.data.datasets.members import open_archive
from folk.evidence.core.errors import InputError
from tests.faults.table import fault

FORMS = pytest.mark.parametrize("form", [".zip", ".tar", ".gz"])
FILES = {"top/a/1.jpg": b"x" * 700, "top/b/2.jpg": b"y" * 512, "top/README.txt": b"about"}


def write(path, form, files=FILES):
    return miniature.write_archive(path.with_suffix(form), files).rename(path)


def contents(path):
    with open_archive(path) as files:
        return {member.name: member.read() for member in files}


@FORMS
def test_every_form_gives_the_same_files_whatever_its_name_says(tmp_path, form):
    assert contents(write(tmp_path / "archive.bin", form)) == FILES


@FORMS
def test_members_can_be_read_in_another_order(tmp_path, form):
    with open_archive(write(tmp_path / "archive", form)) as files:
        found = list(files)
        assert [member.read() for member in reversed(found)] == list(reversed(FILES.values()))


def test_hidden_files_and_what_macos_adds_are_passed_over(tmp_path):
    odd = {"./a/.DS_Store": b"x", "__MACOSX/a/1.jpg": b"x", "a/._1.jpg": b"x", "./a/1.jpg": b"1"}

    assert contents(miniature.write_archive(tmp_path / "a.tar", odd)) == {"a/1.jpg": b"1"}


def test_long_names_survive(tmp_path):
    name = f"{'deep/' * 40}{'long' * 30}.jpg"

    assert list(contents(miniature.write_archive(tmp_path / "a.tar", {name: b"1"}))) == [name]


@fault(
    "Hostile input",
    "an archive with absolute paths, `..`, backslashes or drives in its names",
    "refused, archive and name are named; nothing is ever unpacked",
)
@pytest.mark.parametrize("form", ["zip", "tar", "tar.gz"])
@pytest.mark.parametrize(
    "name", ["../a.jpg", "a/../../b.jpg", "/etc/passwd", "a\\..\\b.jpg", "C:/a.jpg", "a\n.jpg"]
)
def test_a_name_that_leads_elsewhere_is_refused(tmp_path, form, name):
    path = tmp_path / "archive"
    if form == "zip":
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr(name, b"x")
    else:
        mode = "w" if form == "tar" else "w:gz"
        with tarfile.open(path, mode) as tar:
            info = tarfile.TarInfo(name)
            info.size = 1
            tar.addfile(info, io.BytesIO(b"x"))

    with pytest.raises(InputError, match="leads out of the archive or is no plain path") as error:
        contents(path)
    assert "\n" not in str(error.value)


@fault(
    "Hostile input",
    "an archive with links, devices or pipes",
    "refused, archive and name are named",
)
@pytest.mark.parametrize(
    "kind",
    [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE],
)
def test_links_and_devices_are_refused(tmp_path, kind):
    with tarfile.open(tmp_path / "a.tar", "w") as tar:
        info = tarfile.TarInfo("a/1.jpg")
        info.type, info.linkname = kind, "/etc/passwd"
        tar.addfile(info)

    with pytest.raises(InputError, match=r"a\.tar: 'a/1\.jpg' is no plain file"):
        contents(tmp_path / "a.tar")


@fault(
    "Hostile input",
    "a zip with a link",
    "refused, archive and name are named",
)
def test_a_link_in_a_zip_is_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        info = zipfile.ZipInfo("a/1.jpg")
        info.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(info, "/etc/passwd")

    with pytest.raises(InputError, match=r"'a/1\.jpg' is no plain file"):
        contents(tmp_path / "a.zip")


@fault(
    "Bytes",
    "an archive that is cut short",
    "refused: `damaged or cut short; get it again`",
)
@FORMS
@pytest.mark.parametrize("share", [0.0, 0.3, 0.5, 0.6])
def test_an_archive_that_is_cut_short_is_refused(tmp_path, form, share):
    path = tmp_path / "archive"
    many = {f"a/{i}.jpg": miniature.image(i) for i in range(20)}
    whole = write(path, form, many).read_bytes()
    path.write_bytes(whole[: int(len(whole) * share)])

    with pytest.raises(InputError, match="archive"):
        contents(path)


def test_a_tar_that_ends_between_two_files_is_refused(tmp_path):
    path = miniature.write_archive(tmp_path / "a.tar", {"1.jpg": b"x", "2.jpg": b"y"})
    path.write_bytes(path.read_bytes()[:1024])

    with pytest.raises(InputError, match=r"a\.tar: damaged or cut short"):
        contents(path)


@fault(
    "Bytes",
    "a damaged header within a tar",
    "refused: it does not pass for the end of the archive",
)
def test_a_damaged_header_does_not_pass_for_the_end(tmp_path):
    path = miniature.write_archive(tmp_path / "a.tar", {"1.jpg": b"x", "2.jpg": b"y"})
    data = bytearray(path.read_bytes())
    data[1024 + 5] ^= 0xFF  # in the name of the second file, so its sum is wrong
    path.write_bytes(data)

    with pytest.raises(InputError, match=r"a\.tar: damaged or cut short"):
        contents(path)


@fault(
    "Bytes",
    "a damaged image in a zip",
    "refused by its checksum, the image is named",
)
def test_a_damaged_member_of_a_zip_is_refused(tmp_path):
    path = miniature.write_archive(tmp_path / "a.zip", {"1.jpg": b"some bytes of an image"})
    path.write_bytes(path.read_bytes().replace(b"some bytes", b"same bytes"))

    with pytest.raises(InputError, match=r"1\.jpg: damaged or cut short"):
        contents(path)


@pytest.mark.parametrize("form", [".tar", ".gz"])
@pytest.mark.slow
def test_memory_does_not_grow_with_the_number_of_files(tmp_path, form):
    path = write(tmp_path / "archive", form, {f"{i}.jpg": b"x" for i in range(4000)})

    with open_archive(path) as files:
        tracemalloc.start()
        assert sum(len(member.read()) for member in files) == 4000
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()

    assert peak < 2**20  # a description of each would take four times as much


def test_a_missing_archive_is_named(tmp_path):
    with pytest.raises(InputError, match=r"val\.tar: no such archive"):
        contents(tmp_path / "val.tar")
