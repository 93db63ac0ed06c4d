/* core_sim: the scheduler's core under a virtual clock.
 *
 *   core_sim <SCRIPT
 *       carries out a script of events, a line each, and prints every action:
 *       open slots=N [LIMIT=…]…        limits LIMIT=…    (LIMIT: heartbeat progress task grace
 *       window, in seconds; restarts; speculate=1)
 *       load SIZE…    begin    at SECONDS    tick    stop    due    state    counts    table
 *       up SLOT    down SLOT [FINGERPRINT]    spawn_failed SLOT    ok SLOT    err SLOT FINGERPRINT
 *       restore TASK committed|dropped|blocked ATTEMPTS BACKUPS
 *       retry TASK SECONDS [fresh]    give_up TASK    drop TASK    redo TASK PRODUCER
 *       page SLOT HEARTBEAT PROGRESS [FRACTION] */
#include "core_text.h"

#include "base/sys.h"

#include <stdlib.h>
#include <string.h>

static const char *const slot_states[] = { "EMPTY", "STARTING", "IDLE", "BUSY", "DYING" };

struct script {
    struct core core;
    int64_t now;
};

static void print_table(void)
{
    for (int s = 0; s < TASK_STATES; s++)
        for (int m = 0; m < TASK_MOVES; m++) {
            enum core_state to = core_transition((enum core_state)s, (enum core_move)m);
            (void)printf("%s %s %s\n", core_state_name((enum core_state)s),
                         core_move_name((enum core_move)m),
                         to == TASK_STATES ? "-" : core_state_name(to));
        }
}

static double field(const char *line, const char *name, double fallback)
{
    const char *p = strstr(line, name);
    return p ? strtod(p + strlen(name), NULL) : fallback;
}

static struct core_limits read_limits(const char *line)
{
    return (struct core_limits){
        .heartbeat_timeout = (int64_t)(field(line, "heartbeat=", 30) * 1e9),
        .progress_timeout = (int64_t)(field(line, "progress=", 600) * 1e9),
        .task_timeout = (int64_t)(field(line, "task=", 0) * 1e9),
        .grace = (int64_t)(field(line, "grace=", 1) * 1e9),
        .restarts = (uint32_t)field(line, "restarts=", 5),
        .restart_window = (int64_t)(field(line, "window=", 10) * 1e9),
        .speculate = field(line, "speculate=", 0) > 0,
    };
}

static void open_core(struct script *s, const char *line)
{
    struct err e;
    struct core_limits limits = read_limits(line);
    core_close(&s->core);
    CHECK(core_open(&s->core, (uint32_t)field(line, "slots=", 1), &limits, &e) == ST_OK);
}

static void load_core(struct script *s, const char *rest)
{
    uint32_t sizes[CORE_STAGES_MAX], n = 0;
    struct err e;
    char *end = NULL;
    for (const char *p = rest; n < CORE_STAGES_MAX; p = end) {
        unsigned long size = strtoul(p, &end, 10);
        if (end == p)
            break;
        sizes[n++] = (uint32_t)size;
    }
    CHECK(core_load(&s->core, sizes, n, &e) == ST_OK);
}

static void restore_task(struct script *s, const char *rest)
{
    char state[16];
    unsigned task, attempts, backups;
    CHECK(sscanf(rest, "%u %15s %u %u", &task, state, &attempts, &backups) == 4);
    core_restore(&s->core, task,
                 state[0] == 'c'   ? TASK_COMMITTED
                 : state[0] == 'd' ? TASK_DROPPED
                                   : TASK_BLOCKED,
                 attempts, backups);
}

static void print_state(const struct script *s)
{
    (void)printf("tasks");
    for (uint32_t i = 0; i < s->core.task_count; i++)
        (void)printf(" %s", core_state_name(s->core.tasks[i].state));
    (void)printf("\nslots");
    for (uint32_t i = 0; i < s->core.slot_count; i++)
        (void)printf(" %s", slot_states[s->core.slots[i].state]);
    (void)printf("\n");
}

