/* main.c: dispatch to a command, nothing else. */
#include "base/log.h"

#include <stdio.h>
#include <string.h>

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "--version") == 0) {
        (void)printf("lmr %s\n", LMR_VERSION);
        return 0;
    }
    log_error("no such command: %s", argc > 1 ? argv[1] : "(none)");
    return 2;
}
