"""Files are asked once each, the largest first, on the cores that a process may use."""

import threading

import pytest

from folk.evidence.core.each_file import of_each_file


@pytest.fixture
def files(tmp_path):
    sizes = {"b": 1, "a": 1, "large": 900, "none": None, "middle": 30}
    for name, size in sizes.items():
        if size is not None:
            (tmp_path / name).write_bytes(size * b"x")
    return {name: tmp_path / name for name in sizes}


def test_each_file_is_asked_once_and_the_largest_first(files, monkeypatch):
    monkeypatch.setattr("folk.evidence.core.each_file._cores", lambda: 1)
    asked = []

    found = of_each_file([*files.values(), files["a"]], lambda path: asked.append(path.name))

    assert asked == ["large", "middle", "a", "b", "none"]
    assert found == dict.fromkeys(files.values())


def test_as_many_files_are_asked_at_once_as_there_are_cores(files, monkeypatch):
    monkeypatch.setattr("folk.evidence.core.each_file.sys.platform", "linux")
    monkeypatch.setattr("os.sched_getaffinity", lambda pid: {4, 5, 9}, raising=False)
    together = threading.Barrier(3, timeout=60.0)

    chosen = [files[name] for name in ("a", "b", "large")]
    assert of_each_file(chosen, lambda path: together.wait() >= 0) == dict.fromkeys(chosen, True)


@pytest.mark.parametrize(("cores", "threads"), [(2, 2), (None, 1)])
def test_elsewhere_the_machines_cores_count(monkeypatch, cores, threads):
    from folk.evidence.core.each_file import _cores

    monkeypatch.setattr("folk.evidence.core.each_file.sys.platform", "darwin")
    monkeypatch.setattr("os.cpu_count", lambda: cores)

    assert _cores() == threads


def test_what_one_question_raises_is_raised(files):
    def ask(path):
        raise OSError(path.name)

    with pytest.raises(OSError, match="large"):
        of_each_file([files["large"]], ask)
