/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * JSON for list commands' -j, written with con_write(). Each element of the outermost array is on a line of its own:
 *
 *	json_begin(&j);                       [
 *	json_object(&j, NULL);                {"cpu":0,"state":"on"},
 *	json_uint(&j, "cpu", 0); ...          ...
 *	json_end(&j);                         ]
 *	json_finish(&j);
 *
 * key is NULL inside arrays.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define JSON_DEPTH_MAX	8u

struct json {
	unsigned depth;
	bool filled[JSON_DEPTH_MAX];	/* something stands at that depth: a comma comes first */
	char close[JSON_DEPTH_MAX];	/* what ends it */
};

void json_begin(struct json *j);	/* the outermost array */
void json_begin_object(struct json *j);	/* instead: an outermost object, for `show` commands */
void json_finish(struct json *j);	/* closes all that is open */
void json_object(struct json *j, const char *key);
void json_array(struct json *j, const char *key);
void json_end(struct json *j);		/* closes the innermost object or array */
void json_string(struct json *j, const char *key, const char *value);	/* value NULL: null */
void json_uint(struct json *j, const char *key, uint64_t value);
void json_int(struct json *j, const char *key, int64_t value);
void json_bool(struct json *j, const char *key, bool value);
