#include "cli/options.h"

#include "base/size.h"
#include "base/sys.h"
#include "schedule/changes.h"

#include <stdio.h>

/* The walk over one command line. */
struct parser {
    const struct command *command;
    int argc;
    char *const *argv;
    int at; /* the word being read */
    struct request *request;
    struct err *e;
};

const struct option *option_find(const struct option *options, const char *name, size_t length)
{
    for (const struct option *o = options; o && o->name; o++)
        if (strlen(o->name) == length && memcmp(o->name, name, length) == 0)
            return o;
    return NULL;
}

static const struct option *find_letter(const struct option *options, char letter)
{
    for (const struct option *o = options; o && o->name; o++)
        if (o->letter && o->letter == letter)
            return o;
    return NULL;
}

enum { NAMES_MAX = 64 };

static const char *nearest_option(const struct option *options, const char *name)
{
    const char *names[NAMES_MAX + 1];
    size_t n = 0;
    for (const struct option *o = options; o && o->name && n < NAMES_MAX; o++)
        names[n++] = o->name;
    names[n] = NULL;
    const char *near = nearest_name(name, names);
    for (size_t i = 0; i < n && !near && strlen(name) > 1; i++)
        if (strncmp(names[i], name, strlen(name)) == 0)
            near = names[i]; /* --out */
    return near;
}

static enum status unknown_option(struct parser *p, const char *word)
{
    const char *command = p->command->name;
    char name[128] = "";
    if (word[1] == '-')
        (void)snprintf(name, sizeof name, "%.*s", (int)strcspn(word + 2, "="), word + 2);
    const char *near = name[0] ? nearest_option(p->command->options, name) : NULL;
    if (near)
        return err_set(p->e, ST_USAGE,
                       "unknown option %s; did you mean --%s? (lmr help %s lists all options)",
                       word, near, command);
    if (strcmp(command, "run") == 0)
        return err_set(p->e, ST_USAGE,
                       "unknown option %s; lmr help run lists all options, and what the job "
                       "itself is to read goes after --",
                       word);
    return err_set(p->e, ST_USAGE, "unknown option %s; lmr help %s lists all options", word,
                   command);
}

/* What the user typed for this option: "-o" or "--output". */
struct typed {
    char text[40];
};

static struct typed typed_name(const struct option *o, bool is_letter)
{
    struct typed t;
    if (is_letter)
        (void)snprintf(t.text, sizeof t.text, "-%c", o->letter);
    else
        (void)snprintf(t.text, sizeof t.text, "--%s", o->name);
    return t;
}

/* --- one value --- */

static enum status wrong_value(struct parser *p, const char *name, const struct option *o,
                               const char *text, const char *what)
{
    return err_set(p->e, ST_USAGE, "%s %s: %s; try %s %s", name, text, what, name, o->example);
}

/* Digits only: no sign, no space, no exponent. False when it is no such number; *overflow tells
 * one beyond 64 bits. */
static bool whole_number(const char *text, uint64_t *value, bool *overflow)
{
    *value = 0;
    *overflow = false;
    if (!*text)
        return false;
    for (; *text; text++) {
        if (*text < '0' || *text > '9')
            return false;
        unsigned digit = (unsigned)(*text - '0');
        if (*value > (UINT64_MAX - digit) / 10)
            *overflow = true;
        else
            *value = *value * 10 + digit;
    }
    return true;
}

static const char *limit_text(const struct option *o, uint64_t limit, char out[SIZE_TEXT_MAX])
{
    return o->kind == OPTION_SIZE ? size_format(limit, out) : count_format(limit, out);
}

static enum status out_of_limits(struct parser *p, const char *name, const struct option *o,
                                 const char *text)
{
    char least[SIZE_TEXT_MAX], most[SIZE_TEXT_MAX];
    (void)limit_text(o, o->least, least);
    (void)limit_text(o, o->most, most);
    return err_set(p->e, ST_USAGE, "%s %s: must be from %s to %s (%s); try %s %s", name, text,
                   least, most, o->reason, name, o->example);
}

static enum status number_value(struct parser *p, const char *name, const struct option *o,
                                const char *text, uint64_t *value)
{
    bool overflow;
    if (text[0] == '-' && whole_number(text + 1, value, &overflow))
        return out_of_limits(p, name, o, text);
    if (!whole_number(text, value, &overflow))
        return wrong_value(p, name, o, text, "not a whole number");
    if (overflow || *value < o->least || *value > o->most)
        return out_of_limits(p, name, o, text);
    return ST_OK;
}

