/* args_help.c - what the tables of args.c say to people and to shells.
 *
 * SPDX-License-Identifier: MIT */
#include "app/args_impl.h"

#include <string.h>

/* ---- help ---------------------------------------------------------------------- */

static void help_option(const struct args_option *o, struct buf *out)
{
    struct buf left = {0};
    if (o->letter)
        buf_printf(&left, "  -%c, --%s", o->letter, o->name);
    else
        buf_printf(&left, "      --%s", o->name);
    if (o->value)
        buf_printf(&left, " %s", o->value);
    if (left.len > 28)
        buf_printf(out, "%s\n%30s%s\n", buf_str(&left), "", o->help);
    else
        buf_printf(out, "%-28s  %s\n", buf_str(&left), o->help);
    buf_free(&left);
}

void args_help(enum cmd c, struct buf *out)
{
    if (c == CMD_COUNT) {
        buf_add_str(out, "usage: terra [COMMAND] [OPTIONS] [ARGUMENTS]\n\ncommands:\n");
        for (int i = 0; i < CMD_COUNT; i++)
            buf_printf(out, "  %-11s %s\n", args_commands[i].name, args_commands[i].help);
        buf_add_str(out,
                    "\n'terra help COMMAND' lists a command's options; terra(1) explains.\n"
                    "'terra help numbers' says what the screens' numbers are.\n");
        return;
    }
    const char *operands = args_commands[c].operands;
    buf_printf(out, "usage: terra %s [OPTIONS]%s%s\n%s\n\noptions:\n", args_commands[c].name,
               *operands ? " " : "", operands, args_commands[c].help);
    for (size_t i = 0; i < args_n_options; i++)
        if ((args_options[i].listed & args_options[i].cmds) & (1u << c))
            help_option(&args_options[i], out);
}

/* ---- completion ------------------------------------------------------------------ */

/* The operands that are fixed words: of completion and logs. */
static const char *operand_words(enum cmd c, char *words, size_t size)
{
    if (c != CMD_LOGS && c != CMD_COMPLETION)
        return NULL;
    size_t n = strcspn(args_commands[c].operands, " ");
    if (n >= size)
        return NULL;
    memcpy(words, args_commands[c].operands, n);
    words[n] = '\0';
    for (char *p = words; *p; p++)
        if (*p == '|')
            *p = ' ';
    return words;
}

static void add_words(struct buf *out, const char *words) /* "a|b" as "a b" */
{
    for (const char *p = words; *p; p++)
        buf_add_byte(out, *p == '|' ? ' ' : *p);
}

/* Only files are completed as such: -o filenames would add a slash to a command if there is
 * a folder of its name. */
