/* codec_probe: one command a line on standard input, one line of answer each.
 *   key VALUE           hex of the key         val VALUE       hex of the value
 *   unkey HEX           its value              unval HEX       its value
 *   walk HEX            the key's elements one by one, as a cursor gives them
 *   group N HEX         length of the group    first HEX       key of the first element
 *   prefix N HEX        key of the first n     order VALUE VALUE   −1, 0 or 1
 *   cut VALUE           how many of all the cuts of the value's bytes pass val_check (none should)
 *   map NAME INT …      a map built of unordered fields
 *   json HEX            value of a JSON text   text INDENT VALUE   its JSON, in hex
 *   keytext VALUE       JSON of the key, hex   float HEX-FLOAT     float_format
 *   int N               int_format */
#include "data/json.h"
#include "notation.h"

static void print_hex_or_error(enum status status, const struct buf *b, const struct err *e)
{
    if (status != ST_OK) {
        notation_print_error(status, e);
        return;
    }
    notation_hex(buf_slice(b));
    printf("\n");
}

static void print_value_or_error(enum status status, const struct buf *b, const struct err *e)
{
    if (status != ST_OK) {
        notation_print_error(status, e);
        return;
    }
    notation_print(buf_slice(b));
    printf("\n");
}

static void walk(struct slice key)
{
    struct key_cursor c;
    struct scalar s;
    enum status status;
    key_cursor_init(&c, key);
    while ((status = key_next(&c, &s)) == ST_OK) {
        switch (s.kind) {
        case SC_NULL: printf("n "); break;
        case SC_FALSE: printf("f "); break;
        case SC_TRUE: printf("t "); break;
        case SC_INT: printf("i%lld ", (long long)s.i); break;
        case SC_FLOAT:
            notation_print_float(s.f);
            printf(" ");
            break;
        case SC_STRING:
            printf("s");
            notation_hex(s.s);
            printf(" ");
            break;
        case SC_ARRAY: printf("[ "); break;
        case SC_END: printf("] "); break;
        default: break;
        }
    }
    printf("%s\n", status_type(status));
    key_cursor_free(&c);
}

static void group(unsigned n, struct slice key)
{
    size_t length = 0;
    enum status status = key_group_length(key, n, &length);
    if (status == ST_OK)
        printf("%zu\n", length);
    else
        printf("%s\n", status_type(status));
}

static void cuts(const struct buf *value)
{
    unsigned passed = 0;
    for (size_t n = 0; n < value->n; n++)
        passed += val_check(slice_of(value->p, n)) == ST_OK;
    printf("%u\n", passed);
}

static void order(char *line)
{
    struct buf a = BUF_EMPTY, b = BUF_EMPTY;
    struct err e;
    int result = 0;
    err_clear(&e);
    notation_value(&line, &a);
    notation_value(&line, &b);
    enum status status = value_order(buf_slice(&a), buf_slice(&b), &result, &e);
    if (status == ST_OK)
        printf("%d\n", result);
    else
        notation_print_error(status, &e);
    buf_free(&a);
    buf_free(&b);
}

static void map(char *line)
{
    struct val_map m = VAL_MAP_EMPTY;
    struct buf out = BUF_EMPTY;
    char *name, *value;
    while ((name = notation_word(&line)) != NULL && (value = notation_word(&line)) != NULL)
        val_map_int(&m, name, strtoll(value, NULL, 10));
    struct err e;
    err_clear(&e);
    print_value_or_error(val_map_end(&m, &out), &out, &e);
    buf_free(&out);
}

static void format_number(const char *command, const char *text)
{
    char out[NUMBER_TEXT_MAX];
    size_t n = strcmp(command, "int") == 0 ? int_format(strtoll(text, NULL, 10), out)
                                            : float_format(strtod(text, NULL), out);
    printf("%.*s\n", (int)n, out);
}

