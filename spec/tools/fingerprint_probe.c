/* fingerprint_probe: fingerprints for specs.
 *
 *   fingerprint_probe describe JOB FILE ARG…      describes a job file and writes its encoded fingerprints to FILE ("-m CODE" for JOB: a
 *                                                 one-liner; "-m CODE -r CODE")
 *   fingerprint_probe compare THEN NOW            a line "STEP STAGE STATE" for each stage that is not absent, then "STEP STAGE: TEXT" for each change
 *   fingerprint_probe key FILE STEP STAGE         its stage_key
 *   fingerprint_probe show FILE                   as JSON
 *   fingerprint_probe reach JOB VALUE…            loads the job, calls its map with each value, says "same" or the difference
 *   fingerprint_probe time JOB N                  describes and reaches N times; microseconds of one each: describe with, reach */
#include "base/sys.h"
#include "data/json.h"
#include "schedule/changes.h"
#include "script/attempt.h"
#include "script/fingerprint.h"
#include "script/job.h"

#include <stdio.h>
#include <stdlib.h>

static _Noreturn void fail(const char *what, const struct err *e)
{
    (void)fprintf(stderr, "fingerprint_probe: %s: %s\n", what, e ? e->message : "");
    exit(1);
}

static void must(enum status st, const char *what, const struct err *e)
{
    if (st != ST_OK)
        fail(what, e);
}

/* --- assignments --- */

/* JOB, or -m CODE [-r CODE]; returns the first argument after it. */
static int put_job(struct val_map *m, int argc, char **argv, int i)
{
    if (strcmp(argv[i], "-m") != 0) {
        val_map_str(m, "job", argv[i]);
        return i + 1;
    }
    struct val_map code = VAL_MAP_EMPTY;
    struct buf bytes = BUF_EMPTY;
    val_map_str(&code, "map", argv[i + 1]);
    i += 2;
    if (i + 1 < argc && strcmp(argv[i], "-r") == 0) {
        val_map_str(&code, "reduce", argv[i + 1]);
        i += 2;
    }
    must(val_map_end(&code, &bytes), "one-liner", NULL);
    val_map_value(m, "one_liner", buf_slice(&bytes));
    buf_free(&bytes);
    return i;
}

static void put_args(struct val_map *m, int argc, char **argv, int from)
{
    struct buf list = BUF_EMPTY;
    enum status st = val_put_array(&list, (uint64_t)(argc - from));
    for (int i = from; st == ST_OK && i < argc; i++)
        st = val_put_str(&list, argv[i]);
    must(st, "arguments", NULL);
    val_map_value(m, "args", buf_slice(&list));
    buf_free(&list);
}

static void describe_assignment(int argc, char **argv, struct buf *out, const char **file)
{
    struct val_map m = VAL_MAP_EMPTY;
    val_map_str(&m, "kind", "describe");
    val_map_str(&m, "task", "describe");
    int i = put_job(&m, argc, argv, 2);
    if (file)
        *file = i < argc ? argv[i++] : "-";
    put_args(&m, argc, argv, i);
    must(val_map_end(&m, out), "assignment", NULL);
}

static void describe(int argc, char **argv)
{
    struct buf assignment = BUF_EMPTY, result = BUF_EMPTY;
    struct position *page = sys_calloc(1, sizeof *page);
    struct slice fingerprints;
    struct err e;
    const char *file;
    describe_assignment(argc, argv, &assignment, &file);
    must(page ? ST_OK : ST_MEMORY, "page", NULL);
    must(script_attempt(buf_slice(&assignment), page, NULL, &result, &e), "describe", &e);
    if (!val_get(buf_slice(&result), "fingerprints", &fingerprints))
        fail("the description has no fingerprints", NULL);
    must(sys_write_file(file, fingerprints, false, "probe", &e), file, &e);
    buf_free(&assignment);
    buf_free(&result);
    sys_free(page);
}

/* --- comparing --- */

static const char *const states[] = { "absent", "same", "changed", "unsure", "not known" };

static void read_file(const char *path, struct buf *out)
{
    struct err e;
    if (strcmp(path, "none") != 0)
        must(sys_read_file(path, 1 << 28, out, &e), path, &e);
}

static void compare(char **argv)
{
    struct buf then = BUF_EMPTY, now = BUF_EMPTY;
    struct changes c = { .arena = ARENA_EMPTY };
    char reason[CHANGES_REASON_MAX];
    struct err e;
    read_file(argv[2], &then);
    read_file(argv[3], &now);
    must(changes_compare(buf_slice(&then), buf_slice(&now), &c, &e), "compare", &e);
    for (uint32_t step = 1; step <= c.steps; step++)
        for (int i = 0; i < STAGE_COUNT; i++)
            if (changes_stage(&c, step, (enum stage)i) != STAGE_ABSENT)
                (void)printf("%u %s %s|%s\n", step, stage_name((enum stage)i), states[changes_stage(&c, step, (enum stage)i)],
                             changes_reason(&c, step, (enum stage)i, reason));
    for (size_t i = 0; i < c.count; i++)
        (void)printf("%u %s: %s\n", c.list[i].step, stage_name(c.list[i].stage), c.list[i].text);
    changes_free(&c);
    buf_free(&then);
    buf_free(&now);
}

