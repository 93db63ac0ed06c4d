/* map_internal.h: a map attempt from within, shared by map_task.c and checkpoint.c, and by nobody else. */
#ifndef LMR_SCRIPT_MAP_INTERNAL_H
#define LMR_SCRIPT_MAP_INTERNAL_H

#include "script/checkpoint.h"
#include "script/emit.h"
#include "script/map_parts.h"
#include "script/quarantine.h"

/* Stack indexes in the loop: the table that keeps the rest between two calls (same indexes), and what a record needs. */
enum { AT_KEPT = 1, AT_STEP, AT_EMIT, AT_STATE, AT_MAP, AT_READER, AT_HANDLE, KEPT_VALUE };

enum place {
    OUTSIDE,   /* what fails is not a record's */
    READING,   /* in a reader in Lua */
    IN_RECORD, /* in map, until its pairs are folded */
};

struct map_task {
    struct task *task;
    uint64_t records;      /* what every record touches stands together */
    uint64_t skip_at;      /* of `aside` */
    uint64_t pairs_before; /* emitted when the record began */
    uint64_t beat;         /* the heartbeat of the last report */
    enum place place;
    int args;              /* of map: 3, or 4 with a state */
    int kept;              /* registry reference of the table */
    bool word_mapper;
    bool reader_open;      /* the part's reader in Lua is kept */
    bool done;             /* no record of the assignment's `only` is left */
    struct record record;
    struct map_parts parts;
    struct quarantine aside;
    struct buf key, bytes; /* scratch: of a record put aside */
    struct map_emitter emitter; /* the collector and what stands around it */
    struct checkpoint checkpoint;
    struct err err;
};

#endif
