/* terminal.c: runs a program on a terminal of its own, as its foreground job, and types Ctrl-C.
 *
 *   terminal FILE COMMAND…   waits until FILE is there, types Ctrl-C once, passes on what is shown, and ends as
 *                            COMMAND did (128 + the signal that killed it) */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { LOOK_MS = 10, CTRL_C = 3 };

static void child(int master, char **argv)
{
    int fd = open(ptsname(master), O_RDWR);
    if (fd < 0 || setsid() < 0)
        _exit(126);
    /* The first terminal that a session's leader opens is its own; this one was open before. */
    if (ioctl(fd, TIOCSCTTY, 0) != 0 || dup2(fd, 0) < 0 || dup2(fd, 1) < 0 || dup2(fd, 2) < 0)
        _exit(126);
    (void)close(fd);
    (void)close(master);
    (void)signal(SIGINT, SIG_DFL);
    (void)execvp(argv[0], argv);
    _exit(127);
}

static bool is_there(const char *path)
{
    struct stat info;
    return stat(path, &info) == 0;
}

static void pass_on(int master, const char *file)
{
    bool typed = false;
    char bytes[4096];
    for (;;) {
        struct pollfd p = { .fd = master, .events = POLLIN };
        int ready = poll(&p, 1, LOOK_MS);
        ssize_t n = ready > 0 ? read(master, bytes, sizeof bytes) : 0;
        if (n < 0 && errno != EINTR)
            return; /* EIO: nobody has it open any more */
        if (n > 0)
            (void)!write(STDOUT_FILENO, bytes, (size_t)n);
        if (!typed && is_there(file)) {
            const char key = CTRL_C;
            typed = write(master, &key, 1) == 1;
        }
    }
}

int main(int argc, char **argv)
{
    int status = 0, master = argc < 3 ? -1 : posix_openpt(O_RDWR | O_NOCTTY);
    if (master < 0 || grantpt(master) != 0 || unlockpt(master) != 0) {
        perror("terminal FILE COMMAND…");
        return 2;
    }
    pid_t pid = fork();
    if (pid == 0)
        child(master, argv + 2);
    pass_on(master, argv[1]);
    if (pid < 0 || waitpid(pid, &status, 0) != pid)
        return 2;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
