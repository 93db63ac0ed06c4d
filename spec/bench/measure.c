/* measure.c: runs a command and says what it took.
 *
 *    measure REPORT OUT ERR COMMAND ARGUMENT…
 *
 * The command's standard output and error go into the files OUT and ERR. A line is written to REPORT:
 * seconds on the wall, user seconds, system seconds, the greatest resident size of any of its processes in
 * KiB, and the exit status (128 + the signal's number when a signal ended it). User, system and size take in all
 * descendants: those whose parent was killed are waited for here. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { ARGUMENTS_BEFORE = 4, EXEC_FAILED = 127, MODE = 0644 };

static void die(const char *what)
{
    perror(what);
    exit(2);
}

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static double seconds(struct timeval t)
{
    return (double)t.tv_sec + (double)t.tv_usec / 1e6;
}

static void redirect(const char *path, int to)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, MODE);
    if (fd < 0 || dup2(fd, to) < 0)
        die(path);
}

static void run(char **argv)
{
    int in = open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (in < 0 || dup2(in, STDIN_FILENO) < 0)
        die("/dev/null");
    redirect(argv[2], STDOUT_FILENO);
    redirect(argv[3], STDERR_FILENO);
    execvp(argv[ARGUMENTS_BEFORE], argv + ARGUMENTS_BEFORE);
    perror(argv[ARGUMENTS_BEFORE]);
    _exit(EXEC_FAILED);
}

int main(int argc, char **argv)
{
    if (argc <= ARGUMENTS_BEFORE) {
        fputs("usage: measure REPORT OUT ERR COMMAND ARGUMENT...\n", stderr);
        return 2;
    }
    if (prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0)
        die("prctl");
    double start = now();
    pid_t pid = fork();
    if (pid < 0)
        die("fork");
    if (pid == 0)
        run(argv);
    int status;
    struct rusage usage;
    if (waitpid(pid, &status, 0) < 0)
        die("waitpid");
    double wall = now() - start;
    while (wait(NULL) > 0)
        continue;
    if (getrusage(RUSAGE_CHILDREN, &usage) != 0)
        die("getrusage");
    int code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    FILE *report = fopen(argv[1], "w");
    if (report == NULL)
        die(argv[1]);
    fprintf(report, "%.6f %.6f %.6f %ld %d\n", wall, seconds(usage.ru_utime), seconds(usage.ru_stime),
            usage.ru_maxrss, code);
    return fclose(report) == 0 ? 0 : 2;
}
