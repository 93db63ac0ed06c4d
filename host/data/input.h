/* input.h: from names on a command line to records.
 *
 * inputs_expand turns names into files; splits_plan cuts files into splits; a reader turns a split
 * into records. All of it is a function of names, sizes and options alone, so that a plan made
 * twice is the same. */
#ifndef LMR_DATA_INPUT_H
#define LMR_DATA_INPUT_H

#include "base/arena.h"
#include "data/codec.h"

enum input_format { IN_TEXT, IN_JSONL, IN_CSV, IN_TSV, IN_WHOLE, IN_FIXED, IN_LUA, IN_PAIRS };

enum { MAX_RECORD_DEFAULT = 64 * 1024 * 1024, INPUT_TIMEOUT_SECONDS = 30 };

/* How one input is read: from a format's name or { format=, separator=, quote=, header=,
 * columns={…}, types={…}, multiline=, record_size=, max_record=, resumable= }.
 *
 *   text: lines, LF or CRLF (cut off); key = byte offset, value = line.
 *   jsonl: value = the decoded value; blank lines are skipped.
 *   csv, tsv: RFC 4180 with `separator`; quote = false: none. header = true by default: value = a
 *     map of column → string; `columns` gives other names than the header's. header = false: columns
 *     from `columns`, or an array of strings. types = { price = "number", n = "integer" }:
 *     converted, a field that does not convert is a bad record. Rows with more or fewer fields than
 *     there are columns are bad records. Empty lines are skipped. multiline = true: quoted fields
 *     may hold line ends; of a row that is not well-formed only the first line is passed over.
 *   whole: one record a file, key = the path, value = its bytes.
 *   fixed: records of record_size bytes; a short last one is a bad record.
 *   lua: a reader in Lua (the script room reads it; here it only plans its splits); resumable =
 *     true: its files may be cut.
 *   pairs: a pair run of the step before.
 *
 * jsonl and csv pass over a UTF-8 byte order mark at the beginning of a file; text keeps it. */
struct input_spec {
    enum input_format format;
    char separator, quote;
    bool header, multiline;
    bool lua_resumable; /* a Lua reader with save and restore: its files may be cut */
    uint32_t record_size;
    uint64_t max_record; /* a longer record is ST_BAD_RECORD; the reader goes on at the next one */
    struct slice columns, types; /* encoded, owned copies (arena of the caller) */
};

/* `description` VAL_NULL: text. Copies what it keeps into `a`. ST_USAGE when wrong. */
enum status input_spec_parse(struct slice description, struct arena *a, struct input_spec *spec,
                             struct err *e);

/* The size of a file behind an address whose server does not tell it. */
#define INPUT_SIZE_UNKNOWN UINT64_MAX

/* One name as given: `input` is the index of its entry in the job (or 0) and comes back in each
 * file and part. */
struct input_name {
    const char *path; /* file, directory, glob, @list, address; the caller has resolved "-" (spool) */
    uint32_t input;
};

struct input_file {
    const char *path; /* in the arena; of an address the form to be shown (data/url.h) */
    uint64_t size;    /* bytes on disk; INPUT_SIZE_UNKNOWN for an address, until its server told it */
    int64_t mtime;    /* nanoseconds; 0: not known */
    uint32_t input;
    bool whole;            /* must not be cut: an address without ranges */
    const char *secret;    /* "user:password" of an address (in the arena), or NULL */
    const char *validator; /* what tells that an address still has the same file, or NULL */
};

struct input_files {
    struct input_file *files; /* in the arena */
    size_t count;
};

/* True for http:// and https://: the file is behind a server, which remote_ask (data/remote.h) asks. */
bool input_is_remote(const char *path);

/* Names → files, in the order of the names; inside a directory or glob, bytewise by path.
 * Directories recursively (not through symlinks met on the way), hidden and `_` names skipped (not
 * when named outright). @list: one name a line ('#' comments and blank lines skipped; relative to
 * the working directory), a list in a list is an error. An address is taken as it is, neither asked
 * for nor looked into for patterns. A name given twice is read twice. ST_USAGE
 * with a message that names what is missing, unreadable, matches nothing (glob, empty directory),
 * or is no regular file (a FIFO or device may not be an input: say "use - or spool"). */
enum status inputs_expand(const struct input_name *names, size_t count, struct arena *a,
                          struct input_files *out, struct err *e);

/* Who reads from servers, and how long it waits for them. */
struct input_watch {
    const _Atomic int *stop;    /* an enum status: a wait ends with it when it is not ST_OK */
    _Atomic uint64_t *progress; /* raised whenever something comes; NULL: nobody looks */
    double timeout_seconds;     /* the longest wait without a byte; 0: INPUT_TIMEOUT_SECONDS */
};

