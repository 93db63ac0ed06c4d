/* profile.c: see profile.h. */
#include "script/profile.h"

#include "script/job.h"

enum { QUERY_MEMORY = 512 << 20 };

struct query {
    struct task *task;
    struct buf *answer;
    enum status status; /* of encoding the answer */
};

static int answer_body(lua_State *L)
{
    struct query *q = lua_touserdata(L, 1);
    struct script *s = script_of(L);
    lua_settop(L, 0);
    if (task_string(q->task, "job"))
        job_load(L, q->task);
    else
        lua_pushnil(L);
    script_require(L, "mr.profile_report");
    (void)lua_getfield(L, -1, "run");
    if (!value_push(L, q->task->assignment))
        return luaL_error(L, "a query that does not decode");
    lua_pushvalue(L, 1);
    lua_call(L, 2, 1);
    q->status = value_encode(&s->encoder, L, -1, q->answer);
    if (q->status == ST_SCRIPT)
        return luaL_error(L, "%s", s->encoder.message);
    return 0;
}

/* What fails here fails in a job file or a profile, before anything was started. */
static enum status settle(enum status st, struct err *e)
{
    if (st == ST_TIMEOUT)
        return err_set(e, st, "the code of the profile or job took longer than %d s and was stopped; a profile is a table of settings, and its "
                       "functions decide at once",
                       PROFILE_SECONDS);
    if (st == ST_SCRIPT)
        e->status = st = ST_USAGE;
    return st;
}

enum status script_profile(struct slice query, struct buf *answer, struct err *e)
{
    struct script_config config = { .memory_limit = QUERY_MEMORY, .deadline = PROFILE_SECONDS, .seed_task = "profile" };
    struct script *s = NULL;
    struct task task;
    struct query q = { .task = &task, .answer = answer };
    size_t start = answer->n;
    err_clear(e);
    task_init(&task, NULL, query, TASK_OTHER);
    enum status st = script_open(&config, &s, e);
    if (st == ST_OK) {
        task.script = s;
        s->task = &task;
        st = script_protect(s, answer_body, &q, e);
        s->task = NULL;
    }
    if (st == ST_OK && q.status != ST_OK)
        st = err_memory(e, "a profile's description", answer->n - start);
    if (st != ST_OK)
        answer->n = start;
    task_free(&task);
    script_close(s);
    return settle(st, e);
}
