#include "cli/help.h"

#include "base/log.h"
#include "base/size.h"
#include "cli/cli.h"
#include "cli/topics.h"

#include <stdio.h>
#include <unistd.h>

enum { WIDTH = 80, HELP_COLUMN = 26, SUMMARY_COLUMN = 14 };

/* --- the parts of a page --- */

static void add_usage(struct text *t, const struct command *command)
{
    const char *lead = "usage: ";
    for (size_t i = 0; i < USAGE_LINES_MAX && command->usage[i]; i++) {
        text_printf(t, "%slmr %s%s%s\n", lead, command->name, command->usage[i][0] ? " " : "",
                    command->usage[i]);
        lead = "       ";
    }
}

/* A text of topics.h, its paragraphs wrapped. */
static void add_paragraphs(struct text *t, const char *words)
{
    while (*words) {
        size_t n = strcspn(words, "\n");
        if (strncmp(words, "    ", 4) == 0)
            text_add_bytes(t, words, n);
        else
            text_wrap(t, words, n, 0, 0, WIDTH);
        text_add(t, "\n");
        words += n + (words[n] == '\n');
    }
}

void help_option_head(const struct option *option, char out[OPTION_HEAD_MAX])
{
    char letter[8] = "    ";
    if (option->letter)
        (void)snprintf(letter, sizeof letter, "-%c, ", option->letter);
    (void)snprintf(out, OPTION_HEAD_MAX, "%s--%s%s%s", letter, option->name, option->value ? " "
                   : "", option->value ? option->value : "");
}

static void add_option(struct text *t, const struct option *option)
{
    char head[OPTION_HEAD_MAX];
    help_option_head(option, head);
    text_printf(t, "  %s", head);
    size_t column = 2 + strlen(head);
    if (column + 2 > HELP_COLUMN) {
        text_add(t, "\n");
        column = 0;
    }
    text_spaces(t, HELP_COLUMN - column);
    text_wrap(t, option->help, strlen(option->help), HELP_COLUMN, HELP_COLUMN, WIDTH);
    text_add(t, "\n");
}

static void add_options(struct text *t, const struct command *command)
{
    for (const struct option *o = command->options; o && o->name; o++)
        add_option(t, o);
}

static void add_summary(struct text *t, const char *name, const char *summary)
{
    size_t n = strlen(name);
    text_printf(t, "  %s", name);
    text_spaces(t, n < SUMMARY_COLUMN ? SUMMARY_COLUMN - n : 1);
    text_printf(t, "%s\n", summary);
}

static void add_commands(struct text *t)
{
    text_add(t, "Commands:\n\n");
    for (const struct command *c = commands(); c->name; c++)
        if (!c->hidden)
            add_summary(t, c->name, c->summary);
}

/* --- pages --- */

static void write_overview(struct text *t)
{
    text_add(t, "lmr runs MapReduce jobs written in Lua over your files.\n\n"
                "usage: lmr COMMAND [OPTION…] [WORD…]\n\n");
    add_commands(t);
    text_add(t, "\nTopics of lmr help:\n\n");
    add_summary(t, "commands", "all commands, with how they are called");
    add_summary(t, "options", "all options of all commands");
    for (const struct topic *topic = topics(); topic->name; topic++)
        add_summary(t, topic->name, topic->summary);
    text_add(t, "\nTo start: lmr new count.lua, then lmr run count.lua FILE…\n");
}

int help_print_overview(int fd)
{
    struct text t = TEXT_EMPTY;
    write_overview(&t);
    return text_print(&t, fd);
}

int help_print_command(const struct command *command)
{
    struct text t = TEXT_EMPTY;
    add_usage(&t, command);
    text_add(&t, "\n");
    add_paragraphs(&t, command->text);
    text_add(&t, "\nOptions:\n\n");
    add_options(&t, command);
    return text_print(&t, STDOUT_FILENO);
}

static int print_topic(const struct topic *topic)
{
    struct text t = TEXT_EMPTY;
    text_printf(&t, "lmr help %s: %s\n\n", topic->name, topic->summary);
    add_paragraphs(&t, topic->text);
    return text_print(&t, STDOUT_FILENO);
}

static int print_commands(void)
{
    struct text t = TEXT_EMPTY;
    for (const struct command *c = commands(); c->name; c++) {
        if (c->hidden)
            continue;
        text_printf(&t, "%s: %s\n", c->name, c->summary);
        add_usage(&t, c);
        text_add(&t, "\n");
    }
    return text_print(&t, STDOUT_FILENO);
}

static int print_options(void)
{
    struct text t = TEXT_EMPTY;
    for (const struct command *c = commands(); c->name; c++) {
        if (c->hidden)
            continue;
        text_printf(&t, "lmr %s:\n\n", c->name);
        add_options(&t, c);
        text_add(&t, "\n");
    }
    return text_print(&t, STDOUT_FILENO);
}

/* --- the command --- */

enum { WORDS_MAX = COMMANDS_MAX + 32 };

static int unknown_topic(const char *word)
{
    const char *names[WORDS_MAX];
    (void)command_names(names);
    size_t n = 0;
    while (names[n])
        n++;
    names[n++] = "commands";
    names[n++] = "options";
    for (const struct topic *topic = topics(); topic->name && n + 1 < WORDS_MAX; topic++)
        names[n++] = topic->name;
    names[n] = NULL;
    const char *near = nearest_name(word, names);
    if (near)
        log_error("no help on %s; did you mean lmr help %s?", word, near);
    else
        log_error("no help on %s; lmr help lists commands and topics", word);
    return EXIT_WRONG_USAGE;
}

static int print_word(const char *word)
{
    const struct command *command = command_find(word);
    if (command && !command->hidden)
        return help_print_command(command);
    for (const struct topic *topic = topics(); topic->name; topic++)
        if (strcmp(topic->name, word) == 0)
            return print_topic(topic);
    if (strcmp(word, "commands") == 0)
        return print_commands();
    if (strcmp(word, "options") == 0)
        return print_options();
    return unknown_topic(word);
}

int command_help(struct request *request)
{
    struct text t = TEXT_EMPTY;
    if (request->man) {
        manual_write(&t);
        return text_print(&t, STDOUT_FILENO);
    }
    if (request->completion) {
        completion_write(&t);
        return text_print(&t, STDOUT_FILENO);
    }
    if (request->word_count > 1) {
        log_error("help takes one word, a command or a topic; lmr help lists them");
        return EXIT_WRONG_USAGE;
    }
    return request->word_count ? print_word(request->words[0]) : help_print_overview(STDOUT_FILENO);
}
