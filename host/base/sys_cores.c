/* The part of sys.h that finds how many cores this process may use. */
#include "base/sys.h"

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>

enum { CGROUP_FILE_MAX = 64 * 1024 };

/* Cores of the affinity mask; 1 when the system does not say. */
static unsigned affinity_cores(void)
{
    for (size_t cpus = CPU_SETSIZE; cpus <= 1U << 20; cpus *= 2) {
        cpu_set_t *set = CPU_ALLOC(cpus);
        if (!set)
            break;
        size_t size = CPU_ALLOC_SIZE(cpus);
        bool known = sched_getaffinity(0, size, set) == 0; /* fails while the mask is too small */
        int count = known ? CPU_COUNT_S(size, set) : 0;
        CPU_FREE(set);
        if (known)
            return count > 0 ? (unsigned)count : 1;
    }
    return 1;
}

/* Cores a cpu.max file allows ("200000 100000" → 2, rounded up), or `most` when it sets no limit. */
static unsigned quota_cores(const char *path, unsigned most)
{
    struct buf text = BUF_EMPTY;
    unsigned cores = most;
    if (sys_read_file(path, CGROUP_FILE_MAX, &text, NULL) == ST_OK && buf_terminate(&text) == ST_OK) {
        char *rest = NULL;
        unsigned long long quota = strtoull((const char *)text.p, &rest, 10);
        unsigned long long period = strtoull(rest, NULL, 10);
        if (quota > 0 && period > 0 && quota / period < most)
            cores = (unsigned)(quota / period + (quota % period != 0));
    }
    buf_free(&text);
    return cores;
}

/* The path of this process in the unified hierarchy ("0::PATH"), NUL-ended in `out`. */
static bool cgroup_path(struct buf *out)
{
    struct buf text = BUF_EMPTY;
    bool found = false;
    if (sys_read_file("/proc/self/cgroup", CGROUP_FILE_MAX, &text, NULL) == ST_OK &&
        buf_terminate(&text) == ST_OK) {
        char *rest = NULL;
        for (char *line = strtok_r((char *)text.p, "\n", &rest); line && !found;
             line = strtok_r(NULL, "\n", &rest))
            if (strncmp(line, "0::/", 4) == 0)
                found = buf_append_str(out, line + 3) == ST_OK && buf_terminate(out) == ST_OK;
    }
    buf_free(&text);
    return found;
}

/* The least quota of this process' group and of all groups above it. */
static unsigned cgroup_cores(unsigned most)
{
    struct buf path = BUF_EMPTY;
    unsigned cores = most;
    if (!cgroup_path(&path))
        goto cleanup;
    char *group = (char *)path.p;
    for (;;) {
        char file[ERR_FILE_MAX];
        (void)snprintf(file, sizeof file, "/sys/fs/cgroup%s/cpu.max", group);
        cores = quota_cores(file, cores);
        char *slash = strrchr(group, '/');
        if (!slash)
            break;
        *slash = '\0';
    }
cleanup:
    buf_free(&path);
    return cores;
}

unsigned sys_cores(void)
{
    unsigned cores = cgroup_cores(affinity_cores());
    return cores > 0 ? cores : 1;
}
