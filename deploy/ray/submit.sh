#!/bin/sh
# A night of rooms on a Ray cluster that runs already. docs/operations.md, "Ray without Kubernetes".
#
#   RAY_ADDRESS=http://head:8265 RAY_AUTH_MODE=token RAY_AUTH_TOKEN=... deploy/ray/submit.sh QUEUE RESULTS [OPTION ...]
#
# QUEUE and RESULTS are paths on the head; every node has owtmix and Ray in the versions of constraints.txt. The command
# follows the batch until it ends, and ends as it did: 0 or not.
# `ray job stop NAME` drains: Ray ends the batch RAY_JOB_STOP_WAIT_TIME_S after that, so it is longer than --grace.
set -eu
if [ $# -lt 2 ]; then
    echo "usage: $0 QUEUE RESULTS [OPTION ...]" >&2
    exit 2
fi
queue=$1
results=$2
shift 2
name=owt-$(basename "$results" .jsonl)-$(date -u +%Y%m%dT%H%M%S)
exec ray job submit --submission-id "$name" \
    --runtime-env-json '{"env_vars": {"RAY_JOB_STOP_WAIT_TIME_S": "120"}}' \
    -- owt-batch "$queue" --results "$results" --cluster auto --grace 90 "$@"
