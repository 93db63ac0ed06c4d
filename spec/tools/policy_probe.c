/* policy_probe: a driver's loop around schedule/policy.h and schedule/control.h, for specs. Everything is JSON.
 *
 *   policy_probe <script      each line is a step, done in order; what happens is printed, one line each:
 *     { "do": "config", "config": {…}, "profile": true | absent }   true: the profile that was loaded last
 *     { "do": "ask", "id", "function", "for_delay", "err": fields of struct err as schedule/wire.h has them,
 *       "task", "attempt", "worker", "fingerprint", "ctx": { … } }
 *     { "do": "load", "config": {…}, "previous": true | absent }   likewise
 *     { "do": "wait" }        until all is answered
 *     { "do": "kill" }        SIGKILL to every process this one has started
 *     { "do": "serve", "dir": a job's folder }   answers `lmr profile use` until a request "quit"
 *     { "do": "shut" }        ends with questions open
 *   → { "id", "answer" } or { "id", "type", "problem" }; { "loaded": true, "report", "profile", "warnings" } or
 *     { "loaded": false, "type", "problem" }; at the end { "turns": how often a timer of 10 ms ran }
 *   policy_probe request DIR JSON   sends a request and prints the reply */
#include "base/log.h"
#include "base/sys.h"
#include "data/json.h"
#include "schedule/control.h"
#include "schedule/policy.h"
#include "schedule/wire.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { TURN_MS = 10, WAITS_SECONDS = 20 };

struct probe {
    uv_loop_t loop;
    uv_timer_t turn;
    struct policy *policy;
    struct control *control;
    struct control_reply *reply; /* that waits for a load */
    struct buf config, last;     /* the present config; the profile that was loaded last */
    unsigned open;               /* questions and loads */
    uint64_t turns;
    bool quit;
};

static void check(enum status st, const struct err *e)
{
    if (st == ST_OK)
        return;
    (void)fprintf(stderr, "policy_probe: %s\n", e->message);
    exit(2);
}

/* Of calls that have no message: memory. */
static void need(enum status st)
{
    struct err e;
    check(st == ST_OK ? st : err_memory(&e, "a probe", 0), &e);
}

static void set(struct buf *b, struct slice content)
{
    b->n = 0;
    need(buf_append_slice(b, content));
}

static void print(struct val_map *m)
{
    struct buf value = BUF_EMPTY, text = BUF_EMPTY;
    struct err e;
    err_clear(&e);
    need(val_map_end(m, &value));
    check(json_from_value(buf_slice(&value), 0, &text, &e), &e);
    (void)printf("%.*s\n", (int)text.n, (const char *)text.p);
    (void)fflush(stdout);
    buf_free(&value);
    buf_free(&text);
}

static void put_problem(struct val_map *m, enum status st, const struct err *problem)
{
    val_map_str(m, "type", status_type(st));
    val_map_str(m, "problem", problem->message);
}

/* --- what the policy host says --- */

static void on_answered(void *context, uint64_t id, enum status st, struct slice answer,
                        const struct err *problem)
{
    struct probe *p = context;
    struct val_map m = VAL_MAP_EMPTY;
    p->open--;
    val_map_int(&m, "id", (int64_t)id);
    if (st == ST_OK)
        val_map_value(&m, "answer", answer);
    else
        put_problem(&m, st, problem);
    print(&m);
}

static void on_loaded(void *context, enum status st, const struct policy_loaded *loaded,
                      const struct err *problem)
{
    struct probe *p = context;
    struct val_map m = VAL_MAP_EMPTY;
    p->open--;
    val_map_bool(&m, "loaded", st == ST_OK);
    if (st == ST_OK) {
        set(&p->last, loaded->profile);
        val_map_str(&m, "report", loaded->report);
        val_map_value(&m, "profile", loaded->profile);
        val_map_value(&m, "warnings", loaded->warnings);
    } else {
        put_problem(&m, st, problem);
    }
    print(&m);
    if (p->reply)
        control_say(p->reply, st == ST_OK, st == ST_OK ? loaded->report : problem->message);
    p->reply = NULL;
}

/* --- what commands ask --- */

