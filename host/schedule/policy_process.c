/* policy_process.c: the policy host: a process that loads a profile once and answers questions, one
 * at a time. It is expendable: whatever hangs or breaks here is killed by the driver, which then
 * starts another one (policy.c). */
#include "base/log.h"
#include "schedule/child.h"
#include "schedule/policy.h"
#include "script/policy.h"

#include <unistd.h>

struct host {
    struct policy_script *script; /* NULL before it was loaded */
    struct buf result, message;
};

/* The driver is gone or speaks nonsense. */
static _Noreturn void leave(int code)
{
    _exit(code);
}

static enum status put_error(struct val_map *m, const struct err *e)
{
    struct buf error = BUF_EMPTY;
    enum status st = wire_put_err(e, &error);
    if (st == ST_OK)
        val_map_value(m, "error", buf_slice(&error));
    buf_free(&error);
    return st;
}

static struct slice map_of(struct slice message, const char *name)
{
    struct slice value;
    return val_get(message, name, &value) ? value : slice_of(NULL, 0);
}

static void load(struct host *h, struct slice message)
{
    struct err e;
    err_clear(&e);
    if (h->script)
        leave(1);
    h->result.n = h->message.n = 0;
    enum status st = policy_script_open(map_of(message, "config"), map_of(message, "previous"),
                                        &h->script, &h->result, &e);
    if (st == ST_OK) {
        child_send(WIRE_POLICY_LOADED, buf_slice(&h->result));
        return;
    }
    struct val_map m = VAL_MAP_EMPTY;
    e.status = st;
    (void)put_error(&m, &e);
    if (val_map_end(&m, &h->message) != ST_OK)
        leave(1);
    child_send(WIRE_POLICY_LOADED, buf_slice(&h->message));
    leave(0);
}

static void answer(struct host *h, struct slice question)
{
    struct val_map m = VAL_MAP_EMPTY;
    struct err e;
    err_clear(&e);
    if (!h->script)
        leave(1);
    h->result.n = h->message.n = 0;
    enum status st = policy_script_call(h->script, (uint32_t)val_get_int(question, "function", 0),
                                        val_get_bool(question, "for_delay", false),
                                        map_of(question, "err"), map_of(question, "ctx"),
                                        &h->result, &e);
    bool spoiled = policy_script_is_spoiled(h->script);
    val_map_int(&m, "id", val_get_int(question, "id", 0));
    val_map_bool(&m, "spoiled", spoiled);
    e.status = st;
    if (st == ST_OK)
        val_map_value(&m, "answer", buf_slice(&h->result));
    else
        (void)put_error(&m, &e);
    if (val_map_end(&m, &h->message) != ST_OK)
        leave(1);
    child_send(WIRE_POLICY_ANSWER, buf_slice(&h->message));
    if (spoiled)
        leave(0);
}

static void take_messages(struct host *h, struct wire_reader *reader)
{
    struct wire_message m;
    enum status st;
    while ((st = wire_take(reader, &m, NULL)) == ST_OK) {
        if (m.type == WIRE_POLICY_LOAD)
            load(h, m.payload);
        else if (m.type == WIRE_POLICY_ASK)
            answer(h, m.payload);
        else
            leave(1);
    }
    if (st != ST_END)
        leave(1);
}

int policy_main(void)
{
    struct host h = { NULL, BUF_EMPTY, BUF_EMPTY };
    struct wire_reader reader = WIRE_READER_EMPTY;
    if (!child_begin("policy"))
        return 2;
    child_raise_oom_score();
    for (;;) {
        bool closed = false;
        if (wire_fill(&reader, CHILD_SOCKET_FD, &closed, NULL) != ST_OK || closed)
            leave(0);
        take_messages(&h, &reader);
    }
}
