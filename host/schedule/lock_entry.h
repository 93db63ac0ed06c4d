/* lock_entry.h: what stands in a job's lock file (lock.h), as text and as values. */
#ifndef LMR_SCHEDULE_LOCK_ENTRY_H
#define LMR_SCHEDULE_LOCK_ENTRY_H

#include "base/status.h"

enum {
    LOCK_WORD_MAX = 72,
    LOCK_TIME_MAX = 24,
    LOCK_BEAT_BYTES = 37, /* the first line, which alone changes */
    LOCK_ENTRY_MAX = 640
};

struct lock_entry {
    char beat[LOCK_TIME_MAX], host[LOCK_WORD_MAX], boot[LOCK_WORD_MAX], space[LOCK_WORD_MAX],
        since[LOCK_TIME_MAX];
    long pid;
    uint64_t start, inode, token;
};

/* The entry of this process, begun now, with a random token. */
void lock_entry_own(uint64_t inode, struct lock_entry *out);
/* The line of beat number `count`, now. */
void lock_entry_beat(uint64_t count, char out[LOCK_BEAT_BYTES + 1]);
/* The whole text, with that beat; returns its length. */
size_t lock_entry_write(const struct lock_entry *entry, uint64_t count, char out[LOCK_ENTRY_MAX]);
/* False: the text (NUL-terminated) is no whole entry. */
bool lock_entry_read(const char *text, struct lock_entry *out);

/* Both under one start of one host's kernel, as far as names tell. */
bool lock_entry_same_boot(const struct lock_entry *a, const struct lock_entry *b);
/* The process of an entry of this host and boot lives. Unknown: another process space gave its number. */
enum lock_life { LOCK_DEAD, LOCK_ALIVE, LOCK_UNKNOWN };
enum lock_life lock_entry_life(const struct lock_entry *entry, const struct lock_entry *own);
/* "process 4711 on alpha, at work since 2026-11-24T15:30:00Z" */
enum { LOCK_NAME_MAX = 2 * LOCK_WORD_MAX + LOCK_TIME_MAX + 64 };
const char *lock_entry_name(const struct lock_entry *entry, char out[LOCK_NAME_MAX]);

#endif
