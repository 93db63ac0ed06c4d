#include "recover/attempt_file.h"

#include <stdlib.h>

bool attempt_file_read(const char *name, struct attempt_file *out)
{
    static const char digits[] = "0123456789";
    size_t prefix = strspn(name, "0123456789.");
    bool prefixed = prefix > 0 && name[prefix] == '-';
    size_t start = prefixed ? prefix + 1 : 0;
    size_t n = start + strcspn(name + start, ".-");
    if ((prefix > 0 && !prefixed) || name[n] != '.' || n >= sizeof out->task)
        return false;
    size_t number = strspn(name + n + 1, digits), end = n + 1 + number;
    if (number == 0 || number > 9)
        return false;
    memcpy(out->task, name, n);
    out->task[n] = '\0';
    if (prefixed)
        out->task[prefix] = ':';
    out->attempt = (uint32_t)strtoul(name + n + 1, NULL, 10);
    out->speculative = name[end] == 's';
    out->length = end + out->speculative;
    return name[out->length] == '.' || name[out->length] == '-';
}
