#include "cli/cli.h"

#include "base/failpoint.h"
#include "base/log.h"
#include "base/size.h"
#include "cli/help.h"
#include "cli/options.h"
#include "cli/print.h"
#include "schedule/policy.h"

#include <signal.h>
#include <unistd.h>

static int unknown_command(const char *word)
{
    const char *names[COMMANDS_MAX];
    size_t n = strlen(word);
    const char *near = nearest_name(word, command_names(names));
    if (n > 4 && strcmp(word + n - 4, ".lua") == 0)
        log_error("no command %s; to run that job: lmr run %s", word, word);
    else if (near)
        log_error("no command %s; did you mean lmr %s? (lmr help lists all commands)", word, near);
    else
        log_error("no command %s; lmr help lists all commands", word);
    return EXIT_WRONG_USAGE;
}

/* By which name a failpoint knows the process that runs this command (base/failpoint.h). */
static const char *process_of(const struct command *command)
{
    bool drives = strcmp(command->name, "run") == 0 || strcmp(command->name, "resume") == 0;
    return drives ? "driver" : command->name;
}

static int run_command(const struct command *command, int argc, char **argv)
{
    struct request request;
    struct err e;
    int code = EXIT_WRONG_USAGE;
    err_clear(&e);
    if (options_parse(command, argc, argv, &request, &e) != ST_OK)
        log_err(&e);
    else if (request.help)
        code = help_print_command(command);
    else
        code = command->run(&request);
    request_free(&request);
    return code;
}

/* The command that the first word stands for: its name, or -h and --version. */
static const struct command *command_of(const char *word)
{
    if (strcmp(word, "-h") == 0 || strcmp(word, "--help") == 0)
        return command_find("help");
    if (strcmp(word, "--version") == 0)
        return command_find("version");
    return command_find(word);
}

int cli_main(int argc, char **argv)
{
    if (argc < 2)
        return help_print_overview(STDERR_FILENO), EXIT_WRONG_USAGE;
    const struct command *command = command_of(argv[1]);
    if (!command)
        return unknown_command(argv[1]);
    struct err e;
    if (failpoint_start(process_of(command), &e) != ST_OK) {
        log_err(&e);
        return EXIT_WRONG_USAGE;
    }
    /* A script that prints without end into `head` is to end like any program; all else writes
     * to pipes and sockets whose end it must see as an error. */
    if (command->run != command_lua)
        (void)signal(SIGPIPE, SIG_IGN);
    (void)signal(SIGXFSZ, SIG_IGN); /* a file that may not grow is an error of its write */
    if (command->hidden)
        return strcmp(command->name, "policy") == 0 ? policy_main() : worker_main();
    return run_command(command, argc - 2, argv + 2);
}
