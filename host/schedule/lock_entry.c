#include "schedule/lock_entry.h"

#include "base/sys.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

/* --- of this process --- */

static void time_text(char out[LOCK_TIME_MAX])
{
    time_t now = (time_t)(sys_wall_clock() / 1000000000);
    struct tm parts;
    if (!gmtime_r(&now, &parts) || !strftime(out, LOCK_TIME_MAX, "%Y-%m-%dT%H:%M:%SZ", &parts))
        (void)snprintf(out, LOCK_TIME_MAX, "0000-00-00T00:00:00Z");
}

/* The first `cap` − 1 bytes of a small file, NUL-terminated; empty when it cannot be read. */
static void read_small(const char *path, char *out, size_t cap)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd >= 0 ? read(fd, out, cap - 1) : 0;
    out[n > 0 ? n : 0] = '\0';
    if (fd >= 0)
        (void)close(fd);
}

/* What holds no blank goes into the file as it is. */
static void keep_word(char *word, const char *instead)
{
    word[strcspn(word, " \n")] = '\0';
    if (!word[0])
        (void)snprintf(word, LOCK_WORD_MAX, "%s", instead);
}

/* When the process was started, in clock ticks after the boot; 0: there is none. Field 22, counted after
 * the program's name, which may hold anything. */
static uint64_t start_of(long pid)
{
    char path[64], text[1024];
    (void)snprintf(path, sizeof path, "/proc/%ld/stat", pid);
    read_small(path, text, sizeof text);
    const char *at = strrchr(text, ')');
    if (at && at[1] == ' ' && (at[2] == 'Z' || at[2] == 'X'))
        return 0; /* it has ended, and waits for its parent */
    for (int field = 2; at && field < 22; field++)
        at = strchr(at + 1, ' ');
    return at ? strtoull(at, NULL, 10) : 0;
}

void lock_entry_own(uint64_t inode, struct lock_entry *out)
{
    *out = (struct lock_entry){ .pid = (long)getpid(), .inode = inode };
    if (gethostname(out->host, sizeof out->host - 1) != 0)
        out->host[0] = '\0';
    keep_word(out->host, "localhost");
    read_small("/proc/sys/kernel/random/boot_id", out->boot, sizeof out->boot);
    keep_word(out->boot, "-");
    ssize_t n = readlink("/proc/self/ns/pid", out->space, sizeof out->space - 1);
    out->space[n > 0 ? n : 0] = '\0';
    keep_word(out->space, "-");
    out->start = start_of(out->pid);
    time_text(out->since);
    if (getrandom(&out->token, sizeof out->token, 0) != (ssize_t)sizeof out->token)
        out->token = (uint64_t)sys_wall_clock() ^ (uint64_t)out->pid << 32;
}

/* --- as text --- */

void lock_entry_beat(uint64_t count, char out[LOCK_BEAT_BYTES + 1])
{
    char now[LOCK_TIME_MAX];
    time_text(now);
    (void)snprintf(out, LOCK_BEAT_BYTES + 1, "beat %010" PRIu64 " %20.20s\n",
                   count % UINT64_C(10000000000), now);
}

size_t lock_entry_write(const struct lock_entry *entry, uint64_t count, char out[LOCK_ENTRY_MAX])
{
    lock_entry_beat(count, out);
    int n = snprintf(out + LOCK_BEAT_BYTES, LOCK_ENTRY_MAX - LOCK_BEAT_BYTES,
                     "host %s\nboot %s\nspace %s\npid %ld\nstart %" PRIu64 "\ninode %" PRIu64
                     "\nsince %s\ntoken %016" PRIx64 "\n",
                     entry->host, entry->boot, entry->space, entry->pid, entry->start, entry->inode,
                     entry->since, entry->token);
    CHECK(n > 0 && n < LOCK_ENTRY_MAX - LOCK_BEAT_BYTES);
    return LOCK_BEAT_BYTES + (size_t)n;
}

/* The word after "\nNAME ", up to the end of its line. */
static bool take_word(const char *text, const char *name, char *out, size_t cap)
{
    char start[16];
    (void)snprintf(start, sizeof start, "\n%s ", name);
    const char *at = strstr(text, start);
    if (!at)
        return false;
    at += strlen(start);
    size_t n = strcspn(at, "\n");
    if (n == 0 || n >= cap || at[n] != '\n')
        return false;
    memcpy(out, at, n);
    out[n] = '\0';
    return true;
}

static bool take_number(const char *text, const char *name, int base, uint64_t *out)
{
    char word[LOCK_WORD_MAX], *end = NULL;
    if (!take_word(text, name, word, sizeof word))
        return false;
    *out = strtoull(word, &end, base);
    return *end == '\0';
}

bool lock_entry_read(const char *text, struct lock_entry *out)
{
    uint64_t pid = 0;
    *out = (struct lock_entry){ .pid = 0 };
    if (strncmp(text, "beat ", 5) != 0 || strlen(text) < LOCK_BEAT_BYTES)
        return false;
    (void)snprintf(out->beat, sizeof out->beat, "%.20s", text + 16);
    bool whole = take_word(text, "host", out->host, sizeof out->host) &&
                 take_word(text, "boot", out->boot, sizeof out->boot) &&
                 take_word(text, "space", out->space, sizeof out->space) &&
                 take_number(text, "pid", 10, &pid) && take_number(text, "start", 10, &out->start) &&
                 take_number(text, "inode", 10, &out->inode) &&
                 take_word(text, "since", out->since, sizeof out->since) &&
                 take_number(text, "token", 16, &out->token);
    out->pid = (long)(pid <= INT32_MAX ? pid : 0);
    return whole && out->pid > 0;
}

/* --- who it is --- */

bool lock_entry_same_boot(const struct lock_entry *a, const struct lock_entry *b)
{
    return strcmp(a->host, b->host) == 0 && strcmp(a->boot, b->boot) == 0;
}

enum lock_life lock_entry_life(const struct lock_entry *entry, const struct lock_entry *own)
{
    if (!lock_entry_same_boot(entry, own) || strcmp(entry->space, own->space) != 0)
        return LOCK_UNKNOWN;
    return start_of(entry->pid) == entry->start ? LOCK_ALIVE : LOCK_DEAD;
}

const char *lock_entry_name(const struct lock_entry *entry, char out[LOCK_NAME_MAX])
{
    (void)snprintf(out, LOCK_NAME_MAX, "process %ld on %s, at work since %s", entry->pid,
                   entry->host, entry->since);
    return out;
}
