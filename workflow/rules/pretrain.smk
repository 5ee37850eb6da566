"""
Pre-training: images without labels -> one encoder for each row and seed of the study.

INPUTS
    dataset  results/{study}/prepare/{data}/dataset.json
    recipe   config/recipes/pretrain/*.yaml

OUTPUTS
    encoder  results/{study}/pretrain/{run}/encoder.safetensors, encoder.json, config.json
    metrics  results/{study}/pretrain/{run}/metrics.json, metrics.jsonl
    record   results/{study}/pretrain/{run}/record.json
"""


rule pretrain:
    input:
        recipe=jobs.get_recipe("pretrain"),
        dataset=jobs.get_input("pretrain", "dataset"),
    output:
        encoder=f"results/{study.name}/pretrain/{{run}}/encoder.safetensors",
        card=f"results/{study.name}/pretrain/{{run}}/encoder.json",
        timm=f"results/{study.name}/pretrain/{{run}}/config.json",
        examples=f"results/{study.name}/pretrain/{{run}}/examples.npz",
        metrics=f"results/{study.name}/pretrain/{{run}}/metrics.json",
        history=f"results/{study.name}/pretrain/{{run}}/metrics.jsonl",
        resolved=f"results/{study.name}/pretrain/{{run}}/recipe.yaml",
        record=f"results/{study.name}/pretrain/{{run}}/record.json",
    log:
        f"results/{study.name}/pretrain/{{run}}/pretrain.log",
    benchmark:
        f"results/{study.name}/pretrain/{{run}}/benchmark.jsonl"
    conda:
        "../envs/folk.yaml"
    threads: jobs.get_geometry("pretrain").cores
    resources:
        **jobs.get_resources("pretrain"),
    params:
        study=study.name,
        scale=study.scale,
        code=jobs.get_code("pretrain"),
        seed=jobs.get_seed,
        launch=jobs.get_launch("pretrain"),
        threads=jobs.get_threads("pretrain"),
        overrides=jobs.get_overrides("pretrain"),
        out=f"results/{study.name}/pretrain/{{run}}",
        # Not an output: outputs of a failed job are deleted, the checkpoint must survive.
        work=f"results/{study.name}/work/pretrain/{{run}}",
    message:
        "Pre-training {wildcards.run}"
    shell:
        "python {params.launch} pretrain"
        " --study {params.study} --scale {params.scale} --name {wildcards.run} --seed {params.seed}"
        " --recipe {input.recipe} {params.overrides}"
        " --dataset {input.dataset}"
        " --out {params.out} --work {params.work}"
        " --code {params.code}"
        " --threads {params.threads}"
        " --time-limit {resources.runtime}"
        " >> {log} 2>&1"
