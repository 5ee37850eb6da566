"""
Frozen features: an encoder and labels -> neighbors, a linear classifier, and a few labels.

INPUTS
    encoder  results/{study}/pretrain/{run}/encoder.safetensors
    dataset  results/{study}/prepare/{data}/dataset.json
    split    results/{study}/split/{split}/keys.parquet, where labels are few
    recipe   config/recipes/probe/*.yaml

OUTPUTS
    predictions  results/{study}/probe/{run}/{evaluation}/predictions-{knn,linear,kshot}.parquet
    metrics      results/{study}/probe/{run}/{evaluation}/metrics.json, metrics.jsonl
    record       results/{study}/probe/{run}/{evaluation}/record.json
"""


rule probe:
    input:
        recipe=recipe_path("probe"),
        encoder=f"results/{study.name}/pretrain/{{run}}/encoder.safetensors",
        dataset=dataset("probe"),
        split=split_file,
    output:
        knn=f"results/{study.name}/probe/{{run}}/{{evaluation}}/predictions-knn.parquet",
        linear=f"results/{study.name}/probe/{{run}}/{{evaluation}}/predictions-linear.parquet",
        kshot=f"results/{study.name}/probe/{{run}}/{{evaluation}}/predictions-kshot.parquet",
        metrics=f"results/{study.name}/probe/{{run}}/{{evaluation}}/metrics.json",
        history=f"results/{study.name}/probe/{{run}}/{{evaluation}}/metrics.jsonl",
        resolved=f"results/{study.name}/probe/{{run}}/{{evaluation}}/recipe.yaml",
        record=f"results/{study.name}/probe/{{run}}/{{evaluation}}/record.json",
    log:
        f"results/{study.name}/probe/{{run}}/{{evaluation}}/probe.log",
    benchmark:
        f"results/{study.name}/probe/{{run}}/{{evaluation}}/benchmark.jsonl"
    conda:
        "../envs/folk.yaml"
    threads: geometry("probe").cores
    resources:
        **geometry("probe").resources(),
        mem_mb=asked("probe", "mem_mb"),
        runtime=asked("probe", "runtime"),
    params:
        study=study.name,
        scale=study.scale,
        values=values("probe"),
        code=code("probe"),
        seed=seed,
        launch=launch("probe"),
        threads=threads_of_process("probe"),
        overrides=overrides("probe"),
        split=split_option,
        out=f"results/{study.name}/probe/{{run}}/{{evaluation}}",
        # Not an output: outputs of a failed job are deleted, what has grown there must survive.
        work=f"results/{study.name}/work/probe/{{run}}/{{evaluation}}",
    message:
        "Probing {wildcards.run}: {wildcards.evaluation}"
    shell:
        "python {params.launch} probe"
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
