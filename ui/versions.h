/* versions.h - which curses and readline the program runs with.
 *
 * Owns: nothing.  Errors: none.  Threads: reentrant.
 *
 * SPDX-License-Identifier: MIT */
#ifndef TERRA_UI_VERSIONS_H
#define TERRA_UI_VERSIONS_H

const char *versions_curses(void);   /* "ncurses 6.4.20221231" */
const char *versions_readline(void); /* "8.2" */

#endif
