/* undo.h: taking back what a record (in reduce: a group) did before it failed.
 *
 * Its pairs are staged and are dropped. Beside them it may have raised counters, opened side outputs and drawn random numbers: these are
 * noted while it runs, when records may be put aside at all, so that a record put aside leaves no trace. A unit begins with undo_mark. What
 * it did can no longer be taken back when it was written to a file (a very large group) or when it raised too many counters. */
#ifndef LMR_SCRIPT_UNDO_H
#define LMR_SCRIPT_UNDO_H

#include "script/rng.h"

struct task;

enum { UNDO_STAGE_MAX = 16 << 20, UNDO_LOG_MAX = 16 << 20 }; /* bytes of a group's pairs; of counters noted */

struct undo {
    bool active;           /* records may be put aside: notes are taken */
    bool dirty;            /* there is something to take back, or the rest was never set */
    bool lost;             /* counters were raised that are not noted */
    bool written;          /* pairs of the unit are in a file */
    uint32_t side_outputs; /* open when the unit began */
    struct rng rng;        /* then */
    struct buf log;        /* counters before they were raised: see undo.c */
    size_t last;           /* where the last one starts in it */
};

/* Notes a counter (group and name at stack indexes 1 and 2) before it changes; its value, or nil, is at `old`. Never raises. */
void undo_note_counter(lua_State *L, struct undo *u, int old);
/* In a protected call: counters are as before the unit. */
void undo_counters(lua_State *L, struct task *t);

#endif