/* What one map task reads: pieces of files, in order. Records that START in [from, to), bytes of
 * the file as it is on disk, belong to the part; a whole file is [0, size). `size` is of the whole
 * file, as planned: a file that has another size when read is ST_CORRUPT ("changed since the
 * plan"). */
struct split_part {
    const char *path;
    uint64_t from, to;
    uint64_t size;
    int64_t mtime; /* of the file when it was planned, nanoseconds; 0: not known */
    uint32_t input;
    bool whole;                      /* like the next two, as in struct input_file */
    const char *secret, *validator;
    const struct input_watch *watch; /* set by who reads it; or NULL */
};

struct split {
    struct split_part *parts; /* in the arena */
    size_t count;
    uint64_t bytes;
};

struct splits {
    struct split *splits; /* in the arena */
    size_t count;
};

/* Cuts and combines: a cuttable file above split_size into even pieces of at most split_size (n =
 * ceil(size / split_size); fixed-size records between records only); smaller and uncuttable ones
 * (compressed, whole, multiline csv, pair runs, Lua readers without save/restore, addresses without
 * ranges) are combined, in order, into splits of at most split_size, at most 4096 files each; parts
 * of different `input` may share a split. An address of unknown size is a split of 0 bytes by
 * itself, its part [0, INPUT_SIZE_UNKNOWN). Empty files give no split, but to IN_WHOLE, where each is a record. ST_USAGE: split_size 0, or more than a million
 * splits. */
enum status splits_plan(const struct input_files *files, const struct input_spec *specs,
                        uint64_t split_size, struct arena *a, struct splits *out, struct err *e);

/* Compression by ending: .gz .zst .lz4 .bz2 .xz (".gzip", ".zstd", ".lzma" are not). */
bool input_is_compressed(const char *path);

/* A record. For IN_TEXT, IN_WHOLE, IN_FIXED `value` is raw bytes and is_raw is true; else it is an
 * encoded value. IN_PAIRS: `key` is an encoded key, `offset` the number of the pair. Slices are
 * valid until the next call. */
struct record {
    uint64_t offset; /* where it starts in the (uncompressed) file: the key of text records */
    uint64_t number; /* in this part, from 0 */
    bool is_raw;
    bool has_key;
    struct slice key; /* IN_PAIRS: encoded key; IN_WHOLE: the path, raw */
    struct slice value;
    /* The record's own bytes, as they stand in the file, without its line end (for quarantine and
     * messages). Of a record longer than max_record its first 64 KiB. IN_PAIRS: the value. */
    struct slice raw;
};

struct reader;

/* Opens one part. Specs is the job's table; part->input picks. What the slices of `spec` point into
 * must outlive the reader. ST_CORRUPT when the file changed since the plan, or has a header row
 * that does not do (broken, a name twice, a column of `types` missing); ST_USAGE never. */
enum status reader_open(const struct split_part *part, const struct input_spec *spec,
                        struct reader **out, struct err *e);
/* ST_OK, ST_END, or: ST_BAD_RECORD (err has file, offset, record, message; `rec` has offset, number
 * and raw; the reader stands after the bad record and can go on), ST_CORRUPT (a cut or broken
 * compressed stream: after the records that are whole before it, and again at every later call),
 * ST_CRASH (I/O). A missing final newline is no error. Invalid UTF-8 and NUL bytes pass in text. */
enum status reader_next(struct reader *r, struct record *rec, struct err *e);
/* Bytes of the part, on disk, taken in so far: progress. */
uint64_t reader_position(const struct reader *r);
void reader_close(struct reader *r);

/* Task checkpoints: reader_save appends where the reader stands, between two calls of reader_next
 * (also after a ST_BAD_RECORD, or at the end). ST_MEMORY. */
enum status reader_save(const struct reader *r, struct buf *out);
/* reader_open, but standing where the saved reader of the same part and spec stood: the next record
 * is the one that would have come, with the same offset and number. A plain file and an address
 * are read from there on; a compressed one is decompressed from its beginning (nothing of it is
 * looked at), a pair run from the block it stood in. ST_CORRUPT when the state does not hold or is
 * of another format or file, else errors as of reader_open and reader_next. */
enum status reader_restore(const struct split_part *part, const struct input_spec *spec,
                           struct slice state, struct reader **out, struct err *e);

/* Copies standard input (or any descriptor) into `path` until it ends; bytes are counted. Not
 * fsynced unless durable. */
enum status input_spool(int fd, const char *path, bool durable, uint64_t *bytes, struct err *e);

#endif