static void complete_bash(struct buf *out)
{
    buf_add_str(
        out,
        "# bash completion for terra\n_terra()\n{\n"
        "    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]}\n"
        "    local cmd=tui w opts='' words=''\n"
        "    for w in \"${COMP_WORDS[@]:1:COMP_CWORD-1}\"; do\n        case $w in\n        ");
    for (int i = 0; i < CMD_COUNT; i++)
        buf_printf(out, "%s%s", i ? "|" : "", args_commands[i].name);
    buf_add_str(out, ") cmd=$w; break ;;\n        esac\n    done\n    case $cmd:$prev in\n");
    for (size_t i = 0; i < args_n_options; i++) {
        const struct args_option *o = &args_options[i];
        if (o->kind == FLAG)
            continue;
        bool all = o->cmds == ARGS_ALL;
        for (int c = 0, first = 1; c < CMD_COUNT; c++) {
            if (all ? c > 0 : !(o->cmds & (1u << c)))
                continue;
            const char *cmd = all ? "*" : args_commands[c].name;
            buf_printf(out, "%s%s:--%s", first ? "    " : "|", cmd, o->name);
            if (o->letter)
                buf_printf(out, "|%s:-%c", cmd, o->letter);
            first = 0;
        }
        if (o->kind == WORD) {
            buf_add_str(out, ")\n        mapfile -t COMPREPLY < <(compgen -W '");
            add_words(out, o->value);
            buf_add_str(out, "' -- \"$cur\"); return ;;\n");
        } else if (o->kind == PATH) {
            buf_add_str(
                out, ")\n        compopt -o filenames 2>/dev/null\n"
                     "        mapfile -t COMPREPLY < <(compgen -f -- \"$cur\"); return ;;\n");
        } else {
            buf_add_str(out, ")\n        return ;;\n");
        }
    }
    buf_add_str(out, "    esac\n    case $cmd in\n");
    for (int c = 0; c < CMD_COUNT; c++) {
        char words[128];
        buf_printf(out, "    %s) opts='", args_commands[c].name);
        for (size_t i = 0; i < args_n_options; i++)
            if (args_options[i].listed & args_options[i].cmds & (1u << c))
                buf_printf(out, "--%s ", args_options[i].name);
        buf_add_str(out, "' words='");
        if (operand_words((enum cmd)c, words, sizeof words))
            buf_add_str(out, words);
        buf_add_str(out, "' ;;\n");
    }
    buf_add_str(out,
                "    esac\n    if [ \"$COMP_CWORD\" -eq 1 ]; then\n        words=\"$words");
    for (int i = 0; i < CMD_COUNT; i++)
        buf_printf(out, " %s", args_commands[i].name);
    buf_add_str(out, "\"\n    fi\n    if [[ $cmd == help ]]; then\n        words=\"");
    for (int i = 0; i < CMD_COUNT; i++)
        buf_printf(out, "%s ", args_commands[i].name);
    buf_add_str(
        out,
        "numbers\"\n    fi\n    [[ $cur == -* ]] && words=$opts\n"
        "    mapfile -t COMPREPLY < <(compgen -W \"$words\" -- \"$cur\")\n"
        "    if [[ $cur != -* && $cmd != logs && $cmd != completion && $cmd != help ]]; then\n"
        "        [[ ${COMPREPLY[0]} ]] || compopt -o filenames 2>/dev/null\n"
        "        mapfile -t -O \"${#COMPREPLY[@]}\" COMPREPLY < <(compgen -f -- \"$cur\")\n"
        "    fi\n}\ncomplete -F _terra terra\n");
}

/* Help texts inside single quotes; a colon and brackets mean something to zsh. */
static void add_quoted(struct buf *out, const char *s, const char *escape)
{
    for (; *s; s++) {
        if (*s == '\'')
            buf_add_str(out, "'\\'");
        else if (strchr(escape, *s))
            buf_add_byte(out, '\\');
        buf_add_byte(out, *s);
    }
}

