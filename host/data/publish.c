#include "data/publish.h"

#include "base/failpoint.h"
#include "base/sys.h"
#include "data/json.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include <xxhash.h>

enum { MANIFEST_VERSION = 1, MANIFEST_MAX = 64 << 20, COPY_SIZE = 1 << 20, SENDFILE_MAX = 1 << 30 };

static const char manifest_name[] = "_MANIFEST.json", success_name[] = "_SUCCESS",
                  old_name[] = PUBLISH_OLD;

/* "DIR/NAME" in `out` (emptied first), NUL-terminated; NULL when memory is out. */
static const char *join(struct buf *out, const char *dir, const char *name)
{
    out->n = 0;
    if (buf_printf(out, "%s/%s", dir, name) != ST_OK || buf_terminate(out) != ST_OK)
        return NULL;
    return (const char *)out->p;
}

/* --- may we? --- */

/* Reads the manifest of an earlier result: an encoded map in `value`. */
static enum status read_manifest(const char *dir, struct buf *value, struct err *e)
{
    struct buf path = BUF_EMPTY, text = BUF_EMPTY;
    const char *name = join(&path, dir, manifest_name);
    enum status st = name ? sys_read_file(name, MANIFEST_MAX, &text, e)
                          : err_memory(e, "a path", strlen(dir));
    if (st == ST_OK)
        st = json_to_value(buf_slice(&text), value, e);
    char maker[16];
    if (st == ST_OK && (!val_get_cstr(buf_slice(value), "made_by", maker, sizeof maker) ||
                        strcmp(maker, "lmr") != 0))
        st = err_set(e, ST_USAGE, "%s is no manifest of lmr", name);
    buf_free(&path);
    buf_free(&text);
    return st;
}

/* Holds the directory anything but folders of unfinished jobs? */
static enum status is_empty(const char *dir, bool *empty, struct err *e)
{
    DIR *d = opendir(dir);
    if (!d) {
        (void)err_sys(e, errno, "read the output directory", dir);
        return ST_USAGE;
    }
    *empty = true;
    for (const struct dirent *entry; *empty && (entry = readdir(d));)
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0 &&
            strncmp(entry->d_name, ".lmr-", 5) != 0)
            *empty = false;
    (void)closedir(d);
    return ST_OK;
}

enum status publish_check(const char *dir, bool overwrite, bool *replaces, struct err *e)
{
    struct stat info;
    *replaces = false;
    if (stat(dir, &info) != 0) {
        if (errno == ENOENT)
            return ST_OK;
        return err_set(e, ST_USAGE, "cannot use the output directory %s: %s", dir, strerror(errno));
    }
    if (!S_ISDIR(info.st_mode))
        return err_set(e, ST_USAGE, "output %s is no directory; name one that does not exist yet",
                       dir);
    bool empty = false;
    enum status st = is_empty(dir, &empty, e);
    if (st != ST_OK || empty)
        return st;
    if (!overwrite)
        return err_set(e, ST_USAGE,
                       "output directory %s exists; use --overwrite to replace an earlier result, "
                       "or another name",
                       dir);
    struct buf manifest = BUF_EMPTY;
    st = read_manifest(dir, &manifest, NULL);
    buf_free(&manifest);
    if (st != ST_OK)
        return err_set(e, ST_USAGE,
                       "output directory %s exists and is no earlier result of lmr (it holds no %s "
                       "of ours), so --overwrite leaves it alone; name another",
                       dir, manifest_name);
    *replaces = true;
    return ST_OK;
}

/* --- an earlier version --- */

enum status publish_facts(const char *dir, const char *job_id, struct buf *out, struct err *e)
{
    static const char *const kept[] = { "finished", "quarantined", "records_in", "plan_hash",
                                        "profile",  "profile_hash" };
    char owner[256] = "";
    struct buf manifest = BUF_EMPTY;
    struct slice value;
    struct val_map m = VAL_MAP_EMPTY;
    enum status st = read_manifest(dir, &manifest, NULL);
    (void)val_get_cstr(buf_slice(&manifest), "job_id", owner, sizeof owner);
    if (st != ST_OK || strcmp(owner, job_id) != 0) {
        buf_free(&manifest);
        return err_set(e, ST_USAGE, "%s does not hold the result of %s any more%s%s", dir, job_id,
                       owner[0] ? ", but that of " : "", owner);
    }
    val_map_int(&m, "version_of_output",
                val_get_int(buf_slice(&manifest), "version_of_output", 1));
    for (size_t i = 0; i < sizeof kept / sizeof *kept; i++)
        if (val_get(buf_slice(&manifest), kept[i], &value))
            val_map_value(&m, kept[i], value);
    st = val_map_end(&m, out);
    buf_free(&manifest);
    return st == ST_OK ? st : err_memory(e, "a manifest", out->n);
}

