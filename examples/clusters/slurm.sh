#!/usr/bin/env bash
#SBATCH --job-name=brittle
#SBATCH --array=1-8            # as many shards; the numbers begin with 1
#SBATCH --gpus=1
#SBATCH --cpus-per-task=8
#SBATCH --mem=32G
#SBATCH --time=08:00:00
#SBATCH --requeue              # a task that was stopped resumes
# One shard of a trial a task, on a folder that all nodes see:
#   sbatch slurm.sh TRIAL.yaml FOLDER
set -euo pipefail

trial=$1
folder=$2
export OMP_NUM_THREADS=${SLURM_CPUS_PER_TASK:-1}
exec brittle run "$trial" --out "$folder" \
  --shard "$SLURM_ARRAY_TASK_ID/$SLURM_ARRAY_TASK_COUNT"