static void complete_zsh(struct buf *out)
{
    buf_add_str(out, "#compdef terra\n# zsh completion for terra\n_terra() {\n"
                     "  local -a commands=(\n");
    for (int i = 0; i < CMD_COUNT; i++) {
        buf_printf(out, "    '%s:", args_commands[i].name);
        add_quoted(out, args_commands[i].help, ":");
        buf_add_str(out, "'\n");
    }
    buf_add_str(out, "  )\n  local cmd=tui w\n  for w in ${words[2,CURRENT-1]}; do\n"
                     "    if (( ${args_commands[(I)$w:*]} )); then cmd=$w; break; fi\n  done\n"
                     "  local -a opts\n  case $cmd in\n");
    for (int c = 0; c < CMD_COUNT; c++) {
        buf_printf(out, "  %s) opts=(\n", args_commands[c].name);
        for (size_t i = 0; i < args_n_options; i++) {
            const struct args_option *o = &args_options[i];
            if (!(o->listed & o->cmds & (1u << c)))
                continue;
            if (o->letter)
                buf_printf(out, "    '(-%c --%s)'{-%c,--%s}'[", o->letter, o->name, o->letter,
                           o->name);
            else
                buf_printf(out, "    '--%s[", o->name);
            add_quoted(out, o->help, "[]:");
            buf_add_byte(out, ']');
            if (o->kind == WORD) {
                buf_printf(out, ":%s:(", o->name);
                add_words(out, o->value);
                buf_add_byte(out, ')');
            } else if (o->kind == PATH) {
                buf_printf(out, ":%s:_files", o->name);
            } else if (o->kind != FLAG) {
                buf_printf(out, ":%s: ", o->name);
            }
            buf_add_str(out, "'\n");
        }
        char words[128];
        if (operand_words((enum cmd)c, words, sizeof words))
            buf_printf(out, "    '1:what:(%s)' '*:argument: '\n", words);
        else if (c == CMD_HELP)
            buf_add_str(out, "    '1:command:{_describe command commands}'\n");
        else
            buf_add_str(out, "    '*:file:_files'\n");
        buf_add_str(out, "    ) ;;\n");
    }
    buf_add_str(out, "  esac\n"
                     "  if (( CURRENT == 2 )) && [[ $words[2] != -* ]]; then\n"
                     "    _describe command commands; _files\n    return\n  fi\n"
                     "  if [[ ${words[2]} == $cmd ]]; then shift words; (( CURRENT-- )); fi\n"
                     "  _arguments -s $opts\n}\n"
                     "if [[ $funcstack[1] == _terra ]]; then _terra \"$@\"; else compdef "
                     "_terra terra; fi\n");
}

static void complete_fish(struct buf *out)
{
    buf_add_str(out, "# fish completion for terra\nset -l commands");
    for (int i = 0; i < CMD_COUNT; i++)
        buf_printf(out, " %s", args_commands[i].name);
    buf_add_byte(out, '\n');
    for (int i = 0; i < CMD_COUNT; i++) {
        char words[128];
        buf_printf(
            out,
            "complete -c terra -n \"not __fish_seen_subcommand_from $commands\" -a %s -d '",
            args_commands[i].name);
        add_quoted(out, args_commands[i].help, "\\");
        buf_add_str(out, "'\n");
        if (operand_words((enum cmd)i, words, sizeof words))
            buf_printf(out,
                       "complete -c terra -n '__fish_seen_subcommand_from %s' -f -a '%s'\n",
                       args_commands[i].name, words);
    }
    for (size_t i = 0; i < args_n_options; i++) {
        const struct args_option *o = &args_options[i];
        buf_printf(out, "complete -c terra -l %s", o->name);
        if (o->letter)
            buf_printf(out, " -s %c", o->letter);
        if (o->kind == WORD) {
            buf_add_str(out, " -x -a '");
            add_words(out, o->value);
            buf_add_byte(out, '\'');
        } else if (o->kind == PATH) {
            buf_add_str(out, " -r -F");
        } else if (o->kind != FLAG) {
            buf_add_str(out, " -x");
        }
        if (o->listed != ARGS_ALL) {
            buf_add_str(out, " -n '__fish_seen_subcommand_from");
            for (int c = 0; c < CMD_COUNT; c++)
                if (o->listed & o->cmds & (1u << c))
                    buf_printf(out, " %s", args_commands[c].name);
            buf_add_byte(out, '\'');
        }
        buf_add_str(out, " -d '");
        add_quoted(out, o->help, "\\");
        buf_add_str(out, "'\n");
    }
}

bool args_completion(const char *shell, struct buf *out, struct err *e)
{
    if (strcmp(shell, "bash") == 0)
        complete_bash(out);
    else if (strcmp(shell, "zsh") == 0)
        complete_zsh(out);
    else if (strcmp(shell, "fish") == 0)
        complete_fish(out);
    else
        return err_set(e, ERR_USAGE, "no completion for '%s': bash, zsh or fish", shell);
    return true;
}