/* "-5M", "99999999999999T": the form is right, the number is not. */
static bool has_size_form(const char *text)
{
    char one[16];
    uint64_t ignored;
    text += text[0] == '-';
    size_t digits = strspn(text, "0123456789");
    (void)snprintf(one, sizeof one, "1%s", text + digits);
    return digits > 0 && size_parse(one, &ignored);
}

static enum status size_value(struct parser *p, const char *name, const struct option *o,
                              const char *text, uint64_t *value)
{
    if (!has_size_form(text) && !size_parse(text, value))
        return wrong_value(p, name, o, text,
                           "not a size, which is a number with nothing, K, M, G or T behind it");
    if (!size_parse(text, value) || *value < o->least || *value > o->most)
        return out_of_limits(p, name, o, text);
    return ST_OK;
}

static enum status choice_value(struct parser *p, const char *name, const struct option *o,
                                const char *text)
{
    char all[256] = "";
    size_t n = 0;
    for (const char *const *choice = o->choices; *choice; choice++) {
        if (strcmp(*choice, text) == 0)
            return ST_OK;
        if (n < sizeof all)
            n += (size_t)snprintf(all + n, sizeof all - n, "%s%s", n ? ", " : "", *choice);
    }
    const char *near = nearest_name(text, o->choices);
    if (near)
        return err_set(p->e, ST_USAGE, "%s %s: no such %s; did you mean %s? (there are %s)", name,
                       text, o->value, near, all);
    return err_set(p->e, ST_USAGE, "%s %s: no such %s; there are %s", name, text, o->value, all);
}

static enum status setting_value(struct parser *p, const char *name, const struct option *o,
                                 const char *text)
{
    size_t key = strcspn(text, "=");
    if (text[key] != '=' || key == 0)
        return wrong_value(p, name, o, text, "not of the form KEY=VALUE");
    p->request->set[p->request->run.set_count++] = text;
    return ST_OK;
}

/* "map", "2:reduce". */
static enum status stage_value(struct parser *p, const char *name, const struct option *o,
                               const char *text)
{
    static const char *const stages[] = { "map", "reduce", "format", "stop", NULL };
    uint32_t step;
    enum stage stage;
    if (stage_parse(text, &step, &stage)) {
        p->request->accept[p->request->run.accept_count++] = text;
        return ST_OK;
    }
    const char *colon = strchr(text, ':'), *near = nearest_name(colon ? colon + 1 : text, stages);
    if (near && strcmp(near, colon ? colon + 1 : text) != 0)
        return err_set(p->e, ST_USAGE,
                       "%s %s: no such %s; did you mean %.*s%s? (map, reduce, format or stop; of a later "
                       "step 2:map)",
                       name, text, o->value, colon ? (int)(colon + 1 - text) : 0, text, near);
    return wrong_value(p, name, o, text, "no stage, which is map, reduce, format or stop, or 2:map of a later step");
}

static enum status store_number(struct parser *p, const char *name, const struct option *o,
                                const char *text, void *field)
{
    uint64_t value = 0;
    enum status status = o->kind == OPTION_SIZE ? size_value(p, name, o, text, &value)
        : number_value(p, name, o, text, &value);
    if (status != ST_OK)
        return status;
    if (o->kind == OPTION_UNSIGNED)
        *(unsigned *)field = (unsigned)value;
    else if (o->kind == OPTION_INT64)
        *(int64_t *)field = (int64_t)value;
    else
        *(uint64_t *)field = value;
    return ST_OK;
}

/* `text` is NULL for a flag. */
static enum status store(struct parser *p, const char *name, const struct option *o,
                         const char *text)
{
    void *field = (char *)p->request + o->field;
    enum status status = ST_OK;
    if (text && !*text)
        return err_set(p->e, ST_USAGE, "%s: the value is empty; try %s %s", name, name, o->example);
    switch (o->kind) {
    case OPTION_FLAG:
        *(bool *)field = true;
        break;
    case OPTION_CHOICE:
        status = choice_value(p, name, o, text);
        *(const char **)field = text;
        break;
    case OPTION_TEXT:
        *(const char **)field = text;
        break;
    case OPTION_SETTING:
        status = setting_value(p, name, o, text);
        break;
    case OPTION_STAGE:
        status = stage_value(p, name, o, text);
        break;
    case OPTION_UNSIGNED:
    case OPTION_INT64:
    case OPTION_UINT64:
    case OPTION_SIZE:
        status = store_number(p, name, o, text, field);
        break;
    }
    if (o->given)
        *((bool *)((char *)p->request + o->given)) = true;
    return status;
}

