"""The page's chains are those of `explain`, each job told once."""

from pathlib import Path

from folk.evidence.audit.chain import Chain
from folk.evidence.audit.stories import teller
from folk.evidence.audit.today import Today
from folk.evidence.report.chains import jobs_of, without_checked
from folk.evidence.results.cells import cells_of, collect_cells
from folk.evidence.results.evidence import Evidence
from folk.evidence.results.published import load_published
from folk.evidence.study.study import load_study
from folk.stages.table import STAGES
from tests.audit.conftest import PUBLISHED, RESULTS


def stories(reading="small"):
    study, published = load_study(Path("config/toy.yaml"), STAGES), load_published(PUBLISHED)
    evidence = Evidence(study, RESULTS)
    cells = cells_of(collect_cells(study, RESULTS, published, evidence=evidence))
    return teller(Chain(RESULTS), study, published, Today(), reading)(cells, evidence)


def lines(said, label):
    return dict(said)[label]


def test_a_cell_names_the_jobs_that_explain_names_and_shares_them_with_other_cells(toy):
    told = stories()
    one, other = told["main/mfm/full"], told["main/mfm/max"]

    assert [job.name for job in one.jobs] == [
        job.name for job in toy.explain("main/mfm/full").chain
    ]
    assert one.parts == [
        "mfm-s0/full: stated 0.5, derived again 0.5", "mfm-s1/full: stated 0.7, derived again 0.7",
    ]  # fmt: skip
    assert one.jobs[0] is other.jobs[0]
    every = jobs_of(told)
    assert len({job.anchor for job in every}) == len({job.record for job in every}) == len(every)
    assert one.claims == ["rises (order): the best of two is not lower"]


def test_a_job_tells_its_starts_and_files_apart_from_what_was_compared(toy):
    (job,) = [j for j in stories()["main/mfm/full"].jobs if j.name == "pretrain mfm-s0"]

    assert job.starts == len(lines(job.recorded, "ran")) > 1
    assert any(line.startswith("encoder") for line in lines(job.recorded, "made"))
    assert lines(job.checked, "code") == ["fingerprint: the same"]
    assert lines(job.checked, "bytes")[0].startswith("hashed again, as recorded")
    unread = [j for j in stories("none")["main/mfm/full"].jobs if j.name == job.name]
    assert unread[0].recorded == job.recorded
    assert unread[0].checked != job.checked


def test_bytes_that_were_changed_are_contradicted_and_nothing_recorded_moves(toy):
    before = stories()["main/mfm/full"]
    path = RESULTS / "pretrain/mfm-s0/encoder.safetensors"
    path.write_bytes(bytes([path.read_bytes()[0] ^ 1]) + path.read_bytes()[1:])

    after = stories()["main/mfm/full"]

    assert before.contradicted == []
    assert [str(path) in sentence for sentence in after.contradicted] == [True]
    assert [job.recorded for job in after.jobs] == [job.recorded for job in before.jobs]
    (job,) = [j for j in after.jobs if j.name == "pretrain mfm-s0"]
    assert "OTHER BYTES than recorded: encoder" in " ".join(lines(job.checked, "bytes"))


def test_a_page_is_compared_without_what_was_checked_and_no_text_can_hide_there():
    page = "<b>1</b>\n<!-- checked -->\nso\n<!-- as checked -->\n<i>2</i>"

    assert without_checked(page) == without_checked(page.replace("so", "not so"))
    assert without_checked(page) != without_checked(page.replace("2", "3"))
    assert without_checked(page) != without_checked(
        f"{page}<!-- checked -->more<!-- as checked -->"
    )
