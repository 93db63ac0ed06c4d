/* script_probe: runs assignments for specs.
 *
 *   script_probe <assignments   each line of standard input is an assignment as JSON; for each, one line of JSON is printed: the result,
 *                               or { "error": { type, message, traceback, file, offset, record, key, retry_after } }. An assignment with
 *                               "boundaries_of_last": true gets the boundaries of the result before it. Questions of the attempt are answered
 *                               with its "answer" (a boolean; absent: there is nobody to ask), and what was asked goes into "asked" of
 *                               the result or error.
 *   script_probe lua FILE ARG…  script_run_file; its error goes to standard error, exit code 1.
 */
#include "base/sys.h"
#include "data/json.h"
#include "script/attempt.h"

#include <stdio.h>
#include <stdlib.h>

static _Noreturn void fail(const char *what, const struct err *e)
{
    (void)fprintf(stderr, "script_probe: %s: %s\n", what, e ? e->message : "");
    exit(2);
}

static void add_err(struct val_map *m, const char *name, const struct err *e)
{
    struct val_map inner = VAL_MAP_EMPTY;
    struct buf bytes = BUF_EMPTY;
    val_map_str(&inner, "status", status_type(e->status));
    val_map_str(&inner, "type", e->type);
    val_map_str(&inner, "message", e->message);
    val_map_str(&inner, "traceback", e->traceback);
    val_map_str(&inner, "file", e->file);
    val_map_str(&inner, "key", e->key);
    val_map_str(&inner, "details", e->details);
    val_map_int(&inner, "offset", e->offset);
    val_map_int(&inner, "record", e->record);
    val_map_float(&inner, "retry_after", e->retry_after);
    val_map_float(&inner, "elapsed_seconds", e->elapsed_seconds);
    val_map_int(&inner, "memory_peak", (int64_t)e->memory_peak);
    if (val_map_end(&inner, &bytes) != ST_OK)
        fail("memory", NULL);
    val_map_value(m, name, buf_slice(&bytes));
    buf_free(&bytes);
}

/* --- questions --- */

struct asked {
    bool answer;
    struct buf list; /* the errors, encoded */
    uint64_t count;
};

static bool put_aside(void *context, const struct err *e)
{
    struct asked *a = context;
    struct val_map m = VAL_MAP_EMPTY;
    add_err(&m, "error", e);
    if (val_map_end(&m, &a->list) != ST_OK)
        fail("memory", NULL);
    a->count++;
    return a->answer;
}

static void add_asked(struct val_map *m, const struct asked *a)
{
    struct buf list = BUF_EMPTY;
    if (a->count == 0)
        return;
    if (val_put_array(&list, a->count) != ST_OK || buf_append_slice(&list, buf_slice(&a->list)) != ST_OK)
        fail("memory", NULL);
    val_map_value(m, "asked", buf_slice(&list));
    buf_free(&list);
}

static void put_error(const struct err *e, const struct asked *a, struct buf *out)
{
    struct val_map outer = VAL_MAP_EMPTY;
    add_err(&outer, "error", e);
    add_asked(&outer, a);
    if (val_map_end(&outer, out) != ST_OK)
        fail("memory", NULL);
}

/* --- assignments --- */

/* Adds the fields of a map. */
static void add_fields(struct val_map *m, struct slice map)
{
    struct val_cursor c;
    struct slice key, value, name;
    uint64_t n = val_map_open(map, &c);
    for (uint64_t i = 0; i < n; i++) {
        char text[64] = "";
        if (val_skip(&c, &key) != ST_OK || val_skip(&c, &value) != ST_OK || !val_as_string(key, &name) || name.n >= sizeof text)
            fail("assignment", NULL);
        memcpy(text, name.p, name.n);
        val_map_value(m, text, value);
    }
}

/* The assignment with one more field. */
static void add_boundaries(struct buf *assignment, struct slice last)
{
    struct val_map m = VAL_MAP_EMPTY;
    struct slice boundaries;
    struct buf out = BUF_EMPTY;
    if (!val_get_bool(buf_slice(assignment), "boundaries_of_last", false) || !val_get(last, "boundaries", &boundaries))
        return;
    add_fields(&m, buf_slice(assignment));
    val_map_value(&m, "boundaries", boundaries);
    if (val_map_end(&m, &out) != ST_OK)
        fail("memory", NULL);
    buf_free(assignment);
    *assignment = out;
}

static void with_asked(struct buf *result, const struct asked *a)
{
    struct val_map m = VAL_MAP_EMPTY;
    struct buf out = BUF_EMPTY;
    add_fields(&m, buf_slice(result));
    add_asked(&m, a);
    if (val_map_end(&m, &out) != ST_OK)
        fail("memory", NULL);
    buf_free(result);
    *result = out;
}

static void run_assignment(struct slice assignment, struct buf *result)
{
    static struct position page;
    struct err e;
    struct slice answer;
    struct asked asked = { val_get_bool(assignment, "answer", false), BUF_EMPTY, 0 };
    struct attempt_host host = { put_aside, &asked };
    if (script_attempt(assignment, &page, val_get(assignment, "answer", &answer) ? &host : NULL, result, &e) != ST_OK) {
        result->n = 0;
        put_error(&e, &asked, result);
    } else if (asked.count > 0) {
        with_asked(result, &asked);
    }
    buf_free(&asked.list);
}

static void run_line(char *line, size_t n, struct buf *last)
{
    struct buf assignment = BUF_EMPTY, result = BUF_EMPTY, text = BUF_EMPTY;
    struct err e;
    if (json_to_value(slice_of(line, n), &assignment, &e) != ST_OK)
        fail("JSON", &e);
    add_boundaries(&assignment, buf_slice(last));
    run_assignment(buf_slice(&assignment), &result);
    if (val_check(buf_slice(&result)) != ST_OK || json_from_value(buf_slice(&result), 0, &text, &e) != ST_OK)
        fail("result", &e);
    (void)fwrite(text.p, 1, text.n, stdout);
    (void)fputc('\n', stdout);
    (void)fflush(stdout);
    buf_free(&assignment);
    buf_free(&text);
    buf_free(last);
    *last = result;
}

static int run_lua(int argc, char **argv)
{
    struct err e;
    if (script_run_file(argv[2], argc - 3, argv + 3, &e) == ST_OK)
        return 0;
    (void)fprintf(stderr, "%s: %s\n%s\n", e.type, e.message, e.traceback);
    return 1;
}

int main(int argc, char **argv)
{
    struct buf last = BUF_EMPTY;
    char *line = NULL;
    size_t room = 0;
    ssize_t n;
    if (argc >= 3 && strcmp(argv[1], "lua") == 0)
        return run_lua(argc, argv);
    while ((n = getline(&line, &room, stdin)) > 0)
        run_line(line, (size_t)n, &last);
    free(line);
    buf_free(&last);
    return 0;
}