static void use_profile(struct probe *p, struct control_reply *reply, struct slice request)
{
    struct buf config = BUF_EMPTY;
    struct err e;
    char profile[4096];
    (void)val_get_cstr(request, "profile", profile, sizeof profile);
    need(policy_config_with(buf_slice(&p->config), profile, &config));
    if (policy_load(p->policy, buf_slice(&config), buf_slice(&p->last), &e) == ST_OK) {
        p->reply = reply;
        p->open++;
    } else {
        control_say(reply, false, e.message);
    }
    buf_free(&config);
}

static void on_request(void *context, struct control_reply *reply, struct slice request)
{
    struct probe *p = context;
    struct slice command = { NULL, 0 };
    (void)val_get_string(request, "command", &command);
    if (slice_equal(command, slice_str("profile"))) {
        use_profile(p, reply, request);
    } else if (slice_equal(command, slice_str("leave"))) { /* without a word */
        p->quit = true;
    } else {
        p->quit = slice_equal(command, slice_str("quit"));
        control_say(reply, p->quit, p->quit ? "bye" : "no such command");
    }
}

/* --- steps --- */

static struct slice part(struct slice step, const char *name)
{
    struct slice value;
    return val_get(step, name, &value) ? value : slice_of(NULL, 0);
}

/* The profile that was loaded last, when the step says so. */
static struct slice last_profile(const struct probe *p, struct slice step, const char *name)
{
    return val_get_bool(step, name, false) ? buf_slice(&p->last) : slice_of(NULL, 0);
}

static void do_config(struct probe *p, struct slice step)
{
    struct err e;
    set(&p->config, part(step, "config"));
    check(policy_config(p->policy, part(step, "config"), last_profile(p, step, "profile"), &e),
          &e);
}

static void put_ctx(struct slice ctx, struct buf *out)
{
    struct slice job = part(ctx, "job");
    struct policy_context c = {
        .attempt = (uint32_t)val_get_int(ctx, "attempt", 0),
        .retry = (uint32_t)val_get_int(ctx, "retry", 1),
        .failures = (uint32_t)val_get_int(ctx, "failures", 0),
        .same_failures = (uint32_t)val_get_int(ctx, "same_failures", 1),
        .elapsed_seconds = val_get_float(ctx, "elapsed_seconds", 0),
        .budget_left = val_get_float(ctx, "budget_left", 0),
        .now = val_get_float(ctx, "now", 0),
        .limits = part(ctx, "limits"),
        .tasks = (uint64_t)val_get_int(job, "tasks", 0),
        .done = (uint64_t)val_get_int(job, "done", 0),
        .job_failures = part(job, "failures"),
    };
    need(policy_put_context(&c, out));
}

static void do_ask(struct probe *p, struct slice step)
{
    struct err failed, e;
    struct buf err = BUF_EMPTY, ctx = BUF_EMPTY;
    char task[64];
    wire_get_err(part(step, "err"), &failed);
    (void)val_get_cstr(step, "task", task, sizeof task);
    struct policy_failure failure = {
        .err = &failed,
        .task = task,
        .attempt = (uint32_t)val_get_int(step, "attempt", 0),
        .worker = (long)val_get_int(step, "worker", 0),
        .fingerprint = (uint64_t)val_get_int(step, "fingerprint", 0),
    };
    need(policy_put_err(&failure, &err));
    put_ctx(part(step, "ctx"), &ctx);
    p->open++;
    check(policy_ask(p->policy, (uint64_t)val_get_int(step, "id", 0),
                     (uint32_t)val_get_int(step, "function", 1),
                     val_get_bool(step, "for_delay", false), buf_slice(&err), buf_slice(&ctx), &e),
          &e);
    buf_free(&err);
    buf_free(&ctx);
}

static void do_load(struct probe *p, struct slice step)
{
    struct err e;
    enum status st = policy_load(p->policy, part(step, "config"), last_profile(p, step, "previous"), &e);
    if (st == ST_OK) {
        p->open++;
        return;
    }
    struct val_map m = VAL_MAP_EMPTY;
    val_map_bool(&m, "loaded", false);
    put_problem(&m, st, &e);
    print(&m);
}

static void do_wait(struct probe *p)
{
    int64_t end = sys_now() + (int64_t)WAITS_SECONDS * 1000000000;
    while (p->open > 0 && sys_now() < end)
        (void)uv_run(&p->loop, UV_RUN_ONCE);
    if (p->open > 0) {
        (void)fprintf(stderr, "policy_probe: %u not answered\n", p->open);
        _exit(3);
    }
}

