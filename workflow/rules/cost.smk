"""
Cost: the recipe of a row -> parameters, FLOPs, memory and time of its pre-training, untrained.

Times are of one machine. Let nothing run beside it: give `cost` all cores, or a node of its own.

INPUTS
    pretrain  config/recipes/pretrain/*.yaml
    dataset   results/{study}/prepare/{data}/dataset.json, for the number of images
    recipe    config/recipes/cost/*.yaml

OUTPUTS
    card      results/{study}/cost/{run}/{evaluation}/cost.json
    metrics   results/{study}/cost/{run}/{evaluation}/metrics.json, metrics.jsonl
    record    results/{study}/cost/{run}/{evaluation}/record.json
"""


rule cost:
    input:
        recipe=jobs.get_recipe("cost"),
        pretrain=jobs.get_pretrain_recipe,
        dataset=jobs.get_dataset("cost"),
    output:
        card=f"results/{study.name}/cost/{{run}}/{{evaluation}}/cost.json",
        metrics=f"results/{study.name}/cost/{{run}}/{{evaluation}}/metrics.json",
        history=f"results/{study.name}/cost/{{run}}/{{evaluation}}/metrics.jsonl",
        resolved=f"results/{study.name}/cost/{{run}}/{{evaluation}}/recipe.yaml",
        record=f"results/{study.name}/cost/{{run}}/{{evaluation}}/record.json",
    log:
        f"results/{study.name}/cost/{{run}}/{{evaluation}}/cost.log",
    benchmark:
        f"results/{study.name}/cost/{{run}}/{{evaluation}}/benchmark.jsonl"
    conda:
        "../envs/folk.yaml"
    threads: jobs.get_resource("cost", "threads")
    resources:
        **jobs.get_resources("cost"),
    params:
        study=study.name,
        scale=study.scale,
        values=jobs.get_values("cost"),
        code=jobs.get_code("cost"),
        seed=jobs.get_seed,
        overrides=jobs.get_overrides("cost"),
        pretrain_values=jobs.get_pretrain_values,
        pretrain_overrides=jobs.get_pretrain_overrides,
        out=f"results/{study.name}/cost/{{run}}/{{evaluation}}",
        # Not an output: outputs of a failed job are deleted, what has grown there must survive.
        work=f"results/{study.name}/work/cost/{{run}}/{{evaluation}}",
    message:
        "Measuring the cost of {wildcards.run}: {wildcards.evaluation}"
    shell:
        "python -m folk cost"
        " --study {params.study} --scale {params.scale} --name {wildcards.run} --seed {params.seed}"
        " --evaluation {wildcards.evaluation}"
        " --recipe {input.recipe} {params.overrides}"
        " --pretrain-recipe {input.pretrain} {params.pretrain_overrides}"
        " --dataset {input.dataset}"
        " --out {params.out} --work {params.work}"
        " --code {params.code}"
        " --threads {threads}"
        " >> {log} 2>&1"