static void show_key(char **argv)
{
    struct buf bytes = BUF_EMPTY;
    char text[64];
    uint32_t step;
    enum stage stage;
    read_file(argv[2], &bytes);
    (void)snprintf(text, sizeof text, "%s:%s", argv[3], argv[4]);
    if (!stage_parse(text, &step, &stage))
        fail("no stage", NULL);
    (void)printf("%llu\n", (unsigned long long)stage_key(buf_slice(&bytes), step, stage));
    buf_free(&bytes);
}

static void show(char **argv)
{
    struct buf bytes = BUF_EMPTY, text = BUF_EMPTY;
    struct err e;
    read_file(argv[2], &bytes);
    must(json_from_value(buf_slice(&bytes), 0, &text, &e), "JSON", &e);
    (void)printf("%.*s\n", (int)text.n, (const char *)text.p);
    buf_free(&bytes);
    buf_free(&text);
}

/* --- reach --- */

struct reaching {
    struct task *task;
    struct reach then, now;
    char **values;
    int count, times;
    int64_t nanoseconds;
};

static int emit(lua_State *L)
{
    (void)L;
    return 0;
}

/* Loads the job, looks, calls map, looks again. */
static int reach_body(lua_State *L)
{
    struct reaching *r = lua_touserdata(L, 1);
    lua_settop(L, 0);
    job_push_step(L, r->task);
    int64_t start = sys_now();
    for (int i = 0; i < r->times; i++)
        fingerprint_reach(L, 1, &r->then);
    r->nanoseconds = sys_now() - start;
    for (int i = 0; i < r->count; i++) {
        (void)job_field(L, 1, "map");
        lua_pushinteger(L, i);
        lua_pushstring(L, r->values[i]);
        lua_pushcfunction(L, emit);
        lua_call(L, 3, 0);
    }
    fingerprint_reach(L, 1, &r->now);
    return 0;
}

static int64_t reach(int argc, char **argv, int times, bool tell)
{
    struct buf assignment = BUF_EMPTY;
    struct val_map m = VAL_MAP_EMPTY;
    struct script_config config = { .seed_task = "map_0" };
    struct script *s;
    struct task task;
    struct err e;
    char text[512];
    val_map_str(&m, "task", "map_0");
    val_map_str(&m, "job", argv[2]);
    must(val_map_end(&m, &assignment), "assignment", NULL);
    must(script_open(&config, &s, &e), "state", &e);
    task_init(&task, s, buf_slice(&assignment), TASK_MAP);
    s->task = &task;
    struct reaching r = { .task = &task, .values = argv + 3, .count = argc - 3, .times = times };
    must(script_protect(s, reach_body, &r, &e), "reach", &e);
    fingerprint_reach_difference(&r.then, &r.now, text, sizeof text);
    if (tell)
        (void)puts(fingerprint_reach_same(&r.then, &r.now) ? "same" : text);
    fingerprint_reach_free(&r.then);
    fingerprint_reach_free(&r.now);
    s->task = NULL;
    task_free(&task);
    script_close(s);
    buf_free(&assignment);
    return r.nanoseconds / times;
}

static void measure(char **argv)
{
    struct buf assignment = BUF_EMPTY, result = BUF_EMPTY;
    struct position *page = sys_calloc(1, sizeof *page);
    struct err e;
    int n = atoi(argv[3]);
    describe_assignment(3, argv, &assignment, NULL);
    must(page && n > 0 ? ST_OK : ST_MEMORY, "time", NULL);
    int64_t start = sys_now();
    for (int i = 0; i < n; i++) {
        result.n = 0;
        must(script_attempt(buf_slice(&assignment), page, NULL, &result, &e), "describe", &e);
    }
    (void)printf("describe %.1f us, reach %.1f us\n", (double)(sys_now() - start) / 1e3 / n,
                 (double)reach(3, argv, n, false) / 1e3);
    buf_free(&assignment);
    buf_free(&result);
    sys_free(page);
}

int main(int argc, char **argv)
{
    if (argc >= 4 && strcmp(argv[1], "describe") == 0)
        describe(argc, argv);
    else if (argc == 4 && strcmp(argv[1], "compare") == 0)
        compare(argv);
    else if (argc == 5 && strcmp(argv[1], "key") == 0)
        show_key(argv);
    else if (argc == 3 && strcmp(argv[1], "show") == 0)
        show(argv);
    else if (argc >= 3 && strcmp(argv[1], "reach") == 0)
        (void)reach(argc, argv, 1, true);
    else if (argc == 4 && strcmp(argv[1], "time") == 0)
        measure(argv);
    else
        fail("usage", NULL);
    return 0;
}
