/* changes.h: what has changed between two sets of fingerprints of a job's stages (script/fingerprint.h: FINGERPRINTS), in words.
 *
 * Pure: encoded bytes in, a list out. What stands in a journal is hostile: bytes that do not decode are as if they were not there. */
#ifndef LMR_SCHEDULE_CHANGES_H
#define LMR_SCHEDULE_CHANGES_H

#include "base/arena.h"
#include "base/bytes.h"

enum stage { STAGE_MAP, STAGE_REDUCE, STAGE_FORMAT, STAGE_STOP, STAGE_COUNT };

/* "map", "reduce", "format", "stop". */
const char *stage_name(enum stage stage);
/* "reduce" or, of a step from 2 on, "2:reduce": how --accept-change names it. `step` counts from 1. False: it is none. */
bool stage_parse(const char *text, uint32_t *step, enum stage *stage);
enum { STAGE_TEXT_MAX = 24 };
const char *stage_text(uint32_t step, enum stage stage, char out[STAGE_TEXT_MAX]);

enum stage_state {
    STAGE_ABSENT,    /* neither then nor now */
    STAGE_SAME,      /* what it wrote may be used */
    STAGE_CHANGED,
    STAGE_UNSURE,    /* something in it cannot be compared: counts as changed */
    STAGE_NOT_KNOWN  /* there is no fingerprint from then (an older journal): counts as changed */
};

enum change_kind {
    CHANGE_OTHER, /* then and now, but different */
    CHANGE_NEW,
    CHANGE_GONE,
    CHANGE_UNSURE,
    CHANGE_NOT_KNOWN,
    CHANGE_ORDER  /* the same parts, put together in another way */
};

struct change {
    uint32_t step; /* from 1 */
    enum stage stage;
    enum change_kind kind;
    const char *name;             /* of the component: "reduce", "upvalue 'limit' of map"; the stage's when it is about all of it */
    const char *then, *now;       /* places, "job.lua:38"; NULL: none */
    const char *text;             /* "reduce changed, job.lua:41"; "upvalue 'limit' of map changed"; "cannot be compared: … (lmr resume --accept-change map)" */
};

struct changes {
    struct arena arena;
    struct change *list; /* by step, stage; what says most first (the stage's own functions, then what they reach) */
    size_t count;
    enum stage_state *states; /* steps × STAGE_COUNT */
    uint32_t steps;
};

/* Compares the fingerprints of then and of now (both encoded; `then` may be empty). Zeroed `out` before; changes_free after, also when
 * it fails (ST_MEMORY). */
enum status changes_compare(struct slice then, struct slice now, struct changes *out, struct err *e);
void changes_free(struct changes *c);
/* How a stage stands; `step` from 1. STAGE_ABSENT beyond the last. */
enum stage_state changes_stage(const struct changes *c, uint32_t step, enum stage stage);
/* True when what the stage has written cannot be used as it is. */
bool changes_is_changed(const struct changes *c, uint32_t step, enum stage stage);
/* The first change of the stage and how many more there are, "reduce changed, job.lua:41 (and 2 more)"; "" when there is none. */
enum { CHANGES_REASON_MAX = 512 };
const char *changes_reason(const struct changes *c, uint32_t step, enum stage stage, char out[CHANGES_REASON_MAX]);

/* The number that stands for a stage in a task checkpoint's key; `step` from 1. 0: it is not there, or cannot be compared. */
uint64_t stage_key(struct slice fingerprints, uint32_t step, enum stage stage);

#endif