static void do_kill(void)
{
    struct buf text = BUF_EMPTY;
    struct err e;
    char path[64];
    (void)snprintf(path, sizeof path, "/proc/self/task/%ld/children", (long)getpid());
    check(sys_read_file(path, 4096, &text, &e), &e);
    need(buf_terminate(&text));
    for (char *at = (char *)text.p, *end; ; at = end) {
        long pid = strtol(at, &end, 10);
        if (end == at)
            break;
        (void)kill((pid_t)pid, SIGKILL);
    }
    buf_free(&text);
}

static void do_serve(struct probe *p, struct slice step)
{
    struct err e;
    char dir[4096];
    (void)val_get_cstr(step, "dir", dir, sizeof dir);
    check(control_open(&p->loop, dir, on_request, p, &p->control, &e), &e);
    (void)puts("serving");
    (void)fflush(stdout);
    while (!p->quit)
        (void)uv_run(&p->loop, UV_RUN_ONCE);
    (void)uv_run(&p->loop, UV_RUN_NOWAIT);
}

/* False: the script ends here. */
static bool do_step(struct probe *p, struct slice step)
{
    struct slice what = { NULL, 0 };
    (void)val_get_string(step, "do", &what);
    if (slice_equal(what, slice_str("config")))
        do_config(p, step);
    else if (slice_equal(what, slice_str("ask")))
        do_ask(p, step);
    else if (slice_equal(what, slice_str("load")))
        do_load(p, step);
    else if (slice_equal(what, slice_str("wait")))
        do_wait(p);
    else if (slice_equal(what, slice_str("kill")))
        do_kill();
    else if (slice_equal(what, slice_str("serve")))
        do_serve(p, step);
    else
        return false;
    return true;
}

static void on_turn(uv_timer_t *timer)
{
    struct probe *p = timer->data;
    p->turns++;
}

static void run_script(struct probe *p)
{
    struct buf step = BUF_EMPTY;
    struct err e;
    char *line = NULL;
    size_t cap = 0;
    ssize_t n;
    bool more = true;
    while (more && (n = getline(&line, &cap, stdin)) > 0) {
        step.n = 0;
        check(json_to_value(slice_of(line, (size_t)n), &step, &e), &e);
        more = do_step(p, buf_slice(&step));
    }
    free(line);
    buf_free(&step);
}

static int script(void)
{
    struct probe *p = sys_calloc(1, sizeof *p);
    struct policy_handlers handlers = { on_answered, on_loaded, p };
    struct val_map m = VAL_MAP_EMPTY;
    struct err e;
    CHECK(p && uv_loop_init(&p->loop) == 0);
    (void)uv_timer_init(&p->loop, &p->turn);
    p->turn.data = p;
    (void)uv_timer_start(&p->turn, on_turn, TURN_MS, TURN_MS);
    check(policy_open(&p->loop, &handlers, &p->policy, &e), &e);
    run_script(p);
    control_close(p->control);
    policy_close(p->policy);
    uv_close((uv_handle_t *)&p->turn, NULL);
    (void)uv_run(&p->loop, UV_RUN_DEFAULT);
    CHECK(uv_loop_close(&p->loop) == 0);
    val_map_int(&m, "turns", (int64_t)p->turns);
    print(&m);
    buf_free(&p->config);
    buf_free(&p->last);
    sys_free(p);
    return 0;
}

static int request(const char *dir, const char *json)
{
    struct buf value = BUF_EMPTY, reply = BUF_EMPTY, text = BUF_EMPTY;
    struct err e;
    check(json_to_value(slice_str(json), &value, &e), &e);
    check(control_call(dir, buf_slice(&value), 10, &reply, &e), &e);
    check(json_from_value(buf_slice(&reply), 0, &text, &e), &e);
    (void)printf("%.*s\n", (int)text.n, (const char *)text.p);
    buf_free(&value);
    buf_free(&reply);
    buf_free(&text);
    return 0;
}

int main(int argc, char **argv)
{
    (void)signal(SIGPIPE, SIG_IGN);
    if (argc > 1 && strcmp(argv[1], "policy") == 0)
        return policy_main(); /* the pool starts this program anew */
    if (argc == 4 && strcmp(argv[1], "request") == 0)
        return request(argv[2], argv[3]);
    return argc == 1 ? script() : 2;
}
