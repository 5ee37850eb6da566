#!/bin/sh
# Prints what became of a PBS job, as Snakemake asks: running, success or failed.
# Needs PBS's job history, without which finished jobs are forgotten at once.
if ! answer=$(qstat -x -f "$1" 2>&1); then
    case $answer in
        *"Unknown Job Id"*) echo failed ;;
        *) echo running ;; # the server is busy or away: ask again
    esac
    exit
fi
case $answer in
    *"job_state = F"*"Exit_status = 0"*) echo success ;;
    *"job_state = F"*) echo failed ;;
    *) echo running ;;
esac