/* Reads the whole file for its checksum; with `to` ≥ 0 it is copied there too. */
static enum status scan_file(const char *path, int to, const char *target, uint64_t *bytes,
                             uint64_t *checksum, struct err *e)
{
    int fd = -1;
    size_t got = 1;
    XXH3_state_t *hash = XXH3_createState();
    void *buffer = sys_malloc(COPY_SIZE);
    *bytes = *checksum = 0;
    if (!hash || !buffer) {
        sys_free(buffer);
        (void)XXH3_freeState(hash);
        return err_memory(e, "reading a part", COPY_SIZE);
    }
    (void)XXH3_64bits_reset(hash);
    enum status st = sys_open_read(path, &fd, e);
    while (st == ST_OK && got > 0) {
        st = sys_read(fd, buffer, COPY_SIZE, &got, path, e);
        if (st == ST_OK && got > 0)
            (void)XXH3_64bits_update(hash, buffer, got);
        if (st == ST_OK && got > 0 && to >= 0)
            st = sys_write(to, buffer, got, target, "publish.copy", e);
        *bytes += st == ST_OK ? got : 0;
    }
    if (st == ST_OK)
        *checksum = XXH3_64bits_digest(hash);
    if (fd >= 0)
        (void)close(fd);
    sys_free(buffer);
    (void)XXH3_freeState(hash);
    return st;
}

static enum status copy_back(const char *path, const char *to, bool durable, struct err *e)
{
    int fd = -1;
    uint64_t bytes, checksum;
    enum status st = sys_create(to, &fd, e);
    if (st == ST_OK)
        st = scan_file(path, fd, to, &bytes, &checksum, e);
    if (st == ST_OK && durable)
        st = sys_fsync(fd, to, "publish.copy_fsync", e);
    if (fd >= 0)
        (void)close(fd);
    if (st != ST_OK)
        (void)sys_unlink(to, NULL);
    return st;
}

bool publish_is_as_told(const char *path, uint64_t bytes, const char *checksum)
{
    uint64_t there = 0, sum = 0;
    char text[17];
    if (scan_file(path, -1, NULL, &there, &sum, NULL) != ST_OK)
        return false;
    (void)snprintf(text, sizeof text, "%016" PRIx64, sum);
    return there == bytes && strcmp(text, checksum) == 0;
}

enum status publish_take_back(const char *dir, const struct publish_file *file, bool durable,
                              struct err *e)
{
    struct buf path = BUF_EMPTY;
    enum status st = ST_OK;
    const char *from = join(&path, dir, file->name);
    if (!from) {
        buf_free(&path);
        return err_memory(e, "a path", strlen(dir));
    }
    if (!publish_is_as_told(from, file->bytes, file->checksum))
        st = err_set(e, ST_CORRUPT, "%s is not as it was published", from);
    failpoint("publish.take_back:before");
    if (st == ST_OK && link(from, file->from) != 0 && errno != EEXIST)
        st = copy_back(from, file->from, durable, e);
    failpoint("publish.take_back:after");
    buf_free(&path);
    return st;
}

/* --- the manifest --- */

static enum status put_file(const struct publish_file *file, struct buf *out)
{
    struct val_map m = VAL_MAP_EMPTY;
    val_map_str(&m, "name", file->name);
    val_map_int(&m, "records", (int64_t)file->records);
    val_map_int(&m, "bytes", (int64_t)file->bytes);
    val_map_str(&m, "checksum", file->checksum);
    return val_map_end(&m, out);
}

static void map_hash(struct val_map *m, const char *name, uint64_t hash)
{
    char text[17];
    (void)snprintf(text, sizeof text, "%016" PRIx64, hash);
    val_map_str(m, name, text);
}

static void map_time(struct val_map *m, const char *name, int64_t wall_clock)
{
    char text[32];
    time_t seconds = (time_t)(wall_clock / 1000000000);
    struct tm utc;
    if (gmtime_r(&seconds, &utc) && strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &utc) > 0)
        val_map_str(m, name, text);
}

