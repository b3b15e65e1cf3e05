#!/bin/sh
# lint.sh - every static check; each is named, all run, the exit status is 1 if one fails.
#
# Usage: lint.sh C-SOURCE...   (make lint does that)
# Environment: B build directory, CC, PYTHON.  LINT=name runs one check alone.
# SPDX-License-Identifier: MIT
# shellcheck disable=SC2317  # check() calls the functions
set -u
B=${B:-build}
CC=${CC:-gcc}
PYTHON=${PYTHON:-python3}
mkdir -p "$B/lint"
failed=0

# check NAME TOOL COMMAND...: runs the command and shows its output if it fails.
check() {
    name=$1 tool=$2
    shift 2
    [ "${LINT:-$name}" = "$name" ] || return 0
    if ! command -v "$tool" >/dev/null 2>&1; then
        echo "FAIL $name: $tool is not installed (make deps)"
        failed=1
    elif "$@" >"$B/lint/$name.log" 2>&1; then
        echo "ok   $name"
    else
        echo "FAIL $name"
        sed 's/^/    /' "$B/lint/$name.log"
        failed=1
    fi
}

layers() {
    awk -f tests/lint/layers.awk "$@"
}

# The first lines of a source name its module and licence; unfinished work is not committed.
headers() {
    awk '
        FNR == 1 { if (NR > 1 && !spdx) { print file ": no SPDX line"; bad = 1 } spdx = 0; file = FILENAME }
        /SPDX-License-Identifier: MIT/ { spdx = 1 }
        /TODO|FIXME|XXX:/ { print FILENAME ":" FNR ": unfinished: " $0; bad = 1 }
        END { if (!spdx) { print file ": no SPDX line"; bad = 1 } exit bad }' "$@"
}

manuals() {
    status=0
    for page in man/*.[1-9]; do
        mandoc -T lint -W warning "$page" || status=1
    done
    return "$status"
}

bugs_cppcheck() {
    mkdir -p "$B/lint/cppcheck"
    cppcheck -q --std=c11 --language=c -I. -j 2 --error-exitcode=1 \
        -DTERRA_VERSION='"lint"' -DTERRA_PREFIX='"/usr"' \
        --enable=warning,performance,portability --inline-suppr \
        --cppcheck-build-dir="$B/lint/cppcheck" \
        --suppress=missingIncludeSystem --suppress=unknownMacro \
        --suppress=normalCheckLevelMaxBranches --suppress=invalidFunctionArg \
        --suppress=internalAstError:data/migrate.c \
        --suppress=uninitvar "$@"
}

# A source that passed is not looked at again before it, a header or the rules change.
bugs_clang_tidy() {
    rules=".clang-tidy $(echo app/*.h engine/*.h engine/*/*.h ui/*.h data/*.h)"
    for source; do
        case $source in
        *.h | *avx512* | *avx2* | tests/unit/*) continue ;;
        esac
        stamp=$B/lint/tidy/$source.ok
        # shellcheck disable=SC2086
        if [ ! -f "$stamp" ] || [ -n "$(find "$source" $rules -newer "$stamp")" ]; then
            echo "$source"
        fi
    done >"$B/lint/tidy.list"
    # shellcheck disable=SC2016
    xargs -r -n 1 -P "$(nproc 2>/dev/null || echo 2)" sh -c '
        stamp=$0/lint/tidy/$1.ok
        if out=$(clang-tidy --quiet "$1" -- -std=c11 -I. -I"$0" -D_XOPEN_SOURCE=700 \
            -D_XOPEN_SOURCE_EXTENDED -D_DEFAULT_SOURCE -DTERRA_VERSION=\"lint\" \
            -DTERRA_PREFIX=\"/usr\" 2>/dev/null); then
            mkdir -p "${stamp%/*}" && : >"$stamp"
        else
            printf "%s\n" "$out"
            exit 1
        fi' "$B" <"$B/lint/tidy.list"
}

scripts=$(find tests data app .ci -name '*.sh' -o -path '.ci/run' 2>/dev/null | sort)
# The reference implementation is kept as the specification has it.
python=$(find data tests -name '*.py' ! -name terraformer_ref.py | sort)

check format clang-format clang-format --dry-run -Werror "$@"
check layers awk layers "$@"
check headers awk headers "$@"
# shellcheck disable=SC2086
check shell shellcheck shellcheck $scripts
check man mandoc manuals
# shellcheck disable=SC2086
check python "$PYTHON" "$PYTHON" tests/lint/check_python.py $python
check cppcheck cppcheck bugs_cppcheck "$@"
check clang-tidy clang-tidy bugs_clang_tidy "$@"
exit "$failed"
