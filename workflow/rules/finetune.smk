"""
Fine-tuning: an encoder and labels, all or few -> a classifier and its predictions.

INPUTS
    encoder  results/{study}/pretrain/{run}/encoder.safetensors
    dataset  results/{study}/prepare/{data}/dataset.json
    split    results/{study}/split/{split}/keys.parquet, where labels are few
    recipe   config/recipes/finetune/*.yaml

OUTPUTS
    predictions  results/{study}/finetune/{run}/{evaluation}/predictions.parquet
    classifier   results/{study}/finetune/{run}/{evaluation}/classifier.safetensors, classifier.json
    metrics      results/{study}/finetune/{run}/{evaluation}/metrics.json, metrics.jsonl
    record       results/{study}/finetune/{run}/{evaluation}/record.json
"""


rule finetune:
    input:
        recipe=jobs.get_recipe("finetune"),
        encoder=f"results/{study.name}/pretrain/{{run}}/encoder.safetensors",
        dataset=jobs.get_dataset("finetune"),
        split=jobs.get_split,
    output:
        predictions=f"results/{study.name}/finetune/{{run}}/{{evaluation}}/predictions.parquet",
        classifier=f"results/{study.name}/finetune/{{run}}/{{evaluation}}/classifier.safetensors",
        card=f"results/{study.name}/finetune/{{run}}/{{evaluation}}/classifier.json",
        metrics=f"results/{study.name}/finetune/{{run}}/{{evaluation}}/metrics.json",
        history=f"results/{study.name}/finetune/{{run}}/{{evaluation}}/metrics.jsonl",
        resolved=f"results/{study.name}/finetune/{{run}}/{{evaluation}}/recipe.yaml",
        record=f"results/{study.name}/finetune/{{run}}/{{evaluation}}/record.json",
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
        study=study.name,
        scale=study.scale,
        values=jobs.get_values("finetune"),
        code=jobs.get_code("finetune"),
        seed=jobs.get_seeds,
        launch=jobs.get_launch("finetune"),
        threads=jobs.get_threads("finetune"),
        overrides=jobs.get_overrides("finetune"),
        split=jobs.get_split_option,
        out=f"results/{study.name}/finetune/{{run}}/{{evaluation}}",
        # Not an output: outputs of a failed job are deleted, what has grown there must survive.
        work=f"results/{study.name}/work/finetune/{{run}}/{{evaluation}}",
    message:
        "Fine-tuning {wildcards.run}: {wildcards.evaluation}"
    shell:
        "python {params.launch} finetune"
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
