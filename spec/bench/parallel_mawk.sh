#!/bin/sh
# Word count on two cores with GNU parallel and mawk: counts two halves of the file, adds them up, sorts.
#
#    parallel_mawk.sh PROGRAM.awk FILE >RESULT
export LC_ALL=C
parallel --will-cite --pipepart -a "$2" --block -1 -j 2 mawk -f "$1" |
    mawk -F '\t' '{ c[$1] += $2 } END { for (word in c) print word "\t" c[word] }' |
    sort
