/* control_probe.c: asks the driver of a running job. control_probe JOBDIR COMMAND prints its reply as a line of
 * JSON; exit code 1 and the message on standard error when there is none. */
#include "base/log.h"
#include "data/json.h"
#include "schedule/control.h"

#include <stdio.h>

enum { SECONDS = 30 };

static enum status ask(const char *job_dir, const char *command, struct buf *text, struct err *e)
{
    struct val_map m = VAL_MAP_EMPTY;
    struct buf request = BUF_EMPTY, reply = BUF_EMPTY;
    val_map_str(&m, "command", command);
    enum status st = val_map_end(&m, &request);
    if (st == ST_OK)
        st = control_call(job_dir, buf_slice(&request), SECONDS, &reply, e);
    if (st == ST_OK)
        st = json_from_value(buf_slice(&reply), 0, text, e);
    buf_free(&request);
    buf_free(&reply);
    return st;
}

int main(int argc, char **argv)
{
    struct buf text = BUF_EMPTY;
    struct err e;
    err_clear(&e);
    if (argc != 3)
        return 2;
    enum status st = ask(argv[1], argv[2], &text, &e);
    if (st == ST_OK)
        printf("%.*s\n", (int)text.n, (const char *)text.p);
    else
        fprintf(stderr, "%s\n", e.message);
    buf_free(&text);
    return st == ST_OK ? 0 : 1;
}
