/* checkpoint.c: see checkpoint.h; the file is defined in checkpoint_file.h. The map that is its first part:
 *   key         of the assignment
 *   part, before, offset       the open part's index, bytes of those before it, where it stands
 *   reader | handle            what the part's reader saved: bytes; of a reader in Lua, a value
 *   pairs       emitted; pairs_out, bytes_out: of the part
 *   rng         struct rng, as it is          counters = as in a result          state: of init; absent: nil
 *   output      what output_suspend gave of the part (map only)
 *   outputs     [ { name, saved } ] of mr.output files, in the order they were opened
 *   quarantine  see quarantine_save
 * The second part is what collect_save gave. Names of files are not in it: those of the attempt that wrote it follow from its own. */
#include "script/checkpoint.h"

#include "base/sys.h"
#include "script/checkpoint_file.h"
#include "script/checkpoint_proof.h"
#include "script/lua_reader.h"

#include <stdio.h>

enum { COST_SHARE = 50, FILE_KEPT = 1 << 20 }; /* of the time at most 1/50 goes into checkpoints; a larger buffer is given back */

enum { ENDING_LENGTH = sizeof ".ckpt" - 1 };

/* --- the assignment --- */

enum status checkpoint_open(struct checkpoint *c, struct task *t, struct err *e)
{
    struct slice config, path, from;
    bool has_from;
    *c = (struct checkpoint){ .path = NULL };
    if (!val_get(t->assignment, "checkpoint", &config) || !val_get_string(config, "path", &path) ||
        !val_get_string(config, "key", &c->key))
        return ST_OK;
    has_from = val_get_string(config, "from", &from);
    c->interval = (int64_t)(val_get_float(config, "interval", 0) * 1e9);
    c->due = sys_now() + c->interval;
    c->path = arena_strndup(&t->arena, (const char *)path.p, path.n);
    c->from = has_from ? arena_strndup(&t->arena, (const char *)from.p, from.n) : NULL;
    return c->path && (c->from || !has_from) ? ST_OK : err_memory(e, "the name of a checkpoint", path.n);
}

void checkpoint_free(struct checkpoint *c)
{
    fingerprint_reach_free(&c->loaded);
    fingerprint_reach_free(&c->now);
    buf_free(&c->file);
    buf_free(&c->state);
    buf_free(&c->handle);
}

void checkpoint_loaded(lua_State *L, struct map_task *m)
{
    if (m->checkpoint.path)
        fingerprint_reach(L, AT_STEP, &m->checkpoint.loaded);
}

/* --- taking one --- */

static void refuse(struct map_task *m, const char *why)
{
    m->checkpoint.refused = true;
    position_note(m->task->script->page, NOTE_NO_CHECKPOINT, why);
}

/* No record is to blame for what fails here. */
static void fail(lua_State *L, struct map_task *m)
{
    m->task->offset = m->task->record = -1;
    (void)script_raise(L, &m->err);
}

/* The saved handle of a reader in Lua into c->handle. False: it cannot. */
static bool save_lua_reader(lua_State *L, struct map_task *m, char why[PROOF_TEXT_MAX])
{
    struct checkpoint *c = &m->checkpoint;
    struct encoder *enc = &m->task->script->encoder;
    int top = lua_gettop(L);
    if (!lua_reader_push(L, AT_STEP, &m->parts, "save") || !lua_reader_push(L, AT_STEP, &m->parts, "restore")) {
        (void)snprintf(why, PROOF_TEXT_MAX, "the reader of its input has no save and restore");
        lua_settop(L, top);
        return false;
    }
    lua_pop(L, 1);
    lua_pushvalue(L, AT_HANDLE);
    if (lua_pcall(L, 1, 1, 0) != LUA_OK) {
        script_check(L, m->task->script); /* a limit that was hit is no matter of the reader */
        (void)snprintf(why, PROOF_TEXT_MAX, "the save of its reader failed: %.200s", luaL_tolstring(L, -1, NULL));
        lua_settop(L, top);
        return false;
    }
    c->handle.n = 0;
    enum status st = value_encode(enc, L, -1, &c->handle);
    if (st == ST_SCRIPT)
        (void)snprintf(why, PROOF_TEXT_MAX, "what the reader of its input saves is no plain data (%.200s)", enc->message);
    else if (st != ST_OK)
        (void)script_raise(L, (err_memory(&m->err, "what a reader saves", c->handle.n), &m->err));
    lua_settop(L, top);
    return st == ST_OK;
}

