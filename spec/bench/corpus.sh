#!/bin/sh
# Builds the inputs of the benchmarks in build/bench (or in the directory given), once: what is there
# is kept. About 1.4 GB; needs Debian 12, its package archive for some 200 MB, and lua5.4.
#
#   corpus.txt         English text from Debian packages (dictionaries, manuals, a Bible), cut at 245 MB.
#                      Markup is stripped, and a line that a package holds twice is kept once. Manuals
#                      have fewer words than as many books, so one line in about fifty is of words from
#                      word lists which the text lacks (1.5 % of the bytes); that gives 1.0 million
#                      distinct words in all, a word being letters and digits.
#   common.txt         60 MB of the same text with only its 5,000 most frequent words
#   sort_records.txt   260 MB: 2,600,000 records of 100 bytes, each with a random printable key of 10
#   grep.txt           512 MB: corpus.txt over and over
#   small/             10,000 small files, the first 40 MB of corpus.txt, in 100 directories
#   small.txt          the same bytes in one file
#   SOURCES            the packages and their versions
#
# The same package versions give the same bytes.
set -eu
LC_ALL=C
export LC_ALL
here=$(cd "$(dirname "$0")" && pwd)
out=${1:-$(cd "$here/../.." && pwd)/build/bench}
mkdir -p "$out/packages"
cd "$out"

CORPUS_BYTES=245000000
WORD='[:alnum:]'
lists='wamerican-insane miscfiles'
texts='bible-kjv-text dict-gcide dict-wn dict-foldoc dict-jargon dict-devil linux-doc-6.1 python3.11-doc
    perl-doc openjdk-17-doc racket-doc rust-doc fp-docs-3.2.2 erlang-doc vim-doc apache2-doc
    postgresql-doc-15 cppreference-doc-en-html libboost1.74-doc sqlite3-doc git-doc
    libreoffice-help-en-us octave-doc manpages manpages-dev fortunes r-doc-html'

# A file is there whole or not at all: make NAME COMMAND…
make_file()
{
    name=$1
    shift
    [ ! -e "$name" ] || return 0
    echo "making $out/$name" >&2
    "$@" >"$name.new"
    mv "$name.new" "$name"
}

# Directory of an unpacked package; it is downloaded first if need be.
unpack()
{
    set -- "$1" "packages/$1"
    if [ ! -d "$2" ]; then
        (cd packages && apt-get download -qq "$1" 2>../apt.log) || {
            cat apt.log >&2
            echo "no package $1; perhaps apt-get update helps" >&2
            return 1
        }
        rm -rf "$2.new"
        mkdir "$2.new"
        dpkg-deb -x "$2"_*.deb "$2.new"
        mv "$2.new" "$2"
    fi
    echo "$2"
}

files_of()
{
    find "$1" -type f \( -name '*.html' -o -name '*.html.gz' -o -name '*.txt' -o -name '*.txt.gz' \
        -o -name '*.dict.dz' -o -name '*.pod' -o -name '*.rst.gz' -o -path '*/man/*' \
        -o -path '*/games/fortunes/*' \) ! -name '*.dat' ! -name '*genindex*' \
        ! -path '*/rust-doc/html/core/*' ! -path '*/rust-doc/html/src/*' | sort
}

text_of_package()
{
    directory=$(unpack "$1")
    if [ "$1" = bible-kjv-text ]; then
        program=$(unpack bible-kjv)
        "$program/usr/bin/bible" -p "$directory/usr/lib" -f gen1:1-rev22:21 </dev/null
    else
        files_of "$directory" | lua5.4 "$here/corpus.lua" text
    fi
}

plain_text()
{
    for package in $texts; do
        text_of_package "$package"
    done
}

words_of()
{
    tr -cs "$WORD" '\n' | sort -u -S 25%
}

# Words of the lists that the text does not hold, mixed, six a line.
rare_words()
{
    for package in $lists; do
        directory=$(unpack "$package")
        find "$directory/usr/share/dict" -type f ! -name '*.gz' | sort | xargs cat
    done | words_of >list.words
    words_of <plain.txt | comm -13 - list.words | lua5.4 "$here/corpus.lua" shuffle |
        awk '{ printf "%s%s", $0, NR % 6 ? " " : "\n" } END { if (NR % 6) print "" }'
    rm -f list.words
}

corpus()
{
    every=$(($(wc -l <plain.txt) / ($(wc -l <rare.txt) + 1)))
    awk -v every="$every" '{ print } NR % every == 0 && (getline rare <"rare.txt") > 0 { print rare }' \
        plain.txt | head_lines "$CORPUS_BYTES"
}

# Whole lines, at most that many bytes.
head_lines()
{
    awk -v left="$1" '{ left -= length($0) + 1; if (left < 0) exit; print }'
}

sources()
{
    for package in bible-kjv $texts $lists; do
        (cd packages && find . -name "${package}_*.deb" | sed 's,^\./,,')
    done | sort -u
}

small_files()
{
    [ ! -d small ] || return 0
    rm -rf small.new
    for directory in $(seq -w 0 99); do
        mkdir -p "small.new/$directory"
    done
    lua5.4 "$here/corpus.lua" small_files 10000 small.new <small.txt
    mv small.new small
}

again_and_again()
{
    cat corpus.txt corpus.txt corpus.txt | head_lines 512000000
}

enough()
{
    [ "$(wc -c <corpus.txt)" -ge 240000000 ] || {
        echo "corpus.txt is too short" >&2
        exit 1
    }
}

if [ ! -e corpus.txt ]; then
    make_file plain.txt plain_text
    make_file rare.txt rare_words
    make_file SOURCES sources
    make_file corpus.txt corpus
    enough
    rm -rf plain.txt rare.txt packages
fi
make_file common.txt lua5.4 "$here/corpus.lua" common 5000 60000000 <corpus.txt
make_file sort_records.txt lua5.4 "$here/corpus.lua" sort_records 2600000
make_file grep.txt again_and_again
make_file small.txt head_lines 40000000 <corpus.txt
small_files
echo "$out"
