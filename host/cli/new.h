/* new.h: `lmr new` writes a job to start from, out of templates that are compiled in:
 * scripts/new_NAME.lua.
 *
 * A template is a working job. Its first line is "-- SUMMARY"; in its text @FILE@ stands for the
 * file's name as the user gave it and @NAME@ for the job's name, made of it. */
#ifndef LMR_CLI_NEW_H
#define LMR_CLI_NEW_H

#define TEMPLATE_PREFIX "scripts/new_"

#endif