static bool is_lua(const struct map_task *m)
{
    return m->parts.input->spec.format == IN_LUA;
}

static bool files_can(const struct map_task *m, char why[PROOF_TEXT_MAX])
{
    const struct task *t = m->task;
    const char *cannot = NULL;
    bool can = !t->part || output_can_suspend(t->part, &cannot);
    for (uint32_t i = 0; i < t->side_output_count && can; i++)
        can = output_can_suspend(t->side_outputs[i].output, &cannot);
    if (!can)
        (void)snprintf(why, PROOF_TEXT_MAX, "%s", cannot);
    return can;
}

/* A reader's save may change what the proof has seen, so it comes first. */
static bool may_take(lua_State *L, struct map_task *m)
{
    char why[PROOF_TEXT_MAX];
    if (!files_can(m, why) || (is_lua(m) && !save_lua_reader(L, m, why)) || !checkpoint_proof(L, m, why)) {
        refuse(m, why);
        return false;
    }
    task_seal(L, m->task);
    return true;
}

static enum status put_reader(struct map_task *m, struct val_map *first, struct err *e)
{
    struct buf saved = BUF_EMPTY;
    if (is_lua(m)) {
        val_map_value(first, "handle", buf_slice(&m->checkpoint.handle));
        return ST_OK;
    }
    enum status st = reader_save(m->parts.reader, &saved);
    if (st == ST_OK)
        val_map_string(first, "reader", buf_slice(&saved));
    else
        (void)err_memory(e, "a checkpoint", saved.n);
    buf_free(&saved);
    return st;
}

static enum status put_output(struct map_task *m, struct val_map *first, struct err *e)
{
    struct buf saved = BUF_EMPTY;
    struct task *t = m->task;
    if (!t->part)
        return ST_OK;
    enum status st = output_suspend(t->part, t->durable, &saved, e);
    if (st == ST_OK && t->durable)
        st = sys_fsync_parent(task_string(t, "part"), "checkpoint.fsync_part", e);
    if (st == ST_OK)
        val_map_string(first, "output", buf_slice(&saved));
    buf_free(&saved);
    return st;
}

static void put_numbers(const struct map_task *m, struct val_map *first)
{
    const struct task *t = m->task;
    const struct checkpoint *c = &m->checkpoint;
    val_map_string(first, "key", c->key);
    val_map_int(first, "part", (int64_t)m->parts.next - 1);
    val_map_int(first, "before", (int64_t)m->parts.bytes_before);
    val_map_int(first, "offset", t->offset);
    val_map_int(first, "pairs", (int64_t)m->emitter.pairs);
    val_map_int(first, "pairs_out", (int64_t)t->pairs_out);
    val_map_int(first, "bytes_out", (int64_t)t->bytes_out);
    val_map_string(first, "rng", slice_of(&t->script->rng, sizeof t->script->rng));
    val_map_value(first, "counters", buf_slice(&t->counters));
    if (c->state.n > 0)
        val_map_value(first, "state", buf_slice(&c->state));
}

/* c->file up to the collector. */
static enum status put_first(struct map_task *m, struct err *e)
{
    struct val_map first = VAL_MAP_EMPTY;
    struct buf *file = &m->checkpoint.file;
    put_numbers(m, &first);
    enum status st = put_reader(m, &first, e);
    if (st == ST_OK)
        st = put_output(m, &first, e);
    if (st == ST_OK)
        st = task_save_outputs(m->task, &first, e);
    if (st == ST_OK)
        st = quarantine_save(&m->aside, &first, e);
    if (st == ST_OK)
        st = checkpoint_file_first(file) == ST_OK ? ST_OK : err_memory(e, "a checkpoint", 0);
    enum status end = val_map_end(&first, st == ST_OK ? file : &m->bytes);
    return st == ST_OK && end != ST_OK ? err_memory(e, "a checkpoint", file->n) : st;
}

