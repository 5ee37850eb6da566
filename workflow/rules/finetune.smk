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
        recipe=recipe_path("finetune"),
        encoder=f"results/{study.name}/pretrain/{{run}}/encoder.safetensors",
        dataset=dataset("finetune"),
        split=split_file,
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
    threads: geometry("finetune").cores
    resources:
        **geometry("finetune").resources(),
        mem_mb=asked("finetune", "mem_mb"),
        runtime=asked("finetune", "runtime"),
    params:
        study=study.name,
        scale=study.scale,
        values=values("finetune"),
        code=code("finetune"),
        seed=seeds,
        launch=launch("finetune"),
        threads=threads_of_process("finetune"),
        overrides=overrides("finetune"),
        split=split_option,
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
