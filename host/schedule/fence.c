/* fence.c: what the driver makes of its lock (lock.h). A driver whose lock was taken over, because it gave
 * no sign of life for so long, must change nothing any more: neither the journal nor the files, which
 * are the other's now. */
#include "schedule/driver.h"

static void on_fenced(uv_async_t *async)
{
    struct driver *d = async->data;
    struct err e;
    if (d->place.lock && !lock_is_held(d->place.lock))
        driver_fail(d, (lock_say_lost(d->place.lock, &e), &e), EXIT_STOPPED);
}

static void lost(void *driver)
{
    struct driver *d = driver;
    (void)uv_async_send(&d->fence);
}

static void tell(void *driver, const char *text)
{
    report_note(driver, "%s", text);
}

/* A signal ends the wait. */
static bool goes_on(void *driver)
{
    struct driver *d = driver;
    (void)uv_run(&d->loop, UV_RUN_NOWAIT);
    return !d->ending;
}

void fence_open(struct driver *d)
{
    (void)uv_async_init(&d->loop, &d->fence, on_fenced);
    d->fence.data = d;
}

void fence_watch(struct driver *d)
{
    d->place.lock_user = (struct lock_user){ tell, goes_on, lost, d };
}

bool fence_holds(void *driver)
{
    struct driver *d = driver;
    if (!d->is_fenced)
        d->is_fenced = d->place.lock && !lock_is_held(d->place.lock);
    return !d->is_fenced;
}

void fence_say(struct driver *d, struct err *e)
{
    (void)lock_say_lost(d->place.lock, e);
}

bool fence_ends(struct driver *d)
{
    if (fence_holds(d))
        return false;
    fence_say(d, &d->failure);
    d->exit_code = EXIT_STOPPED;
    journal_abandon(d->journal);
    d->journal = NULL;
    return true;
}
