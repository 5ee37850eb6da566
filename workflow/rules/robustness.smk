"""
Robustness: a fine-tuned classifier -> what it says of other sets, corrupted and attacked images.

INPUTS
    classifier  results/{study}/finetune/{run}/{classifier}/classifier.safetensors
    datasets    results/{study}/prepare/{data}/dataset.json, one or several
    recipe      config/recipes/robustness/*.yaml

OUTPUTS
    predictions  results/{study}/robustness/{run}/{evaluation}/predictions-variants.parquet
    metrics      results/{study}/robustness/{run}/{evaluation}/metrics.json
    record       results/{study}/robustness/{run}/{evaluation}/record.json
"""


rule robustness:
    input:
        recipe=jobs.get_recipe("robustness"),
        classifier=jobs.get_classifier,
        datasets=jobs.get_datasets("robustness"),
    output:
        predictions=f"results/{study.name}/robustness/{{run}}/{{evaluation}}/predictions-variants.parquet",
        metrics=f"results/{study.name}/robustness/{{run}}/{{evaluation}}/metrics.json",
        resolved=f"results/{study.name}/robustness/{{run}}/{{evaluation}}/recipe.yaml",
        record=f"results/{study.name}/robustness/{{run}}/{{evaluation}}/record.json",
    log:
        f"results/{study.name}/robustness/{{run}}/{{evaluation}}/robustness.log",
    benchmark:
        f"results/{study.name}/robustness/{{run}}/{{evaluation}}/benchmark.jsonl"
    conda:
        "../envs/folk.yaml"
    threads: jobs.get_geometry("robustness").cores
    resources:
        **jobs.get_resources("robustness"),
    params:
        study=study.name,
        scale=study.scale,
        values=jobs.get_values("robustness"),
        code=jobs.get_code("robustness"),
        seed=jobs.get_seeds,
        launch=jobs.get_launch("robustness"),
        threads=jobs.get_threads("robustness"),
        overrides=jobs.get_overrides("robustness"),
        datasets=jobs.get_dataset_options,
        out=f"results/{study.name}/robustness/{{run}}/{{evaluation}}",
        # Not an output: outputs of a failed job are deleted, what has grown there must survive.
        work=f"results/{study.name}/work/robustness/{{run}}/{{evaluation}}",
    message:
        "Testing the robustness of {wildcards.run}: {wildcards.evaluation}"
    shell:
        "python {params.launch} robustness"
        " --study {params.study} --scale {params.scale} --name {wildcards.run} --seed {params.seed}"
        " --evaluation {wildcards.evaluation}"
        " --recipe {input.recipe} {params.overrides}"
        " --classifier {input.classifier}"
        " {params.datasets}"
        " --out {params.out} --work {params.work}"
        " --code {params.code}"
        " --threads {params.threads}"
        " >> {log} 2>&1"