/* Commands whose argument is a value in the notation. */
static bool value_command(const char *command, char *line)
{
    unsigned indent =
        strcmp(command, "text") == 0 ? (unsigned)strtoul(notation_word(&line), NULL, 10) : 0;
    struct buf value = BUF_EMPTY, out = BUF_EMPTY;
    struct err e;
    enum status status = ST_OK;
    bool known = true;
    err_clear(&e);
    notation_value(&line, &value);
    if (strcmp(command, "val") == 0) {
        print_hex_or_error(ST_OK, &value, &e);
    } else if (strcmp(command, "cut") == 0) {
        cuts(&value);
    } else if (strcmp(command, "key") == 0) {
        status = value_to_key(buf_slice(&value), &out, &e);
        print_hex_or_error(status, &out, &e);
    } else if (strcmp(command, "text") == 0) {
        status = json_from_value(buf_slice(&value), indent, &out, &e);
        print_hex_or_error(status, &out, &e);
    } else if (strcmp(command, "keytext") == 0) {
        struct buf key = BUF_EMPTY;
        status = value_to_key(buf_slice(&value), &key, &e);
        if (status == ST_OK)
            status = json_from_key(buf_slice(&key), &out, &e);
        print_hex_or_error(status, &out, &e);
        buf_free(&key);
    } else {
        known = false;
    }
    buf_free(&value);
    buf_free(&out);
    return known;
}

/* Commands whose argument is bytes in hex, after a number for some. */
static bool bytes_command(const char *command, char *line)
{
    bool numbered = strcmp(command, "group") == 0 || strcmp(command, "prefix") == 0;
    unsigned n = numbered ? (unsigned)strtoul(notation_word(&line), NULL, 10) : 0;
    char *word = notation_word(&line);
    struct buf in = BUF_EMPTY, out = BUF_EMPTY;
    struct err e;
    bool known = true;
    err_clear(&e);
    notation_unhex(word ? word : "", &in);
    struct slice bytes = buf_slice(&in);
    if (strcmp(command, "unkey") == 0) {
        print_value_or_error(key_to_value(bytes, &out), &out, &e);
    } else if (strcmp(command, "unval") == 0) {
        notation_print(bytes);
        printf("\n");
    } else if (strcmp(command, "walk") == 0) {
        walk(bytes);
    } else if (strcmp(command, "group") == 0) {
        group(n, bytes);
    } else if (strcmp(command, "first") == 0) {
        print_hex_or_error(key_first_element(bytes, &out), &out, &e);
    } else if (strcmp(command, "prefix") == 0) {
        print_hex_or_error(key_prefix(bytes, n, &out), &out, &e);
    } else if (strcmp(command, "json") == 0) {
        print_value_or_error(json_to_value(bytes, &out, &e), &out, &e);
    } else {
        known = false;
    }
    buf_free(&in);
    buf_free(&out);
    return known;
}

static void run_command(const char *command, char *line)
{
    static const char *const value_commands[] = { "val", "key", "cut", "text", "keytext" };
    if (strcmp(command, "order") == 0) {
        order(line);
        return;
    }
    if (strcmp(command, "map") == 0) {
        map(line);
        return;
    }
    if (strcmp(command, "float") == 0 || strcmp(command, "int") == 0) {
        format_number(command, notation_word(&line));
        return;
    }
    for (size_t i = 0; i < sizeof value_commands / sizeof *value_commands; i++)
        if (strcmp(command, value_commands[i]) == 0) {
            (void)value_command(command, line);
            return;
        }
    if (!bytes_command(command, line))
        printf("unknown command %s\n", command);
}

int main(void)
{
    char *line = NULL;
    size_t cap = 0;
    ssize_t n;
    while ((n = getline(&line, &cap, stdin)) > 0) {
        if (line[n - 1] == '\n')
            line[n - 1] = '\0';
        char *rest = line;
        char *command = notation_word(&rest);
        if (command)
            run_command(command, rest);
    }
    free(line);
    return 0;
}