enum status publish_manifest(const struct publish_manifest *m, struct buf *out, struct err *e)
{
    static const uint8_t no_counters[] = { VAL_MAP, 0 };
    struct buf files = BUF_EMPTY, value = BUF_EMPTY;
    struct val_map map = VAL_MAP_EMPTY;
    enum status st = val_put_array(&files, m->file_count);
    for (size_t i = 0; i < m->file_count && st == ST_OK; i++)
        st = put_file(&m->files[i], &files);
    val_map_str(&map, "made_by", "lmr");
    val_map_int(&map, "version", MANIFEST_VERSION);
    val_map_str(&map, "lmr_version", m->lmr_version);
    val_map_str(&map, "job_id", m->job_id);
    val_map_str(&map, "job_name", m->job_name);
    map_time(&map, "finished", m->finished);
    val_map_value(&map, "files", buf_slice(&files));
    val_map_value(&map, "counters",
                  m->counters.n > 0 ? m->counters : slice_of(no_counters, sizeof no_counters));
    val_map_int(&map, "records_in", (int64_t)m->records_in);
    val_map_int(&map, "bytes_in", (int64_t)m->bytes_in);
    val_map_int(&map, "quarantined", (int64_t)m->quarantined);
    if (m->quarantine.n > 0)
        val_map_value(&map, "quarantine", m->quarantine);
    if (m->dropped > 0)
        val_map_int(&map, "dropped_tasks", m->dropped);
    if (m->drops.n > 0)
        val_map_value(&map, "dropped", m->drops);
    if (m->version > 1)
        val_map_int(&map, "version_of_output", (int64_t)m->version);
    if (m->previous.n > 0)
        val_map_value(&map, "previous", m->previous);
    if (m->statistics.n > 0)
        val_map_value(&map, "statistics", m->statistics);
    map_hash(&map, "plan_hash", m->plan_hash);
    val_map_str(&map, "profile", m->profile);
    map_hash(&map, "profile_hash", m->profile_hash);
    enum status ended = val_map_end(&map, &value);
    if (st == ST_OK && ended == ST_OK)
        st = json_from_value(buf_slice(&value), 2, out, e);
    else
        st = err_memory(e, "the manifest", files.n);
    if (st == ST_OK)
        st = buf_append_byte(out, '\n');
    buf_free(&files);
    buf_free(&value);
    return st;
}

/* --- into place --- */

/* Renames; when the source is gone and the target there, it was done before. */
static enum status move(const char *from, const char *to, const char *site, struct err *e)
{
    struct stat info;
    if (lstat(from, &info) != 0 && errno == ENOENT && lstat(to, &info) == 0)
        return ST_OK;
    return sys_rename(from, to, site, e);
}

static enum status move_aside(const char *dir, const char *aside, const char *name, struct err *e)
{
    struct buf from = BUF_EMPTY, to = BUF_EMPTY;
    struct stat info;
    const char *source = join(&from, dir, name), *target = join(&to, aside, name);
    enum status st = ST_OK;
    if (!source || !target)
        st = err_memory(e, "a path", strlen(dir));
    else if (lstat(source, &info) == 0)
        st = sys_rename(source, target, "publish.aside", e);
    buf_free(&from);
    buf_free(&to);
    return st;
}

/* Moves what the earlier result's manifest names; a name with a slash is none that we wrote. */
static enum status move_listed(const char *dir, const char *aside, struct slice manifest,
                               struct err *e)
{
    struct slice files, file;
    struct val_cursor c;
    if (!val_get(manifest, "files", &files))
        return ST_OK;
    uint64_t n = val_array(files, &c);
    enum status st = ST_OK;
    for (uint64_t i = 0; i < n && st == ST_OK && val_skip(&c, &file) == ST_OK; i++) {
        char name[512];
        if (val_get_cstr(file, "name", name, sizeof name) && !strchr(name, '/') && name[0] != '.' &&
            name[0] != '\0')
            st = move_aside(dir, aside, name, e);
    }
    return st;
}

static enum status move_result(const struct publish *p, const char *aside, struct slice manifest,
                               struct err *e)
{
    enum status st = sys_mkdir_all(aside, e);
    if (st == ST_OK)
        st = move_aside(p->output_dir, aside, success_name, e);
    if (st == ST_OK)
        st = move_listed(p->output_dir, aside, manifest, e);
    return st == ST_OK ? move_aside(p->output_dir, aside, manifest_name, e) : st;
}

/* The earlier result's manifest goes last: as long as it stands, its files can be found again after
 * a kill. No manifest, or that of this version: that was done before. */
static enum status move_earlier_result(const struct publish *p, struct err *e)
{
    struct buf manifest = BUF_EMPTY, path = BUF_EMPTY;
    char job_id[256] = "";
    enum status st = ST_OK;
    bool there = read_manifest(p->output_dir, &manifest, NULL) == ST_OK;
    (void)val_get_cstr(buf_slice(&manifest), "job_id", job_id, sizeof job_id);
    uint64_t version = (uint64_t)val_get_int(buf_slice(&manifest), "version_of_output", 1);
    if (there && (strcmp(job_id, p->job_id) != 0 || version < p->version)) {
        const char *aside = join(&path, p->stage_dir, old_name);
        st = aside ? move_result(p, aside, buf_slice(&manifest), e)
                   : err_memory(e, "a path", strlen(p->stage_dir));
    }
    buf_free(&manifest);
    buf_free(&path);
    return st;
}

