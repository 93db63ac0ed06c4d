/* change.c: another profile for the running job (lmr profile use): the policy host loads it beside the
 * present one; when it holds, its policy keys count from the next decision on, and the journal says so.
 * Plan keys stay as they were frozen. A profile that does not hold changes nothing. */
#include "schedule/driver.h"

#include "base/sys.h"

#include <stdio.h>

static void begin(struct driver *d, struct control_reply *reply, const char *profile)
{
    struct buf config = BUF_EMPTY;
    struct err e;
    d->change_name.n = 0;
    enum status st = decide_open_policy(d, &e);
    if (st == ST_OK)
        st = assign_policy(d, profile, &config, &e);
    if (st == ST_OK && (buf_append_str(&d->change_name, profile) != ST_OK ||
                        buf_terminate(&d->change_name) != ST_OK))
        st = err_memory(&e, "a profile's name", strlen(profile));
    if (st == ST_OK)
        st = policy_load(d->policy, buf_slice(&config), d->job.profile, &e);
    buf_free(&config);
    if (st == ST_OK)
        d->change = reply;
    else
        control_say(reply, false, e.message);
}

void change_ask(struct driver *d, struct control_reply *reply, struct slice request)
{
    char profile[ERR_FILE_MAX];
    if (!val_get_cstr(request, "profile", profile, sizeof profile))
        control_say(reply, false, "no profile was named");
    else if (d->ending || d->stopping || d->at < AT_PREPARE)
        control_say(reply, false, "the job is not at work: it starts or ends just now");
    else if (d->change)
        control_say(reply, false, "another profile is being loaded just now; try again");
    else
        begin(d, reply, profile);
}

static enum status take(struct driver *d, const struct policy_loaded *loaded, struct err *e)
{
    if (d->ending)
        return err_set(e, ST_USAGE, "the job ended while the profile was being loaded");
    const char *name = arena_strdup(&d->arena, (const char *)d->change_name.p);
    if (!name)
        return err_memory(e, "a profile's name", d->change_name.n);
    enum status st = description_take_profile(&d->job, loaded->profile, e);
    if (st != ST_OK)
        return st;
    d->profile_name = name;
    retry_budget_change(&d->budget, d->job.rules.budget_tokens, d->job.rules.budget_refill);
    driver_deliver(d, &(struct core_event){ .kind = CORE_LIMITS, .limits = &d->job.limits });
    journal_event(d->journal, "profile", loaded->report);
    journal_job(d->journal, "profile_name", name);
    journal_job_blob(d->journal, "profile", d->job.profile);
    report_note(d, "the job goes on with profile %s", name);
    return journal_flush(d->journal, e);
}

void change_loaded(void *driver, enum status st, const struct policy_loaded *loaded,
                   const struct err *problem)
{
    struct driver *d = driver;
    struct control_reply *reply = d->change;
    struct err e;
    d->change = NULL;
    if (st != ST_OK)
        e = *problem;
    else
        st = take(d, loaded, &e);
    if (!reply)
        return;
    control_say(reply, st == ST_OK, st == ST_OK ? loaded->report : e.message);
}
