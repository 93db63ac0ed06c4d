#!/bin/sh
# Measures lmr against what people used before: every row of the table in rows.lua.
#
#    spec/bench/run.sh [--only GROUP,…] [--runs N] [--lmr PATH] [--no-check] [--list]
#
# The corpora and all results lie in build/bench. The commands of a group take turns; each is run
# five times (or --runs; 0: not at all) and its median counts. Before that, all results of a group are
# checked to be equal. A group that fails is reported, and the others go on. Groups: --list.
set -eu
cd "$(dirname "$0")/../.."

missing=
need() {
    command -v "$1" >/dev/null 2>&1 || missing="$missing $2"
}
need lua5.4 lua5.4
need parallel parallel
need mawk mawk
need cc gcc
need sort coreutils
need sha256sum coreutils
if [ -n "$missing" ]; then
    echo "run.sh: what is compared with is missing; install it with: apt-get install$missing" >&2
    exit 2
fi

tools=build/bench/tools
mkdir -p "$tools"
for tool in measure word_count; do
    cc -std=c11 -D_GNU_SOURCE -O2 -Wall -Wextra -pthread -o "$tools/$tool" "spec/bench/$tool.c"
done
# The same for all, and nothing of the user's own state.
unset LMR_WORK_DIR XDG_STATE_HOME
export LC_ALL=C LMR_STATE_DIR=build/bench/state
exec lua5.4 spec/bench/run.lua "$@"
