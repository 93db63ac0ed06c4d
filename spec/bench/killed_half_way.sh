#!/bin/sh
# A job whose driver is killed (-9) when half of its maps have begun, then resumed.
#
#    killed_half_way.sh LMR INPUT OUT
set -eu
lmr=$1 input=$2 out=$3
marker=$out.marker
rm -f "$marker"
if "$lmr" run spec/bench/jobs/killed_half_way.lua "$input" --workers 2 -o "$out" --quiet -- --marker "$marker"; then
    echo "killed_half_way.sh: the driver was not killed" >&2
    exit 1
fi
exec "$lmr" resume killed_half_way --quiet