/* --- one word --- */

/* "-o --overwrite" is a forgotten DIR and not a directory of that name; "--output=--overwrite"
 * says it is one. */
static bool is_option_word(const struct parser *p, const char *word)
{
    const char *name = word + 2;
    return strncmp(word, "--", 2) == 0 && *name && option_find(p->command->options, name,
            strcspn(name, "="));
}

static enum status take_value(struct parser *p, const char *name, const struct option *o)
{
    bool last = p->at + 1 >= p->argc;
    if (last || strcmp(p->argv[p->at + 1], "--") == 0 || is_option_word(p, p->argv[p->at + 1]))
        return err_set(p->e, ST_USAGE, "%s needs a value: %s %s; try %s %s", name, name, o->value,
                       name, o->example);
    return store(p, name, o, p->argv[++p->at]);
}

static enum status parse_long(struct parser *p, const char *word)
{
    const char *name = word + 2;
    size_t length = strcspn(name, "=");
    const struct option *o = option_find(p->command->options, name, length);
    if (!o)
        return unknown_option(p, word);
    struct typed typed = typed_name(o, false);
    const char *value = name[length] == '=' ? name + length + 1 : NULL;
    if (o->kind == OPTION_FLAG && value)
        return err_set(p->e, ST_USAGE, "%s takes no value; write it without %s", typed.text,
                       name + length);
    if (o->kind == OPTION_FLAG || value)
        return store(p, typed.text, o, value);
    return take_value(p, typed.text, o);
}

static enum status parse_letters(struct parser *p, const char *word)
{
    for (const char *letter = word + 1; *letter; letter++) {
        const struct option *o = find_letter(p->command->options, *letter);
        if (!o)
            return unknown_option(p, word);
        struct typed typed = typed_name(o, true);
        enum status status;
        if (o->kind != OPTION_FLAG)
            return letter[1] ? store(p, typed.text, o, letter + 1) : take_value(p, typed.text, o);
        if ((status = store(p, typed.text, o, NULL)) != ST_OK)
            return status;
    }
    return ST_OK;
}

static void take_rest(struct parser *p, int from)
{
    p->request->rest = p->argv + from;
    p->request->rest_count = (size_t)(p->argc - from);
    p->at = p->argc;
}

static enum status parse_word(struct parser *p)
{
    const char *word = p->argv[p->at];
    if (strcmp(word, "--") == 0) {
        take_rest(p, p->at + 1);
        return ST_OK;
    }
    if (word[0] == '-' && word[1] == '-')
        return parse_long(p, word);
    if (word[0] == '-' && word[1])
        return parse_letters(p, word);
    p->request->words[p->request->word_count++] = word;
    if (p->command->passes_all_on)
        take_rest(p, p->at + 1);
    return ST_OK;
}

enum status options_parse(const struct command *command, int argc, char *const *argv,
                          struct request *request, struct err *e)
{
    *request = (struct request){ .run = { .reducers = -1, .stdout_fd = 1 } };
    size_t room = (size_t)argc + 1;
    request->words = sys_calloc(room, sizeof *request->words);
    request->set = sys_calloc(room, sizeof *request->set);
    request->accept = sys_calloc(room, sizeof *request->accept);
    if (!request->words || !request->set || !request->accept)
        return err_memory(e, "the command line", room * sizeof *request->words);
    struct parser p = { command, argc, argv, 0, request, e };
    for (; p.at < argc; p.at++) {
        enum status status = parse_word(&p);
        if (status != ST_OK)
            return status;
    }
    request->run.set = request->set;
    request->run.accept = request->accept;
    return ST_OK;
}

void request_free(struct request *request)
{
    sys_free(request->words);
    sys_free(request->set);
    sys_free(request->accept);
    request->words = request->set = request->accept = NULL;
}
