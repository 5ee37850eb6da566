"""
Evaluation: one rule for each stage that measures a run. `folk/stages/<stage>.py` declares the inputs
and outputs; the other rules inherit from the first.

    finetune    an encoder and labels, all or few -> a classifier and its predictions
    probe       an encoder and labels -> neighbors, a linear classifier, and a few labels
    segment     an encoder and annotated images -> UperNet's confusion matrices
    robustness  a fine-tuned classifier -> predictions for other sets, corrupted and attacked images
    cost        the recipe of a row -> parameters, FLOPs, memory and time of its pre-training

INPUTS
    encoder     results/{study}/pretrain/{run}/encoder.safetensors
    classifier  results/{study}/finetune/{run}/{classifier}/classifier.safetensors
    dataset     results/{study}/prepare/{data}/dataset.json, one or several
    split       results/{study}/split/{split}/keys.parquet, where labels are few
    recipe      config/recipes/{stage}/*.yaml

OUTPUTS
    predictions  results/{study}/{stage}/{run}/{evaluation}/predictions*.parquet
    metrics      results/{study}/{stage}/{run}/{evaluation}/metrics.json, metrics.jsonl
    record       results/{study}/{stage}/{run}/{evaluation}/record.json
"""


rule finetune:
    input:
        **jobs.get_inputs("finetune"),
    output:
        **jobs.get_outputs("finetune"),
    log:
        f"results/{study.name}/finetune/{{run}}/{{evaluation}}/finetune.log",
    benchmark:
        f"results/{study.name}/finetune/{{run}}/{{evaluation}}/benchmark.jsonl"
    conda:
        "../envs/folk.yaml"
    threads: jobs.get_geometry("finetune").cores
    resources:
        **jobs.get_resources("finetune"),
    params:
        **jobs.get_params("finetune"),
        study=study.name,
        scale=study.scale,
        seed=jobs.get_seeds,
    message:
        "Fine-tuning {wildcards.run}: {wildcards.evaluation}"
    shell:
        "python {params.command}"
        " --study {params.study} --scale {params.scale} --name {wildcards.run} --seed {params.seed}"
        " --evaluation {wildcards.evaluation}"
        " --recipe {input.recipe} {params.overrides}"
        " {params.files} {params.options}"
        " --out {params.out} --work {params.work}"
        " --code {params.code}"
        " --threads {params.threads}"
        " >> {log} 2>&1"


use rule finetune as probe with:
    input:
        **jobs.get_inputs("probe"),
    output:
        **jobs.get_outputs("probe"),
    log:
        f"results/{study.name}/probe/{{run}}/{{evaluation}}/probe.log",
    benchmark:
        f"results/{study.name}/probe/{{run}}/{{evaluation}}/benchmark.jsonl"
    threads: jobs.get_geometry("probe").cores
    resources:
        **jobs.get_resources("probe"),
    params:
        **jobs.get_params("probe"),
    message:
        "Probing {wildcards.run}: {wildcards.evaluation}"


use rule finetune as segment with:
    input:
        **jobs.get_inputs("segment"),
    output:
        **jobs.get_outputs("segment"),
    log:
        f"results/{study.name}/segment/{{run}}/{{evaluation}}/segment.log",
    benchmark:
        f"results/{study.name}/segment/{{run}}/{{evaluation}}/benchmark.jsonl"
    threads: jobs.get_geometry("segment").cores
    resources:
        **jobs.get_resources("segment"),
    params:
        **jobs.get_params("segment"),
    message:
        "Segmenting with {wildcards.run}: {wildcards.evaluation}"


use rule finetune as robustness with:
    input:
        **jobs.get_inputs("robustness"),
    output:
        **jobs.get_outputs("robustness"),
    log:
        f"results/{study.name}/robustness/{{run}}/{{evaluation}}/robustness.log",
    benchmark:
        f"results/{study.name}/robustness/{{run}}/{{evaluation}}/benchmark.jsonl"
    threads: jobs.get_geometry("robustness").cores
    resources:
        **jobs.get_resources("robustness"),
    params:
        **jobs.get_params("robustness"),
    message:
        "Testing the robustness of {wildcards.run}: {wildcards.evaluation}"


# Times belong to one machine. Let nothing else run: give `cost` all cores, or a whole node.
use rule finetune as cost with:
    input:
        **jobs.get_inputs("cost"),
    output:
        **jobs.get_outputs("cost"),
    log:
        f"results/{study.name}/cost/{{run}}/{{evaluation}}/cost.log",
    benchmark:
        f"results/{study.name}/cost/{{run}}/{{evaluation}}/benchmark.jsonl"
    threads: jobs.get_geometry("cost").cores
    resources:
        **jobs.get_resources("cost"),
    params:
        **jobs.get_params("cost"),
    message:
        "Measuring the cost of {wildcards.run}: {wildcards.evaluation}"
