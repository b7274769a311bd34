#!/usr/bin/env bash
# A dataset, or a whole run, on a SLURM allocation: Ray's head and a raylet on each node with srun, the driver beside
# the head, all of it gone when the driver ends.
#   sbatch --nodes=4 --ntasks-per-node=1 --cpus-per-task=32 --time=12:00:00 pipelines/cluster/slurm.sh \
#       pairbridge generate dataset.yaml --out /shared/my-dataset --workers 128
# The command gets `--address` and, as in every batch system, `--accept-quarantine`. Five minutes before the time limit
# SLURM sends USR1: the driver finishes the groups in flight, the job is requeued, and goes on where it was. The folder
# of --out has to be one that all nodes see, or an object store; what is sourced from $PAIRBRIDGE_ENVIRONMENT (a file)
# activates the environment on every node.
#SBATCH --job-name=pairbridge
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=1
#SBATCH --cpus-per-task=16
#SBATCH --exclusive
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --signal=B:USR1@300
set -euo pipefail

[ $# -gt 0 ] || { echo "usage: sbatch [options] $0 pairbridge generate|run CONFIG --out FOLDER ..." >&2; exit 2; }
[ -z "${PAIRBRIDGE_ENVIRONMENT:-}" ] || source "$PAIRBRIDGE_ENVIRONMENT"

# Others' jobs may share the network: only who holds the token is let in. It is in the environment, which srun hands
# on, and in no file and no list of processes.
RAY_AUTH_MODE=token
RAY_AUTH_TOKEN=$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')
export RAY_AUTH_MODE RAY_AUTH_TOKEN RAY_USAGE_STATS_ENABLED=0
# Jobs of one user on one node must not meet: a port and a folder for each. Sockets' paths are short, or refused.
port=${PAIRBRIDGE_RAY_PORT:-$((20000 + SLURM_JOB_ID % 20000))}
folder=/tmp/pairbridge-$SLURM_JOB_ID

mapfile -t nodes < <(scontrol show hostnames "$SLURM_JOB_NODELIST")
head=${nodes[0]}
address=$(srun --overlap --nodes=1 --ntasks=1 --nodelist="$head" hostname -I | awk '{print $1}'):$port
cpus=${SLURM_CPUS_PER_TASK:-$SLURM_CPUS_ON_NODE}

pids=()
raylet() { # NODE OPTION...: Ray on one node for as long as the job lasts
    local node=$1
    shift
    srun --overlap --nodes=1 --ntasks=1 --nodelist="$node" --cpus-per-task="$cpus" \
        ray start --dashboard-agent-listen-port=0 --num-cpus="$cpus" --block "$@" &
    pids+=($!)
}

end() {
    trap - EXIT
    [ ${#pids[@]} -eq 0 ] || kill -TERM "${pids[@]}" 2>/dev/null || true
    wait "${pids[@]}" 2>/dev/null || true
}
trap end EXIT

raylet "$head" --head --port="$port" --temp-dir="$folder" --include-dashboard=false
for _ in $(seq 60); do
    ray status --address="$address" >/dev/null 2>&1 && break
    kill -0 "${pids[0]}" 2>/dev/null || { echo "Ray's head did not start on $head" >&2; exit 1; }
    sleep 2
done
for node in "${nodes[@]:1}"; do
    raylet "$node" --address="$address"
done

# The driver runs on the head's node, not in a batch step of its own, so that signals reach it.
"$@" --address "$address" --accept-quarantine &
driver=$!

requeued= signalled=
drain() { # A first signal lets the driver finish the groups in flight.
    requeued=$1 signalled=yes
    kill -TERM "$driver" 2>/dev/null || true
}
trap 'drain yes' USR1
trap 'drain ""' TERM INT

# `wait` also returns when a trap has run; 127 is then the answer for a driver whose status it has given before.
status=127
while :; do
    signalled=
    code=0
    wait "$driver" || code=$?
    [ "$code" = 127 ] || status=$code
    [ -n "$signalled" ] || break
done
# 130: stopped by the signal, before everything was made.
if [ "$status" = 130 ] && [ -n "$requeued" ]; then
    scontrol requeue "$SLURM_JOB_ID"
fi
exit "$status"
