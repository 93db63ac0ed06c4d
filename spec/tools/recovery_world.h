/* recovery_world.h: the world of recovery_sim: how long each attempt takes, and how it ends. All is
 * drawn from (seed, task, attempt), so it does not depend on what the host does. */
#ifndef LMR_SPEC_RECOVERY_WORLD_H
#define LMR_SPEC_RECOVERY_WORLD_H

#include "recover/verdict.h"
#include "schedule/core.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

static const int64_t second = 1000000000, millisecond = 1000000;

/* How an attempt ends: well, or in one of the ways that come and go. */
#define FATES(X)                                                                  \
    X(ok)                                                                         \
    X(crash)   /* its worker is killed, between records */                        \
    X(record)  /* its worker dies while it reads a record */                      \
    X(network) /* a server answers 503, sometimes with Retry-After */             \
    X(hang)    /* it stands still at a record, until it is interrupted */         \
    X(deaf)    /* it stands still, hears no interrupt, and is killed */

enum fate {
#define X(name) FATE_##name,
    FATES(X)
#undef X
        FATE_KINDS
};

struct world {
    uint64_t seed;
    uint32_t maps, reduces;
    double fails;        /* share of attempts */
    bool of[FATE_KINDS]; /* the fates that failing ones have */
    uint32_t always;     /* the first tasks never succeed */
    uint32_t poison;     /* the tasks after those have a record that kills who reads it */
    double scale;        /* seconds: middle of what a task takes */
};

/* One attempt. */
struct fortune {
    enum fate fate;
    int64_t length;  /* until it ends, or stands still */
    double fraction; /* of its input, that it takes in until then */
    int64_t record;  /* −1: none is known */
    double retry_after;
};

static inline bool has_word(const char *list, const char *word)
{
    size_t n = strlen(word);
    for (const char *p = strstr(list, word); p; p = strstr(p + 1, word))
        if ((p == list || p[-1] == ',') && (p[n] == ',' || p[n] == '\0'))
            return true;
    return false;
}

/* From a list of names with commas between. */
static inline void choose_kinds(struct world *w, const char *list)
{
#define X(name) w->of[FATE_##name] = has_word(list, #name);
    FATES(X)
#undef X
}

struct attempt_name {
    uint32_t task, attempt;
    bool speculative;
};

/* In [0, 1). */
static inline double draw(const struct world *w, const struct attempt_name *a, uint32_t what)
{
    const uint32_t of[] = { a->task, a->attempt, a->speculative, what };
    return (double)(XXH3_64bits_withSeed(of, sizeof of, w->seed) >> 11) * 0x1p-53;
}

static inline enum fate draw_fate(const struct world *w, const struct attempt_name *a)
{
    unsigned count = 0;
    if (a->task >= w->always && draw(w, a, 1) >= w->fails)
        return FATE_ok;
    for (int fate = 1; fate < FATE_KINDS; fate++)
        count += w->of[fate];
    unsigned left = (unsigned)(draw(w, a, 2) * count);
    for (int fate = 1; fate < FATE_KINDS; fate++)
        if (w->of[fate] && left-- == 0)
            return (enum fate)fate;
    return FATE_ok;
}

/* A task's own length is between a fifth and five times the scale; one in a hundred is slow. */
static inline double task_seconds(const struct world *w, uint32_t task)
{
    const struct attempt_name whole = { task, UINT32_MAX, false };
    double seconds = w->scale * pow(5, 2 * draw(w, &whole, 3) - 1);
    return draw(w, &whole, 4) < 0.01 ? 8 * seconds : seconds;
}

static inline bool is_poisoned(const struct world *w, uint32_t task)
{
    return task >= w->always && task < w->always + w->poison;
}

/* `skips`: it passes the task's poison record over. */
static inline struct fortune tell_fortune(const struct world *w, const struct attempt_name *a,
                                          bool skips)
{
    struct fortune f = { .fate = draw_fate(w, a), .fraction = 1, .record = -1, .retry_after = -1 };
    const struct attempt_name whole = { a->task, UINT32_MAX, false };
    double poison_at = draw(w, &whole, 5);
    if (f.fate != FATE_ok)
        f.fraction = draw(w, a, 6);
    if (is_poisoned(w, a->task) && !skips && f.fraction > poison_at) {
        f.fate = FATE_record;
        f.fraction = poison_at;
    }
    if (f.fate == FATE_record || f.fate == FATE_hang || f.fate == FATE_deaf)
        f.record = (int64_t)(f.fraction * 1e6);
    if (f.fate == FATE_network && draw(w, a, 7) < 0.3)
        f.retry_after = 1 + floor(30 * draw(w, a, 8));
    f.length = 1 + (int64_t)(f.fraction * task_seconds(w, a->task) * 1e9);
    return f;
}

static inline void name_task(const struct world *w, uint32_t task, char out[32])
{
    if (task < w->maps)
        (void)snprintf(out, 32, "map_%" PRIu32, task);
    else
        (void)snprintf(out, 32, "reduce_%" PRIu32, task - w->maps);
}

/* What the driver knows of the end (schedule/failed.c): `reason`: why it was told to end. */
static inline void word_failure(const struct world *w, uint32_t task, const struct fortune *f,
                                enum core_reason reason, double elapsed, struct err *e)
{
    char file[32];
    if (reason == REASON_PROGRESS || reason == REASON_HEARTBEAT || reason == REASON_DEADLINE) {
        (void)err_set(e, ST_TIMEOUT, "stopped after %.0f s", elapsed);
        err_detail(e, "limit", "%s",
                   reason == REASON_PROGRESS    ? "progress_timeout_seconds"
                   : reason == REASON_HEARTBEAT ? "heartbeat_timeout_seconds"
                                                : "task_timeout_seconds");
    } else if (f->fate == FATE_network) {
        (void)err_set(e, ST_NETWORK, "the server answered 503");
        err_detail(e, "status", "503");
        e->retry_after = f->retry_after;
    } else {
        (void)err_set(e, ST_CRASH, "the worker was killed by signal 9");
        e->signal = 9;
    }
    e->elapsed_seconds = elapsed;
    (void)snprintf(file, sizeof file, "in-%" PRIu32, task);
    if (f->record >= 0 && task < w->maps)
        err_at(e, file, f->record * 80, f->record);
    else if (f->record >= 0)
        (void)snprintf(e->key, sizeof e->key, "\"%" PRId64 "\"", e->record = f->record);
}

#endif
