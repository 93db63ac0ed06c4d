/* lua.c: `lmr lua`, and `lmr version`, which is shorter than a file of its own. */
#include "base/log.h"
#include "cli/cli.h"
#include "cli/print.h"
#include "cli/table.h"
#include "script/attempt.h"

#include <unistd.h>

int command_lua(struct request *request)
{
    struct err e;
    err_clear(&e);
    if (request->word_count == 0) {
        log_error("no file to run; usage: lmr lua FILE [ARG…]");
        return EXIT_WRONG_USAGE;
    }
    enum status status = script_run_file(request->words[0], (int)request->rest_count, request->rest,
                                         &e);
    if (status == ST_OK)
        return EXIT_COMPLETE;
    log_err(&e);
    return status == ST_USAGE ? EXIT_WRONG_USAGE : EXIT_FAILED;
}

int command_version(struct request *request)
{
    struct text t = TEXT_EMPTY;
    if (request->word_count || request->rest_count) {
        log_error("version takes no words; usage: lmr version");
        return EXIT_WRONG_USAGE;
    }
    text_add(&t, "lmr " LMR_VERSION "\n");
    return text_print(&t, STDOUT_FILENO);
}
