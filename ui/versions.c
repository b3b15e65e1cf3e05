/* SPDX-License-Identifier: MIT */
#include "ui/versions.h"

#include <curses.h>
#include <stdio.h>

#include <readline/readline.h>

const char *versions_curses(void)
{
    return curses_version();
}

const char *versions_readline(void)
{
    return rl_library_version;
}