static void print_counts(const struct script *s)
{
    for (uint32_t i = 0; i < s->core.task_count; i++) {
        const struct core_task *t = &s->core.tasks[i];
        (void)printf("  %u: attempts %u backups %u failures %u\n", i, t->attempts, t->backups,
                     t->failures);
    }
}

static void print_due(const struct script *s)
{
    int64_t due = core_next_due(&s->core);
    (void)printf("  %.3f\n", due == INT64_MAX ? -1.0 : (double)due / 1e9);
}

/* --- events --- */

static const struct {
    const char *name;
    enum core_event_kind kind;
    enum core_verdict verdict;
} commands[] = {
    { "begin", CORE_BEGIN, 0 },
    { "up", CORE_WORKER_UP, 0 },
    { "down", CORE_WORKER_DOWN, 0 },
    { "spawn_failed", CORE_SPAWN_FAILED, 0 },
    { "ok", CORE_SUCCEEDED, 0 },
    { "err", CORE_ERRED, 0 },
    { "retry", CORE_VERDICT, CORE_RETRY },
    { "give_up", CORE_VERDICT, CORE_GIVE_UP },
    { "drop", CORE_VERDICT, CORE_DROP },
    { "redo", CORE_VERDICT, CORE_REDO },
    { "page", CORE_PAGE, 0 },
    { "tick", CORE_TICK, 0 },
    { "limits", CORE_LIMITS, 0 },
    { "stop", CORE_STOP, 0 },
};

static void deliver(struct script *s, const struct core_event *event)
{
    char text[CORE_TEXT_MAX];
    core_event(&s->core, event, s->now);
    for (uint32_t i = 0; i < s->core.action_count; i++) {
        core_action_text(&s->core.actions[i], text);
        (void)printf("  %s\n", text);
    }
}

/* The numbers after the command's word, in the order of the commands above. */
static struct core_event read_event(const char *rest)
{
    char *end = NULL, *after = NULL;
    double a = strtod(rest, &end), b = strtod(end, &end), c = strtod(end, &end);
    double d = strtod(end, &after);
    return (struct core_event){ .slot = (uint32_t)a,
                                .task = (uint32_t)a,
                                .fingerprint = (uint64_t)b,
                                .delay = (int64_t)(b * 1e9),
                                .producer = (uint32_t)b,
                                .fresh = strstr(rest, "fresh") != NULL,
                                .heartbeat = (uint64_t)b,
                                .progress = (uint64_t)c,
                                .fraction = after > end ? d : -1 };
}

static bool run_event(struct script *s, const char *word, const char *rest)
{
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++) {
        if (strcmp(commands[i].name, word) != 0)
            continue;
        struct core_limits limits = read_limits(rest);
        struct core_event event = read_event(rest);
        event.kind = commands[i].kind;
        event.verdict = commands[i].verdict;
        event.limits = &limits;
        deliver(s, &event);
        return true;
    }
    return false;
}

static void run_line(struct script *s, char *line)
{
    char word[32];
    int used = 0;
    if (sscanf(line, "%31s%n", word, &used) != 1 || word[0] == '#')
        return;
    (void)printf("%s", line);
    if (strcmp(word, "open") == 0)
        open_core(s, line);
    else if (strcmp(word, "load") == 0)
        load_core(s, line + used);
    else if (strcmp(word, "restore") == 0)
        restore_task(s, line + used);
    else if (strcmp(word, "at") == 0)
        s->now = (int64_t)(strtod(line + used, NULL) * 1e9);
    else if (strcmp(word, "state") == 0)
        print_state(s);
    else if (strcmp(word, "counts") == 0)
        print_counts(s);
    else if (strcmp(word, "table") == 0)
        print_table();
    else if (strcmp(word, "due") == 0)
        print_due(s);
    else if (!run_event(s, word, line + used))
        (void)printf("  unknown\n");
    (void)fflush(stdout);
}

int main(void)
{
    struct script s = { .now = 0 };
    char line[512];
    while (fgets(line, sizeof line, stdin))
        run_line(&s, line);
    core_close(&s.core);
    return 0;
}
