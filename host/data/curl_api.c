#include "data/curl_api.h"

#include <dlfcn.h>
#include <string.h>

/* The first one that this system has. */
static void *load_library(void)
{
    static const char *const names[] = { "libcurl.so.4", "libcurl-gnutls.so.4" };
    void *library = NULL;
    for (size_t i = 0; !library && i < sizeof names / sizeof *names; i++)
        library = dlopen(names[i], RTLD_NOW | RTLD_LOCAL);
    return library;
}

enum status curl_api_load(struct curl_api *out, struct err *e)
{
    void *library = load_library(), *symbol;
    bool whole = library != NULL;
    if (!library)
        return err_set(e, ST_USAGE,
                       "inputs behind http:// and https:// are read with libcurl, which cannot be "
                       "loaded (%s); in Debian: apt-get install libcurl4", dlerror());
#define X(name)                                                                                    \
    symbol = dlsym(library, "curl_" #name);                                                        \
    whole = whole && symbol;                                                                       \
    memcpy(&out->name, &symbol, sizeof symbol);
    CURL_API(X)
#undef X
    return whole ? ST_OK
                 : err_set(e, ST_USAGE, "libcurl is too old for lmr; it must be 7.85 or newer");
}