static enum status write_it(struct map_task *m, struct err *e)
{
    struct checkpoint *c = &m->checkpoint;
    enum status st = put_first(m, e);
    if (st != ST_OK)
        return st;
    checkpoint_file_second(&c->file);
    if (m->emitter.collect)
        st = collect_save(m->emitter.collect, m->task->durable, &c->file, e);
    return st;
}

/* The attempt itself does not need what could not be written: it is tried again at the next look that is due. */
static bool store(struct map_task *m)
{
    struct checkpoint *c = &m->checkpoint;
    struct err e;
    char why[PROOF_TEXT_MAX];
    if (checkpoint_file_write(&c->file, c->path, m->records, m->task->durable, &e) == ST_OK)
        return true;
    (void)snprintf(why, sizeof why, "%.*s", PROOF_TEXT_MAX - 1, e.message);
    position_note(m->task->script->page, NOTE_NO_CHECKPOINT, why);
    return false;
}

static void take(lua_State *L, struct map_task *m)
{
    struct checkpoint *c = &m->checkpoint;
    struct position *page = m->task->script->page;
    if (c->refused || m->records == 0 || m->records == c->record || !may_take(L, m))
        return;
    POSITION_SET(page, phase, POS_WRITE);
    enum status st = write_it(m, &m->err);
    if (st != ST_OK)
        fail(L, m);
    if (store(m)) {
        c->record = m->records;
        POSITION_SET(page, checkpoint_record, m->records);
        POSITION_SET(page, record, m->records); /* what dies now dies of the next one at the earliest */
    }
    if (c->file.cap > FILE_KEPT)
        buf_free(&c->file);
    POSITION_SET(page, phase, POS_MAP);
}

void checkpoint_look(lua_State *L, struct map_task *m)
{
    struct checkpoint *c = &m->checkpoint;
    struct position *page = m->task->script->page;
    uint64_t asked = POSITION_GET(page, checkpoint_asked);
    bool is_asked = asked != POSITION_GET(page, checkpoints);
    int64_t now = sys_now();
    if (!is_asked && (!c->path || now < c->due))
        return;
    if (c->path) {
        take(L, m);
        int64_t end = sys_now(), rest = c->interval > 0 ? (end - now) * COST_SHARE : 0;
        c->due = end + (rest > c->interval ? rest : c->interval);
    }
    POSITION_SET(page, checkpoints, asked);
}

/* --- going on --- */

/* The file of the attempt that wrote the checkpoint which corresponds to `path`, one of ours; in the arena. NULL: memory is out, or our
 * files have no such names. */
static const char *theirs(struct map_task *m, const char *path)
{
    const struct checkpoint *c = &m->checkpoint;
    const char *own = strrchr(c->path, '/'), *from = strrchr(c->from, '/'), *slash = strrchr(path, '/');
    size_t own_length = own ? strlen(own) : 0, from_length = from ? strlen(from) : 0, ending = ENDING_LENGTH;
    if (own_length <= ending || from_length <= ending || !slash || strncmp(slash, own, own_length - ending) != 0)
        return NULL;
    own_length -= ending;
    from_length -= ending;
    size_t dir = (size_t)(slash - path), room = dir + from_length + strlen(slash + own_length) + 1;
    char *out = arena_alloc(&m->task->arena, room);
    if (out)
        (void)snprintf(out, room, "%.*s%.*s%s", (int)dir, path, (int)from_length, from, slash + own_length);
    return out;
}

static enum status no_name(struct err *e)
{
    return err_memory(e, "the name of a file to go on with", 0);
}

