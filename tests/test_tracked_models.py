"""MLflow's models are the weights of a study, with what was measured of each."""

import pytest

from folk.evidence.adapters.mlflow_mirror import sync_study
from folk.evidence.record.schema import read_record
from tests.test_tracking import DATA, RUN, pretrain
from tests.toy import RESULTS, do, opened

pytestmark = pytest.mark.slow


def measure(evaluation, files=(), **metrics):
    """Measure the encoder, and make these files."""
    out = RESULTS / "finetune/folk-s0" / evaluation
    inputs = {"encoder": RUN / "encoder.safetensors", "dataset": DATA / "dataset.json"}
    with opened("finetune", "folk-s0", evaluation, inputs=inputs) as record:
        for name in files:
            (record.work / name).write_bytes(b"weights too")
        moves = {record.work / name: out / name for name in files}
        record.finish({name: out / name for name in files}, metrics, out / "record.json", moves)


def models_of(uri):
    from mlflow import MlflowClient

    client = MlflowClient(uri)
    experiment = client.get_experiment_by_name("demo").experiment_id
    found = client.search_logged_models([experiment])
    return client, {m.name: m for m in found if "folk.superseded" not in m.tags}


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    """A study whose encoder was measured twice, once with a classifier of its own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("measured"))
        do("prepare", "scenes", {"dataset.json": "{}"})
        pretrain()
        measure("full", ["classifier.safetensors"], top1_last=0.5)
        measure("few", top1_last=0.25)
        yield sync_study(RESULTS.absolute(), None, "demo").uri


def test_weights_are_models_with_every_metric_that_was_measured_of_them(measured):
    client, models = models_of(measured)

    assert set(models) == {"pretrain-folk-s0", "finetune-folk-s0-full"}
    encoder, classifier = models["pretrain-folk-s0"], models["finetune-folk-s0-full"]
    record = read_record(RUN / "record.json")
    assert (encoder.model_type, str(encoder.status)) == ("encoder", "READY")
    assert encoder.tags["folk.sha256"] == record["outputs"][1]["sha256"]
    assert encoder.params["optim.epochs"] == "3"
    data = ("scenes", record["inputs"][0]["sha256"][:36])
    found = {(m.key, m.value, m.dataset_name, m.dataset_digest) for m in encoder.metrics}
    assert found == {
        ("loss_last", 0.25, *data), ("top1_last", 0.5, *data), ("top1_last", 0.25, *data)
    }  # fmt: skip
    assert {(m.key, m.value) for m in classifier.metrics} == {("top1_last", 0.5)}
    run = client.get_run(classifier.source_run_id)
    assert run.data.metrics == {"top1_last": 0.5}
    assert [each.model_id for each in run.inputs.model_inputs] == [encoder.model_id]
    assert [each.model_id for each in run.outputs.model_outputs] == [classifier.model_id]


def test_models_are_made_once_also_after_a_replay_that_was_cut_off(measured):
    client, before = models_of(measured)
    assert sync_study(RESULTS.absolute(), measured, "demo").created == 0
    assert {n: m.to_dictionary() for n, m in models_of(measured)[1].items()} == {
        name: model.to_dictionary() for name, model in before.items()
    }

    left = before["finetune-folk-s0-full"]
    client.update_run(left.source_run_id, status="RUNNING")
    assert sync_study(RESULTS.absolute(), measured, "demo").created == 1

    after = models_of(measured)[1]
    assert after.keys() == before.keys()
    assert after[left.name].model_id != left.model_id
    assert after["pretrain-folk-s0"].model_id == before["pretrain-folk-s0"].model_id


def test_the_model_of_a_job_that_was_run_again_is_marked(measured):
    old = models_of(measured)[1]["finetune-folk-s0-full"]
    measure("full", ["classifier.safetensors"], top1_last=0.75)

    sync_study(RESULTS.absolute(), measured, "demo")

    client, models = models_of(measured)
    assert client.get_logged_model(old.model_id).tags["folk.superseded"] == "true"
    assert models["finetune-folk-s0-full"].model_id != old.model_id
