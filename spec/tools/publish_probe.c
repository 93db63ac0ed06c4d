/* publish_probe: the output commit by hand.
 *
 *   publish_probe check DIR [overwrite]          prints "free", "replaces" or "error MESSAGE"
 *   publish_probe commit OUT STAGE JOBID REPLACES FROM=NAME…   prints "ok" or "error MESSAGE" */
#include "data/publish.h"

#include "base/sys.h"

#include <stdio.h>
#include <string.h>

enum { FILES_MAX = 64 };

static int tell(enum status st, const char *good, const struct err *e)
{
    (void)printf("%s%s\n", st == ST_OK ? good : "error ", st == ST_OK ? "" : e->message);
    return 0;
}

static int check(int argc, char **argv)
{
    struct err e;
    bool replaces = false;
    enum status st = publish_check(argv[2], argc > 3, &replaces, &e);
    return tell(st, replaces ? "replaces" : "free", &e);
}

static int commit(int argc, char **argv)
{
    struct publish_file files[FILES_MAX];
    struct buf text = BUF_EMPTY;
    struct err e;
    size_t count = 0;
    for (int i = 6; i < argc && count < FILES_MAX; i++) {
        char *equals = strchr(argv[i], '=');
        if (!equals)
            return 2;
        *equals = '\0';
        files[count++] = (struct publish_file){ argv[i], equals + 1, 1, 2, "0123456789abcdef" };
    }
    struct publish_manifest manifest = {
        .job_id = argv[4],
        .job_name = "probe",
        .lmr_version = "0",
        .profile = "testing",
        .finished = INT64_C(1700000000000000000),
        .files = files,
        .file_count = count,
    };
    enum status st = publish_manifest(&manifest, &text, &e);
    struct publish publish = {
        .output_dir = argv[2],
        .stage_dir = argv[3],
        .job_id = argv[4],
        .files = files,
        .file_count = count,
        .manifest = buf_slice(&text),
        .replaces = strcmp(argv[5], "1") == 0,
        .durable = true,
    };
    if (st == ST_OK)
        st = publish_commit(&publish, &e);
    buf_free(&text);
    return tell(st, "ok", &e);
}

int main(int argc, char **argv)
{
    if (argc >= 3 && strcmp(argv[1], "check") == 0)
        return check(argc, argv);
    if (argc >= 6 && strcmp(argv[1], "commit") == 0)
        return commit(argc, argv);
    return 2;
}