static enum status go_to_part(struct map_task *m, struct slice first, struct err *e)
{
    struct map_parts *p = &m->parts;
    struct slice saved = slice_of(NULL, 0);
    int64_t part = val_get_int(first, "part", -1);
    if (part < 0 || (uint64_t)part >= p->count)
        return err_set(e, ST_CORRUPT, "it was at another input");
    p->bytes_before = (uint64_t)val_get_int(first, "before", 0);
    (void)val_get_string(first, "reader", &saved);
    (void)val_get(first, "handle", &m->checkpoint.reader_saved);
    enum status st = map_parts_go(p, (size_t)part, saved, e);
    m->task->offset = val_get_int(first, "offset", m->task->offset);
    return st;
}

static enum status open_emitter(lua_State *L, struct map_task *m, struct slice first, struct slice second, struct err *e)
{
    struct task *t = m->task;
    struct map_emitter *em = &m->emitter;
    bool has_run = val_get_int(t->assignment, "partitions", 1) > 0;
    const char *path = task_string(t, has_run ? "run" : "part");
    const char *from = path ? theirs(m, path) : NULL;
    if (!from)
        return no_name(e);
    struct emit_past past = { from, second };
    if (!has_run)
        (void)val_get_string(first, "output", &past.saved);
    return emit_open(L, em, t, AT_STEP, &past, e);
}

/* Side outputs, in their order. */
static enum status open_outputs(lua_State *L, struct map_task *m, struct slice first, struct err *e)
{
    struct slice list, one, saved;
    struct val_cursor c;
    char name[SIDE_NAME_MAX];
    enum status st = ST_OK;
    uint64_t n = val_get(first, "outputs", &list) ? val_array(list, &c) : 0;
    const char *prefix = n > 0 ? task_string(m->task, "side_prefix") : NULL;
    const char *from = prefix ? theirs(m, prefix) : NULL;
    if (n > 0 && !from)
        return no_name(e);
    for (uint64_t i = 0; i < n && st == ST_OK; i++) {
        if (val_skip(&c, &one) != ST_OK || !val_get_cstr(one, "name", name, sizeof name) || !val_get_string(one, "saved", &saved))
            return err_set(e, ST_CORRUPT, "a side file in it has no name");
        st = task_restore_output(L, m->task, name, from, saved, e);
    }
    return st;
}

static enum status take_numbers(lua_State *L, struct map_task *m, struct slice first, struct err *e)
{
    struct task *t = m->task;
    struct slice rng, counters;
    if (!val_get_string(first, "rng", &rng) || rng.n != sizeof t->script->rng || !val_get(first, "counters", &counters))
        return err_set(e, ST_CORRUPT, "it lacks what an attempt needs");
    memcpy(&t->script->rng, rng.p, rng.n);
    m->emitter.pairs = (uint64_t)val_get_int(first, "pairs", 0);
    t->pairs_out = (uint64_t)val_get_int(first, "pairs_out", 0);
    t->bytes_out = (uint64_t)val_get_int(first, "bytes_out", 0);
    if (!value_push(L, counters))
        return err_set(e, ST_CORRUPT, "its counters do not decode");
    t->counters_ref = luaL_ref(L, LUA_REGISTRYINDEX);
    return ST_OK;
}

static enum status take_state(struct map_task *m, struct slice first, struct err *e)
{
    struct slice state;
    m->checkpoint.state.n = 0;
    if (!val_get(first, "state", &state))
        return ST_OK;
    return buf_append_slice(&m->checkpoint.state, state) == ST_OK ? ST_OK : err_memory(e, "the state of init", state.n);
}

static enum status open_all(lua_State *L, struct map_task *m, struct slice first, struct slice second, struct err *e)
{
    const char *from = m->aside.path ? theirs(m, m->aside.path) : NULL;
    enum status st = m->aside.path && !from ? no_name(e) : quarantine_restore(&m->aside, first, from, m->records, e);
    if (st == ST_OK)
        st = go_to_part(m, first, e);
    if (st == ST_OK)
        st = open_emitter(L, m, first, second, e);
    if (st == ST_OK)
        st = open_outputs(L, m, first, e);
    if (st == ST_OK)
        st = take_numbers(L, m, first, e);
    return st == ST_OK ? take_state(m, first, e) : st;
}

