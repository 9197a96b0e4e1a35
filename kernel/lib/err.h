/* SPDX-License-Identifier: BSD-2-Clause */
/* Error codes: one table gives the enum and the words a person reads. */
#pragma once

#define ERR_TABLE(X) \
	X(OK,		"ok") \
	X(NOMEM,	"not enough memory") \
	X(INVAL,	"invalid value") \
	X(RANGE,	"out of range") \
	X(NOENT,	"not found") \
	X(EXIST,	"exists already") \
	X(BUSY,		"busy") \
	X(LIMIT,	"too many") \
	X(STATE,	"wrong state for that") \
	X(NOTSUP,	"not supported") \
	X(TIMEOUT,	"timed out") \
	X(TRUNCATED,	"ends too early") \
	X(CHECKSUM,	"wrong checksum") \
	X(SIGNATURE,	"wrong signature") \
	X(FORMAT,	"malformed") \
	X(ADMISSION,	"does not fit")

enum err {
#define ERR_ENUM(name, words) ERR_##name,
	ERR_TABLE(ERR_ENUM)
#undef ERR_ENUM
};

/* The words for e; never NULL. */
const char *err_words(enum err e);
