"""
Preparation: images, embedded, in a folder or in official archives -> shards that every later stage reads.

INPUTS
    recipe   config/recipes/prepare/*.yaml

OUTPUTS
    dataset  results/{study}/prepare/{data}/dataset.json
    shards   results/{study}/prepare/{data}/shards/
    record   results/{study}/prepare/{data}/record.json
"""


rule prepare:
    input:
        recipe=recipe_path("prepare"),
    output:
        dataset=f"results/{study.name}/prepare/{{data}}/dataset.json",
        manifest=f"results/{study.name}/prepare/{{data}}/manifest.parquet",
        shards=directory(f"results/{study.name}/prepare/{{data}}/shards"),
        record=f"results/{study.name}/prepare/{{data}}/record.json",
    log:
        f"results/{study.name}/prepare/{{data}}/prepare.log",
    benchmark:
        f"results/{study.name}/prepare/{{data}}/benchmark.jsonl"
    conda:
        "../envs/folk.yaml"
    threads: asked("prepare", "threads")
    resources:
        gpu=asked("prepare", "gpu"),
        mem_mb=asked("prepare", "mem_mb"),
        runtime=asked("prepare", "runtime"),
    params:
        study=study.name,
        scale=study.scale,
        values=values("prepare"),
        code=code("prepare"),
        source=source,
        archives=archives,
        overrides=overrides("prepare"),
        out=f"results/{study.name}/prepare/{{data}}",
        work=f"results/{study.name}/work/prepare/{{data}}",
    message:
        "Preparing {wildcards.data}"
    shell:
        "python -m folk prepare"
        " --study {params.study} --scale {params.scale} --name {wildcards.data}"
        " --recipe {input.recipe} {params.overrides}"
        " {params.source} {params.archives}"
        " --out {params.out} --work {params.work}"
        " --code {params.code}"
        " --threads {threads}"
        " >> {log} 2>&1"
