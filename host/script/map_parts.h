/* map_parts.h: the input of a map or sample attempt: its parts, one after the other, and the record as Lua values. */
#ifndef LMR_SCRIPT_MAP_PARTS_H
#define LMR_SCRIPT_MAP_PARTS_H

#include "data/input.h"
#include "script/task.h"

struct lua_reader;

struct map_input {
    struct input_spec spec;
    struct slice tag;
    int64_t entry; /* index of the job's input_files entry it came from, or −1 */
};

struct map_parts {
    struct task *task;
    struct split_part *parts; /* in the task's arena */
    size_t count;
    struct map_input *inputs;
    size_t input_count;
    size_t next;              /* part to open next */
    const struct split_part *part; /* the open one */
    const struct map_input *input;
    struct reader *reader;
    struct lua_reader *lua;   /* instead of `reader`, for a reader in Lua */
    uint64_t bytes_before;    /* of the parts that ended */
    struct input_watch watch; /* of parts behind a server */
};

/* Reads parts, inputs and pairs of the task's assignment. */
enum status map_parts_init(struct map_parts *p, struct task *t, struct err *e);
void map_parts_free(struct map_parts *p);
/* Opens the next part; ST_END after the last. A reader in Lua is opened by the caller (lua_reader.h). */
enum status map_parts_open(struct map_parts *p, struct err *e);
/* Opens part number `part` where reader_save has left it; `saved` is of no account for a reader in Lua. bytes_before is the caller's. */
enum status map_parts_go(struct map_parts *p, size_t part, struct slice saved, struct err *e);
void map_parts_close(struct map_parts *p);
/* Bytes taken in so far by the attempt. */
uint64_t map_parts_bytes(const struct map_parts *p);

/* Pushes the record's key and value; raises when they do not decode. */
void map_parts_push(lua_State *L, const struct map_parts *p, const struct record *rec);

#endif