static bool is_unfinished(const char *name)
{
    static const char *const written[] = { manifest_name, success_name };
    for (size_t i = 0; i < sizeof written / sizeof *written; i++) {
        size_t n = strlen(written[i]);
        if (strncmp(name, written[i], n) == 0 && strncmp(name + n, ".tmp-", 5) == 0)
            return true;
    }
    return false;
}

/* What a driver was writing when it was killed (sys_write_file). */
static void remove_unfinished(const char *dir)
{
    struct buf path = BUF_EMPTY;
    DIR *d = opendir(dir);
    for (const struct dirent *entry; d && (entry = readdir(d));)
        if (is_unfinished(entry->d_name) && join(&path, dir, entry->d_name))
            (void)sys_unlink((const char *)path.p, NULL);
    if (d)
        (void)closedir(d);
    buf_free(&path);
}

enum status publish_commit(const struct publish *p, struct err *e)
{
    struct buf path = BUF_EMPTY;
    enum status st = p->replaces ? move_earlier_result(p, e) : ST_OK;
    remove_unfinished(p->output_dir);
    for (size_t i = 0; i < p->file_count && st == ST_OK; i++) {
        const char *to = join(&path, p->output_dir, p->files[i].name);
        st = to ? move(p->files[i].from, to, "publish.rename", e)
                : err_memory(e, "a path", strlen(p->output_dir));
    }
    const char *name = st == ST_OK ? join(&path, p->output_dir, manifest_name) : NULL;
    if (name) /* its fsync of the directory covers the renames before */
        st = sys_write_file(name, p->manifest, p->durable, "publish.manifest", e);
    name = st == ST_OK && !p->partial ? join(&path, p->output_dir, success_name) : NULL;
    if (name)
        st = sys_write_file(name, slice_of("", 0), p->durable, "publish.success", e);
    buf_free(&path);
    return st;
}

/* --- to standard output --- */

static enum status interrupted(struct err *e, int os_error)
{
    (void)err_set(e, ST_INTERRUPTED,
                  os_error == EPIPE ? "standard output was closed" : "stopped by a signal");
    if (e)
        e->os_error = os_error;
    return ST_INTERRUPTED;
}

/* For descriptors that sendfile refuses (opened for appending). */
static enum status copy_by_buffer(int from, const char *path, int fd,
                                  const volatile sig_atomic_t *stop, struct err *e)
{
    void *buffer = sys_malloc(COPY_SIZE);
    if (!buffer)
        return err_memory(e, "copying the result", COPY_SIZE);
    size_t got = 1;
    enum status st = ST_OK;
    while (st == ST_OK && got > 0 && !*stop) {
        st = sys_read(from, buffer, COPY_SIZE, &got, path, e);
        if (st == ST_OK)
            st = sys_write(fd, buffer, got, PUBLISH_STDOUT, NULL, e);
    }
    sys_free(buffer);
    return st == ST_OK && *stop ? interrupted(e, EINTR) : st;
}

static enum status copy_file(int from, const char *path, int fd, const volatile sig_atomic_t *stop,
                             struct err *e)
{
    for (;;) {
        ssize_t n = sendfile(fd, from, NULL, SENDFILE_MAX);
        if (n == 0)
            return ST_OK;
        if (*stop)
            return interrupted(e, EINTR);
        if (n > 0 || errno == EINTR)
            continue;
        if (errno == EPIPE)
            return interrupted(e, EPIPE);
        if (errno == EAGAIN) { /* somebody who shares it has made it non-blocking */
            sys_wait(fd, POLLOUT);
            continue;
        }
        if (errno == EINVAL || errno == ENOSYS)
            return copy_by_buffer(from, path, fd, stop, e);
        return err_sys(e, errno, "write to", PUBLISH_STDOUT);
    }
}

enum status publish_stream(const struct publish_file *files, size_t count, int fd,
                           const volatile sig_atomic_t *stop, struct err *e)
{
    enum status st = ST_OK;
    for (size_t i = 0; i < count && st == ST_OK; i++) {
        int from = -1;
        st = sys_open_read(files[i].from, &from, e);
        if (st != ST_OK)
            break;
        failpoint("publish.stream:before");
        st = copy_file(from, files[i].from, fd, stop, e);
        failpoint("publish.stream:after");
        (void)close(from);
    }
    return st;
}
