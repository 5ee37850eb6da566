"""
Few labels: the labeled images of a data set -> the keys that a few-label run may use.

INPUTS
    dataset  results/{study}/prepare/{data}/dataset.json
    recipe   config/recipes/split/*.yaml

OUTPUTS
    keys     results/{study}/split/{split}/keys.parquet
    record   results/{study}/split/{split}/record.json
"""


rule split:
    input:
        recipe=jobs.get_recipe("split"),
        dataset=jobs.get_input("split", "dataset"),
    output:
        subset=f"results/{study.name}/split/{{split}}/keys.parquet",
        record=f"results/{study.name}/split/{{split}}/record.json",
    log:
        f"results/{study.name}/split/{{split}}/split.log",
    benchmark:
        f"results/{study.name}/split/{{split}}/benchmark.jsonl"
    conda:
        "../envs/folk.yaml"
    threads: jobs.get_resource("split", "threads")
    resources:
        gpu=jobs.get_resource("split", "gpu"),
        mem_mb=jobs.get_resource("split", "mem_mb"),
        runtime=jobs.get_resource("split", "runtime"),
    params:
        study=study.name,
        scale=study.scale,
        code=jobs.get_code("split"),
        list_file=jobs.get_list,
        overrides=jobs.get_overrides("split"),
        out=f"results/{study.name}/split/{{split}}",
        work=f"results/{study.name}/work/split/{{split}}",
    message:
        "Choosing the labels of {wildcards.split}"
    shell:
        "python -m folk split"
        " --study {params.study} --scale {params.scale} --name {wildcards.split}"
        " --recipe {input.recipe} {params.overrides}"
        " --dataset {input.dataset}"
        " {params.list_file}"
        " --out {params.out} --work {params.work}"
        " --code {params.code}"
        " --threads {threads}"
        " > {log} 2>&1"
