/* requests.c: what commands ask of the running driver (control.h), handed to who answers. */
#include "schedule/driver.h"

static const char *phase_name(enum job_phase phase)
{
    static const char *const names[] = {
        [JOB_PREPARE] = "prepare", [JOB_INDEX] = "index",     [JOB_SAMPLE] = "sample", [JOB_MAP] = "map",
        [JOB_REDUCE] = "reduce",   [JOB_PUBLISH] = "publish", [JOB_DONE] = "done"
    };
    return names[phase];
}

static void put_running(const struct driver *d, uint32_t slot, const struct position *page,
                        struct val_map *m)
{
    const struct running *r = &d->running[slot];
    const struct work *w = &d->work[d->core.slots[slot].task];
    char name[TASK_NAME_MAX];
    double fraction = driver_fraction(d, slot, page);
    val_map_str(m, "task", task_name(d, w, name));
    val_map_int(m, "attempt", r->id.number);
    val_map_bool(m, "speculative", r->id.speculative);
    val_map_int(m, "worker", r->worker);
    val_map_int(m, "started", r->started);
    val_map_int(m, "records", (int64_t)POSITION_GET(page, record));
    val_map_int(m, "bytes", (int64_t)POSITION_GET(page, bytes_in));
    val_map_int(m, "pairs", (int64_t)POSITION_GET(page, pairs_out));
    if (fraction >= 0)
        val_map_float(m, "fraction", fraction);
}

/* Attempts that have begun: their page is theirs. */
static enum status put_attempts(const struct driver *d, struct buf *out)
{
    struct buf list = BUF_EMPTY;
    uint64_t count = 0;
    enum status st = ST_OK;
    for (uint32_t slot = 0; slot < d->core.slot_count && st == ST_OK; slot++) {
        const struct core_slot *s = &d->core.slots[slot];
        const struct position *page = pool_page(d->pool, slot);
        struct val_map m = VAL_MAP_EMPTY;
        if (s->task == CORE_NONE || !page || s->serial != d->running[slot].serial ||
            POSITION_GET(page, attempt_serial) != s->serial)
            continue;
        put_running(d, slot, page, &m);
        st = val_map_end(&m, &list);
        count++;
    }
    if (st == ST_OK)
        st = val_put_array(out, count);
    if (st == ST_OK)
        st = buf_append_slice(out, buf_slice(&list));
    buf_free(&list);
    return st;
}

static void put_snapshot(const struct driver *d, struct val_map *m)
{
    struct job_snapshot s;
    report_snapshot(d, &s);
    val_map_str(m, "phase", phase_name(s.phase));
    val_map_int(m, "step", s.step);
    val_map_int(m, "steps", s.steps);
    val_map_int(m, "round", s.round);
    val_map_int(m, "phase_tasks", (int64_t)s.phase_tasks);
    val_map_int(m, "phase_done", (int64_t)s.phase_done);
    val_map_int(m, "tasks", (int64_t)s.tasks);
    val_map_int(m, "done", (int64_t)s.committed);
    val_map_int(m, "attempts", (int64_t)s.attempts);
    val_map_int(m, "failures", (int64_t)s.failures);
    val_map_int(m, "records_in", (int64_t)s.records_in);
    val_map_int(m, "bytes_in", (int64_t)s.bytes_in);
    val_map_str(m, "status", s.status);
}

static void tell_progress(struct driver *d, struct control_reply *reply)
{
    struct val_map m = VAL_MAP_EMPTY;
    struct buf answer = BUF_EMPTY, running = BUF_EMPTY;
    enum status st = put_attempts(d, &running);
    val_map_bool(&m, "ok", true);
    val_map_str(&m, "message", "");
    put_snapshot(d, &m);
    val_map_value(&m, "running", buf_slice(&running));
    enum status ended = val_map_end(&m, &answer);
    if (st == ST_OK && ended == ST_OK)
        control_answer(reply, buf_slice(&answer));
    else
        control_say(reply, false, "out of memory");
    buf_free(&answer);
    buf_free(&running);
}

static void on_request(void *driver, struct control_reply *reply, struct slice request)
{
    struct driver *d = driver;
    char command[64] = "";
    (void)val_get_cstr(request, "command", command, sizeof command);
    if (strcmp(command, "profile") == 0)
        change_ask(d, reply, request);
    else if (strcmp(command, "stop") == 0)
        stop_by_demand(d, reply);
    else if (strcmp(command, "checkpoint") == 0)
        checkpoint_ask(d, reply);
    else if (strcmp(command, "progress") == 0)
        tell_progress(d, reply);
    else
        control_say(reply, false, "this job's driver does not know that command");
}

enum status requests_open(struct driver *d, struct err *e)
{
    control_forget(d->place.job_dir);
    return control_open(&d->loop, d->place.job_dir, on_request, d, &d->control, e);
}
