/* verdict_probe: what the fixed rule says.
 *
 *   verdict_probe TYPE RETRY SAME MAX_RETRIES BASE MAX_DELAY MULTIPLIER
 *                                      prints "retry DELAY" or "fail", and the rule
 *   verdict_probe fingerprint TYPE TRACEBACK FILE OFFSET RECORD         prints 16 hex digits */
#include "recover/verdict.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int fingerprint(char **argv)
{
    struct err e;
    (void)err_set(&e, status_from_type(argv[2]), "failed");
    (void)snprintf(e.traceback, sizeof e.traceback, "%s", argv[3]);
    err_at(&e, argv[4], strtoll(argv[5], NULL, 10), strtoll(argv[6], NULL, 10));
    (void)printf("%016" PRIx64 "\n", failure_fingerprint(&e));
    return 0;
}

int main(int argc, char **argv)
{
    struct err e;
    if (argc == 7 && strcmp(argv[1], "fingerprint") == 0)
        return fingerprint(argv);
    if (argc != 8)
        return 2;
    (void)err_set(&e, status_from_type(argv[1]), "failed");
    struct verdict_context context = {
        .retry = (uint32_t)strtoul(argv[2], NULL, 10),
        .same_failures = (uint32_t)strtoul(argv[3], NULL, 10),
    };
    struct retry_limits limits = {
        .max_retries = (uint32_t)strtoul(argv[4], NULL, 10),
        .base_delay_seconds = strtod(argv[5], NULL),
        .max_delay_seconds = strtod(argv[6], NULL),
        .multiplier = strtod(argv[7], NULL),
    };
    struct verdict v = verdict_decide(&e, &context, &limits);
    if (v.action == VERDICT_RETRY)
        (void)printf("retry %g: %s\n", v.delay_seconds, v.rule);
    else
        (void)printf("fail: %s\n", v.rule);
    return 0;
}
