# layers.awk - who may include whom.
#
#   app -> engine/terra.h, ui/*.h, data/*.h      everything -> engine/base/*.h
#   engine: libc, cblas, cJSON    ui: curses, readline    data: sqlite3, cJSON    app: none
#
# Only ui/term.c and ui/line_edit.c call curses and readline (ui/versions.c asks for their
# versions); engine/base includes nothing outside itself.  Prints one line per violation and exits with 1 if there was any.
# SPDX-License-Identifier: MIT

function say(why) {
    printf "%s:%d: %s\n", FILENAME, FNR, why
    bad = 1
}

function starts(text, prefix) {
    return substr(text, 1, length(prefix)) == prefix
}

FNR == 1 {
    split(FILENAME, part, "/")
    layer = starts(FILENAME, "engine/base/") ? "base" : part[1]
}

layer == "tests" || !/^[ \t]*#[ \t]*include/ { next }

match($0, /"[^"]+"/) {
    file = substr($0, RSTART + 1, RLENGTH - 2)
    if (file !~ /^(app|engine|ui|data)\//)
        say("include \"" file "\" from the root of the repository")
    else if (starts(file, "engine/base/"))
        next
    else if (layer == "base")
        say("engine/base must not include " file)
    else if (layer == "app" ? !(file == "engine/terra.h" || file ~ /^(app|ui|data)\//) \
                            : !starts(file, layer "/"))
        say(layer " must not include " file)
    next
}

match($0, /<[^>]+>/) {
    file = substr($0, RSTART + 1, RLENGTH - 2)
    owner = ""
    if (file ~ /^(n?cursesw?\/)?(curses|ncurses|term|panel)\.h$/ || file ~ /^readline\//)
        owner = "ui"
    else if (file ~ /^sqlite3/)
        owner = "data"
    else if (file ~ /^(cblas|openblas|lapack)/)
        owner = "engine"
    else if (file ~ /^(cjson\/)?cJSON\.h$/)
        owner = layer == "data" ? "data" : "engine"
    if (owner != "" && owner != layer)
        say(layer " must not include <" file ">")
    else if (owner == "ui" && FILENAME !~ /^ui\/(term|line_edit|versions)\.c$/)
        say("only ui/term.c and ui/line_edit.c call curses and readline")
}

END { exit bad }
