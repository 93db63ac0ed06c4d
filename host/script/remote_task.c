/* remote_task.c: see remote_task.h. */
#include "script/remote_task.h"

#include "data/remote.h"
#include "script/interrupt.h"

static enum status put_facts(const struct remote_facts *facts, const char *url, struct buf *out)
{
    struct val_map m = VAL_MAP_EMPTY;
    val_map_str(&m, "url", url);
    val_map_int(&m, "size", facts->size == INPUT_SIZE_UNKNOWN ? -1 : (int64_t)facts->size);
    val_map_bool(&m, "ranges", facts->ranges);
    if (facts->validator.n > 0)
        val_map_string(&m, "validator", buf_slice(&facts->validator));
    if (*facts->coding)
        val_map_str(&m, "coding", facts->coding);
    return val_map_end(&m, out);
}

static enum status ask(struct task *t, struct slice one, const struct input_watch *watch, struct buf *out, struct err *e)
{
    struct slice url = slice_of(NULL, 0), secret = url;
    struct remote_facts facts = { .validator = BUF_EMPTY };
    bool has_secret = val_get_string(one, "secret", &secret);
    if (!val_get_string(one, "url", &url))
        return err_set(e, ST_USAGE, "a remote task without an address");
    const struct remote_file file = {
        .url = arena_strndup(&t->arena, (const char *)url.p, url.n),
        .secret = has_secret ? arena_strndup(&t->arena, (const char *)secret.p, secret.n) : NULL,
        .watch = watch,
    };
    if (!file.url || (has_secret && !file.secret))
        return err_memory(e, "an address", url.n);
    enum status st = remote_ask(&file, &facts, e);
    if (st == ST_OK && put_facts(&facts, file.url, out) != ST_OK)
        st = err_memory(e, "a result", out->n);
    buf_free(&facts.validator);
    return st;
}

static enum status ask_all(struct task *t, struct buf *files, struct err *e)
{
    struct slice list = slice_of(NULL, 0), one;
    struct val_cursor c;
    struct input_watch watch = task_watch(t);
    (void)val_get(t->assignment, "files", &list);
    uint64_t n = val_array(list, &c);
    enum status st = val_put_array(files, n);
    for (uint64_t i = 0; i < n && st == ST_OK; i++) {
        (void)val_skip(&c, &one);
        st = ask(t, one, &watch, files, e);
    }
    return st;
}

enum status remote_task_run(struct task *t, struct buf *result, struct err *e)
{
    struct buf files = BUF_EMPTY;
    struct val_map m = VAL_MAP_EMPTY;
    enum status st = interrupt_begin(t->script, e);
    if (st == ST_OK)
        st = ask_all(t, &files, e);
    interrupt_end(t->script);
    if (st == ST_OK) {
        val_map_value(&m, "files", buf_slice(&files));
        st = val_map_end(&m, result);
    }
    buf_free(&files);
    return st;
}
