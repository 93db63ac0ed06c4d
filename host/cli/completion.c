/* completion.c: a completion script for bash, made of the tables. */
#include "cli/help.h"
#include "cli/new.h"
#include "cli/topics.h"
#include "script/embedded.h"

/* Names of compiled-in files "DIRECTORY/NAME.lua" that start with `prefix`, without prefix and
 * ending. */
static void add_embedded(struct text *t, const char *prefix)
{
    size_t count, n = strlen(prefix);
    const struct embedded_file *files = embedded_files(&count);
    for (size_t i = 0; i < count; i++)
        if (strncmp(files[i].name, prefix, n) == 0) {
            text_add(t, " ");
            text_add_bytes(t, files[i].name + n, strcspn(files[i].name + n, "."));
        }
}

/* Files and the profiles that are compiled in. */
static void add_profiles(struct text *t)
{
    text_add(t, "-f -W \"");
    add_embedded(t, "profiles/");
    text_add(t, "\"");
}

static void add_types(struct text *t)
{
    text_add(t, "-W \"");
    for (enum status st = ST_CRASH; st <= ST_BAD_RECORD; st++)
        text_printf(t, "%s%s", st == ST_CRASH ? "" : " ", status_type(st));
    text_add(t, "\"");
}

/* What may stand for the option's value, as arguments of compgen. */
static void add_value(struct text *t, const struct option *o)
{
    if (o->choices) {
        text_add(t, "-W \"");
        for (const char *const *choice = o->choices; *choice; choice++)
            text_printf(t, "%s%s", choice == o->choices ? "" : " ", *choice);
        text_add(t, "\"");
    } else if (strcmp(o->value, "DIR") == 0) {
        text_add(t, "-d");
    } else if (strcmp(o->value, "JOB.lua") == 0) {
        text_add(t, "-f");
    } else if (strcmp(o->value, "PROFILE") == 0) {
        add_profiles(t);
    } else if (strcmp(o->value, "TYPE") == 0) {
        add_types(t);
    } else if (strcmp(o->value, "TEMPLATE") == 0) {
        text_add(t, "-W \"");
        add_embedded(t, TEMPLATE_PREFIX);
        text_add(t, "\"");
    } else {
        text_add(t, "-W \"\"");
    }
}

static void add_values(struct text *t, const struct command *command)
{
    for (const struct option *o = command->options; o && o->name; o++) {
        if (o->kind == OPTION_FLAG)
            continue;
        text_printf(t, "    '%s --%s'", command->name, o->name);
        if (o->letter)
            text_printf(t, " | '%s -%c'", command->name, o->letter);
        text_add(t, ")\n        COMPREPLY=($(compgen ");
        add_value(t, o);
        text_add(t, " -- \"$current\"))\n        return ;;\n");
    }
}

static void add_options(struct text *t, const struct command *command)
{
    text_printf(t, "    %s) options=\"", command->name);
    const char *space = "";
    for (const struct option *o = command->options; o && o->name; o++) {
        text_printf(t, "%s--%s", space, o->name);
        space = " ";
        if (o->letter)
            text_printf(t, " -%c", o->letter);
    }
    text_add(t, "\" ;;\n");
}

/* The words that `lmr profile` begins with, then profiles. */
static void add_subcommands(struct text *t)
{
    const struct command *command = command_find("profile");
    text_add(t, "    elif [[ $command == profile ]] && ((COMP_CWORD == 2)); then\n"
                "        COMPREPLY=($(compgen -W \"");
    for (size_t i = 0; i < USAGE_LINES_MAX && command->usage[i]; i++)
        text_printf(t, "%s%.*s", i ? " " : "", (int)strcspn(command->usage[i], " "),
                    command->usage[i]);
    text_add(t, "\" -- \"$current\"))\n"
                "    elif [[ $command == profile ]]; then\n"
                "        COMPREPLY=($(compgen ");
    add_profiles(t);
    text_add(t, " -- \"$current\"))\n");
}

static void add_names(struct text *t, bool with_topics)
{
    const char *space = "";
    for (const struct command *c = commands(); c->name; c++)
        if (!c->hidden) {
            text_printf(t, "%s%s", space, c->name);
            space = " ";
        }
    for (const struct topic *topic = topics(); with_topics && topic->name; topic++)
        text_printf(t, " %s", topic->name);
    if (with_topics)
        text_add(t, " commands options");
}

static void each_command(struct text *t, void (*add)(struct text *, const struct command *))
{
    for (const struct command *c = commands(); c->name; c++)
        if (!c->hidden)
            add(t, c);
}

static const char head[] =
    "# bash completion for lmr " LMR_VERSION "; printed by: lmr help --completion bash\n"
    "# shellcheck shell=bash disable=SC2207\n"
    "_lmr()\n"
    "{\n"
    "    local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD-1]}\n"
    "    local command=${COMP_WORDS[1]} options=\n"
    "    # --name=VALUE comes as three words\n"
    "    if [[ $current == = ]]; then\n"
    "        current=\n"
    "    elif [[ $previous == = ]]; then\n"
    "        previous=${COMP_WORDS[COMP_CWORD-2]}\n"
    "    fi\n";

void completion_write(struct text *t)
{
    text_add(t, head);
    text_add(t, "    if ((COMP_CWORD == 1)); then\n        COMPREPLY=($(compgen -W \"");
    add_names(t, false);
    text_add(t, "\" -- \"$current\"))\n        return\n    fi\n"
                "    case \"$command $previous\" in\n");
    each_command(t, add_values);
    text_add(t, "    esac\n    case $command in\n");
    each_command(t, add_options);
    text_add(t, "    esac\n"
                "    if [[ $current == -* ]]; then\n"
                "        COMPREPLY=($(compgen -W \"$options\" -- \"$current\"))\n"
                "    elif [[ $command == help ]]; then\n"
                "        COMPREPLY=($(compgen -W \"");
    add_names(t, true);
    text_add(t, "\" -- \"$current\"))\n");
    add_subcommands(t);
    text_add(t, "    else\n"
                "        COMPREPLY=($(compgen -f -- \"$current\"))\n"
                "    fi\n}\n"
                "complete -o filenames -F _lmr lmr\n");
}
