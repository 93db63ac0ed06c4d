/* profile.c: `lmr profile …`: what profiles say and do, told by Lua (scripts/profile_report.lua). */
#include "script/profile.h"

#include "base/log.h"
#include "base/size.h"
#include "cli/cli.h"
#include "cli/print.h"
#include "cli/table.h"

#include <signal.h>
#include <string.h>
#include <unistd.h>

enum { GRACE_SECONDS = 1 };

static const struct subcommand {
    const char *name;
    size_t words; /* that follow it */
    const char *usage;
} subcommands[] = {
    { "list", 0, "list" },
    { "show", 1, "show NAME|FILE" },
    { "check", 1, "check FILE" },
    { "diff", 2, "diff NAME|FILE NAME|FILE" },
    { "explain", 1, "explain NAME|FILE" },
};

enum { SUBCOMMANDS = sizeof subcommands / sizeof *subcommands };

static int unknown_subcommand(const char *word)
{
    const char *names[SUBCOMMANDS + 1] = { NULL };
    for (size_t i = 0; i < SUBCOMMANDS; i++)
        names[i] = subcommands[i].name;
    const char *near = nearest_name(word, names);
    if (near)
        log_error("no command lmr profile %s; did you mean lmr profile %s?", word, near);
    else
        log_error("no command lmr profile %s; lmr help profile lists them", word);
    return EXIT_WRONG_USAGE;
}

static const struct subcommand *find_subcommand(const char *word)
{
    for (size_t i = 0; i < SUBCOMMANDS; i++)
        if (strcmp(subcommands[i].name, word) == 0)
            return &subcommands[i];
    return NULL;
}

static int wrong_words(const struct subcommand *command, const struct request *request)
{
    size_t given = request->word_count - 1;
    if (given < command->words)
        log_error("lmr profile %s needs %s; usage: lmr profile %s", command->name,
                  command->words == 1 ? "a profile: its name or file" : "two profiles",
                  command->usage);
    else
        log_error("lmr profile %s does not take %s; usage: lmr profile %s", command->name,
                  request->words[1 + command->words], command->usage);
    return EXIT_WRONG_USAGE;
}

/* --- the query --- */

static void add_strings(struct val_map *map, const char *name, const char *const *strings, size_t n)
{
    struct buf array = BUF_EMPTY;
    enum status st = val_put_array(&array, n);
    for (size_t i = 0; i < n && st == ST_OK; i++)
        st = val_put_str(&array, strings[i]);
    if (st == ST_OK)
        val_map_value(map, name, buf_slice(&array));
    else
        map->status = st;
    buf_free(&array);
}

static enum status write_query(const struct request *request, struct buf *query)
{
    struct val_map map = VAL_MAP_EMPTY;
    val_map_str(&map, "command", request->words[0]);
    add_strings(&map, "words", request->words + 1, request->word_count - 1);
    add_strings(&map, "set", request->set, request->run.set_count);
    val_map_str(&map, "job", request->job_file);
    val_map_str(&map, "type", request->error_type);
    val_map_bool(&map, "json", request->json);
    return val_map_end(&map, query);
}

/* --- the answer --- */

/* Line for line, so that nothing a profile holds steers the terminal. */
static void add_lines(struct text *t, char *lines)
{
    while (*lines) {
        char *end = strchr(lines, '\n');
        if (end)
            *end = '\0';
        columns_disarm(lines);
        text_printf(t, "%s\n", lines);
        if (!end)
            break;
        lines = end + 1;
    }
}

static void print_warnings(struct slice answer)
{
    struct slice warnings, element, text;
    struct val_cursor c;
    uint64_t n = val_get(answer, "warnings", &warnings) ? val_array(warnings, &c) : 0;
    for (uint64_t i = 0; i < n; i++)
        if (val_skip(&c, &element) == ST_OK && val_as_string(element, &text))
            log_warning("%.*s", (int)text.n, (const char *)text.p);
}

static int print_answer(struct slice answer, bool json)
{
    struct text t = TEXT_EMPTY;
    struct buf lines = BUF_EMPTY;
    struct slice text;
    print_warnings(answer);
    if (!val_get_string(answer, "text", &text))
        text = slice_of(NULL, 0);
    if (json) {
        text_add_bytes(&t, (const char *)text.p, text.n);
    } else if (buf_append_slice(&lines, text) == ST_OK && buf_append(&lines, "", 1) == ST_OK) {
        add_lines(&t, (char *)lines.p);
    } else {
        t.status = ST_MEMORY;
    }
    buf_free(&lines);
    return text_print(&t, STDOUT_FILENO);
}

/* --- the command --- */

/* A pattern match that does not come back from C is stopped by nothing but this. */
static void on_alarm(int number)
{
    static const char message[] =
        "lmr: the code of the profile or job did not end and could not be stopped; a profile is a "
        "table of settings, and its functions decide at once\n";
    (void)number;
    ssize_t ignored = write(STDERR_FILENO, message, sizeof message - 1);
    (void)ignored;
    _exit(EXIT_WRONG_USAGE);
}

static int answer_query(const struct request *request)
{
    struct buf query = BUF_EMPTY, answer = BUF_EMPTY;
    struct err e;
    err_clear(&e);
    (void)signal(SIGALRM, on_alarm);
    (void)alarm(PROFILE_SECONDS + GRACE_SECONDS);
    enum status st = write_query(request, &query);
    if (st != ST_OK)
        (void)err_memory(&e, "a query", query.n);
    else
        st = script_profile(buf_slice(&query), &answer, &e);
    (void)alarm(0);
    int code = st == ST_OK ? print_answer(buf_slice(&answer), request->json)
        : st == ST_MEMORY ? EXIT_FAILED : EXIT_WRONG_USAGE;
    if (st != ST_OK)
        log_err(&e);
    buf_free(&query);
    buf_free(&answer);
    return code;
}

int command_profile(struct request *request)
{
    if (request->word_count == 0) {
        log_error("which command? lmr profile list, show, check, diff or explain; see lmr help "
                  "profile");
        return EXIT_WRONG_USAGE;
    }
    const struct subcommand *command = find_subcommand(request->words[0]);
    if (!command)
        return unknown_subcommand(request->words[0]);
    if (request->word_count != command->words + 1)
        return wrong_words(command, request);
    return answer_query(request);
}
