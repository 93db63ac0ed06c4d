/* main.c: standard descriptors, then dispatch to a command, nothing else. */
#include "base/sys.h"
#include "cli/cli.h"

int main(int argc, char **argv)
{
    sys_open_standard();
    return cli_main(argc, argv);
}