/* As if nothing had been opened. */
static enum status give_up(struct map_task *m, struct err *e)
{
    struct task *t = m->task;
    emit_close(&m->emitter);
    m->emitter = (struct map_emitter){ .combine_ref = LUA_NOREF };
    output_abandon(t->part);
    t->part = NULL;
    t->pairs_out = t->bytes_out = 0;
    m->records = 0;
    map_parts_free(&m->parts);
    quarantine_free(&m->aside);
    enum status st = task_drop_outputs(t, e);
    if (st == ST_OK)
        st = map_parts_init(&m->parts, t, e);
    return st == ST_OK ? quarantine_open(&m->aside, t, e) : st;
}

static bool would_fail_anyway(enum status st)
{
    return st == ST_MEMORY || st == ST_DISK_FULL || st == ST_NETWORK || st == ST_TIMEOUT || st == ST_INTERRUPTED;
}

static enum status read_it(struct map_task *m, struct slice *first, struct slice *second, struct err *e)
{
    struct checkpoint *c = &m->checkpoint;
    struct slice key;
    enum status st = checkpoint_file_read(c->from, &c->file, &m->records, first, second, e);
    if (st == ST_OK && (val_check(*first) != ST_OK || !val_get_string(*first, "key", &key)))
        st = err_set(e, ST_CORRUPT, "%s does not decode", c->from);
    else if (st == ST_OK && !slice_equal(key, c->key))
        st = err_set(e, ST_USAGE, "the job, its options or this task's input are others than when its checkpoint was taken");
    return st;
}

bool checkpoint_go_on(lua_State *L, struct map_task *m)
{
    struct checkpoint *c = &m->checkpoint;
    struct slice first, second;
    struct rng rng = m->task->script->rng;
    if (!c->path || !c->from)
        return false;
    enum status st = read_it(m, &first, &second, &m->err);
    if (st == ST_OK)
        st = open_all(L, m, first, second, &m->err);
    m->skip_at = m->aside.skip_at;
    if (st == ST_OK)
        return true;
    if (would_fail_anyway(st))
        fail(L, m);
    position_note(m->task->script->page, NOTE_BEGAN_ANEW, m->err.message);
    m->task->script->rng = rng;
    if (give_up(m, &m->err) != ST_OK)
        fail(L, m);
    m->skip_at = m->aside.skip_at;
    buf_free(&c->file);
    c->reader_saved = slice_of(NULL, 0);
    return false;
}

void checkpoint_push_state(lua_State *L, struct map_task *m)
{
    struct slice state = buf_slice(&m->checkpoint.state);
    if (state.n == 0 || !value_push(L, state))
        lua_pushnil(L);
}

/* A reader that fails here fails its attempt, for it may have changed anything; the driver does not give this checkpoint again. */
void checkpoint_restore_reader(lua_State *L, struct map_task *m)
{
    struct checkpoint *c = &m->checkpoint;
    struct slice saved = c->reader_saved;
    int top = lua_gettop(L);
    if (!saved.p)
        return;
    c->reader_saved = slice_of(NULL, 0);
    c->restoring = true;
    if (!lua_reader_push(L, AT_STEP, &m->parts, "restore"))
        (void)luaL_error(L, "the reader has no restore");
    lua_pushvalue(L, AT_HANDLE);
    if (!value_push(L, saved))
        (void)luaL_error(L, "what the reader saved does not decode");
    lua_call(L, 2, 0);
    lua_settop(L, top);
    c->restoring = false;
    buf_free(&c->file);
}

void checkpoint_went_on(struct map_task *m)
{
    struct checkpoint *c = &m->checkpoint;
    struct position *page = m->task->script->page;
    c->record = m->records;
    POSITION_SET(page, record, m->records);
    POSITION_SET(page, went_on_at, m->records);
    if (!c->reader_saved.p)
        buf_free(&c->file);
}
