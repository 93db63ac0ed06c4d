/* manual.c: the man page lmr(1), made of the tables and the topics. */
#include "cli/help.h"
#include "cli/topics.h"

#include <stdio.h>

/* "…", which roff cannot print in every locale. */
static const char ellipsis[] = "\xe2\x80\xa6";
#define ELLIPSIS_SIZE (sizeof ellipsis - 1)

/* Adds text so that roff prints it as it is, hyphens and quotes as ASCII, to be copied. */
static void add_escaped(struct text *t, const char *words, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const char *escape = NULL;
        if (n - i >= ELLIPSIS_SIZE && memcmp(words + i, ellipsis, ELLIPSIS_SIZE) == 0) {
            text_add(t, "\\&...");
            i += ELLIPSIS_SIZE - 1;
            continue;
        }
        switch (words[i]) {
        case '\\': escape = "\\e"; break;
        case '-':  escape = "\\-"; break;
        case '\'': escape = "\\(aq"; break;
        case '`':  escape = "\\(ga"; break;
        case '"':  escape = "\\(dq"; break;
        case '^':  escape = "\\(ha"; break;
        case '~':  escape = "\\(ti"; break;
        default: break;
        }
        if (escape)
            text_add(t, escape);
        else
            text_add_bytes(t, words + i, 1);
    }
}

/* A line of text: a point or quote at its start is no request. */
static void add_line(struct text *t, const char *words, size_t n)
{
    if (n > 0 && (words[0] == '.' || words[0] == '\''))
        text_add(t, "\\&");
    add_escaped(t, words, n);
    text_add(t, "\n");
}

static size_t add_code(struct text *t, const char *words)
{
    size_t at = 0;
    text_add(t, ".RS 4\n.nf\n");
    while (strncmp(words + at, "    ", 4) == 0) {
        size_t n = strcspn(words + at, "\n");
        add_line(t, words + at + 4, n - 4);
        at += n + (words[at + n] == '\n');
    }
    text_add(t, ".fi\n.RE\n");
    return at;
}

/* A text of topics.h. */
static void add_paragraphs(struct text *t, const char *words)
{
    while (*words) {
        size_t n = strcspn(words, "\n");
        if (n == 0) {
            text_add(t, ".PP\n");
            words++;
        } else if (strncmp(words, "    ", 4) == 0) {
            words += add_code(t, words);
        } else {
            add_line(t, words, n);
            words += n + (words[n] == '\n');
        }
    }
}

static void add_usage(struct text *t, const struct command *command)
{
    for (size_t i = 0; i < USAGE_LINES_MAX && command->usage[i]; i++) {
        text_printf(t, ".br\n.B lmr %s\n", command->name);
        if (command->usage[i][0])
            add_line(t, command->usage[i], strlen(command->usage[i]));
    }
}

static void add_option(struct text *t, const struct option *option)
{
    text_add(t, ".TP\n");
    if (option->letter)
        text_printf(t, "\\fB\\-%c\\fR, ", option->letter);
    text_add(t, "\\fB\\-\\-");
    add_escaped(t, option->name, strlen(option->name));
    text_add(t, "\\fR");
    if (option->value)
        text_printf(t, " \\fI%s\\fR", option->value);
    text_add(t, "\n");
    add_line(t, option->help, strlen(option->help));
}

static void add_command(struct text *t, const struct command *command)
{
    text_printf(t, ".SS \"lmr %s: %s\"\n", command->name, command->summary);
    add_usage(t, command);
    text_add(t, ".PP\n");
    add_paragraphs(t, command->text);
    for (const struct option *o = command->options; o && o->name; o++)
        add_option(t, o);
}

static void add_topic(struct text *t, const struct topic *topic)
{
    text_printf(t, ".SH \"%s\"\n", topic->heading);
    add_paragraphs(t, topic->text);
}

static const char description[] =
    "lmr runs MapReduce jobs. A job is a Lua file with a function map, called on every record "
    "of the input, and a reduce, a function or one of those that come with lmr, called on "
    "every group of "
    "equal keys. lmr cuts the input into splits, runs tasks in several processes, sorts, and "
    "commits the result in one step: it is there whole or not at all.\n";

static const char examples[] =
    "Count the words of some files:\n"
    "\n"
    "    lmr run -m 'for w in mr.words(value) do emit(w, 1) end' -r sum *.txt\n"
    "\n"
    "Start a job of your own, and run it:\n"
    "\n"
    "    lmr new count.lua\n"
    "    lmr run count.lua texts -o out\n"
    "\n"
    "See what a run would do:\n"
    "\n"
    "    lmr run count.lua texts -o out --dry-run\n";

void manual_write(struct text *t)
{
    text_add(t, ".TH LMR 1 \"\" \"lmr " LMR_VERSION "\" \"User Commands\"\n.ad l\n.nh\n"
                ".SH NAME\nlmr \\- run MapReduce jobs written in Lua\n.SH SYNOPSIS\n");
    for (const struct command *c = commands(); c->name; c++)
        if (!c->hidden)
            add_usage(t, c);
    text_add(t, ".SH DESCRIPTION\n");
    add_paragraphs(t, description);
    text_add(t, ".SH COMMANDS AND OPTIONS\n");
    for (const struct command *c = commands(); c->name; c++)
        if (!c->hidden)
            add_command(t, c);
    for (const struct topic *topic = topics(); topic->name; topic++)
        add_topic(t, topic);
    text_add(t, ".SH EXAMPLES\n");
    add_paragraphs(t, examples);
    text_add(t, ".SH SEE ALSO\n.BR lua5.4 (1),\n.BR sort (1)\n");
}
