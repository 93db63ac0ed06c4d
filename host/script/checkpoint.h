/* checkpoint.h: a map attempt written down at a record boundary, so that a later attempt of the task goes on from there with the same
 * bytes in the end.
 *
 * Field `checkpoint` of the assignment (attempt.h) asks for it. A checkpoint holds where the reader stands, the collector as it is (or the
 * open part), side outputs, the quarantine file, counters, the random generator and the state of init. Files that grow (run, part, side
 * outputs, quarantine) are only pointed into: who goes on copies what they held then, so that the attempt which wrote them may go on too.
 *
 * It is only taken where going on is proven to be the same: what the step's functions see is as it was after the job was loaded, the
 * state of init is plain data that nothing else refers to, a reader in Lua can save and restore, and every open file can be continued.
 * Otherwise the attempt goes on without, and its page says why (base/position.h). */
#ifndef LMR_SCRIPT_CHECKPOINT_H
#define LMR_SCRIPT_CHECKPOINT_H

#include "base/bytes.h"
#include "script/fingerprint.h"

#include <lua.h>

struct map_task;
struct task;

struct checkpoint {
    const char *path;  /* of the file to write, in the task's arena; NULL: none is taken */
    const char *from;  /* of an earlier attempt's, to go on from; NULL: none */
    struct slice key;  /* what must be the same for that, borrowed of the assignment */
    int64_t interval;  /* nanoseconds; 0: at every look */
    int64_t due;       /* sys_now */
    uint64_t record;   /* of the last one */
    bool refused;      /* it was told why there is none */
    bool restoring;    /* a reader's restore runs */
    struct reach loaded, now;
    struct buf file;   /* the one being written or gone on from */
    struct buf state, handle; /* encoded: of init, of a reader in Lua */
    struct slice reader_saved; /* what the reader in Lua that is opened next restores itself from; .p NULL: nothing */
};

/* Reads the assignment. */
enum status checkpoint_open(struct checkpoint *c, struct task *t, struct err *e);
/* In a protected call, when the job is loaded and before init is called: what later looks compare with. */
void checkpoint_loaded(lua_State *L, struct map_task *m);
/* In a protected call, instead of emit_open: opens all as the checkpoint to go on from has it. False: there is none, or it cannot be used
 * (the page says why), and nothing is open. Raises what would also fail an attempt that begins anew. */
bool checkpoint_go_on(lua_State *L, struct map_task *m);
/* In a protected call: pushes the state of init that it held (nil: none). */
void checkpoint_push_state(lua_State *L, struct map_task *m);
/* In a protected call, between two records: takes a checkpoint if the time has come or the driver asks. */
void checkpoint_look(lua_State *L, struct map_task *m);
/* In a protected call: the reader in Lua that was just opened (its handle is at AT_HANDLE) goes where it was. */
void checkpoint_restore_reader(lua_State *L, struct map_task *m);
/* Once all is open: what only going on needed is given back. */
void checkpoint_went_on(struct map_task *m);
void checkpoint_free(struct checkpoint *c);

#endif
