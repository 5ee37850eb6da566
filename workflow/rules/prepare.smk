"""
Preparation: images of a folder, of official archives, or shipped with the project -> shards.

INPUTS
    recipe   config/recipes/prepare/*.yaml

OUTPUTS
    dataset  results/{study}/prepare/{data}/dataset.json
    shards   results/{study}/prepare/{data}/shards/
    record   results/{study}/prepare/{data}/record.json
"""


rule prepare:
    input:
        recipe=jobs.get_recipe("prepare"),
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
    threads: jobs.get_resource("prepare", "threads")
    resources:
        **jobs.get_resources("prepare"),
    params:
        study=study.name,
        scale=study.scale,
        code=jobs.get_code("prepare"),
        source=jobs.get_source,
        archives=jobs.get_archives,
        overrides=jobs.get_overrides("prepare"),
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
