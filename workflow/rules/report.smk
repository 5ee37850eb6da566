"""
Report: every record of the study -> cells, claims, tables, figures, one page; and a copy to MLflow.

INPUTS
    records  results/{study}/**/record.json

OUTPUTS
    record   results/{study}/report/record.json, results/{study}/track/record.json
    cells    results/{study}/cells.parquet
    claims   results/{study}/claims.parquet, claims.md
    assumed  results/{study}/assumptions.md
    tables   results/{study}/tables/*.md, *.tex, *.csv
    numbers  results/{study}/tables/numbers.tex, macros for a paper
    page     results/{study}/report.html
    tracked  results/{study}/tracked.json
"""


rule report:
    input:
        records=jobs.get_records,
        published=jobs.get_published,
    output:
        record=f"results/{study.name}/report/record.json",
        cells=f"results/{study.name}/cells.parquet",
        claims=f"results/{study.name}/claims.parquet",
        claims_table=report(
            f"results/{study.name}/claims.md",
            category="Claims",
            labels={"study": study.name},
        ),
        assumptions=report(
            f"results/{study.name}/assumptions.md",
            category="Assumptions",
            labels={"study": study.name},
        ),
        page=report(
            f"results/{study.name}/report.html",
            category="Report",
            labels={"study": study.name},
        ),
        tables=report(
            expand(
                f"results/{study.name}/tables/{{table}}.{{form}}",
                table=study.tables,
                form=["md", "tex", "csv"],
            ),
            category="Tables",
        ),
        numbers=f"results/{study.name}/tables/numbers.tex",
    log:
        f"results/{study.name}/report.log",
    benchmark:
        f"results/{study.name}/report.benchmark.jsonl"
    conda:
        "../envs/folk.yaml"
    threads: jobs.get_resource("report", "threads")
    resources:
        gpu=jobs.get_resource("report", "gpu"),
        mem_mb=jobs.get_resource("report", "mem_mb"),
        runtime=jobs.get_resource("report", "runtime"),
    params:
        study=jobs.study_file.as_posix(),
    message:
        f"Rendering the tables of {study.name}"
    shell:
        "python -m folk report {params.study} > {log} 2>&1"


rule track:
    input:
        records=jobs.get_records,
    output:
        record=f"results/{study.name}/track/record.json",
        tracked=f"results/{study.name}/tracked.json",
    log:
        f"results/{study.name}/track.log",
    benchmark:
        f"results/{study.name}/track.benchmark.jsonl"
    conda:
        "../envs/folk.yaml"
    params:
        study=jobs.study_file.as_posix(),
    message:
        f"Mirroring {study.name} into MLflow"
    shell:
        "python -m folk mlflow-sync {params.study} --record > {log} 2>&1"
