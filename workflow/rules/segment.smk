"""
Segmentation transfer: an encoder and annotated images -> UperNet's confusion matrices.

INPUTS
    encoder  results/{study}/pretrain/{run}/encoder.safetensors
    dataset  results/{study}/prepare/{data}/dataset.json
    split    results/{study}/split/{split}/keys.parquet, where labels are few
    recipe   config/recipes/segment/*.yaml

OUTPUTS
    predictions  results/{study}/segment/{run}/{evaluation}/predictions.parquet
    metrics      results/{study}/segment/{run}/{evaluation}/metrics.json, metrics.jsonl
    record       results/{study}/segment/{run}/{evaluation}/record.json
"""


rule segment:
    input:
        recipe=jobs.get_recipe("segment"),
        encoder=f"results/{study.name}/pretrain/{{run}}/encoder.safetensors",
        dataset=jobs.get_dataset("segment"),
        split=jobs.get_split,
    output:
        predictions=f"results/{study.name}/segment/{{run}}/{{evaluation}}/predictions.parquet",
        metrics=f"results/{study.name}/segment/{{run}}/{{evaluation}}/metrics.json",
        history=f"results/{study.name}/segment/{{run}}/{{evaluation}}/metrics.jsonl",
        resolved=f"results/{study.name}/segment/{{run}}/{{evaluation}}/recipe.yaml",
        record=f"results/{study.name}/segment/{{run}}/{{evaluation}}/record.json",
    log:
        f"results/{study.name}/segment/{{run}}/{{evaluation}}/segment.log",
    benchmark:
        f"results/{study.name}/segment/{{run}}/{{evaluation}}/benchmark.jsonl"
    conda:
        "../envs/folk.yaml"
    threads: jobs.get_geometry("segment").cores
    resources:
        **jobs.get_resources("segment"),
    params:
        study=study.name,
        scale=study.scale,
        values=jobs.get_values("segment"),
        code=jobs.get_code("segment"),
        seed=jobs.get_seed,
        launch=jobs.get_launch("segment"),
        threads=jobs.get_threads("segment"),
        overrides=jobs.get_overrides("segment"),
        split=jobs.get_split_option,
        out=f"results/{study.name}/segment/{{run}}/{{evaluation}}",
        # Not an output: outputs of a failed job are deleted, what has grown there must survive.
        work=f"results/{study.name}/work/segment/{{run}}/{{evaluation}}",
    message:
        "Segmenting with {wildcards.run}: {wildcards.evaluation}"
    shell:
        "python {params.launch} segment"
        " --study {params.study} --scale {params.scale} --name {wildcards.run} --seed {params.seed}"
        " --evaluation {wildcards.evaluation}"
        " --recipe {input.recipe} {params.overrides}"
        " --encoder {input.encoder}"
        " --dataset {input.dataset}"
        " {params.split}"
        " --out {params.out} --work {params.work}"
        " --code {params.code}"
        " --threads {params.threads}"
        " --time-limit {resources.runtime}"
        " >> {log} 2>&1"
