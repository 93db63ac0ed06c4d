/* interrupt.c: see interrupt.h. */
#include "script/interrupt.h"

#include "base/sys.h"
#include "script/attempt.h"

#include <pthread.h>
#include <signal.h>
#include <time.h>

struct watchdog {
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct timespec until;
    bool ended;
    struct script *script;
};

/* What a signal handler and other threads may reach: the running state, if any. */
static struct {
    pthread_mutex_t lock;
    struct script *script; /* under the lock */
    pthread_t thread;      /* under the lock */
    _Atomic(lua_State *) armed; /* what the handler hooks */
} running = { .lock = PTHREAD_MUTEX_INITIALIZER };

static void stop_hook(lua_State *L, lua_Debug *ar)
{
    (void)ar;
    (void)luaL_error(L, "the attempt was stopped");
}

static void on_signal(int number)
{
    (void)number;
    lua_State *L = atomic_load(&running.armed);
    if (L)
        lua_sethook(L, stop_hook, LUA_MASKCALL | LUA_MASKRET | LUA_MASKLINE | LUA_MASKCOUNT, 1);
}

static void stop_script(struct script *s, enum status status)
{
    int none = ST_OK;
    (void)pthread_mutex_lock(&running.lock);
    struct script *target = s ? s : running.script;
    if (target && running.script == target) {
        (void)atomic_compare_exchange_strong(&target->interrupted, &none, (int)status);
        (void)pthread_kill(running.thread, SIGURG);
    }
    (void)pthread_mutex_unlock(&running.lock);
}

void script_interrupt(enum status status)
{
    stop_script(NULL, status);
}

static void *watch(void *context)
{
    struct watchdog *w = context;
    int result = 0;
    (void)pthread_mutex_lock(&w->lock);
    while (!w->ended && result == 0)
        result = pthread_cond_timedwait(&w->changed, &w->lock, &w->until);
    bool late = !w->ended;
    (void)pthread_mutex_unlock(&w->lock);
    if (late)
        stop_script(w->script, ST_TIMEOUT);
    return NULL;
}

static void watchdog_set_time(struct watchdog *w, double seconds)
{
    int64_t at = sys_now() + (int64_t)(seconds * 1e9);
    w->until = (struct timespec){ .tv_sec = at / 1000000000, .tv_nsec = at % 1000000000 };
}

static enum status watchdog_start(struct script *s, struct err *e)
{
    struct watchdog *w = sys_calloc(1, sizeof *w);
    if (!w)
        return err_memory(e, "a deadline", sizeof *w);
    pthread_condattr_t attributes;
    (void)pthread_condattr_init(&attributes);
    (void)pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    (void)pthread_mutex_init(&w->lock, NULL);
    (void)pthread_cond_init(&w->changed, &attributes);
    (void)pthread_condattr_destroy(&attributes);
    w->script = s;
    watchdog_set_time(w, s->deadline);
    int failed = pthread_create(&w->thread, NULL, watch, w);
    if (failed) {
        sys_free(w);
        return err_sys(e, failed, "start the thread of", "a deadline");
    }
    s->watchdog = w;
    return ST_OK;
}

static void watchdog_stop(struct script *s)
{
    struct watchdog *w = s->watchdog;
    if (!w)
        return;
    (void)pthread_mutex_lock(&w->lock);
    w->ended = true;
    (void)pthread_cond_signal(&w->changed);
    (void)pthread_mutex_unlock(&w->lock);
    (void)pthread_join(w->thread, NULL);
    (void)pthread_cond_destroy(&w->changed);
    (void)pthread_mutex_destroy(&w->lock);
    sys_free(w);
    s->watchdog = NULL;
}

enum status interrupt_begin(struct script *s, struct err *e)
{
    struct sigaction action = { .sa_handler = on_signal, .sa_flags = SA_RESTART };
    (void)sigaction(SIGURG, &action, NULL);
    (void)pthread_mutex_lock(&running.lock);
    CHECK(!running.script);
    running.script = s;
    running.thread = pthread_self();
    atomic_store(&running.armed, s->L);
    (void)pthread_mutex_unlock(&running.lock);
    return s->deadline > 0 ? watchdog_start(s, e) : ST_OK;
}

void interrupt_end(struct script *s)
{
    (void)pthread_mutex_lock(&running.lock);
    if (running.script == s) {
        running.script = NULL;
        atomic_store(&running.armed, NULL);
    }
    (void)pthread_mutex_unlock(&running.lock);
    watchdog_stop(s);
}
