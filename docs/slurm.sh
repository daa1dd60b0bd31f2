#!/bin/bash
# Two nodes of eight GPUs: sbatch docs/slurm.sh run.yaml [further flags of selfcog sft]
#SBATCH --job-name=selfcog
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=1
#SBATCH --gpus-per-node=8
#SBATCH --cpus-per-task=64
#SBATCH --time=04:00:00
# Five minutes before the end: the step is finished, a checkpoint is written, exit code 143.
#SBATCH --signal=TERM@300

set -euo pipefail
export NNODES=$SLURM_NNODES
export NPROC_PER_NODE=8
export MASTER_ADDR=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)
export MASTER_PORT=29500

# One task a node; each starts torchrun for its GPUs. The rank of the node is known inside only.
srun bash -c 'NODE_RANK=$SLURM_NODEID exec selfcog sft "$@"' selfcog "$@"
