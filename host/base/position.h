/* position.h: the page a worker shares with the driver.
 *
 * The worker keeps in it where it stands, with plain stores; the driver (which made it, in a memfd) reads
 * it at any time, also after the worker has died: so the culprit of a crash, a hang or a memory blow-up is known without
 * search. One worker, one page, one writing thread for all but `heartbeat` and `checkpoint_asked`. Layout is fixed: both sides are the same
 * binary, and the version is checked in the hello message. */
#ifndef LMR_BASE_POSITION_H
#define LMR_BASE_POSITION_H

#include "base/status.h"

#include <assert.h>
#include <stdatomic.h>
#include <stdio.h>

enum position_phase { POS_IDLE, POS_LOAD, POS_INIT, POS_MAP, POS_COMBINE, POS_SPILL, POS_REDUCE, POS_FINISH, POS_WRITE };

/* What an attempt tells of its checkpoints: none can be taken of it; it could not go on from the one it was given. */
enum position_note { NOTE_NO_CHECKPOINT, NOTE_BEGAN_ANEW, POSITION_NOTES };

enum { POSITION_STATUS_MAX = 256, POSITION_KEY_MAX = 256, POSITION_NOTE_MAX = 512 };

struct position {
    _Atomic uint64_t heartbeat;    /* raised once a second (by the heartbeat thread) */
    _Atomic uint64_t attempt_serial; /* as given in the assignment: which attempt the rest is about */
    _Atomic uint32_t phase;        /* enum position_phase */
    _Atomic uint32_t part;         /* index of the input part (map), of the partition (reduce) */
    _Atomic uint64_t offset;       /* of the record being worked on, in its file; pairs taken in reduce */
    _Atomic uint64_t record;       /* its number in the attempt; the group's in reduce */
    _Atomic uint64_t bytes_in;     /* bytes of input taken in by this attempt */
    _Atomic uint64_t pairs_out;
    _Atomic uint64_t spills;
    _Atomic uint64_t progress;     /* raised by mr.progress(); any change of these fields is progress */
    _Atomic uint64_t script_memory;  /* bytes the Lua state holds */
    _Atomic uint64_t script_memory_peak; /* the most it has held, in this attempt */
    _Atomic uint64_t cpu_ns;       /* CPU time of the process since this attempt began; raised with the heartbeat */
    _Atomic uint64_t checkpoint_asked;  /* raised by the driver, the only field it writes: take a checkpoint now */
    _Atomic uint64_t checkpoints;       /* what `checkpoint_asked` was when the attempt last did so, or could not */
    _Atomic uint64_t checkpoint_record; /* records that the newest checkpoint of this attempt holds; 0: there is none */
    _Atomic uint64_t went_on_at;        /* record it went on from, by the checkpoint of an earlier attempt; 0: it began anew */
    _Atomic uint32_t notes;             /* a bit for each enum position_note whose text stands */
    char note[POSITION_NOTES][POSITION_NOTE_MAX]; /* why, to follow "map_3 is not checkpointed: " */
    char status[POSITION_STATUS_MAX]; /* mr.status(text), NUL-terminated, may be torn while written */
    char key[POSITION_KEY_MAX];       /* reduce: printed start of the group's key, likewise */
};

static_assert(sizeof(struct position) <= 4096, "the position fits a page");

/* Plain store and load of a field: relaxed, as the page is a report and orders nothing. */
#define POSITION_SET(position, field, value) atomic_store_explicit(&(position)->field, (value), memory_order_relaxed)
#define POSITION_GET(position, field) atomic_load_explicit(&(position)->field, memory_order_relaxed)

/* Tells why; once an attempt for each kind. */
static inline void position_note(struct position *page, enum position_note kind, const char *why)
{
    if (POSITION_GET(page, notes) & (1u << kind))
        return;
    (void)snprintf(page->note[kind], POSITION_NOTE_MAX, "%.*s", POSITION_NOTE_MAX - 1, why);
    atomic_fetch_or_explicit(&page->notes, 1u << kind, memory_order_release);
}

/* An attempt begins: the page tells of it, and not of the one before. The serial is stored last. */
static inline void position_begin(struct position *page, uint64_t serial)
{
    POSITION_SET(page, phase, POS_LOAD);
    POSITION_SET(page, part, 0);
    POSITION_SET(page, offset, 0);
    POSITION_SET(page, record, 0);
    POSITION_SET(page, bytes_in, 0);
    POSITION_SET(page, pairs_out, 0);
    POSITION_SET(page, spills, 0);
    POSITION_SET(page, script_memory, 0);
    POSITION_SET(page, script_memory_peak, 0);
    POSITION_SET(page, cpu_ns, 0);
    POSITION_SET(page, checkpoint_record, 0);
    POSITION_SET(page, went_on_at, 0);
    POSITION_SET(page, notes, 0);
    page->status[0] = page->key[0] = '\0';
    POSITION_SET(page, attempt_serial, serial);
}

#endif
